// One document in one request, streamed through, becomes a file: POST /upload as multipart/form-data, field `file`;
// PUT /upload/{name} as it is.
import { Hono } from "hono"
import { z } from "zod"
import { FOR_EVERYONE, type ChosenAudience, requireRecipients } from "../../domain/audiences.ts"
import { NOTIFICATIONS } from "../../domain/notifications.ts"
import { requireQuota } from "../../domain/quota.ts"
import { type NewFile, type SentDocument, receiveDocument } from "../../domain/uploads.ts"
import { AppError, fieldError } from "../../errors.ts"
import type { FormPart } from "../../protocol/multipart.ts"
import { type DocumentContext, receiveBody, receiveForm } from "../document-request.ts"
import { descriptionField, downloadLimitText, idsParameter, parseDownloadLimit, timeField, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { queryParameters, singleParameters } from "../validate.ts"
import { MAX_CLIENTS, MAX_GROUPS } from "./audiences.ts"
import { fileJson } from "./files.ts"
import { notifyParameter } from "./notifications.ts"

const DOWNLOAD_LIMIT = "downloadLimit"
/** As many digits as fit. */
const MAX_LIMIT_BYTES = 16
/** What the document is published with, so that there is no moment without it. */
const uploadQuery = z.strictObject({
  downloadLimit: downloadLimitText.optional(),
  audience: wordField(["everyone", "chosen"]).optional(),
  clients: idsParameter(MAX_CLIENTS).optional(),
  groups: idsParameter(MAX_GROUPS).optional(),
  description: descriptionField.optional(),
  expiresAt: timeField.optional(),
  notify: notifyParameter.default([...NOTIFICATIONS]),
})
type UploadQuery = z.output<typeof uploadQuery>

/** Naming somebody means them alone; naming nobody, everyone. */
function audienceOf({ audience, clients, groups }: UploadQuery): ChosenAudience {
  const isNamed = clients !== undefined || groups !== undefined
  if (audience === "everyone" && isNamed)
    throw fieldError("audience", "contradiction", "A file is for everyone, or for the clients and groups that you name.")
  if (!isNamed && audience !== "chosen") return FOR_EVERYONE
  return { audience: "chosen", clients: clients ?? [], groups: groups ?? [] }
}

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
