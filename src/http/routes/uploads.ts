// POST /upload: one document as multipart/form-data, field `file`, streamed through.
import { Hono } from "hono"
import { receiveDocument, tooLarge } from "../../domain/uploads.ts"
import { AppError, fieldError } from "../../errors.ts"
import { type FormPart, multipartBoundary, readMultipart } from "../../protocol/multipart.ts"
import type { GuardedEnv } from "../types.ts"
import { fileJson } from "./files.ts"

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

const otherField = (name: string): AppError =>
  fieldError(
    name,
    "unknown_field",
    name === "file" ? "Send one file in one request." : "Send the document alone, in the field `file`.",
  )

/** The chunks of the one file part; anything after it is refused before the file can be published. */
async function* onlyPart(part: FormPart, rest: AsyncGenerator<FormPart, void>): AsyncGenerator<Uint8Array, void> {
  yield* part.chunks
  const another = await rest.next()
  if (another.done !== true) throw otherField(another.value.name)
}

export const uploadRoutes = new Hono<GuardedEnv>().post("/", async (c) => {
  const boundary = requireBoundary(c.req.raw.headers)
  const { maxFileBytes } = c.var.deps.policy
  if (Number(c.req.header("content-length") ?? 0) > maxFileBytes + MULTIPART_OVERHEAD_BYTES) throw tooLarge(maxFileBytes)
  const body = c.req.raw.body as ReadableStream<Uint8Array> | null
  if (body === null) throw fieldError("file", "missing", "Send the document in the field `file`.")
  const parts = readMultipart(body, boundary)
  try {
    const first = await parts.next()
    if (first.done === true) throw fieldError("file", "missing", "Send the document in the field `file`.")
    const part = first.value
    if (part.name !== "file") throw otherField(part.name)
    if (part.filename === undefined) throw fieldError("file", "name_missing", "The field `file` must be a file with a name.")
    const upload = { ownerId: c.var.caller.userId, sentName: part.filename, chunks: onlyPart(part, parts) }
    return c.json({ file: fileJson(await receiveDocument(c.var.deps, upload)), message: "success" }, 201)
  } finally {
    await parts.return()
  }
})
