// Sessions: started by a login, carried by short access tokens, prolonged by rotating refresh tokens, ended
// by logout, expiry, reuse of an old refresh token, or the account's end. All of it acts on the next request,
// because every request looks its session up.
import { ACCESS_TOKEN_LIFETIME_SECONDS, type AccessClaims, signAccessToken, verifyAccessToken } from "../crypto/access-token.ts"
import { hashSecretToken, newSecretToken } from "../crypto/secret-token.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import type { Role } from "../db/schema.ts"
import {
  type CallerRow,
  claimRefreshToken,
  confirmSession,
  findCaller,
  findOwnSession,
  findRefreshToken,
  insertRefreshToken,
  insertSession,
  listSessions,
  revokeSession,
  touchSession,
} from "../db/sessions.ts"
import { type Proof, confirmProof, endSessionsOf, hasSessionsToEnd } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { type AccountMail, commitWithMail } from "./account-mail.ts"
import { ONCE_MS, auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, newestAfter } from "./cursor.ts"
import { takeLimit } from "./limits.ts"
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
export type Caller = {
  userId: string
  sessionId: string
  role: Role
  email: string
  isVerified: boolean
  hasSecondFactor: boolean
  /** May do with everybody's files what their owners may. */
  managesAllFiles: boolean
}

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

/** A login whose password was checked, and whose second factor where one guards the account. */
export type ProvenLogin = {
  userId: string
  proof: Proof
  /** What becomes true together with the session: a code is used up, a place is known. */
  statements: readonly Statement[]
  /** What the owner is told of it, if anything. */
  notice: AccountMail | null
}

/**
 * Starts a session for a login that was checked.
 * @param label - what kind of client it is, for the list of sessions
 * @throws AppError `invalid_credentials` when password, factor or account have changed since the check;
 *   `invalid_second_factor` when the code may also have been used since then
 */
export async function startSession(
  deps: Deps & Pick<Powers, "mailer" | "afterwards" | "log">,
  login: ProvenLogin,
  label: string,
): Promise<TokenPair> {
  const { userId, proof, notice } = login
  const nowMs = deps.now()
  const sessionId = newId()
  const { token, hash } = await newRefreshToken()
  const expiresAtMs = nowMs + SESSION_ABSOLUTE_MS
  const statements: [Statement, ...Statement[]] = [
    confirmProof(deps.db, userId, proof),
    ...login.statements,
    insertSession(deps.db, { id: sessionId, userId, createdAtMs: nowMs, lastUsedAtMs: nowMs, expiresAtMs, label }),
    insertRefreshToken(deps.db, { hash, sessionId, expiresAtMs: nowMs + SESSION_IDLE_MS }),
    auditEvent(deps, "session.started", userId, sessionId),
  ]
  try {
    if (notice === null) await runBatch(deps.db, statements)
    else await commitWithMail(deps, statements, notice)
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    await runBatch(deps.db, [auditEvent(deps, "session.refused", null, userId, { reason: "raced" })])
    const detail = "The password, the second factor or the account was changed, or the code used, at this moment. Log in again."
    const code = proof.factorId === null ? "invalid_credentials" : "invalid_second_factor"
    throw new AppError(code, { detail, reason: "proof out of date" })
  }
  return tokenPair(deps, { userId, sessionId }, token)
}

const refused = (reason: string): AppError =>
  new AppError("invalid_token", { detail: "The refresh token is unknown, expired or used. Log in again.", reason })

/** The same words whatever is wrong with an access token: a session that is over, or an account that is shut out. */
export const accessRefused = (reason: string): AppError =>
  new AppError("invalid_token", {
    detail:
      "The access token is unknown or has expired, or its session is over. Take a new one from POST /api/auth/refresh, or log in again.",
    reason,
  })

/** Notes that a genuine refresh token was refused. Whoever has one can show it as often as they like. */
const noteRefusal = (deps: Deps, userId: string, sessionId: string, reason: string): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "session.refresh_refused", userId, sessionId, { reason, oncePerMs: ONCE_MS })])

/**
 * Exchanges a refresh token for a new pair. Each works once; of two parallel tries exactly one wins.
 * @throws AppError `invalid_token`; the reuse of an old token also ends its session · `too_many_requests`
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
  // Only now: whoever has an old token of the session must not use up what its owner may do.
  await takeLimit(deps, "session-refresh", session.id)
  const next = await newRefreshToken()
  const expiresAtMs = Math.min(nowMs + SESSION_IDLE_MS, session.expiresAtMs)
  try {
    await runBatch(deps.db, [
      claimRefreshToken(deps.db, hash, next.hash, nowMs),
      insertRefreshToken(deps.db, { hash: next.hash, sessionId: session.id, expiresAtMs }),
      touchSession(deps.db, session.id, nowMs),
      auditEvent(deps, "session.refreshed", user.id, session.id),
    ])
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    await noteRefusal(deps, user.id, session.id, token.expiresAtMs <= nowMs ? "idle_too_long" : "raced")
    throw refused("another refresh was first, the session has just ended, or the token is idle too long")
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

/** Ends all sessions of whoever is asking: everywhere, or everywhere else. Recorded where there was one to end. */
export async function endAllSessions(deps: Deps, caller: Caller, keepsCurrent: boolean): Promise<void> {
  const { userId } = caller
  const except = keepsCurrent ? caller.sessionId : null
  await runBatch(deps.db, [
    auditEvent(deps, "sessions.ended", userId, userId, { onlyIf: hasSessionsToEnd(deps.db, userId, except) }),
    endSessionsOf(deps.db, userId, except, deps.now()),
  ])
}

/**
 * Ends one of the caller's own sessions.
 * @throws AppError `not_found` for somebody else's, as for one that is over or never was
 */
export async function endOwnSession(deps: Deps, caller: Caller, id: string): Promise<void> {
  const nowMs = deps.now()
  const notFound = new AppError("not_found", { detail: "There is no such session." })
  if ((await findOwnSession(deps.db, caller.userId, id, nowMs)) === undefined) throw notFound
  try {
    await runBatch(deps.db, [
      confirmSession(deps.db, id, nowMs),
      revokeSession(deps.db, id, nowMs),
      auditEvent(deps, "session.ended", caller.userId, id),
    ])
  } catch (error) {
    throw isConstraintFailure(error) ? notFound : error
  }
}

/** A session as its owner sees it. */
export type ListedSession = {
  id: string
  createdAtMs: number
  /** The last login or refresh; access tokens live a quarter of an hour from then. */
  lastUsedAtMs: number
  /** When it ends if it is not refreshed. */
  expiresAtMs: number
  label: string
  isCurrent: boolean
}

/**
 * A page of the caller's live sessions, newest first.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfSessions(
  deps: Deps,
  caller: Caller,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ sessions: ListedSession[]; nextCursor: string | null }> {
  const listing: Listing = { callerId: caller.userId, list: "sessions", terms: {} }
  const after = await newestAfter(deps, listing, cursor)
  const from = after === undefined ? {} : { after }
  const rows = await listSessions(deps.db, caller.userId, { ...from, limit: limit + 1, nowMs: deps.now() })
  const { page, next } = cutPage(rows, limit, ({ createdAtMs, id }) => ({ key: createdAtMs, id }))
  return {
    sessions: page.map(({ idleEndMs, ...row }) => ({
      ...row,
      lastUsedAtMs: row.lastUsedAtMs ?? row.createdAtMs,
      expiresAtMs: Math.min(row.expiresAtMs, idleEndMs ?? row.expiresAtMs),
      isCurrent: row.id === caller.sessionId,
    })),
    nextCursor: await cursorAfter(deps, listing, next),
  }
}

/** Must this caller enrol a second factor before anything else? */
export const mustEnrol = ({ policy }: Pick<Powers, "policy">, caller: Caller): boolean =>
  policy.requireTotpForOps && caller.role === "ops" && !caller.hasSecondFactor

/** The claims of an access token, by its signature alone: no I/O, and no word on whether the session still lives. */
export const readAccessToken = (deps: Pick<Powers, "keys" | "policy" | "now">, token: string): Promise<AccessClaims | null> =>
  verifyAccessToken(deps.keys.accessTokenKeys, deps.policy.publicOrigin, token, deps.now())

/** The caller behind claims and the row that was found for their session. */
export function callerFrom(claims: AccessClaims, row: CallerRow | undefined): Caller {
  if (row?.userId !== claims.userId) throw accessRefused("no live session")
  const { userId, sessionId, role, email } = row
  return {
    userId,
    sessionId,
    role,
    email,
    isVerified: row.verifiedAtMs !== null,
    hasSecondFactor: row.hasSecondFactor === 1,
    managesAllFiles: role === "ops" && row.managesAllFiles === 1,
  }
}

/**
 * Who is behind an access token, now.
 * @throws AppError `invalid_token` when the token is not genuine and current, or its session has ended
 */
export async function authenticate(deps: Deps, accessToken: string): Promise<Caller> {
  const claims = await readAccessToken(deps, accessToken)
  if (claims === null) throw accessRefused("access token")
  return callerFrom(claims, await findCaller(deps.db, claims.sessionId, deps.now()))
}
