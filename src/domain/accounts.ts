// Accounts of clients: sign-up, proof of address, and checking a password. Ops accounts are made by an
// administrator's command alone (scripts/ops-create.ts): nothing in here can create or become one.
// To a stranger, known and unknown addresses look the same: same answers, same work, same rows counted.
import { toHex } from "../crypto/bytes.ts"
import { checkPassword, hashPassword } from "../crypto/password.ts"
import { codeMac, newCode, openHandle, sealHandle } from "../crypto/verify-handle.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { countMailsSince } from "../db/outbox.ts"
import type { Role } from "../db/schema.ts"
import {
  type User,
  findUserByEmailKey,
  insertUnverifiedClient,
  markUserVerified,
  replaceUnverifiedPassword,
  upgradePasswordHash,
} from "../db/users.ts"
import {
  type Verification,
  expireOtherVerifications,
  findVerification,
  insertVerification,
  insertVerificationForEmail,
  listPendingPasswords,
  markVerificationUsed,
  takeAttempt,
} from "../db/verifications.ts"
import { AppError } from "../errors.ts"
import { type Message, alreadyRegisteredMessage, verificationMessage } from "../mail/messages.ts"
import { auditEvent } from "./audit.ts"
import type { EmailAddress } from "./email-address.ts"
import { deliverMail, enqueueMail } from "./outbox.ts"
import type { Powers } from "./powers.ts"
import { newId } from "../ids.ts"

export { PASSWORD_MAX_CHARS, PASSWORD_MIN_CHARS, passwordFault } from "../crypto/password.ts"

const VERIFICATION_MINUTES = 60
const VERIFICATION_LIFETIME_MS = VERIFICATION_MINUTES * 60_000
const MAX_ATTEMPTS = 10
/** Mails that one address gets from us in an hour, whoever asks for them. */
export const MAX_MAILS_PER_HOUR = 5

type Deps = Pick<Powers, "db" | "keys" | "mailer" | "now" | "policy" | "request" | "afterwards" | "log">

/** A fresh pair of handle and code, and the row that remembers it. */
async function newProof(deps: Deps, emailKey: string, passwordHash: string) {
  const id = newId()
  const code = newCode()
  const mac = await codeMac(deps.keys.handleKeys, deps.keys.handleKeys.currentId, id, code)
  if (mac === null) throw new TypeError("a ring holds its current key")
  const createdAtMs = deps.now()
  const verifyUrl = `${deps.policy.publicOrigin}/verify-email/${await sealHandle(deps.keys.handleKeys, id)}`
  const row = {
    id,
    emailKey,
    passwordHash,
    codeMac: toHex(mac),
    createdAtMs,
    expiresAtMs: createdAtMs + VERIFICATION_LIFETIME_MS,
  }
  return { code, verifyUrl, row }
}

/** Commits the statements together with a mail, where the address may still get one, and sends it afterwards. */
async function commitWithMail(
  deps: Deps,
  statements: [Statement, ...Statement[]],
  address: EmailAddress,
  kind: string,
  message: Message,
) {
  const createdAtMs = deps.now()
  const recent = await countMailsSince(deps.db, address.mailbox, createdAtMs - 60 * 60_000)
  if (recent >= MAX_MAILS_PER_HOUR) {
    await runBatch(deps.db, statements)
    return
  }
  const id = newId()
  const mail = {
    id,
    kind,
    recipient: address.mailbox,
    createdAtMs,
    expiresAtMs: createdAtMs + VERIFICATION_LIFETIME_MS,
    ...message,
  }
  await runBatch(deps.db, [...statements, enqueueMail(deps.db, mail)])
  deps.afterwards(deliverMail(deps, id))
}

const proofMessage = (proof: { verifyUrl: string; code: string }): Message =>
  verificationMessage({ verifyUrl: proof.verifyUrl, code: proof.code, validMinutes: VERIFICATION_MINUTES })

/**
 * Registers a client, or pretends to. A known owner is told by mail instead.
 * @param password - one that `passwordFault` let through
 * @returns the encrypted URL; it proves nothing without the code in the mail
 */
export async function signUp(deps: Deps, address: EmailAddress, password: string): Promise<{ verifyUrl: string }> {
  const passwordHash = await hashPassword(deps.keys.peppers, password)
  const user = await findUserByEmailKey(deps.db, address.key)
  const proof = await newProof(deps, address.key, passwordHash)
  if (user !== undefined && user.verifiedAtMs !== null) {
    const message = alreadyRegisteredMessage({ publicOrigin: deps.policy.publicOrigin })
    await commitWithMail(
      deps,
      [insertVerification(deps.db, { ...proof.row, passwordHash: null })],
      address,
      "already_registered",
      message,
    )
    return { verifyUrl: proof.verifyUrl }
  }
  const id = user?.id ?? newId()
  const createdAtMs = deps.now()
  const statements: [Statement, ...Statement[]] = [
    insertUnverifiedClient(deps.db, { id, email: address.original, emailKey: address.key, passwordHash, createdAtMs }),
    replaceUnverifiedPassword(deps.db, id, passwordHash),
    insertVerificationForEmail(deps.db, proof.row),
    auditEvent(deps, "account.signed_up", id, id),
  ]
  await commitWithMail(deps, statements, address, "verification", proofMessage(proof))
  return { verifyUrl: proof.verifyUrl }
}

/**
 * Sends a new code to a client who has not proven the address yet; to everybody else it only looks so. Where
 * several people have signed up with the address, nobody can tell whose password the new code would stand for, so
 * none is sent: signing up again sends one for the password of that sign-up.
 */
export async function resendVerification(deps: Deps, address: EmailAddress): Promise<{ verifyUrl: string }> {
  const user = await findUserByEmailKey(deps.db, address.key)
  const pending = await listPendingPasswords(deps.db, user?.id ?? "")
  const passwordHash = pending.length === 1 ? (pending[0]?.passwordHash ?? null) : null
  const proof = await newProof(deps, address.key, passwordHash ?? "")
  if (user?.verifiedAtMs !== null || user.disabledAtMs !== null || passwordHash === null) {
    await runBatch(deps.db, [insertVerification(deps.db, { ...proof.row, passwordHash: null })])
    return { verifyUrl: proof.verifyUrl }
  }
  const statements: [Statement, ...Statement[]] = [
    insertVerification(deps.db, { ...proof.row, userId: user.id }),
    auditEvent(deps, "verification.resent", user.id, user.id),
  ]
  await commitWithMail(deps, statements, address, "verification", proofMessage(proof))
  return { verifyUrl: proof.verifyUrl }
}

const wrongCode = (reason: string): AppError =>
  new AppError("wrong_code", {
    detail:
      "Address and code do not belong together: the handle is the last part of the sign-up's verifyUrl, the code is in its mail. Check both, or ask for a new mail.",
    reason,
  })

/**
 * Proves an address with the handle from the sign-up's answer and the code from the mail.
 * Repeating a success is harmless: scanners and double clicks may.
 * @throws AppError `wrong_code`, `verification_expired`, or `verification_exhausted` after ten tries
 */
export async function verifyEmail(deps: Deps, handle: string, code: string): Promise<void> {
  const opened = await openHandle(deps.keys.handleKeys, handle)
  if (opened === null) throw wrongCode("not a handle")
  const known = await findVerification(deps.db, opened.verificationId)
  if (known === undefined) throw wrongCode("no such verification")
  const mac = await codeMac(deps.keys.handleKeys, opened.keyId, known.id, code)
  const isRight = mac !== null && toHex(mac) === known.codeMac
  if (known.usedAtMs !== null && isRight) return
  if (known.expiresAtMs <= deps.now()) {
    throw new AppError("verification_expired", {
      detail: "This code is too old, or the address is confirmed already: try to log in, or ask for a new mail.",
    })
  }
  // The try is counted before its outcome is used, so that parallel guesses cannot exceed the limit.
  const attempt = await takeAttempt(deps.db, known.id, MAX_ATTEMPTS)
  if (attempt === undefined) {
    throw new AppError("verification_exhausted", { detail: "Too many wrong codes. Ask for a new mail." })
  }
  if (!isRight || attempt.userId === null) throw wrongCode("wrong code")
  await commitVerification(deps, attempt, attempt.userId)
}

async function commitVerification(deps: Deps, verification: Verification, userId: string): Promise<void> {
  const atMs = deps.now()
  await runBatch(deps.db, [
    markVerificationUsed(deps.db, verification.id, atMs),
    markUserVerified(deps.db, userId, verification.passwordHash ?? "", atMs),
    expireOtherVerifications(deps.db, userId, verification.id, atMs),
    auditEvent(deps, "account.verified", userId, userId),
  ])
}

const invalidCredentials = (reason: string): AppError =>
  new AppError("invalid_credentials", { detail: "E-mail address and password do not match an account here.", reason })

/**
 * Checks a login. Unknown, wrong, disabled and other-role accounts fail alike, after the same work.
 * @throws AppError `invalid_credentials`; `email_not_verified` only to who knows the password
 */
export async function checkLogin(deps: Deps, role: Role, address: EmailAddress | null, password: string): Promise<User> {
  const user = address === null ? undefined : await findUserByEmailKey(deps.db, address.key)
  const { matches, outdated } = await checkPassword(deps.keys.peppers, password, user?.passwordHash ?? null)
  if (user === undefined || !matches || user.role !== role || user.disabledAtMs !== null) {
    if (user !== undefined) await runBatch(deps.db, [auditEvent(deps, "session.refused", null, user.id)])
    throw invalidCredentials(user === undefined ? "unknown address" : "wrong password, role or state")
  }
  if (user.verifiedAtMs === null) {
    throw new AppError("email_not_verified", {
      detail:
        "Prove your e-mail address first: use the code in our mail, or ask for a new one at /api/client/resend-verification.",
    })
  }
  if (outdated) {
    const fresh = await hashPassword(deps.keys.peppers, password)
    await upgradePasswordHash(deps.db, user.id, user.passwordHash, fresh)
  }
  return user
}
