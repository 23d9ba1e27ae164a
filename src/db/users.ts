import { and, eq, isNull, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { users } from "./schema.ts"

export type User = typeof users.$inferSelect

export const findUserByEmailKey = (db: Db, emailKey: string) => db.select().from(users).where(eq(users.emailKey, emailKey)).get()

/** Makes a client whose address is not proven. Does nothing where the address is taken, by whomever. */
export const insertUnverifiedClient = (
  db: Db,
  user: { id: string; email: string; emailKey: string; passwordHash: string; createdAtMs: number },
) =>
  db
    .insert(users)
    .values({ ...user, role: "client" })
    .onConflictDoNothing()

/** Gives an account that is still unproven the password of its newest sign-up. */
export const replaceUnverifiedPassword = (db: Db, userId: string, passwordHash: string) =>
  db
    .update(users)
    .set({ passwordHash })
    .where(and(eq(users.id, userId), isNull(users.verifiedAtMs)))

/** The address is proven, and the password of the sign-up that proved it becomes the account's. Happens once. */
export const markUserVerified = (db: Db, userId: string, passwordHash: string, atMs: number) =>
  db
    .update(users)
    .set({ verifiedAtMs: atMs, passwordHash })
    .where(and(eq(users.id, userId), isNull(users.verifiedAtMs)))

/** Replaces a hash made with old parameters, unless the password changed meanwhile. */
export const upgradePasswordHash = (db: Db, userId: string, oldHash: string, newHash: string) =>
  db
    .update(users)
    .set({ passwordHash: newHash })
    .where(and(eq(users.id, userId), sql`${users.passwordHash} = ${oldHash}`))
