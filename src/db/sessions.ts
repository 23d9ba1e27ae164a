import { and, desc, eq, gt, isNull, lt, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { refreshTokens, sessions, users } from "./schema.ts"
import { hasActiveFactor } from "./totp.ts"

export const insertSession = (db: Db, session: typeof sessions.$inferInsert) => db.insert(sessions).values(session)

export const insertRefreshToken = (db: Db, token: typeof refreshTokens.$inferInsert) => db.insert(refreshTokens).values(token)

/** What a guard needs to know of whoever is asking. */
export const callerColumns = {
  sessionId: sessions.id,
  userId: users.id,
  role: users.role,
  email: users.email,
  verifiedAtMs: users.verifiedAtMs,
  hasSecondFactor: sql<number>`${hasActiveFactor}`,
  managesAllFiles: users.managesAllFiles,
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

/**
 * Marks a token used by its successor. Where it was used, is too old, or its session is over by now, NOT NULL breaks the
 * whole batch: of two parallel refreshes one leaves no trace.
 */
export const claimRefreshToken = (db: Db, hash: string, successor: string, nowMs: number) =>
  db
    .update(refreshTokens)
    .set({
      usedAtMs: nowMs,
      successor,
      expiresAtMs: sql`case when ${refreshTokens.usedAtMs} is null and ${refreshTokens.expiresAtMs} > ${nowMs} and exists (
        select 1 from sessions alive inner join users owner on owner.id = alive.user_id
        where alive.id = ${refreshTokens.sessionId} and alive.revoked_at_ms is null and alive.expires_at_ms > ${nowMs} and owner.disabled_at_ms is null
      ) then ${refreshTokens.expiresAtMs} else null end`,
    })
    .where(eq(refreshTokens.hash, hash))

export const touchSession = (db: Db, sessionId: string, nowMs: number) =>
  db.update(sessions).set({ lastUsedAtMs: nowMs }).where(eq(sessions.id, sessionId))

/** Changes nothing; but where the session is over by now, NOT NULL breaks the whole batch. */
export const confirmSession = (db: Db, sessionId: string, nowMs: number) =>
  db
    .update(sessions)
    .set({
      userId: sql`case when ${sessions.revokedAtMs} is null and ${sessions.expiresAtMs} > ${nowMs} then ${sessions.userId} else null end`,
    })
    .where(eq(sessions.id, sessionId))

/** Where a page of sessions begins: after this one, newest first. */
export type SessionPosition = { createdAtMs: number; id: string }

/** When its refresh token is too old, if it is not used before; null when it cannot be refreshed at all. */
const idleEndMs = sql<
  number | null
>`(select max(t.expires_at_ms) from refresh_tokens t where t.session_id = sessions.id and t.used_at_ms is null)`

const ownLive = (userId: string, nowMs: number) =>
  and(eq(sessions.userId, userId), isNull(sessions.revokedAtMs), gt(sessions.expiresAtMs, nowMs), sql`${idleEndMs} > ${nowMs}`)

/** A user's live sessions, newest first, by keyset. */
export const listSessions = (db: Db, userId: string, query: { after?: SessionPosition; limit: number; nowMs: number }) =>
  db
    .select({
      id: sessions.id,
      createdAtMs: sessions.createdAtMs,
      lastUsedAtMs: sessions.lastUsedAtMs,
      expiresAtMs: sessions.expiresAtMs,
      idleEndMs,
      label: sessions.label,
    })
    .from(sessions)
    .where(
      and(
        ownLive(userId, query.nowMs),
        query.after === undefined
          ? undefined
          : sql`(${sessions.createdAtMs}, ${sessions.id}) < (${query.after.createdAtMs}, ${query.after.id})`,
      ),
    )
    .orderBy(desc(sessions.createdAtMs), desc(sessions.id))
    .limit(query.limit)
    .all()

/** A user's own live session. */
export const findOwnSession = (db: Db, userId: string, id: string, nowMs: number) =>
  db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(eq(sessions.id, id), ownLive(userId, nowMs)))
    .get()

export const revokeSession = (db: Db, sessionId: string, nowMs: number) =>
  db
    .update(sessions)
    .set({ revokedAtMs: nowMs })
    .where(and(eq(sessions.id, sessionId), isNull(sessions.revokedAtMs)))

export const deleteSessionsBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(sessions).where(lt(sessions.expiresAtMs, expiredBeforeMs))

export const deleteRefreshTokensBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(refreshTokens).where(lt(refreshTokens.expiresAtMs, expiredBeforeMs))
