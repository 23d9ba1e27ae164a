import { and, eq, isNull, lt, ne, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { sessions, users } from "./schema.ts"

export type User = typeof users.$inferSelect

export const findUserByEmailKey = (db: Db, emailKey: string) => db.select().from(users).where(eq(users.emailKey, emailKey)).get()

export const findUser = (db: Db, id: string) => db.select().from(users).where(eq(users.id, id)).get()

/** A client whose address is proven. Breaks the batch where the address is taken, by whomever. */
export const insertClient = (
  db: Db,
  user: { id: string; email: string; emailKey: string; passwordHash: string; createdAtMs: number; verifiedAtMs: number },
) => db.insert(users).values({ ...user, role: "client" })

/** Accounts whose address nobody has proven: only older versions made such. */
export const deleteUnverifiedUser = (db: Db, emailKey: string) =>
  db.delete(users).where(and(eq(users.emailKey, emailKey), isNull(users.verifiedAtMs)))

export const deleteUnverifiedUsersBefore = (db: Db, createdBeforeMs: number) =>
  db.delete(users).where(and(isNull(users.verifiedAtMs), lt(users.createdAtMs, createdBeforeMs)))

/** Replaces a hash made with old parameters, unless the password changed meanwhile. */
export const upgradePasswordHash = (db: Db, userId: string, oldHash: string, newHash: string) =>
  db
    .update(users)
    .set({ passwordHash: newHash })
    .where(and(eq(users.id, userId), eq(users.passwordHash, oldHash)))

/** A new password in place of exactly the old one. Where that changed meanwhile, NOT NULL breaks the whole batch. */
export const exchangePasswordHash = (db: Db, userId: string, oldHash: string, newHash: string) =>
  db
    .update(users)
    .set({ passwordHash: sql`case when ${users.passwordHash} = ${oldHash} then ${newHash} else null end` })
    .where(eq(users.id, userId))

/** Changes nothing; but where the password is another by now, or the account disabled, the whole batch breaks. */
export const confirmPasswordHash = (db: Db, userId: string, passwordHash: string) =>
  db
    .update(users)
    .set({
      passwordHash: sql`case when ${users.passwordHash} = ${passwordHash} and ${users.disabledAtMs} is null then ${users.passwordHash} else null end`,
    })
    .where(eq(users.id, userId))

export const setPasswordHash = (db: Db, userId: string, passwordHash: string) =>
  db.update(users).set({ passwordHash }).where(eq(users.id, userId))

/** Ends all of a user's sessions, but for one if that is given. */
export const endSessionsOf = (db: Db, userId: string, exceptSessionId: string | null, nowMs: number) =>
  db
    .update(sessions)
    .set({ revokedAtMs: nowMs })
    .where(
      and(
        eq(sessions.userId, userId),
        isNull(sessions.revokedAtMs),
        exceptSessionId === null ? undefined : ne(sessions.id, exceptSessionId),
      ),
    )
