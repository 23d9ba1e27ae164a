import { and, eq, isNull, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { recoveryCodes, totpFactors } from "./schema.ts"

export type TotpFactor = typeof totpFactors.$inferSelect

/** Condition on a row of `users`: a confirmed second factor guards the account. */
export const hasActiveFactor = sql.raw(
  "exists (select 1 from totp_factors f where f.user_id = users.id and f.confirmed_at_ms is not null)",
)

/** The id of the second factor that guards a row of `users`; '' for none. */
export const activeFactorId = sql.raw(
  "coalesce((select f.id from totp_factors f where f.user_id = users.id and f.confirmed_at_ms is not null), '')",
)

/** A user's factor, active or still being enrolled. */
export const findFactor = (db: Db, userId: string) => db.select().from(totpFactors).where(eq(totpFactors.userId, userId)).get()

/** Begins an enrolment in place of an unfinished one. Where a factor is active by now, NOT NULL breaks the whole batch. */
export const insertFactor = (db: Db, factor: Pick<TotpFactor, "userId" | "id" | "keyId" | "sealedSecret" | "createdAtMs">) =>
  db
    .insert(totpFactors)
    .values(factor)
    .onConflictDoUpdate({
      target: totpFactors.userId,
      set: {
        id: sql`case when ${totpFactors.confirmedAtMs} is null then excluded.id else null end`,
        keyId: factor.keyId,
        sealedSecret: factor.sealedSecret,
        createdAtMs: factor.createdAtMs,
        lastStep: 0,
      },
    })

/** Makes an enrolment the active factor. Where it was finished or replaced by now, NOT NULL breaks the whole batch. */
export const activateFactor = (db: Db, userId: string, id: string, step: number, nowMs: number) =>
  db
    .update(totpFactors)
    .set({
      id: sql`case when ${totpFactors.id} = ${id} and ${totpFactors.confirmedAtMs} is null then ${totpFactors.id} else null end`,
      confirmedAtMs: nowMs,
      lastStep: step,
    })
    .where(eq(totpFactors.userId, userId))

/** Uses the code of a time step up. Where one of this step or a later one was used by now, NOT NULL breaks the whole batch. */
export const claimStep = (db: Db, userId: string, step: number) =>
  db
    .update(totpFactors)
    .set({ lastStep: sql`case when ${totpFactors.lastStep} < ${step} then ${step} else null end` })
    .where(eq(totpFactors.userId, userId))

/** A recovery code of this user, used or not. */
export const findRecoveryCode = (db: Db, userId: string, hash: string) =>
  db
    .select({ usedAtMs: recoveryCodes.usedAtMs })
    .from(recoveryCodes)
    .where(and(eq(recoveryCodes.hash, hash), eq(recoveryCodes.userId, userId)))
    .get()

/**
 * Uses a recovery code up, in two statements. Where it was used or replaced by now, NOT NULL breaks the whole batch; the
 * condition stands on the factor, because a code that is gone has no row to break.
 */
export const claimRecoveryCode = (db: Db, userId: string, hash: string, nowMs: number) =>
  [
    db
      .update(totpFactors)
      .set({
        lastStep: sql`case when exists (
          select 1 from recovery_codes c where c.hash = ${hash} and c.user_id = ${userId} and c.used_at_ms is null
        ) then ${totpFactors.lastStep} else null end`,
      })
      .where(eq(totpFactors.userId, userId)),
    db.update(recoveryCodes).set({ usedAtMs: nowMs }).where(eq(recoveryCodes.hash, hash)),
  ] as const

export const insertRecoveryCodes = (db: Db, userId: string, hashes: readonly string[]) =>
  db.insert(recoveryCodes).values(hashes.map((hash) => ({ hash, userId })))

export const deleteRecoveryCodes = (db: Db, userId: string) => db.delete(recoveryCodes).where(eq(recoveryCodes.userId, userId))

export const countUnusedRecoveryCodes = (db: Db, userId: string): Promise<number> =>
  db.$count(recoveryCodes, and(eq(recoveryCodes.userId, userId), isNull(recoveryCodes.usedAtMs)))

/** The same secret, encrypted under the current key, unless it was changed meanwhile. */
export const resealFactor = (db: Db, old: TotpFactor, fresh: { keyId: number; sealedSecret: string }) =>
  db
    .update(totpFactors)
    .set(fresh)
    .where(and(eq(totpFactors.userId, old.userId), eq(totpFactors.id, old.id), eq(totpFactors.sealedSecret, old.sealedSecret)))

/** Removes a factor and, by cascade, its recovery codes. */
export const deleteFactor = (db: Db, userId: string) => db.delete(totpFactors).where(eq(totpFactors.userId, userId))
