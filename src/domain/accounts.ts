// Accounts of clients: sign-up, proof of address, and checking a login. Ops accounts are made by an
// administrator's command alone (scripts/ops-create.ts): nothing in here can create or become one.
// To a stranger, known and unknown addresses look the same: same answers, same work, same rows counted
// (docs/decisions/0012).
import { toHex } from "../crypto/bytes.ts"
import { hashPassword, matchPasswords } from "../crypto/password.ts"
import { pseudonym } from "../crypto/pseudonym.ts"
import { codeMac, newCode, openHandle, sealHandle } from "../crypto/verify-handle.ts"
import { runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import type { Role } from "../db/schema.ts"
import { addClientEvent } from "../db/events.ts"
import { type User, deleteUnverifiedUser, findUserByEmailKey, insertClient } from "../db/users.ts"
import {
  type Verification,
  findVerification,
  insertVerification,
  listPendingSignUps,
  makeOtherVerificationsDecoys,
  markVerificationUsed,
  takeAttempt,
} from "../db/verifications.ts"
import { AppError } from "../errors.ts"
import { alreadyRegisteredMessage, verificationMessage } from "../mail/messages.ts"
import { newId } from "../ids.ts"
import { UNKNOWN_ADDRESS } from "../protocol/client-address.ts"
import { commitWithMail, takeMailLimits } from "./account-mail.ts"
import { auditEvent } from "./audit.ts"
import type { EmailAddress } from "./email-address.ts"
import { callerAddress, takeAddressLimit, takeLoginLimits, welcome } from "./limits.ts"
import { requireGoodPassword } from "./password-rules.ts"
import { withFreshHash } from "./passwords.ts"
import type { Powers } from "./powers.ts"
import type { ProvenLogin } from "./sessions.ts"
import { proveSecondFactor } from "./totp.ts"

const VERIFICATION_MINUTES = 60
const VERIFICATION_LIFETIME_MS = VERIFICATION_MINUTES * 60_000
/** So long another mail can be asked for; the sweeper's day after the code's end. */
const SIGN_UP_LIFETIME_MS = 24 * 60 * 60_000
const MAX_ATTEMPTS = 10
/** More sign-ups with one address than this are not looked at together; `signup-mail` allows fewer in an hour. */
const MAX_PENDING = 50

type Deps = Pick<Powers, "db" | "keys" | "mailer" | "now" | "policy" | "request" | "afterwards" | "log" | "hashing">

/**
 * Where a sign-up came from: whoever proves it from there need not show its password again. Null without a network
 * address: all who have none are not in one place.
 */
async function signUpPlace(deps: Deps, emailKey: string): Promise<string | null> {
  const address = callerAddress(deps)
  return address === UNKNOWN_ADDRESS ? null : pseudonym(deps.keys.peppers, "sign-up", emailKey, address)
}

const pendingSignUps = (deps: Deps, emailKey: string): Promise<Verification[]> =>
  listPendingSignUps(deps.db, emailKey, deps.now() - SIGN_UP_LIFETIME_MS, MAX_PENDING)

type ProofOf = Pick<Verification, "email" | "emailKey" | "passwordHash" | "place" | "isProvable">

/** A fresh pair of handle and code, and the row that remembers it. */
async function newProof(deps: Deps, of: ProofOf) {
  const id = newId()
  const code = newCode()
  const mac = await codeMac(deps.keys.handleKeys, deps.keys.handleKeys.currentId, id, code)
  if (mac === null) throw new TypeError("a ring holds its current key")
  const createdAtMs = deps.now()
  const verifyUrl = `${deps.policy.publicOrigin}/verify-email/${await sealHandle(deps.keys.handleKeys, id)}`
  const row = { ...of, id, codeMac: toHex(mac), createdAtMs, expiresAtMs: createdAtMs + VERIFICATION_LIFETIME_MS }
  const message = verificationMessage({ verifyUrl, code, validMinutes: VERIFICATION_MINUTES })
  return { verifyUrl, row, message }
}

/**
 * Registers a client, or pretends to. A known owner is told by mail instead.
 * @returns the encrypted URL; it proves nothing without the code in the mail
 * @throws AppError `validation_failed` for a password that is too easy to guess, `too_many_requests`, `busy`
 */
export async function signUp(deps: Deps, address: EmailAddress, password: string): Promise<{ verifyUrl: string }> {
  requireGoodPassword("password", password, address.key)
  deps.hashing.requireRoom()
  await takeAddressLimit(deps, "signup-address")
  await takeMailLimits(deps, "signup-mail", address)
  const user = await findUserByEmailKey(deps.db, address.key)
  const pending = await pendingSignUps(deps, address.key)
  const isKnown = user !== undefined && user.verifiedAtMs !== null
  // Made like the others of this address, so that a login can try all of them at once.
  const like = (isKnown ? user.passwordHash : null) ?? pending[0]?.passwordHash ?? null
  const passwordHash = await deps.hashing.takeTurn(() => hashPassword(deps.keys.peppers, password, like))
  const place = await signUpPlace(deps, address.key)
  const proof = await newProof(deps, {
    email: address.original,
    emailKey: address.key,
    passwordHash,
    place,
    isProvable: !isKnown,
  })
  const message = isKnown ? alreadyRegisteredMessage({ publicOrigin: deps.policy.publicOrigin }) : proof.message
  await commitWithMail(
    deps,
    [insertVerification(deps.db, proof.row), auditEvent(deps, "account.signed_up", null, proof.row.id)],
    {
      kind: isKnown ? "already_registered" : "verification",
      to: address.mailbox,
      message,
      lifetimeMs: VERIFICATION_LIFETIME_MS,
    },
  )
  return { verifyUrl: proof.verifyUrl }
}

/** What a further code proves: the one sign-up there is; of several, the one whose password is shown with it. */
function resendOf(address: EmailAddress, pending: readonly Verification[]): ProofOf {
  const [first] = pending
  const nothing = { email: address.original, emailKey: address.key, passwordHash: null, place: null, isProvable: false }
  if (first === undefined) return nothing
  const isOne = pending.every(({ passwordHash }) => passwordHash === first.passwordHash)
  if (!isOne) return { ...nothing, email: first.email, isProvable: true }
  return { email: first.email, emailKey: address.key, passwordHash: first.passwordHash, place: first.place, isProvable: true }
}

/**
 * Sends a new code to a client who has not proven the address yet; to everybody else it only looks so.
 * @throws AppError `too_many_requests`
 */
export async function resendVerification(deps: Deps, address: EmailAddress): Promise<{ verifyUrl: string }> {
  await takeAddressLimit(deps, "signup-address")
  await takeMailLimits(deps, "signup-mail", address)
  const pending = (await pendingSignUps(deps, address.key)).filter(({ isProvable }) => isProvable)
  const proof = await newProof(deps, resendOf(address, pending))
  const mail = {
    kind: "verification",
    to: address.mailbox,
    message: proof.message,
    lifetimeMs: VERIFICATION_LIFETIME_MS,
  }
  await commitWithMail(
    deps,
    [insertVerification(deps.db, proof.row), auditEvent(deps, "verification.resent", null, proof.row.id)],
    proof.row.isProvable ? mail : null,
  )
  return { verifyUrl: proof.verifyUrl }
}

/**
 * Notes a refusal that concerns a genuine handle. Wrong codes are ten for each; the rest is bounded by the limit on
 * network addresses. Handles that are not ours concern nobody and leave no row.
 */
const noteRefusal = (deps: Deps, verificationId: string, reason: string): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "verification.refused", null, verificationId, { reason })])

const wrongCode = (reason: string): AppError =>
  new AppError("wrong_code", {
    detail:
      "Address and code do not belong together: the handle is the last part of the sign-up's verifyUrl, the code is in its mail. Check both, or ask for a new mail.",
    reason,
  })

const expiredCode = (): AppError =>
  new AppError("verification_expired", {
    detail: "This code is too old, or the address is confirmed already: try to log in, or ask for a new mail.",
  })

/**
 * Proves an address with the handle from the sign-up's answer and the code from the mail. From elsewhere than where
 * the sign-up came from, its password is needed too: the owner of an address who follows the mail of a stranger's
 * sign-up does not know it, and so cannot make that stranger the owner. Repeating a success is harmless.
 * @throws AppError `wrong_code`, `verification_expired`, `verification_exhausted` after ten tries,
 *   `password_required`, `wrong_password`, `too_many_requests`, `busy`
 */
export async function verifyEmail(deps: Deps, handle: string, code: string, password: string | null): Promise<void> {
  // Before a try is counted that could not be finished.
  if (password !== null) deps.hashing.requireRoom()
  await takeAddressLimit(deps, "verify-address")
  const opened = await openHandle(deps.keys.handleKeys, handle)
  if (opened === null) throw wrongCode("not a handle")
  const known = await findVerification(deps.db, opened.verificationId)
  if (known === undefined) throw wrongCode("no such verification")
  const mac = await codeMac(deps.keys.handleKeys, opened.keyId, known.id, code)
  const isRight = mac !== null && toHex(mac) === known.codeMac
  if (known.usedAtMs !== null && isRight) return
  if (known.expiresAtMs <= deps.now()) {
    await noteRefusal(deps, known.id, "expired")
    throw expiredCode()
  }
  // The try is counted before its outcome is used, so that parallel guesses cannot exceed the limit.
  const attempt = await takeAttempt(deps.db, known.id, MAX_ATTEMPTS)
  if (attempt === undefined) {
    await noteRefusal(deps, known.id, "exhausted")
    throw new AppError("verification_exhausted", { detail: "Too many wrong codes. Ask for a new mail." })
  }
  if (!isRight) {
    await noteRefusal(deps, known.id, "wrong_code")
    throw wrongCode("wrong code")
  }
  if (!attempt.isProvable) {
    await noteRefusal(deps, known.id, "not_provable")
    throw expiredCode()
  }
  await commitVerification(deps, attempt, await provenHash(deps, attempt, password))
}

/** The hash that becomes the account's: of whoever signed up, shown by being where that was or by its password. */
async function provenHash(deps: Deps, verification: Verification, password: string | null): Promise<string> {
  const { passwordHash, place, emailKey } = verification
  if (passwordHash !== null && place !== null && place === (await signUpPlace(deps, emailKey))) return passwordHash
  if (password === null) {
    const message = "Send the password that you chose when you signed up as well, in the field password."
    throw new AppError("password_required", { detail: message, fields: [{ field: "password", rule: "required", message }] })
  }
  const pending = passwordHash === null ? await pendingSignUps(deps, emailKey) : [verification]
  const hashes = pending.filter(({ isProvable }) => isProvable).flatMap((row) => row.passwordHash ?? [])
  const { matching } = await deps.hashing.takeTurn(() => matchPasswords(deps.keys.peppers, password, hashes))
  if (matching[0] !== undefined) return matching[0]
  await noteRefusal(deps, verification.id, "wrong_password")
  throw new AppError("wrong_password", {
    detail: "This is not the password of that sign-up. If it was not you who signed up, do so now with a password of your own.",
  })
}

async function commitVerification(deps: Deps, verification: Verification, passwordHash: string): Promise<void> {
  const { id, email, emailKey } = verification
  const atMs = deps.now()
  const userId = newId()
  try {
    await runBatch(deps.db, [
      deleteUnverifiedUser(deps.db, emailKey),
      insertClient(deps.db, { id: userId, email, emailKey, passwordHash, createdAtMs: atMs, verifiedAtMs: atMs }),
      markVerificationUsed(deps.db, id, atMs),
      makeOtherVerificationsDecoys(deps.db, emailKey, id),
      addClientEvent(deps.db, userId, atMs),
      auditEvent(deps, "account.verified", userId, userId),
    ])
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    // The address has an account by now: made by this very code at the same moment, or by somebody else.
    const now = await findVerification(deps.db, id)
    if (now === undefined || now.usedAtMs === null) throw expiredCode()
  }
}

const invalidCredentials = (reason: string): AppError =>
  new AppError("invalid_credentials", { detail: "E-mail address and password do not match an account here.", reason })

const NO_ADDRESS = "not an address"

/** Why a login was refused, for the audit trail alone. */
function refusalReason(user: User | undefined, role: Role, isOwner: boolean, isPending: boolean): string {
  if (isPending) return "address_not_proven"
  if (user === undefined) return "unknown_address"
  if (!isOwner) return "wrong_password"
  return user.role === role ? "account_disabled" : "other_role"
}

/**
 * Checks a login. Unknown, wrong, disabled and other-role accounts fail alike, after the same work: one hash answers
 * for the account and for every pending sign-up with its address. Only to whoever knows the password it shows that a
 * second factor guards the account.
 * @param code - of the second factor, or a recovery code, if one was sent
 * @throws AppError `invalid_credentials`; `second_factor_required`, `invalid_second_factor`; `email_not_verified` to whoever knows the password of a sign-up that is
 *   not proven, whether or not the address has an account; `too_many_requests`, `busy`
 */
export async function checkLogin(
  deps: Deps,
  role: Role,
  address: EmailAddress | null,
  password: string,
  code: string | null,
): Promise<ProvenLogin> {
  const emailKey = address?.key ?? NO_ADDRESS
  deps.hashing.requireRoom()
  await takeLoginLimits(deps, emailKey)
  const user = await findUserByEmailKey(deps.db, emailKey)
  const pending = (await pendingSignUps(deps, emailKey)).flatMap((row) => row.passwordHash ?? [])
  const stored = user === undefined ? pending : [user.passwordHash, ...pending]
  const { matching, unusable } = await deps.hashing.takeTurn(() => matchPasswords(deps.keys.peppers, password, stored))
  if (unusable > 0) deps.log("password_hash_unusable", { count: unusable })
  const isOwner = user !== undefined && matching.includes(user.passwordHash)
  if (isOwner && user.verifiedAtMs !== null && user.role === role && user.disabledAtMs === null) {
    return acceptLogin(deps, user, password, code)
  }
  const isPending = matching.some((hash) => pending.includes(hash)) || (isOwner && user.verifiedAtMs === null)
  const reason = refusalReason(user, role, isOwner, isPending)
  await runBatch(deps.db, [auditEvent(deps, "session.refused", null, user?.id ?? null, { reason })])
  if (role === "client" && isPending) {
    throw new AppError("email_not_verified", {
      detail:
        "Prove your e-mail address first: use the code in our mail, or ask for a new one at /api/client/resend-verification.",
    })
  }
  throw invalidCredentials(user === undefined ? "unknown address" : "wrong password, role or state")
}

/**
 * Asks for the second factor, if one guards the account, and hashes the password anew where parameters or pepper have
 * changed. With the session the place becomes known.
 */
async function acceptLogin(deps: Deps, user: User, password: string, code: string | null): Promise<ProvenLogin> {
  const { factorId, statements, notice } = await proveSecondFactor(deps, user, code)
  const { passwordHash } = await withFreshHash(deps, user, password)
  return {
    userId: user.id,
    proof: { passwordHash, factorId },
    statements: [...statements, ...(await welcome(deps, user))],
    notice,
  }
}
