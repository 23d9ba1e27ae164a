// One document in one request, streamed through: POST /upload as multipart/form-data, field `file`; PUT /upload/{name} as it is.
import { type Context, Hono } from "hono"
import { z } from "zod"
import { FOR_EVERYONE, type ChosenAudience, requireRecipients } from "../../domain/audiences.ts"
import { type ExpectedDigests, createDigests, digestMismatch } from "../../domain/digests.ts"
import { NOTIFICATIONS } from "../../domain/notifications.ts"
import { tooLarge } from "../../domain/parts.ts"
import { requireQuota } from "../../domain/quota.ts"
import { type UploadRequest, receiveDocument } from "../../domain/uploads.ts"
import { AppError, fieldError } from "../../errors.ts"
import { type BodySource, createBodySource } from "../../protocol/body.ts"
import { type FormPart, multipartBoundary, readMultipart } from "../../protocol/multipart.ts"
import { announcedDigests } from "../announced-digests.ts"
import { downloadLimitText, idsParameter, parseDownloadLimit, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { queryParameters, singleParameters } from "../validate.ts"
import { MAX_CLIENTS, MAX_GROUPS } from "./audiences.ts"
import { fileJson } from "./files.ts"
import { notifyParameter } from "./notifications.ts"

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

const otherField = (name: string): AppError =>
  fieldError(
    name,
    "unknown_field",
    name === "file" ? "Send one file in one request." : "Send the document alone, in the field `file`.",
  )

/** The chunks of the one file part. Whatever else the form holds is refused before the file can be published. */
async function* onlyPart(
  part: FormPart,
  rest: AsyncGenerator<FormPart, void>,
  atEnd: () => void,
  watch: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of part.chunks) {
    watch(chunk)
    yield chunk
  }
  const another = await rest.next()
  if (another.done !== true) throw otherField(another.value.name)
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

const DOWNLOAD_LIMIT = "downloadLimit"
/** As many digits as fit. */
const MAX_LIMIT_BYTES = 16
/** What the document is published with, so that there is no moment without it. */
const uploadQuery = z.strictObject({
  downloadLimit: downloadLimitText.optional(),
  audience: wordField(["everyone", "chosen"]).optional(),
  clients: idsParameter(MAX_CLIENTS).optional(),
  groups: idsParameter(MAX_GROUPS).optional(),
  notify: notifyParameter.default([...NOTIFICATIONS]),
})

/** Naming somebody means them alone; naming nobody, everyone. */
function audienceOf({ audience, clients, groups }: z.output<typeof uploadQuery>): ChosenAudience {
  const isNamed = clients !== undefined || groups !== undefined
  if (audience === "everyone" && isNamed)
    throw fieldError("audience", "contradiction", "A file is for everyone, or for the clients and groups that you name.")
  if (!isNamed && audience !== "chosen") return FOR_EVERYONE
  return { audience: "chosen", clients: clients ?? [], groups: groups ?? [] }
}

/** The document's part, after the settings that may stand before it. */
async function settingsAndFile(parts: AsyncGenerator<FormPart, void>, query: { downloadLimit?: number | undefined }) {
  let downloadLimit = query.downloadLimit
  for (;;) {
    const next = await parts.next()
    if (next.done === true) throw fieldError("file", "missing", "Send the document in the field `file`.")
    const part = next.value
    if (part.name === DOWNLOAD_LIMIT && part.filename === undefined) {
      if (downloadLimit !== undefined) throw fieldError(DOWNLOAD_LIMIT, "repeated", "Give this once.")
      downloadLimit = parseDownloadLimit(await textOf(part)) ?? undefined
      continue
    }
    if (part.name !== "file") throw otherField(part.name)
    if (part.filename === undefined) throw fieldError("file", "name_missing", "The field `file` must be a file with a name.")
    return { part, sentName: part.filename, downloadLimit: downloadLimit ?? null }
  }
}

async function textOf(part: FormPart): Promise<string> {
  let text = ""
  for await (const chunk of part.chunks) {
    text += new TextDecoder().decode(chunk)
    if (text.length > MAX_LIMIT_BYTES) break
  }
  return text
}

type UploadContext = Context<GuardedEnv>

/** How much the request will bring at most, where it says so. */
function announcedBytes(c: UploadContext, overheadBytes: number): number {
  const { maxFileBytes } = c.var.deps.policy
  const length = c.req.header("content-length")
  if (length === undefined) return Number.POSITIVE_INFINITY
  if (Number(length) > maxFileBytes + overheadBytes) throw tooLarge(maxFileBytes)
  return Number(length)
}

/** Refuses early what the user has no room for. The file may be smaller than the form around it. */
async function requireRoom(c: UploadContext, atMostBytes: number, overheadBytes: number): Promise<void> {
  const atLeastBytes = Number.isFinite(atMostBytes) ? Math.max(0, atMostBytes - overheadBytes) : 0
  await requireQuota(c.var.deps, c.var.caller.userId, atLeastBytes)
}

/** The key of Idempotency-Key: a structured string, as the draft has it, or bare, as many clients send it. */
function idempotencyKey(c: UploadContext): string | null {
  const header = c.req.header("idempotency-key")
  if (header === undefined) return null
  const quoted = /^"((?:[ !#-[\]-~]|\\["\\]){1,255})"$/.exec(header)?.[1]
  const key = quoted?.replaceAll(/\\(["\\])/g, "$1") ?? (/^[!#-~]{1,255}$/.test(header) ? header : null)
  if (key === null)
    throw new AppError("malformed_request", { detail: "Idempotency-Key must be a string of up to 255 characters." })
  return key
}

async function answer(c: UploadContext, upload: UploadRequest): Promise<Response> {
  return c.json({ file: fileJson(await receiveDocument(c.var.deps, upload)), message: "success" }, 201)
}

const query = [singleParameters, queryParameters(uploadQuery)] as const

export const uploadRoutes = new Hono<GuardedEnv>()
  .post("/", ...query, async (c) => {
    const { headers } = c.req.raw
    const boundary = requireBoundary(headers)
    const expected = announcedDigests(headers, "Repr-Digest") ?? {}
    const content = contentDigestCheck(announcedDigests(headers, "Content-Digest"))
    const key = idempotencyKey(c)
    const audience = audienceOf(c.req.valid("query"))
    const atMostBytes = announcedBytes(c, MULTIPART_OVERHEAD_BYTES)
    const body = c.req.raw.body as ReadableStream<Uint8Array> | null
    if (body === null) throw fieldError("file", "missing", "Send the document in the field `file`.")
    await requireRoom(c, atMostBytes, MULTIPART_OVERHEAD_BYTES)
    await requireRecipients(c.var.deps, audience)
    // A document refused halfway is still taken to its end, so that the client hears why.
    const drainBytes = c.var.deps.policy.maxFileBytes + MULTIPART_OVERHEAD_BYTES
    const parts = readMultipart(content === null ? body : watched(body, content.seeForm), boundary, drainBytes)
    try {
      const { part, sentName, downloadLimit } = await settingsAndFile(parts, c.req.valid("query"))
      const chunks = onlyPart(part, parts, content?.check ?? ignore, content?.seeFile ?? ignore)
      const { userId: ownerId } = c.var.caller
      const settings = { downloadLimit, audience, notify: c.req.valid("query").notify }
      return await answer(c, { ownerId, sentName, chunks, atMostBytes, expected, ...settings, idempotencyKey: key })
    } finally {
      await parts.return()
    }
  })
  .put("/:name", ...query, async (c) => {
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
    const audience = audienceOf(c.req.valid("query"))
    const sentName = nameOf(c)
    const atMostBytes = announcedBytes(c, 0)
    await requireRoom(c, atMostBytes, 0)
    await requireRecipients(c.var.deps, audience)
    const source = createBodySource((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>)
    try {
      const chunks = wholeBody(source, content)
      const { userId: ownerId } = c.var.caller
      const { downloadLimit = null, notify } = c.req.valid("query")
      const settings = { downloadLimit, audience, notify }
      return await answer(c, { ownerId, sentName, chunks, atMostBytes, expected, ...settings, idempotencyKey: key })
    } finally {
      await source.close(c.var.deps.policy.maxFileBytes)
    }
  })

/** The name in the path, decoded here: what does not decode is refused, not taken as it stands. */
function nameOf(c: UploadContext): string {
  try {
    return decodeURIComponent(c.req.path.slice(c.req.path.lastIndexOf("/") + 1))
  } catch {
    throw new AppError("malformed_request", { detail: "The name in the address is not percent-encoded UTF-8." })
  }
}

async function* wholeBody(source: BodySource, content: ReturnType<typeof contentDigestCheck>): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source.chunks()) {
    content?.seeFile(chunk)
    yield chunk
  }
  content?.check()
}
