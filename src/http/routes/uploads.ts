// One document in one request, streamed through, becomes a file: POST /upload as multipart/form-data, field `file`;
// PUT /upload/{name} as it is.
import { Hono } from "hono"
import { type ChosenAudience, requireRecipients } from "../../domain/audiences.ts"
import { requireQuota } from "../../domain/quota.ts"
import { type NewFile, type SentDocument, receiveDocument } from "../../domain/uploads.ts"
import { AppError, fieldError } from "../../errors.ts"
import type { FormPart } from "../../protocol/multipart.ts"
import { type DocumentContext, receiveBody, receiveForm } from "../document-request.ts"
import { parseDownloadLimit } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { termsOf, uploadSettings } from "../upload-settings.ts"
import { queryParameters, singleParameters } from "../validate.ts"
import { fileJson } from "./files.ts"

const DOWNLOAD_LIMIT = "downloadLimit"
/** As many digits as fit. */
const MAX_LIMIT_BYTES = 16

async function textOf(part: FormPart): Promise<string> {
  let text = ""
  for await (const chunk of part.chunks) {
    text += new TextDecoder().decode(chunk)
    if (text.length > MAX_LIMIT_BYTES) break
  }
  return text
}

const requireRoom = (c: DocumentContext, audience: ChosenAudience) => async (atLeastBytes: number) => {
  await requireQuota(c.var.deps, { userId: c.var.caller.userId, newFiles: 1 }, atLeastBytes)
  await requireRecipients(c.var.deps, audience)
}

async function answer(c: DocumentContext, file: NewFile, sent: SentDocument): Promise<Response> {
  return c.json({ file: fileJson(await receiveDocument(c.var.deps, file, sent)), message: "success" }, 201)
}

const query = [singleParameters, queryParameters(uploadSettings)] as const

export const uploadRoutes = new Hono<GuardedEnv>()
  .post("/", ...query, (c) => {
    let { downloadLimit } = c.req.valid("query")
    const terms = termsOf(c.req.valid("query"))
    async function takeSetting(part: FormPart): Promise<boolean> {
      if (part.name !== DOWNLOAD_LIMIT || part.filename !== undefined) return false
      if (downloadLimit !== undefined) throw fieldError(DOWNLOAD_LIMIT, "repeated", "Give this once.")
      downloadLimit = parseDownloadLimit(await textOf(part)) ?? undefined
      return true
    }
    return receiveForm(c, {
      before: requireRoom(c, terms.audience),
      takeSetting,
      settings: uploadSettings.keyof().options,
      receive: (sent, sentName) => answer(c, { sentName, downloadLimit: downloadLimit ?? null, ...terms }, sent),
    })
  })
  .put("/:name", ...query, (c) => {
    const { downloadLimit = null, ...settings } = c.req.valid("query")
    const file = { sentName: nameOf(c), downloadLimit, ...termsOf(settings) }
    return receiveBody(c, { before: requireRoom(c, file.audience), receive: (sent) => answer(c, file, sent) })
  })

/** The name in the path, decoded here: what does not decode is refused, not taken as it stands. */
function nameOf(c: DocumentContext): string {
  try {
    return decodeURIComponent(c.req.path.slice(c.req.path.lastIndexOf("/") + 1))
  } catch {
    throw new AppError("malformed_request", { detail: "The name in the address is not percent-encoded UTF-8." })
  }
}
