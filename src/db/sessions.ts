import { and, eq, gt, isNull, lt, sql } from "drizzle-orm"
import type { Condition, Db } from "./client.ts"
import { refreshTokens, sessions, users } from "./schema.ts"

export const insertSession = (db: Db, session: typeof sessions.$inferInsert) => db.insert(sessions).values(session)

export const insertRefreshToken = (db: Db, token: typeof refreshTokens.$inferInsert) => db.insert(refreshTokens).values(token)

/** What a guard needs to know of whoever is asking. */
export const callerColumns = {
  sessionId: sessions.id,
  userId: users.id,
  role: users.role,
  email: users.email,
  verifiedAtMs: users.verifiedAtMs,
} as const

/** Session and account are alive at this moment. */
export const isLiveSession = (sessionId: string, nowMs: number) =>
  and(eq(sessions.id, sessionId), isNull(sessions.revokedAtMs), gt(sessions.expiresAtMs, nowMs), isNull(users.disabledAtMs))

/** The session and its user, if both are alive: what every guarded request asks first. */
export const findCaller = (db: Db, sessionId: string, nowMs: number) =>
  db
    .select(callerColumns)
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(isLiveSession(sessionId, nowMs))
    .get()

export type CallerRow = NonNullable<Awaited<ReturnType<typeof findCaller>>>

export const findRefreshToken = (db: Db, hash: string) =>
  db
    .select({ token: refreshTokens, session: sessions, user: users })
    .from(refreshTokens)
    .innerJoin(sessions, eq(sessions.id, refreshTokens.sessionId))
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(eq(refreshTokens.hash, hash))
    .get()

/** Marks a token used by its successor. Of two parallel refreshes exactly one changes the row. */
export const claimRefreshToken = (db: Db, hash: string, successor: string, nowMs: number) =>
  db
    .update(refreshTokens)
    .set({ usedAtMs: nowMs, successor })
    .where(and(eq(refreshTokens.hash, hash), isNull(refreshTokens.usedAtMs), gt(refreshTokens.expiresAtMs, nowMs)))

/** Adds the successor, but only where the claim before it in the same batch was the one that won. */
export const insertSuccessor = (db: Db, hash: string, successor: { hash: string; expiresAtMs: number }) =>
  db
    .insert(refreshTokens)
    .select(
      db
        .select({
          hash: sql<string>`${successor.hash}`.as("hash"),
          sessionId: refreshTokens.sessionId,
          expiresAtMs: sql<number>`${successor.expiresAtMs}`.as("expires_at_ms"),
          usedAtMs: sql<null>`null`.as("used_at_ms"),
          successor: sql<null>`null`.as("successor"),
        })
        .from(refreshTokens)
        .where(and(eq(refreshTokens.hash, hash), eq(refreshTokens.successor, successor.hash))),
    )
    .returning({ hash: refreshTokens.hash })

/** The token is there: what stands before it in the batch has made it. */
export const hasRefreshToken = (hash: string): Condition => sql`exists (select 1 from refresh_tokens where hash = ${hash})`

export const revokeSession = (db: Db, sessionId: string, nowMs: number) =>
  db
    .update(sessions)
    .set({ revokedAtMs: nowMs })
    .where(and(eq(sessions.id, sessionId), isNull(sessions.revokedAtMs)))

export const deleteSessionsBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(sessions).where(lt(sessions.expiresAtMs, expiredBeforeMs))

export const deleteRefreshTokensBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(refreshTokens).where(lt(refreshTokens.expiresAtMs, expiredBeforeMs))
