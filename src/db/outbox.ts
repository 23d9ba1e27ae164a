import { type SQL, and, asc, desc, eq, gt, inArray, isNotNull, isNull, lt, lte, or, sql } from "drizzle-orm"
import type { Condition, Db } from "./client.ts"
import { outbox } from "./schema.ts"

export type OutboxRow = typeof outbox.$inferSelect

/** To be tried (again), gone out, or given up. */
export const MAIL_STATES = ["due", "sent", "dead"] as const
export type MailState = (typeof MAIL_STATES)[number]

export type NewMail = Omit<OutboxRow, "attempts" | "nextAttemptAtMs" | "sentAtMs" | "lastFailure">

/**
 * A mail that is due at once.
 * @param onlyIf - no mail where this does not hold in the moment of the write
 */
export function insertMail(db: Db, mail: NewMail, onlyIf?: Condition) {
  if (onlyIf === undefined) return db.insert(outbox).values({ ...mail, nextAttemptAtMs: mail.createdAtMs })
  const { id, kind, recipient, subject, body, unsubscribeUrl, createdAtMs, expiresAtMs } = mail
  // Columns in the table's order, as Drizzle names them.
  return db
    .insert(outbox)
    .select(
      sql`select ${id}, ${kind}, ${recipient}, ${subject}, ${body}, ${unsubscribeUrl}, ${createdAtMs}, ${expiresAtMs}, 0, ${createdAtMs}, null, null where ${onlyIf}`,
    )
}

/** How many mails are due, counted up to a limit. */
export async function countDueMails(db: Db, nowMs: number, limit: number): Promise<number> {
  return (await listDueMails(db, nowMs, limit)).length
}

/**
 * Takes the mail for one try and moves its next attempt into the future, as a lease: two workers that
 * drain at once never send the same mail at the same time. Undefined when it is not due (any more).
 */
export async function leaseMail(db: Db, id: string, nowMs: number, nextAttemptAtMs: number): Promise<OutboxRow | undefined> {
  const rows = await db
    .update(outbox)
    .set({ attempts: sql`${outbox.attempts} + 1`, nextAttemptAtMs })
    .where(and(eq(outbox.id, id), lte(outbox.nextAttemptAtMs, nowMs)))
    .returning()
  return rows[0]
}

export const listDueMails = (db: Db, nowMs: number, limit: number) =>
  db
    .select({ id: outbox.id })
    .from(outbox)
    .where(and(isNotNull(outbox.nextAttemptAtMs), lte(outbox.nextAttemptAtMs, nowMs)))
    .orderBy(asc(outbox.nextAttemptAtMs))
    .limit(limit)
    .all()

const textGone = { body: null, unsubscribeUrl: null } as const

/** Sent: the body has done its work and goes. */
export const markMailSent = (db: Db, id: string, atMs: number) =>
  db
    .update(outbox)
    .set({ sentAtMs: atMs, nextAttemptAtMs: null, ...textGone, lastFailure: null })
    .where(eq(outbox.id, id))

export const markMailFailed = (db: Db, id: string, failure: string, nextAttemptAtMs: number) =>
  db.update(outbox).set({ lastFailure: failure, nextAttemptAtMs }).where(eq(outbox.id, id))

/** Given up; the reason stays. The body stays only where somebody may have it tried again. */
export const markMailDead = (db: Db, id: string, failure: string, keepsBody: boolean) =>
  db
    .update(outbox)
    .set({ lastFailure: failure, nextAttemptAtMs: null, ...(keepsBody ? {} : textGone) })
    .where(eq(outbox.id, id))

/** Expired mails lose their bodies, whatever became of them, and are not tried any more. */
export const purgeExpiredMails = (db: Db, nowMs: number) =>
  db
    .update(outbox)
    .set({
      ...textGone,
      nextAttemptAtMs: null,
      lastFailure: sql`case when ${outbox.nextAttemptAtMs} is null then ${outbox.lastFailure} else 'expired' end`,
    })
    .where(and(isNotNull(outbox.body), lte(outbox.expiresAtMs, nowMs)))

/** Gives up what waits for a user of kinds that they do not want, or may not have, any more. */
export const dropMailsOf = (db: Db, userId: string, kinds: readonly string[]) =>
  db
    .update(outbox)
    .set({ ...textGone, nextAttemptAtMs: null, lastFailure: "unwanted" })
    .where(
      and(
        gt(outbox.nextAttemptAtMs, 0),
        inArray(outbox.kind, [...kinds]),
        sql`lower(${outbox.recipient}) = (select email_key from users where id = ${userId})`,
      ),
    )

/** Settled mails, sent or given up, once they are old. */
export const deleteSettledMailsBefore = (db: Db, createdBeforeMs: number) =>
  // The plus keeps SQLite from reading all that are settled: found by their age they are few.
  db.delete(outbox).where(and(sql`+${outbox.nextAttemptAtMs} is null`, lt(outbox.createdAtMs, createdBeforeMs)))

const isIn: Record<MailState, SQL | undefined> = {
  due: isNotNull(outbox.nextAttemptAtMs),
  sent: isNotNull(outbox.sentAtMs),
  dead: and(isNull(outbox.nextAttemptAtMs), isNull(outbox.sentAtMs)),
}

/** Everything but subject and body. */
const facts = {
  id: outbox.id,
  kind: outbox.kind,
  recipient: outbox.recipient,
  createdAtMs: outbox.createdAtMs,
  expiresAtMs: outbox.expiresAtMs,
  attempts: outbox.attempts,
  nextAttemptAtMs: outbox.nextAttemptAtMs,
  sentAtMs: outbox.sentAtMs,
  lastFailure: outbox.lastFailure,
  hasBody: sql<number>`${outbox.body} is not null`.as("has_body"),
}

export type MailPosition = { createdAtMs: number; id: string }

/** Mails in a state, newest first. */
export const listMails = (db: Db, state: MailState, after: MailPosition | undefined, limit: number) =>
  db
    .select(facts)
    .from(outbox)
    .where(
      and(
        isIn[state],
        after === undefined
          ? undefined
          : or(
              lt(outbox.createdAtMs, after.createdAtMs),
              and(eq(outbox.createdAtMs, after.createdAtMs), lt(outbox.id, after.id)),
            ),
      ),
    )
    .orderBy(desc(outbox.createdAtMs), desc(outbox.id))
    .limit(limit)
    .all()

export const findMail = (db: Db, id: string) => db.select(facts).from(outbox).where(eq(outbox.id, id)).get()

export type MailFacts = NonNullable<Awaited<ReturnType<typeof findMail>>>

/**
 * Makes a mail due now, with all its tries before it, unless somebody may be at it at this moment.
 * @param leaseEndsMs - a try that is under way ends by then
 */
export const makeMailDue = (db: Db, id: string, nowMs: number, leaseEndsMs: number) =>
  db
    .update(outbox)
    .set({ nextAttemptAtMs: nowMs, attempts: 0 })
    .where(
      and(
        eq(outbox.id, id),
        isNull(outbox.sentAtMs),
        isNotNull(outbox.body),
        gt(outbox.expiresAtMs, nowMs),
        or(isNull(outbox.nextAttemptAtMs), gt(outbox.nextAttemptAtMs, leaseEndsMs)),
      ),
    )

/** All mails to an address, in whatever case it was written, sent or not. */
export const deleteMailsTo = (db: Db, emailKey: string) => db.delete(outbox).where(sql`lower(${outbox.recipient}) = ${emailKey}`)

/** Puts other words in place of some, in every mail of these kinds that is still to go. */
export function replaceInMails(db: Db, kinds: readonly string[], words: readonly { text: string; without: string }[]) {
  const changed = words.reduce((body, { text, without }) => sql`replace(${body}, ${text}, ${without})`, sql`${outbox.body}`)
  return db
    .update(outbox)
    .set({ body: changed })
    .where(and(isNotNull(outbox.body), inArray(outbox.kind, [...kinds])))
}
