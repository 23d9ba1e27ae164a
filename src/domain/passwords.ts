// Forgotten and changed passwords. Every change ends the user's other sessions and is told by mail; none logs in.
import { checkPassword, hashPassword, isOutdated } from "../crypto/password.ts"
import { hashSecretToken, newSecretToken } from "../crypto/secret-token.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { claimPasswordReset, findPasswordReset, insertPasswordReset, voidPasswordResets } from "../db/password-resets.ts"
import {
  type User,
  confirmUser,
  endSessionsOf,
  exchangePasswordHash,
  findUser,
  findUserByEmailKey,
  setPasswordHash,
  upgradePasswordHash,
} from "../db/users.ts"
import { runBatch } from "../db/client.ts"
import { confirmSession } from "../db/sessions.ts"
import { AppError } from "../errors.ts"
import { passwordChangedMessage, passwordResetMessage } from "../mail/messages.ts"
import { type AccountMail, commitWithMail, mailboxOf, noticeTo, takeMailLimits } from "./account-mail.ts"
import { type AuditKind, auditEvent } from "./audit.ts"
import type { EmailAddress } from "./email-address.ts"
import { takeAddressLimit, takeLimit, welcome } from "./limits.ts"
import { requireGoodPassword } from "./password-rules.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

const RESET_MINUTES = 30
const RESET_LIFETIME_MS = RESET_MINUTES * 60_000

type Deps = Pick<Powers, "db" | "keys" | "mailer" | "now" | "policy" | "request" | "afterwards" | "log" | "hashing">

/** The new hash keeps the old one's salt where it can: pending sign-ups with this address share it (decision 12). */
function hashAnew(deps: Deps, user: User, password: string): Promise<string> {
  const like = isOutdated(deps.keys.peppers, user.passwordHash) ? null : user.passwordHash
  return deps.hashing.takeTurn(() => hashPassword(deps.keys.peppers, password, like))
}

/**
 * After a password was found right: hashes it anew where parameters or pepper have changed. Of several that do so at the
 * same moment one replaces the hash; the others check the password against the one that is there by then.
 * @returns the user with the hash that is stored now, or as they were where that is of another password by now
 * @throws AppError `busy`
 */
export async function withFreshHash(deps: Deps, user: User, password: string): Promise<User> {
  const { peppers } = deps.keys
  if (!isOutdated(peppers, user.passwordHash)) return user
  return deps.hashing.takeTurn(async () => {
    let stored = await findUser(deps.db, user.id)
    if (stored?.passwordHash === user.passwordHash) {
      const fresh = await hashPassword(peppers, password)
      await runBatch(deps.db, [upgradePasswordHash(deps.db, user.id, user.passwordHash, fresh)])
      stored = await findUser(deps.db, user.id)
      if (stored?.passwordHash === fresh) return stored
    }
    if (stored === undefined) return user
    return (await checkPassword(peppers, password, stored.passwordHash)).matches ? stored : user
  })
}

const changeNotice = (deps: Deps, user: User): AccountMail =>
  noticeTo(user, "password_changed", passwordChangedMessage({ publicOrigin: deps.policy.publicOrigin }))

/**
 * Mails a link for choosing a new password, to whoever has an account; to everybody else it only looks so.
 * @throws AppError `too_many_requests`
 */
export async function requestPasswordReset(deps: Deps, address: EmailAddress): Promise<void> {
  await takeAddressLimit(deps, "password-address")
  await takeMailLimits(deps, "reset-mail", address)
  const user = await findUserByEmailKey(deps.db, address.key)
  const owner = user !== undefined && user.verifiedAtMs !== null && user.disabledAtMs === null ? user : null
  const token = newSecretToken()
  const hash = await hashSecretToken(token)
  if (hash === null) throw new TypeError("a fresh token has a hash")
  const createdAtMs = deps.now()
  const reset = { hash, userId: owner?.id ?? null, createdAtMs, expiresAtMs: createdAtMs + RESET_LIFETIME_MS }
  const resetUrl = `${deps.policy.publicOrigin}/reset-password#${token}`
  const message = passwordResetMessage({ resetUrl, validMinutes: RESET_MINUTES })
  try {
    await commitWithMail(
      deps,
      [
        insertPasswordReset(deps.db, reset),
        auditEvent(deps, "password.reset_requested", null, owner?.id ?? null, owner === null ? { reason: "no_account" } : {}),
      ],
      owner === null ? null : { kind: "password_reset", to: mailboxOf(owner), message, lifetimeMs: RESET_LIFETIME_MS },
    )
  } catch (error) {
    // The account was deleted at this moment: there is nobody to mail to.
    if (!isConstraintFailure(error)) throw error
  }
}

/** Notes a refusal; the limit on network addresses bounds how many there can be. */
const noteRefusal = (deps: Deps, userId: string | null, reason: string): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "password.reset_refused", null, userId, { reason })])

const spentToken = (): AppError =>
  new AppError("reset_token_spent", { detail: "This link was used or is too old. Ask for a new one." })

/**
 * Sets a new password with the token from the mail. Each works once, also when it is used twice at the same moment.
 * @throws AppError `reset_token_invalid`, `reset_token_spent`, `validation_failed`, `too_many_requests`, `busy`
 */
export async function resetPassword(deps: Deps, token: string, password: string): Promise<void> {
  deps.hashing.requireRoom()
  await takeAddressLimit(deps, "password-address")
  const hash = await hashSecretToken(token)
  const found = hash === null ? undefined : await findPasswordReset(deps.db, hash)
  if (hash === null || found === undefined) {
    await noteRefusal(deps, null, "unknown_token")
    throw new AppError("reset_token_invalid", { detail: "This is not a link of ours. Copy it from the mail as a whole." })
  }
  const { reset, user } = found
  if (reset.usedAtMs !== null || reset.expiresAtMs <= deps.now() || user.disabledAtMs !== null) {
    await noteRefusal(
      deps,
      user.id,
      user.disabledAtMs !== null ? "account_disabled" : reset.usedAtMs !== null ? "used" : "expired",
    )
    throw spentToken()
  }
  requireGoodPassword("password", password, user.emailKey)
  const fresh = await hashAnew(deps, user, password)
  const atMs = deps.now()
  try {
    await commitWithMail(
      deps,
      [
        claimPasswordReset(deps.db, hash, atMs),
        setPasswordHash(deps.db, user.id, fresh),
        endSessionsOf(deps.db, user.id, null, atMs),
        voidPasswordResets(deps.db, user.id, atMs),
        ...(await welcome(deps, user)),
        auditEvent(deps, "password.reset", user.id, user.id),
      ],
      changeNotice(deps, user),
    )
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    await noteRefusal(deps, user.id, "raced")
    throw spentToken()
  }
}

const wrongPassword = (field: string): AppError =>
  new AppError("wrong_password", {
    detail: `${field} is not your password. If you have forgotten it, log out and ask for a reset link.`,
  })

/**
 * Has whoever is logged in show the password again.
 * @param refusal - what the audit trail says of a wrong one
 * @throws AppError `wrong_password`, `too_many_requests`, `busy`
 */
export async function requirePassword(
  deps: Deps,
  caller: Caller,
  { field, password, refusal }: { field: string; password: string; refusal: AuditKind },
): Promise<User> {
  deps.hashing.requireRoom()
  await takeLimit(deps, "password-change", caller.userId)
  const user = await findUser(deps.db, caller.userId)
  const { matches } = await deps.hashing.takeTurn(() => checkPassword(deps.keys.peppers, password, user?.passwordHash ?? null))
  if (user !== undefined && matches) return withFreshHash(deps, user, password)
  await runBatch(deps.db, [auditEvent(deps, refusal, caller.userId, caller.userId, { reason: "wrong_password" })])
  throw wrongPassword(field)
}

/**
 * Changes the password of whoever is logged in and knows the current one. This session goes on, all others end.
 * @throws AppError `wrong_password`, `validation_failed`, `too_many_requests`, `busy`
 */
export async function changePassword(deps: Deps, caller: Caller, current: string, password: string): Promise<void> {
  const field = "currentPassword"
  const user = await requirePassword(deps, caller, { field, password: current, refusal: "password.change_refused" })
  requireGoodPassword("newPassword", password, user.emailKey)
  const fresh = await hashAnew(deps, user, password)
  const atMs = deps.now()
  try {
    await commitWithMail(
      deps,
      [
        confirmUser(deps.db, user.id),
        confirmSession(deps.db, caller.sessionId, atMs),
        exchangePasswordHash(deps.db, user.id, user.passwordHash, fresh),
        endSessionsOf(deps.db, user.id, caller.sessionId, atMs),
        voidPasswordResets(deps.db, user.id, atMs),
        auditEvent(deps, "password.changed", user.id, user.id),
      ],
      changeNotice(deps, user),
    )
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    await runBatch(deps.db, [auditEvent(deps, "password.change_refused", caller.userId, caller.userId, { reason: "raced" })])
    throw wrongPassword(field)
  }
}
