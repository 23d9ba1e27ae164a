import { and, asc, count, eq, gt, isNotNull, isNull, lt, lte, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { outbox } from "./schema.ts"

export type OutboxRow = typeof outbox.$inferSelect

export const insertMail = (db: Db, mail: typeof outbox.$inferInsert) => db.insert(outbox).values(mail)

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

/** Sent: the body has done its work and goes. */
export const markMailSent = (db: Db, id: string, atMs: number) =>
  db.update(outbox).set({ sentAtMs: atMs, nextAttemptAtMs: null, body: null, lastFailure: null }).where(eq(outbox.id, id))

export const markMailFailed = (db: Db, id: string, failure: string, nextAttemptAtMs: number) =>
  db.update(outbox).set({ lastFailure: failure, nextAttemptAtMs }).where(eq(outbox.id, id))

/** Given up: no more tries, body gone, the reason stays. */
export const markMailDead = (db: Db, id: string, failure: string) =>
  db.update(outbox).set({ lastFailure: failure, nextAttemptAtMs: null, body: null }).where(eq(outbox.id, id))

/** Mails to one address since then, sent or not: the brake against flooding somebody's mailbox. */
export async function countMailsSince(db: Db, recipient: string, sinceMs: number): Promise<number> {
  const row = await db
    .select({ count: count() })
    .from(outbox)
    .where(and(eq(outbox.recipient, recipient), gt(outbox.createdAtMs, sinceMs)))
    .get()
  return row?.count ?? 0
}

/** Settled mails, sent or given up, once they are old. */
export const deleteSettledMailsBefore = (db: Db, createdBeforeMs: number) =>
  db.delete(outbox).where(and(isNull(outbox.nextAttemptAtMs), lt(outbox.createdAtMs, createdBeforeMs)))

/** All mails to an address, in whatever case it was written, sent or not. */
export const deleteMailsTo = (db: Db, emailKey: string) => db.delete(outbox).where(sql`lower(${outbox.recipient}) = ${emailKey}`)
