import { and, eq, isNull, lt, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { passwordResets, users } from "./schema.ts"

export const insertPasswordReset = (db: Db, reset: typeof passwordResets.$inferInsert) => db.insert(passwordResets).values(reset)

/** A reset and its user. Undefined for unknown tokens and decoys. */
export const findPasswordReset = (db: Db, hash: string) =>
  db
    .select({ reset: passwordResets, user: users })
    .from(passwordResets)
    .innerJoin(users, eq(users.id, passwordResets.userId))
    .where(eq(passwordResets.hash, hash))
    .get()

/** Uses a reset up. Where it was used or is too old by now, NOT NULL breaks the whole batch. */
export const claimPasswordReset = (db: Db, hash: string, nowMs: number) =>
  db
    .update(passwordResets)
    .set({
      usedAtMs: nowMs,
      expiresAtMs: sql`case when ${passwordResets.usedAtMs} is null and ${passwordResets.expiresAtMs} > ${nowMs} then ${passwordResets.expiresAtMs} else null end`,
    })
    .where(eq(passwordResets.hash, hash))

/** Every other link is void once the password has changed. */
export const voidPasswordResets = (db: Db, userId: string, nowMs: number) =>
  db
    .update(passwordResets)
    .set({ usedAtMs: nowMs })
    .where(and(eq(passwordResets.userId, userId), isNull(passwordResets.usedAtMs)))

export const deletePasswordResetsBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(passwordResets).where(lt(passwordResets.expiresAtMs, expiredBeforeMs))
