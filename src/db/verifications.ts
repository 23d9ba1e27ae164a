import { and, desc, eq, gt, isNotNull, isNull, lt, ne, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { verifications } from "./schema.ts"

export type Verification = typeof verifications.$inferSelect

export const insertVerification = (db: Db, verification: typeof verifications.$inferInsert) =>
  db.insert(verifications).values(verification)

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

/** The newest sign-ups with an address that nobody has proven, decoys among them. */
export const listPendingSignUps = (db: Db, emailKey: string, sinceMs: number, limit: number) =>
  db
    .select()
    .from(verifications)
    .where(
      and(
        eq(verifications.emailKey, emailKey),
        gt(verifications.createdAtMs, sinceMs),
        isNull(verifications.usedAtMs),
        isNotNull(verifications.passwordHash),
      ),
    )
    .orderBy(desc(verifications.createdAtMs))
    .limit(limit)
    .all()

export const findVerification = (db: Db, id: string) => db.select().from(verifications).where(eq(verifications.id, id)).get()

export const markVerificationUsed = (db: Db, id: string, atMs: number) =>
  db
    .update(verifications)
    .set({ usedAtMs: atMs })
    .where(and(eq(verifications.id, id), isNull(verifications.usedAtMs)))

/**
 * Once an address is proven, its other pending proofs become decoys: they carry other people's passwords. Their
 * ends stay as they are, or whoever holds one would learn of the proof.
 */
export const makeOtherVerificationsDecoys = (db: Db, emailKey: string, exceptId: string) =>
  db
    .update(verifications)
    .set({ isProvable: false })
    .where(and(eq(verifications.emailKey, emailKey), ne(verifications.id, exceptId)))

export const deleteVerificationsBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(verifications).where(lt(verifications.expiresAtMs, expiredBeforeMs))

/** All sign-ups with an address, proven, pending and decoys. */
export const deleteVerificationsOf = (db: Db, emailKey: string) =>
  db.delete(verifications).where(eq(verifications.emailKey, emailKey))
