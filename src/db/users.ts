import { type SQL, and, desc, eq, exists, isNull, lt, ne, sql } from "drizzle-orm"
import type { Condition, Db } from "./client.ts"
import { knownPlaces, sessions, users } from "./schema.ts"
import { activeFactorId, hasActiveFactor } from "./totp.ts"

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

/** What was checked of whoever logs in: the password, and the second factor that guards the account, if one does. */
export type Proof = { passwordHash: string; factorId: string | null }

/**
 * Changes nothing; but where the password or the second factor is another by now, or the account disabled, the whole
 * batch breaks.
 */
export const confirmProof = (db: Db, userId: string, { passwordHash, factorId }: Proof) =>
  db
    .update(users)
    .set({
      passwordHash: sql`case when ${users.passwordHash} = ${passwordHash} and ${activeFactorId} = ${factorId ?? ""} and ${users.disabledAtMs} is null then ${users.passwordHash} else null end`,
    })
    .where(eq(users.id, userId))

export const setPasswordHash = (db: Db, userId: string, passwordHash: string) =>
  db.update(users).set({ passwordHash }).where(eq(users.id, userId))

const unendedSessionsOf = (userId: string, exceptSessionId: string | null) =>
  and(
    eq(sessions.userId, userId),
    isNull(sessions.revokedAtMs),
    exceptSessionId === null ? undefined : ne(sessions.id, exceptSessionId),
  )

/** Is there anything for `endSessionsOf` to end? */
export const hasSessionsToEnd = (db: Db, userId: string, exceptSessionId: string | null): Condition =>
  exists(db.select({ id: sessions.id }).from(sessions).where(unendedSessionsOf(userId, exceptSessionId)))

/** Ends all of a user's sessions, but for one if that is given. */
export const endSessionsOf = (db: Db, userId: string, exceptSessionId: string | null, nowMs: number) =>
  db.update(sessions).set({ revokedAtMs: nowMs }).where(unendedSessionsOf(userId, exceptSessionId))

/** Changes nothing; but where the condition does not hold, NOT NULL breaks the whole batch. Unlike an update it sees missing rows. */
const unlessHolds = (db: Db, condition: SQL) => db.insert(knownPlaces).select(sql`select null, null, 0 where not (${condition})`)

/** Breaks the batch where the account is gone or disabled by now. */
export const confirmUser = (db: Db, id: string) =>
  unlessHolds(db, sql`exists (select 1 from users where id = ${id} and disabled_at_ms is null)`)

/** Breaks the batch where this is no operations user who may log in, or not any more. */
export const confirmOps = (db: Db, id: string) =>
  unlessHolds(db, sql`exists (select 1 from users where id = ${id} and role = 'ops' and disabled_at_ms is null)`)

/** Breaks the batch where this is not a client, or not any more. */
export const confirmClient = (db: Db, id: string) =>
  unlessHolds(db, sql`exists (select 1 from users where id = ${id} and role = 'client')`)

/** Where a page of clients begins: after this one, newest first. */
export type ClientPosition = { createdAtMs: number; id: string }

/** What ops see of a client: nothing that opens anything. */
const listedClient = {
  id: users.id,
  email: users.email,
  createdAtMs: users.createdAtMs,
  verifiedAtMs: users.verifiedAtMs,
  disabledAtMs: users.disabledAtMs,
  hasSecondFactor: sql<number>`${hasActiveFactor}`,
} as const

/** Clients, newest first, by keyset; with an address only its own. */
export const listClients = (db: Db, query: { emailKey?: string; after?: ClientPosition; limit: number }) =>
  db
    .select(listedClient)
    .from(users)
    .where(
      and(
        eq(users.role, "client"),
        query.emailKey === undefined ? undefined : eq(users.emailKey, query.emailKey),
        query.after === undefined
          ? undefined
          : sql`(${users.createdAtMs}, ${users.id}) < (${query.after.createdAtMs}, ${query.after.id})`,
      ),
    )
    .orderBy(desc(users.createdAtMs), desc(users.id))
    .limit(query.limit)
    .all()

export type ListedClientRow = Awaited<ReturnType<typeof listClients>>[number]

export const findClient = (db: Db, id: string) =>
  db
    .select({ ...listedClient, emailKey: users.emailKey })
    .from(users)
    .where(and(eq(users.id, id), eq(users.role, "client")))
    .get()

/** @param disabledAtMs - null to enable */
export const setDisabled = (db: Db, id: string, disabledAtMs: number | null) =>
  db.update(users).set({ disabledAtMs }).where(eq(users.id, id))

/** Deletes a client and, by cascade, sessions, links, downloads, known places, resets and second factor. */
export const deleteClient = (db: Db, id: string) => db.delete(users).where(and(eq(users.id, id), eq(users.role, "client")))
