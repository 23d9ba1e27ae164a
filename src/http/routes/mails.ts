// Mails on their way, for operators: which did not go, why, and another try. Never what a mail says.
import { Hono } from "hono"
import { z } from "zod"
import { formatFilePosition } from "../../domain/cursor.ts"
import { type ListedMail, MAIL_STATES, pageOfMails, retryMail } from "../../domain/outbox.ts"
import { cursorField, limitField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { pathId, queryParameters, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const pageQuery = z.strictObject({
  state: z.enum(MAIL_STATES, "Give due, sent or dead.").default("dead"),
  limit: limitField.optional(),
  cursor: cursorField.optional(),
})

const time = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString())

const mailJson = (mail: ListedMail) => ({
  id: mail.id,
  kind: mail.kind,
  state: mail.state,
  recipient: mail.recipient,
  attempts: mail.attempts,
  createdAt: time(mail.createdAtMs),
  expiresAt: time(mail.expiresAtMs),
  nextAttemptAt: time(mail.nextAttemptAtMs),
  sentAt: time(mail.sentAtMs),
  lastFailure: mail.lastFailure,
  canRetry: mail.canRetry,
})

export const opsMailRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(pageQuery), async (c) => {
    const { state, limit, cursor } = c.req.valid("query")
    const after = cursor === undefined ? {} : { after: cursor }
    const { mails, next } = await pageOfMails(c.var.deps, { state, limit: limit ?? DEFAULT_LIMIT, ...after })
    return c.json({ mails: mails.map(mailJson), nextCursor: next === null ? null : formatFilePosition(next) })
  })
  .post("/:id/retry", async (c) => {
    const mail = await retryMail(c.var.deps, c.var.caller, pathId(c.req.param("id"), "mail"))
    return c.json({ mail: mailJson(mail), message: "success" }, 202)
  })
