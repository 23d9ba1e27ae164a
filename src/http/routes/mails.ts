// Mails on their way, for operators: which did not go, why, and another try. Never what a mail says.
import { Hono } from "hono"
import { z } from "zod"
import { type ListedMail, MAIL_STATES, pageOfMails, retryMail } from "../../domain/outbox.ts"
import { cursorField, limitField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { pathId, queryParameters, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const pageQuery = z.strictObject({
  state: z.enum(MAIL_STATES, "Give due, sent or dead.").default("dead"),
  limit: limitField.default(DEFAULT_LIMIT),
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
    const { mails, nextCursor } = await pageOfMails(c.var.deps, c.var.caller, c.req.valid("query"))
    return c.json({ mails: mails.map(mailJson), nextCursor })
  })
  .post("/:id/retry", async (c) => {
    const mail = await retryMail(c.var.deps, c.var.caller, pathId(c.req.param("id"), "mail"))
    return c.json({ mail: mailJson(mail), message: "success" }, 202)
  })
