// A document in the body of a request, for whatever is made of it: as multipart/form-data, field `file`, or as it is. Read
// as it streams in, with the digests that were announced; nothing of it is kept here.
import type { Context } from "hono"
import { type ExpectedDigests, createDigests, digestMismatch } from "../domain/digests.ts"
import { isAnswered } from "../domain/idempotency.ts"
import { tooLarge } from "../domain/parts.ts"
import type { SentDocument } from "../domain/uploads.ts"
import { toItsEnd } from "../domain/to-its-end.ts"
import { AppError, fieldError } from "../errors.ts"
import { type BodySource, createBodySource } from "../protocol/body.ts"
import { type FormPart, multipartBoundary, readMultipart } from "../protocol/multipart.ts"
import { announcedDigests } from "./announced-digests.ts"
import type { GuardedEnv } from "./types.ts"

/** Room for boundaries and part headers around a file of the greatest size. */
const MULTIPART_OVERHEAD_BYTES = 64 * 1024

function requirePlain(headers: Headers): void {
  if (/^(?:identity)?$/i.test(headers.get("content-encoding") ?? "")) return
  throw new AppError("unsupported_media_type", { detail: "Send the document as it is, without a Content-Encoding." })
}

function requireBoundary(headers: Headers): string {
  requirePlain(headers)
  const boundary = multipartBoundary(headers.get("content-type") ?? "")
  if (boundary === null) {
    throw new AppError("unsupported_media_type", {
      detail: "Send multipart/form-data with the document in the field `file`, e.g. curl -F file=@report.docx",
    })
  }
  return boundary
}

/** The body, its bytes also handed to `watch`. */
const watched = (body: ReadableStream<Uint8Array>, watch: (chunk: Uint8Array) => void): ReadableStream<Uint8Array> =>
  body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        watch(chunk)
        controller.enqueue(chunk)
      },
    }),
  )

/** Of a field that a form may not have, or not there, where the file's settings go, if it has any. */
function otherField(name: string, settings: readonly string[]): AppError {
  const sentence = settings.includes(name)
    ? `Send ${name} in the address: ?${name}=…`
    : name === "file"
      ? "Send one file in one request."
      : "Send the document alone, in the field `file`."
  return fieldError(name, "unknown_field", sentence)
}

/** The chunks of the one file part. Whatever else the form holds is refused before the file can be published. */
async function* onlyPart(
  part: FormPart,
  rest: AsyncGenerator<FormPart, void>,
  settings: readonly string[],
  atEnd: () => void,
  watch: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of part.chunks) {
    watch(chunk)
    yield chunk
  }
  const another = await rest.next()
  if (another.done !== true) throw otherField(another.value.name, settings)
  atEnd()
}

/**
 * Content-Digest is, by the letter, the digest of the whole form; nobody has it at hand, so that of the document
 * alone is taken as well. Either one says that what arrived is what was sent.
 */
function contentDigestCheck(expected: ExpectedDigests | null) {
  if (expected === null) return null
  const [form, file] = [createDigests(expected), createDigests(expected)]
  return {
    seeForm: (chunk: Uint8Array): void => {
      form.update(chunk)
    },
    seeFile: (chunk: Uint8Array): void => {
      file.update(chunk)
    },
    check: (): void => {
      if (!form.matches() && !file.matches()) throw digestMismatch("Content-Digest")
    },
  }
}

const ignore = (): void => undefined

export type DocumentContext = Context<GuardedEnv>

/** How much the request will bring at most, where it says so. */
function announcedBytes(c: DocumentContext, overheadBytes: number): number {
  const { maxFileBytes } = c.var.deps.policy
  const length = c.req.header("content-length")
  if (length === undefined) return Number.POSITIVE_INFINITY
  if (Number(length) > maxFileBytes + overheadBytes) throw tooLarge(maxFileBytes)
  return Number(length)
}

/** The key of Idempotency-Key: a structured string, as the draft has it, or bare, as many clients send it. */
function idempotencyKey(c: DocumentContext): string | null {
  const header = c.req.header("idempotency-key")
  if (header === undefined) return null
  const quoted = /^"((?:[ !#-[\]-~]|\\["\\]){1,255})"$/.exec(header)?.[1]
  const key = quoted?.replaceAll(/\\(["\\])/g, "$1") ?? (/^[!#-~]{1,255}$/.test(header) ? header : null)
  if (key === null)
    throw new AppError("malformed_request", { detail: "Idempotency-Key must be a string of up to 255 characters." })
  return key
}

/** Asks `before`, unless the request is a repeat of one that was answered: it takes no room and is answered alike. */
async function unlessAnswered(c: DocumentContext, key: string | null, before: () => Promise<void>): Promise<void> {
  try {
    await before()
  } catch (error) {
    if (key === null || !(await isAnswered(c.var.deps, c.var.caller.userId, key))) throw error
  }
}

/** The least that the document can have, as far as the request says: it may be smaller than the form around it. */
const atLeast = (atMostBytes: number, overheadBytes: number): number =>
  Number.isFinite(atMostBytes) ? Math.max(0, atMostBytes - overheadBytes) : 0

type Form = {
  /** What must hold before any of the body is read; told the least that the document can have. */
  before: (atLeastBytes: number) => Promise<void>
  /** Takes a field that may stand before the file; false for any that may not. */
  takeSetting?: (part: FormPart) => Promise<boolean>
  /** What the address takes besides the form: whoever sends such a field is told so. */
  settings?: readonly string[]
  receive: (sent: SentDocument, sentName: string) => Promise<Response>
}

/** The document's part, after the settings that may stand before it. */
async function filePart(
  parts: AsyncGenerator<FormPart, void>,
  settings: readonly string[],
  takeSetting: Form["takeSetting"],
): Promise<{ part: FormPart; sentName: string }> {
  for (;;) {
    const next = await parts.next()
    if (next.done === true) throw fieldError("file", "missing", "Send the document in the field `file`.")
    const part = next.value
    if ((await takeSetting?.(part)) === true) continue
    if (part.name !== "file") throw otherField(part.name, settings)
    if (part.filename === undefined) throw fieldError("file", "name_missing", "The field `file` must be a file with a name.")
    return { part, sentName: part.filename }
  }
}

/** Takes the one document of a form. */
export async function receiveForm(c: DocumentContext, { before, takeSetting, settings = [], receive }: Form): Promise<Response> {
  const { headers } = c.req.raw
  const boundary = requireBoundary(headers)
  const expected = announcedDigests(headers, "Repr-Digest") ?? {}
  const content = contentDigestCheck(announcedDigests(headers, "Content-Digest"))
  const key = idempotencyKey(c)
  const atMostBytes = announcedBytes(c, MULTIPART_OVERHEAD_BYTES)
  const body = c.req.raw.body as ReadableStream<Uint8Array> | null
  if (body === null) throw fieldError("file", "missing", "Send the document in the field `file`.")
  await unlessAnswered(c, key, () => before(atLeast(atMostBytes, MULTIPART_OVERHEAD_BYTES)))
  // A document refused halfway is still taken to its end, so that the client hears why.
  const drainBytes = c.var.deps.policy.maxFileBytes + MULTIPART_OVERHEAD_BYTES
  const parts = readMultipart(content === null ? body : watched(body, content.seeForm), boundary, drainBytes)
  return toItsEnd(c.var.deps, async () => {
    try {
      const { part, sentName } = await filePart(parts, settings, takeSetting)
      const chunks = onlyPart(part, parts, settings, content?.check ?? ignore, content?.seeFile ?? ignore)
      const { userId: senderId } = c.var.caller
      return await receive({ senderId, chunks, atMostBytes, expected, idempotencyKey: key }, sentName)
    } finally {
      await parts.return()
    }
  })
}

/** Takes a document that is the body. */
export async function receiveBody(
  c: DocumentContext,
  { before, receive }: { before: Form["before"]; receive: (sent: SentDocument) => Promise<Response> },
): Promise<Response> {
  const { headers } = c.req.raw
  requirePlain(headers)
  if (/^multipart\//i.test(headers.get("content-type") ?? "")) {
    throw new AppError("unsupported_media_type", { detail: "PUT takes the document itself, not a form: curl -T report.docx" })
  }
  // RFC 9110 section 14.5: whoever does not put partial content must not take it for the whole.
  if (headers.has("content-range")) throw new AppError("malformed_request", { detail: "A part of a document cannot be put." })
  const expected = announcedDigests(headers, "Repr-Digest") ?? {}
  const content = contentDigestCheck(announcedDigests(headers, "Content-Digest"))
  const key = idempotencyKey(c)
  const atMostBytes = announcedBytes(c, 0)
  await unlessAnswered(c, key, () => before(atLeast(atMostBytes, 0)))
  const source = createBodySource((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>)
  return toItsEnd(c.var.deps, async () => {
    try {
      const { userId: senderId } = c.var.caller
      return await receive({ senderId, chunks: wholeBody(source, content), atMostBytes, expected, idempotencyKey: key })
    } finally {
      await source.close(c.var.deps.policy.maxFileBytes)
    }
  })
}

async function* wholeBody(source: BodySource, content: ReturnType<typeof contentDigestCheck>): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source.chunks()) {
    content?.seeFile(chunk)
    yield chunk
  }
  content?.check()
}
