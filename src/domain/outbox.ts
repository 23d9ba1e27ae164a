// Mails leave through the outbox: the request commits a row, delivery is tried at once and again by cron.
// A mail service that is down delays mails; it never fails a request or loses one.
import {
  type MailFacts,
  type MailState,
  MAIL_STATES,
  findMail,
  insertMail,
  leaseMail,
  listDueMails,
  listMails,
  makeMailDue,
  markMailDead,
  markMailFailed,
  markMailSent,
} from "../db/outbox.ts"
import { type Condition, type Db, runBatch } from "../db/client.ts"
import { AppError } from "../errors.ts"
import type { SendFailure, SendResult } from "../mail/mailer.ts"
import type { Message } from "../mail/messages.ts"
import { retryAfterMs } from "../protocol/retry-after.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, newestAfter } from "./cursor.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

export { MAIL_STATES, type MailState }

export type OutgoingMail = Message & {
  id: string
  kind: string
  recipient: string
  createdAtMs: number
  expiresAtMs: number
  /** Where the recipient can refuse such mails (RFC 8058). */
  unsubscribeUrl?: string
}

/** Longer than any try can take, so that nobody else picks the mail up meanwhile. */
const LEASE_MS = 60_000
const FIRST_DELAY_MS = 60_000
const MAX_DELAY_MS = 60 * 60_000
/** However soon the service says it may be. */
const MIN_DELAY_MS = 30_000
/** Tries that the service's own trouble takes away; about seven hours. */
const MAX_ATTEMPTS = 12
/** How many mails one run of cron tries. */
export const DRAIN_LIMIT = 150
/** So many failures of the service in a row say that it is down: the rest waits for the next run. */
const MAX_FAILURES_IN_A_ROW = 3

/**
 * The statement that puts a mail into the outbox, due at once.
 * @param onlyIf - no mail where this does not hold in the moment of the write
 */
export const enqueueMail = (db: Db, mail: OutgoingMail, onlyIf?: Condition) => {
  const { text, unsubscribeUrl = null, ...row } = mail
  return insertMail(db, { ...row, body: text, unsubscribeUrl }, onlyIf)
}

/** Exponential back-off with jitter: half fixed, half random, so that retries of many mails spread out. */
export function retryDelayMs(attempts: number, random: number): number {
  const fullMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1))
  return Math.round(fullMs / 2 + (fullMs / 2) * random)
}

/** As the service asks, from half a minute to an hour and a tenth of it at random; else the back-off. */
export function nextDelayMs(attempts: number, askedMs: number | null, random: number): number {
  if (askedMs === null) return retryDelayMs(attempts, random)
  return Math.round(Math.min(MAX_DELAY_MS, Math.max(MIN_DELAY_MS, askedMs)) * (1 + random / 10))
}

type Delivery = Pick<Powers, "db" | "mailer" | "now" | "log">

/** What a failed try means for the mail. */
async function noteFailure(deps: Delivery, mail: { id: string; attempts: number }, result: SendFailure): Promise<void> {
  const { verdict, failure } = result
  if (verdict === "misconfigured") {
    const remedy = "check MAILCHANNELS_API_KEY, MAILCHANNELS_BASE_URL and MAIL_FROM, and the account at MailChannels"
    deps.log("mail_misconfigured", { failure, remedy })
  }
  // Of a mail that is refused itself nothing is left to try. One that the service failed may be tried again by ops.
  if (verdict === "refused") await markMailDead(deps.db, mail.id, failure, false)
  else if (verdict === "service" && mail.attempts >= MAX_ATTEMPTS) await markMailDead(deps.db, mail.id, failure, true)
  else {
    const delayMs = nextDelayMs(mail.attempts, retryAfterMs(result.retryAfter, deps.now()), Math.random())
    await markMailFailed(deps.db, mail.id, failure, deps.now() + delayMs)
  }
}

/**
 * Tries one mail, if it is due and nobody else is at it. Never throws: what fails here is tried again.
 * @returns what the mail service made of it; null when it was not asked
 */
export async function deliverMail(deps: Delivery, id: string): Promise<SendResult | null> {
  try {
    const mail = await leaseMail(deps.db, id, deps.now(), deps.now() + LEASE_MS)
    if (mail === undefined) return null
    if (mail.body === null || mail.expiresAtMs <= deps.now()) {
      await markMailDead(deps.db, id, "expired", false)
      return null
    }
    const { recipient: to, subject, body: text, unsubscribeUrl } = mail
    const result = await deps.mailer.send({ to, subject, text, unsubscribeUrl })
    if (result.sent) await markMailSent(deps.db, id, deps.now())
    else await noteFailure(deps, mail, result)
    deps.log("mail", { mailId: id, kind: mail.kind, attempt: mail.attempts, outcome: result.sent ? "sent" : result.failure })
    return result
  } catch (error) {
    deps.log("mail", { mailId: id, outcome: "fault", error: error instanceof Error ? error.name : "unknown" })
    return null
  }
}

/** Tries what is due, until all is done or the mail service turns out to be down. */
export async function drainOutbox(deps: Delivery): Promise<void> {
  let failures = 0
  for (const { id } of await listDueMails(deps.db, deps.now(), DRAIN_LIMIT)) {
    const result = await deliverMail(deps, id)
    const isDown = result?.sent === false && result.verdict !== "refused" && result.failure !== "rejected"
    failures = isDown ? failures + 1 : result === null ? failures : 0
    if (failures < MAX_FAILURES_IN_A_ROW) continue
    deps.log("mail_service_down", { failure: result?.sent === false ? result.failure : "" })
    return
  }
}

/** A mail as operators see it: nothing of what it says, and of the address only what shows which mail service it has. */
export type ListedMail = {
  id: string
  kind: string
  state: MailState
  recipient: string
  attempts: number
  createdAtMs: number
  expiresAtMs: number
  nextAttemptAtMs: number | null
  sentAtMs: number | null
  lastFailure: string | null
  canRetry: boolean
}

/** `p…@example.com`: enough to find a mail by, and to see that one domain refuses all. */
export const maskAddress = (address: string): string => {
  const at = address.lastIndexOf("@")
  const [first = ""] = address
  return `${at > 0 ? first : ""}…${address.slice(Math.max(at, 0))}`
}

function listed({ recipient, hasBody, ...mail }: MailFacts, nowMs: number): ListedMail {
  const state = mail.sentAtMs !== null ? "sent" : mail.nextAttemptAtMs === null ? "dead" : "due"
  const canRetry = state !== "sent" && hasBody === 1 && mail.expiresAtMs > nowMs
  return { ...mail, state, recipient: maskAddress(recipient), canRetry }
}

/**
 * A page of mails in a state, newest first.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfMails(
  deps: Pick<Powers, "db" | "now" | "keys">,
  caller: Caller,
  query: { state: MailState; cursor?: string | undefined; limit: number },
): Promise<{ mails: ListedMail[]; nextCursor: string | null }> {
  const { state, limit } = query
  const listing: Listing = { callerId: caller.userId, list: "mails", terms: { state } }
  const rows = await listMails(deps.db, state, await newestAfter(deps, listing, query.cursor), limit + 1)
  const { page, next } = cutPage(rows, limit, ({ createdAtMs, id }) => ({ key: createdAtMs, id }))
  return { mails: page.map((row) => listed(row, deps.now())), nextCursor: await cursorAfter(deps, listing, next) }
}

/**
 * Has a mail tried again now that was given up, or that waits.
 * @throws AppError `not_found`; `mail_not_retryable` when it was sent, has expired, or was refused itself
 */
export async function retryMail(
  deps: Delivery & Pick<Powers, "request" | "afterwards">,
  caller: Caller,
  id: string,
): Promise<ListedMail> {
  const row = await findMail(deps.db, id)
  if (row === undefined) throw new AppError("not_found", { detail: "There is no such mail." })
  const nowMs = deps.now()
  if (!listed(row, nowMs).canRetry) {
    throw new AppError("mail_not_retryable", {
      detail:
        "This mail was sent, has expired, or was refused as such; nothing of it is kept. Whoever needs it asks for a new one.",
    })
  }
  await runBatch(deps.db, [
    makeMailDue(deps.db, id, nowMs, nowMs + LEASE_MS),
    auditEvent(deps, "mail.retried", caller.userId, id),
  ])
  deps.afterwards(deliverMail(deps, id))
  return listed((await findMail(deps.db, id)) ?? row, nowMs)
}
