// Sessions: started by a login, carried by short access tokens, prolonged by rotating refresh tokens, ended
// by logout, expiry, reuse of an old refresh token, or the account's end. All of it acts on the next request,
// because every request looks its session up.
import { ACCESS_TOKEN_LIFETIME_SECONDS, type AccessClaims, signAccessToken, verifyAccessToken } from "../crypto/access-token.ts"
import { hashSecretToken, newSecretToken } from "../crypto/secret-token.ts"
import { type Condition, type Statement, runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import type { Role } from "../db/schema.ts"
import {
  claimRefreshToken,
  findRefreshToken,
  hasRefreshToken,
  insertRefreshToken,
  insertSession,
  insertSuccessor,
  revokeSession,
  findCaller,
  type CallerRow,
} from "../db/sessions.ts"
import { confirmPasswordHash } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { ONCE_MS, auditEvent } from "./audit.ts"
import type { Powers } from "./powers.ts"
import { newId } from "../ids.ts"

const DAY_MS = 24 * 60 * 60_000
export const SESSION_IDLE_MS = 14 * DAY_MS
export const SESSION_ABSOLUTE_MS = 30 * DAY_MS
/**
 * A used refresh token that comes back this soon is a client's own second try, e.g. two tabs or a lost
 * answer: it is refused, but it does not end the session. Later it means theft, and it does.
 */
export const REFRESH_REUSE_GRACE_MS = 10_000

export type { Role }

/** Who is asking: a user with a live session. */
export type Caller = { userId: string; sessionId: string; role: Role; email: string; isVerified: boolean }

export type TokenPair = { accessToken: string; refreshToken: string; expiresIn: number }

type Deps = Pick<Powers, "db" | "keys" | "now" | "policy" | "request">

async function tokenPair(deps: Deps, claims: AccessClaims, refreshToken: string): Promise<TokenPair> {
  const accessToken = await signAccessToken(deps.keys.accessTokenKeys, deps.policy.publicOrigin, claims, deps.now())
  return { accessToken, refreshToken, expiresIn: ACCESS_TOKEN_LIFETIME_SECONDS }
}

async function newRefreshToken(): Promise<{ token: string; hash: string }> {
  const token = newSecretToken()
  const hash = await hashSecretToken(token)
  if (hash === null) throw new TypeError("a fresh token has a hash")
  return { token, hash }
}

/**
 * Starts a session for a user whose login was checked.
 * @param passwordHash - the one that was checked: when it has changed since, so late a login is void
 * @throws AppError `invalid_credentials` then
 */
export async function startSession(deps: Deps, userId: string, passwordHash: string): Promise<TokenPair> {
  const nowMs = deps.now()
  const sessionId = newId()
  const { token, hash } = await newRefreshToken()
  const statements: [Statement, ...Statement[]] = [
    confirmPasswordHash(deps.db, userId, passwordHash),
    insertSession(deps.db, { id: sessionId, userId, createdAtMs: nowMs, expiresAtMs: nowMs + SESSION_ABSOLUTE_MS }),
    insertRefreshToken(deps.db, { hash, sessionId, expiresAtMs: nowMs + SESSION_IDLE_MS }),
    auditEvent(deps, "session.started", userId, sessionId),
  ]
  try {
    await runBatch(deps.db, statements)
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    const detail = "The password or the account was changed at this moment. Log in again."
    throw new AppError("invalid_credentials", { detail, reason: "password changed during login" })
  }
  return tokenPair(deps, { userId, sessionId }, token)
}

const refused = (reason: string): AppError =>
  new AppError("invalid_token", { detail: "The token is unknown, expired or used. Log in again.", reason })

/** Notes that a genuine refresh token was refused. Whoever has one can show it as often as they like. */
const noteRefusal = (deps: Deps, userId: string, sessionId: string, reason: string): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "session.refresh_refused", userId, sessionId, { reason, oncePerMs: ONCE_MS })])

/**
 * Exchanges a refresh token for a new pair. Each works once; of two parallel tries exactly one wins.
 * @throws AppError `invalid_token`; the reuse of an old token also ends its session
 */
export async function refreshSession(deps: Deps, refreshToken: string): Promise<TokenPair> {
  const hash = await hashSecretToken(refreshToken)
  const found = hash === null ? undefined : await findRefreshToken(deps.db, hash)
  if (hash === null || found === undefined) throw refused("unknown refresh token")
  const { token, session, user } = found
  const nowMs = deps.now()
  if (session.revokedAtMs !== null || session.expiresAtMs <= nowMs || user.disabledAtMs !== null) {
    await noteRefusal(deps, user.id, session.id, user.disabledAtMs === null ? "session_over" : "account_disabled")
    throw refused("session over")
  }
  if (token.usedAtMs !== null) {
    if (nowMs - token.usedAtMs > REFRESH_REUSE_GRACE_MS) {
      await runBatch(deps.db, [
        revokeSession(deps.db, session.id, nowMs),
        auditEvent(deps, "session.token_reused", user.id, session.id),
      ])
    } else await noteRefusal(deps, user.id, session.id, "used_just_now")
    throw refused("refresh token used before")
  }
  const next = await newRefreshToken()
  const expiresAtMs = Math.min(nowMs + SESSION_IDLE_MS, session.expiresAtMs)
  const hasSuccessor: Condition = hasRefreshToken(next.hash)
  const [, inserted] = await deps.db.batch([
    claimRefreshToken(deps.db, hash, next.hash, nowMs),
    insertSuccessor(deps.db, hash, { hash: next.hash, expiresAtMs }),
    auditEvent(deps, "session.refreshed", user.id, session.id, { onlyIf: hasSuccessor }),
  ])
  if (inserted.length !== 1) {
    await noteRefusal(deps, user.id, session.id, token.expiresAtMs <= nowMs ? "idle_too_long" : "raced")
    throw refused("another refresh was first, or the token is idle too long")
  }
  return tokenPair(deps, { userId: user.id, sessionId: session.id }, next.token)
}

/** Notes that somebody logged in asked for what their role may not have. */
export const noteRefusedAccess = (deps: Pick<Powers, "db" | "now" | "request">, caller: Caller): Promise<void> =>
  runBatch(deps.db, [
    auditEvent(deps, "access.refused", caller.userId, caller.sessionId, { reason: caller.role, oncePerMs: ONCE_MS }),
  ])

/** Ends the session. Its tokens are dead from the next request on. */
export async function endSession(deps: Deps, caller: Caller): Promise<void> {
  await runBatch(deps.db, [
    revokeSession(deps.db, caller.sessionId, deps.now()),
    auditEvent(deps, "session.ended", caller.userId, caller.sessionId),
  ])
}

/** The claims of an access token, by its signature alone: no I/O, and no word on whether the session still lives. */
export const readAccessToken = (deps: Pick<Powers, "keys" | "policy" | "now">, token: string): Promise<AccessClaims | null> =>
  verifyAccessToken(deps.keys.accessTokenKeys, deps.policy.publicOrigin, token, deps.now())

/** The caller behind claims and the row that was found for their session. */
export function callerFrom(claims: AccessClaims, row: CallerRow | undefined): Caller {
  if (row?.userId !== claims.userId) throw refused("no live session")
  return { userId: row.userId, sessionId: row.sessionId, role: row.role, email: row.email, isVerified: row.verifiedAtMs !== null }
}

/**
 * Who is behind an access token, now.
 * @throws AppError `invalid_token` when the token is not genuine and current, or its session has ended
 */
export async function authenticate(deps: Deps, accessToken: string): Promise<Caller> {
  const claims = await readAccessToken(deps, accessToken)
  if (claims === null) throw refused("access token")
  return callerFrom(claims, await findCaller(deps.db, claims.sessionId, deps.now()))
}
