// POST /upload: one document as multipart/form-data, field `file`, streamed through.
import { Hono } from "hono"
import { z } from "zod"
import { FOR_EVERYONE, type ChosenAudience, requireRecipients } from "../../domain/audiences.ts"
import { type ExpectedDigests, createDigests, digestMismatch } from "../../domain/digests.ts"
import { receiveDocument, tooLarge } from "../../domain/uploads.ts"
import { AppError, fieldError } from "../../errors.ts"
import { requiredDigests } from "../../protocol/digest-fields.ts"
import { type FormPart, multipartBoundary, readMultipart } from "../../protocol/multipart.ts"
import { downloadLimitParameter, idsParameter, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { queryParameters, singleParameters } from "../validate.ts"
import { MAX_CLIENTS, MAX_GROUPS } from "./audiences.ts"
import { fileJson } from "./files.ts"

/** What the document is published with, so that there is no moment without it. */
const uploadQuery = z.strictObject({
  downloadLimit: downloadLimitParameter.optional(),
  audience: wordField(["everyone", "chosen"]).optional(),
  clients: idsParameter(MAX_CLIENTS).optional(),
  groups: idsParameter(MAX_GROUPS).optional(),
})

/** Naming somebody means them alone; naming nobody, everyone. */
function audienceOf({ audience, clients, groups }: z.output<typeof uploadQuery>): ChosenAudience {
  const isNamed = clients !== undefined || groups !== undefined
  if (audience === "everyone" && isNamed)
    throw fieldError("audience", "contradiction", "A file is for everyone, or for the clients and groups that you name.")
  if (!isNamed && audience !== "chosen") return FOR_EVERYONE
  return { audience: "chosen", clients: clients ?? [], groups: groups ?? [] }
}

/** Room for boundaries and part headers around a file of the greatest size. */
const MULTIPART_OVERHEAD_BYTES = 64 * 1024

function requireBoundary(headers: Headers): string {
  if (!/^(?:identity)?$/i.test(headers.get("content-encoding") ?? "")) {
    throw new AppError("unsupported_media_type", { detail: "Send the document as it is, without a Content-Encoding." })
  }
  const boundary = multipartBoundary(headers.get("content-type") ?? "")
  if (boundary === null) {
    throw new AppError("unsupported_media_type", {
      detail: "Send multipart/form-data with the document in the field `file`, e.g. curl -F file=@report.docx",
    })
  }
  return boundary
}

/** The digests in a field (RFC 9530). Null where it announces none that can be trusted. */
function announced(headers: Headers, field: string): ExpectedDigests | null {
  const digests = requiredDigests(headers.get(field))
  if (digests.kind === "malformed") {
    throw new AppError("digest_malformed", { detail: `${field} must look like this: sha-256=:<base64 of the 32 bytes>:` })
  }
  return digests.kind === "none" ? null : digests
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

export const uploadRoutes = new Hono<GuardedEnv>().post("/", singleParameters, queryParameters(uploadQuery), async (c) => {
  const { headers } = c.req.raw
  const { downloadLimit = null } = c.req.valid("query")
  const audience = audienceOf(c.req.valid("query"))
  const boundary = requireBoundary(headers)
  const expected = announced(headers, "Repr-Digest") ?? {}
  const content = contentDigestCheck(announced(headers, "Content-Digest"))
  const { maxFileBytes } = c.var.deps.policy
  const length = headers.get("content-length")
  const atMostBytes = length === null ? Number.POSITIVE_INFINITY : Number(length)
  if (length !== null && atMostBytes > maxFileBytes + MULTIPART_OVERHEAD_BYTES) throw tooLarge(maxFileBytes)
  await requireRecipients(c.var.deps, audience)
  const body = c.req.raw.body as ReadableStream<Uint8Array> | null
  if (body === null) throw fieldError("file", "missing", "Send the document in the field `file`.")
  // A document refused halfway is still taken to its end, so that the client hears why.
  const drainBytes = maxFileBytes + MULTIPART_OVERHEAD_BYTES
  const parts = readMultipart(content === null ? body : watched(body, content.seeForm), boundary, drainBytes)
  try {
    const first = await parts.next()
    if (first.done === true) throw fieldError("file", "missing", "Send the document in the field `file`.")
    const part = first.value
    if (part.name !== "file") throw otherField(part.name)
    if (part.filename === undefined) throw fieldError("file", "name_missing", "The field `file` must be a file with a name.")
    const chunks = onlyPart(part, parts, content?.check ?? ignore, content?.seeFile ?? ignore)
    const upload = {
      ownerId: c.var.caller.userId,
      sentName: part.filename,
      chunks,
      atMostBytes,
      expected,
      downloadLimit,
      audience,
    }
    return c.json({ file: fileJson(await receiveDocument(c.var.deps, upload)), message: "success" }, 201)
  } finally {
    await parts.return()
  }
})
