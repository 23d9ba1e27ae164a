import { and, eq, isNull, lt, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { users, verifications } from "./schema.ts"

export type Verification = typeof verifications.$inferSelect

export const insertVerification = (db: Db, verification: typeof verifications.$inferInsert) =>
  db.insert(verifications).values(verification)

/** Links a pending verification to the account of its address, whichever request made that account. */
export const insertVerificationForEmail = (db: Db, verification: Omit<typeof verifications.$inferInsert, "userId">) =>
  db.insert(verifications).values({
    ...verification,
    userId: sql`(select ${users.id} from ${users} where ${users.emailKey} = ${verification.emailKey} and ${users.verifiedAtMs} is null)`,
  })

/**
 * Takes one try at a code: counts it and returns the row, in one statement, so that parallel guesses
 * never share a try. Undefined when there is no such verification or no try left.
 */
export async function takeAttempt(db: Db, id: string, maxAttempts: number): Promise<Verification | undefined> {
  const rows = await db
    .update(verifications)
    .set({ attempts: sql`${verifications.attempts} + 1` })
    .where(and(eq(verifications.id, id), lt(verifications.attempts, maxAttempts)))
    .returning()
  return rows[0]
}

/** The passwords of the sign-ups that are pending for an account: one hash for each sign-up. */
export const listPendingPasswords = (db: Db, userId: string) =>
  db
    .selectDistinct({ passwordHash: verifications.passwordHash })
    .from(verifications)
    .where(eq(verifications.userId, userId))
    .limit(2)
    .all()

export const findVerification = (db: Db, id: string) => db.select().from(verifications).where(eq(verifications.id, id)).get()

export const markVerificationUsed = (db: Db, id: string, atMs: number) =>
  db
    .update(verifications)
    .set({ usedAtMs: atMs })
    .where(and(eq(verifications.id, id), isNull(verifications.usedAtMs)))

/** Once an address is proven, its other pending proofs are void: they carry other people's passwords. */
export const expireOtherVerifications = (db: Db, userId: string, exceptId: string, atMs: number) =>
  db
    .update(verifications)
    .set({ expiresAtMs: atMs })
    .where(and(eq(verifications.userId, userId), sql`${verifications.id} <> ${exceptId}`, isNull(verifications.usedAtMs)))

export const deleteVerificationsBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(verifications).where(lt(verifications.expiresAtMs, expiredBeforeMs))
