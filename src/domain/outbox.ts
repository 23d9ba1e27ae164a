// Mails leave through the outbox: the request commits a row, delivery is tried at once and again by cron.
// A mail service that is down delays mails; it never fails a request or loses one.
import { insertMail, leaseMail, listDueMails, markMailDead, markMailFailed, markMailSent } from "../db/outbox.ts"
import type { Db } from "../db/client.ts"
import type { Message } from "../mail/messages.ts"
import type { Powers } from "./powers.ts"

export type OutgoingMail = Message & { id: string; kind: string; recipient: string; createdAtMs: number; expiresAtMs: number }

/** Longer than any try can take, so that nobody else picks the mail up meanwhile. */
const LEASE_MS = 60_000
const FIRST_DELAY_MS = 60_000
const MAX_DELAY_MS = 60 * 60_000
const MAX_ATTEMPTS = 12
const DRAIN_LIMIT = 50

/** The statement that puts a mail into the outbox, due at once. */
export const enqueueMail = (db: Db, mail: OutgoingMail) => {
  const { text, ...row } = mail
  return insertMail(db, { ...row, body: text, nextAttemptAtMs: mail.createdAtMs })
}

/** Exponential back-off with jitter: half fixed, half random, so that retries of many mails spread out. */
export function retryDelayMs(attempts: number, random: number): number {
  const fullMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1))
  return Math.round(fullMs / 2 + (fullMs / 2) * random)
}

type Delivery = Pick<Powers, "db" | "mailer" | "now" | "log">

/** Tries one mail, if it is due and nobody else is at it. Never throws: what fails here is tried again. */
export async function deliverMail(deps: Delivery, id: string): Promise<void> {
  try {
    const mail = await leaseMail(deps.db, id, deps.now(), deps.now() + LEASE_MS)
    if (mail === undefined) return
    if (mail.body === null || mail.expiresAtMs <= deps.now()) {
      await markMailDead(deps.db, id, "expired")
      return
    }
    const result = await deps.mailer.send({ to: mail.recipient, subject: mail.subject, text: mail.body })
    if (result.sent) await markMailSent(deps.db, id, deps.now())
    else if (result.retry && mail.attempts < MAX_ATTEMPTS) {
      await markMailFailed(deps.db, id, result.failure, deps.now() + retryDelayMs(mail.attempts, Math.random()))
    } else await markMailDead(deps.db, id, result.failure)
    deps.log("mail", { mailId: id, kind: mail.kind, attempt: mail.attempts, outcome: result.sent ? "sent" : result.failure })
  } catch (error) {
    deps.log("mail", { mailId: id, outcome: "fault", error: error instanceof Error ? error.name : "unknown" })
  }
}

/** Tries everything that is due. */
export async function drainOutbox(deps: Delivery): Promise<void> {
  for (const { id } of await listDueMails(deps.db, deps.now(), DRAIN_LIMIT)) await deliverMail(deps, id)
}
