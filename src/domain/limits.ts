// How often things may be tried. Counted in D1 before any work is done, exactly, and by what was asked, never by
// what exists: a limit says nothing about accounts. Floods are stopped earlier and more coarsely by the runtime's
// rate-limit binding (http/middleware/floods.ts).
import { pseudonym } from "../crypto/pseudonym.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { countUse, deleteCounters, isKnownPlace, upsertKnownPlace } from "../db/limits.ts"
import { findUserByEmailKey } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { UNKNOWN_ADDRESS, canonicalAddress } from "../protocol/client-address.ts"
import { auditEvent } from "./audit.ts"
import type { Powers } from "./powers.ts"

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export type Limit = { quota: number; windowMs: number }

/** Uses in a window that begins with the first of them. Network addresses are counted as protocol/client-address.ts says. */
export const LIMITS = {
  /** Logins from one network address, to whatever account. */
  "login-address": { quota: 200, windowMs: 10 * MINUTE_MS },
  /** Logins to one account from one network address, known or not. Cleared by a success. */
  "login-account-address": { quota: 50, windowMs: 15 * MINUTE_MS },
  /** Logins to one account from all places together where nobody has logged in to it before. Cleared by a success. */
  "login-account": { quota: 100, windowMs: HOUR_MS },
  "signup-address": { quota: 100, windowMs: HOUR_MS },
  "verify-address": { quota: 100, windowMs: 10 * MINUTE_MS },
  "password-address": { quota: 50, windowMs: 10 * MINUTE_MS },
  /** Exchanges of refresh tokens by one session: each leaves two rows behind, and access tokens live 15 minutes. */
  "session-refresh": { quota: 60, windowMs: 15 * MINUTE_MS },
  /** Links that one client makes: each leaves two rows behind. */
  "link-mint": { quota: 1000, windowMs: HOUR_MS },
  /** Checks of the current password by one logged-in user. */
  "password-change": { quota: 10, windowMs: 15 * MINUTE_MS },
  /** Guesses at the code of an account's second factor, by whoever knows its password. Cleared by a success. */
  "second-factor": { quota: 10, windowMs: HOUR_MS },
  /** Codes given by one logged-in user to change the second factor. Cleared by a success. */
  "second-factor-change": { quota: 10, windowMs: HOUR_MS },
  /** Mails about signing up that one network address causes to one mailbox. */
  "signup-mail-address": { quota: 5, windowMs: HOUR_MS },
  /** Mails about signing up to one mailbox, whoever causes them. */
  "signup-mail": { quota: 15, windowMs: HOUR_MS },
  "reset-mail-address": { quota: 3, windowMs: HOUR_MS },
  "reset-mail": { quota: 9, windowMs: HOUR_MS },
} as const satisfies Record<string, Limit>
export type LimitName = keyof typeof LIMITS

/** Whoever has no usable network address shares one bucket, and it is this many times smaller. */
export const UNKNOWN_ADDRESS_DIVISOR = 4
/** How long a place stays known after the last login from there. */
export const PLACE_LIFETIME_MS = 90 * DAY_MS

export type LimitDeps = Pick<Powers, "db" | "keys" | "now" | "request">

const counterKey = async (deps: LimitDeps, name: LimitName, parts: readonly string[]): Promise<string> =>
  `${name}:${await pseudonym(deps.keys.peppers, name, ...parts)}`

/** The caller's network address as limits count it. */
export const callerAddress = (deps: Pick<Powers, "request">): string => canonicalAddress(deps.request.clientAddress)

function tooMany(name: LimitName, limit: Limit, waitMs: number): AppError {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
  return new AppError("too_many_requests", {
    detail: `Too many tries. Wait ${String(retryAfterSeconds)} seconds, then try again.`,
    retryAfterSeconds,
    quota: { policy: name, quota: limit.quota, windowSeconds: limit.windowMs / 1000 },
    reason: name,
  })
}

/** What is noted once in a window, when the quota is passed for the first time. */
const limitReached = (deps: LimitDeps, name: LimitName): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "limit.reached", null, null, { reason: name })])

/** @param whenUsedUp - notes that, in place of `limitReached` */
async function take(
  deps: LimitDeps,
  name: LimitName,
  parts: readonly string[],
  quota: number,
  whenUsedUp = (): Promise<void> => limitReached(deps, name),
): Promise<void> {
  const { windowMs } = LIMITS[name]
  const nowMs = deps.now()
  const { count, resetsAtMs } = await countUse(deps.db, { key: await counterKey(deps, name, parts), windowMs }, nowMs)
  if (count <= quota) return
  if (count === quota + 1) await whenUsedUp()
  throw tooMany(name, { quota, windowMs }, resetsAtMs - nowMs)
}

/**
 * Counts one use for these parts.
 * @throws AppError `too_many_requests` with Retry-After and what the quota is
 */
export const takeLimit = (deps: LimitDeps, name: LimitName, ...parts: readonly string[]): Promise<void> =>
  take(deps, name, parts, LIMITS[name].quota)

export type GuessLimit = "second-factor" | "second-factor-change"

/**
 * Counts one guess at the code of a user's second factor.
 * @param whenUsedUp - done once in a window, when the quota is passed for the first time
 * @throws AppError `too_many_requests`
 */
export const takeGuess = (deps: LimitDeps, name: GuessLimit, userId: string, whenUsedUp: () => Promise<void>): Promise<void> =>
  take(deps, name, [userId], LIMITS[name].quota, whenUsedUp)

/** The statement, in a list because a promise of it would run it, by which a right code gives back what was guessed. */
export const forgetGuesses = async (deps: LimitDeps, name: GuessLimit, userId: string): Promise<[Statement]> => [
  deleteCounters(deps.db, [await counterKey(deps, name, [userId])]),
]

/**
 * Counts one use for the caller's network address, together with other parts if any.
 * @throws AppError `too_many_requests`
 */
export function takeAddressLimit(deps: LimitDeps, name: LimitName, ...parts: readonly string[]): Promise<void> {
  const address = callerAddress(deps)
  const divisor = address === UNKNOWN_ADDRESS ? UNKNOWN_ADDRESS_DIVISOR : 1
  return take(deps, name, [address, ...parts], Math.max(1, Math.floor(LIMITS[name].quota / divisor)))
}

const placeOf = (deps: LimitDeps, accountKey: string): Promise<string> =>
  pseudonym(deps.keys.peppers, "place", accountKey, callerAddress(deps))

/** Has somebody logged in to this account from the caller's network address? Never so without an address. */
const isFromKnownPlace = async (deps: LimitDeps, accountKey: string): Promise<boolean> =>
  callerAddress(deps) !== UNKNOWN_ADDRESS &&
  (await isKnownPlace(deps.db, await placeOf(deps, accountKey), deps.now() - PLACE_LIFETIME_MS))

/**
 * Counts one try to log in. Strangers can use up the account's own quota; from where its owner has logged in before
 * only that place's quota counts, so they cannot lock the owner out.
 * @param accountKey - canonical e-mail address, whether or not it has an account
 * @throws AppError `too_many_requests`
 */
export async function takeLoginLimits(deps: LimitDeps, accountKey: string): Promise<void> {
  await takeAddressLimit(deps, "login-address")
  await takeAddressLimit(deps, "login-account-address", accountKey)
  if (await isFromKnownPlace(deps, accountKey)) return
  await take(deps, "login-account", [accountKey], LIMITS["login-account"].quota, async () => {
    const user = await findUserByEmailKey(deps.db, accountKey)
    await runBatch(deps.db, [auditEvent(deps, "account.limited", null, user?.id ?? null, { reason: "login-account" })])
  })
}

/** The statements by which a login, or a new password, makes this place known and gives back what was counted. */
export async function welcome(deps: LimitDeps, user: { id: string; emailKey: string }): Promise<[Statement, Statement]> {
  const keys = [
    await counterKey(deps, "login-account-address", [callerAddress(deps), user.emailKey]),
    await counterKey(deps, "login-account", [user.emailKey]),
  ]
  const place = await placeOf(deps, user.emailKey)
  return [deleteCounters(deps.db, keys), upsertKnownPlace(deps.db, { place, userId: user.id, seenAtMs: deps.now() })]
}
