// One document in one request, streamed through, becomes a file: POST /upload as multipart/form-data, field `file`;
// PUT /upload/{name} as it is.
import { Hono } from "hono"
import type { z } from "zod"
import { type ChosenAudience, requireRecipients } from "../../domain/audiences.ts"
import { NOTIFICATIONS } from "../../domain/notifications.ts"
import { requireQuota } from "../../domain/quota.ts"
import { type NewFile, type SentDocument, receiveDocument } from "../../domain/uploads.ts"
import { AppError, fieldError } from "../../errors.ts"
import type { FormPart } from "../../protocol/multipart.ts"
import { type DocumentContext, receiveBody, receiveForm } from "../document-request.ts"
import { descriptionField, parseDownloadLimit, timeField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { audienceOf, uploadSettings } from "../upload-settings.ts"
import { queryParameters, singleParameters } from "../validate.ts"
import { fileJson } from "./files.ts"
import { notifyParameter } from "./notifications.ts"

const DOWNLOAD_LIMIT = "downloadLimit"
/** As many digits as fit. */
const MAX_LIMIT_BYTES = 16
/** What one request can say besides; a resumable upload is given these once it is a file. */
const uploadQuery = uploadSettings.extend({
  description: descriptionField.optional(),
  expiresAt: timeField.optional(),
  notify: notifyParameter.default([...NOTIFICATIONS]),
})
type UploadQuery = z.output<typeof uploadQuery>

async function textOf(part: FormPart): Promise<string> {
  let text = ""
  for await (const chunk of part.chunks) {
    text += new TextDecoder().decode(chunk)
    if (text.length > MAX_LIMIT_BYTES) break
  }
  return text
}

const requireRoom = (c: DocumentContext, audience: ChosenAudience) => async (atLeastBytes: number) => {
  await requireQuota(c.var.deps, c.var.caller.userId, atLeastBytes)
  await requireRecipients(c.var.deps, audience)
}

const termsOf = ({ description, expiresAt, notify }: UploadQuery) => ({
  notify,
  description: description ?? null,
  expiresAtMs: expiresAt ?? null,
})

async function answer(c: DocumentContext, file: NewFile, sent: SentDocument): Promise<Response> {
  return c.json({ file: fileJson(await receiveDocument(c.var.deps, file, sent)), message: "success" }, 201)
}

const query = [singleParameters, queryParameters(uploadQuery)] as const

export const uploadRoutes = new Hono<GuardedEnv>()
  .post("/", ...query, (c) => {
    const terms = c.req.valid("query")
    const audience = audienceOf(terms)
    let { downloadLimit } = terms
    async function takeSetting(part: FormPart): Promise<boolean> {
      if (part.name !== DOWNLOAD_LIMIT || part.filename !== undefined) return false
      if (downloadLimit !== undefined) throw fieldError(DOWNLOAD_LIMIT, "repeated", "Give this once.")
      downloadLimit = parseDownloadLimit(await textOf(part)) ?? undefined
      return true
    }
    return receiveForm(c, {
      before: requireRoom(c, audience),
      takeSetting,
      receive: (sent, sentName) =>
        answer(c, { sentName, downloadLimit: downloadLimit ?? null, audience, ...termsOf(terms) }, sent),
    })
  })
  .put("/:name", ...query, (c) => {
    const terms = c.req.valid("query")
    const audience = audienceOf(terms)
    const file = { sentName: nameOf(c), downloadLimit: terms.downloadLimit ?? null, audience, ...termsOf(terms) }
    return receiveBody(c, { before: requireRoom(c, audience), receive: (sent) => answer(c, file, sent) })
  })

/** The name in the path, decoded here: what does not decode is refused, not taken as it stands. */
function nameOf(c: DocumentContext): string {
  try {
    return decodeURIComponent(c.req.path.slice(c.req.path.lastIndexOf("/") + 1))
  } catch {
    throw new AppError("malformed_request", { detail: "The name in the address is not percent-encoded UTF-8." })
  }
}
