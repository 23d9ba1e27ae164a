// Second factors: enrolled, confirmed, asked for at login, removed. What was checked is checked again in the batch that it
// lets through, so that no change at the same moment is passed by: no code works twice, and no factor that was added,
// removed or replaced meanwhile is skipped (docs/decisions/0014).
import {
  type FactorName,
  formatTotpSecret,
  hashRecoveryCode,
  matchTotpStep,
  newRecoveryCode,
  newTotpSecret,
  openTotpSecret,
  sealTotpSecret,
  totpUri,
} from "../crypto/totp.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { confirmSession } from "../db/sessions.ts"
import {
  type TotpFactor,
  activateFactor,
  claimRecoveryCode,
  claimStep,
  countUnusedRecoveryCodes,
  deleteFactor,
  deleteRecoveryCodes,
  findFactor,
  findRecoveryCode,
  insertFactor,
  insertRecoveryCodes,
  resealFactor,
} from "../db/totp.ts"
import { type User, confirmProof, confirmUser, endSessionsOf, findUser } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import {
  recoveryCodeUsedMessage,
  recoveryCodesRenewedMessage,
  secondFactorAddedMessage,
  secondFactorGuessedMessage,
  secondFactorRemovedMessage,
} from "../mail/second-factor-messages.ts"
import { type AccountMail, commitWithMail, noticeTo } from "./account-mail.ts"
import { ONCE_MS, auditEvent } from "./audit.ts"
import { type GuessLimit, forgetGuesses, takeGuess } from "./limits.ts"
import { requirePassword } from "./passwords.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

export const RECOVERY_CODES = 10
/** So long an enrolment waits for its first code. */
export const ENROLMENT_LIFETIME_MS = 15 * 60_000

type Deps = Pick<Powers, "db" | "keys" | "mailer" | "now" | "policy" | "request" | "afterwards" | "log" | "hashing">

const alreadyActive = (): AppError =>
  new AppError("second_factor_active", { detail: "A second factor guards this account already. Remove it first." })

const notEnrolled = (): AppError =>
  new AppError("second_factor_not_enrolled", { detail: "There is no second factor to do this with. Enrol one first." })

const wrongCode = (): AppError =>
  new AppError("wrong_second_factor", {
    detail: "The code is wrong, too old or used before. Wait for the app's next one; its clock must be right.",
  })

/** The secret in the clear; without its key nothing can be checked, and nobody is let in. */
async function secretOf(deps: Deps, factor: TotpFactor) {
  const name: FactorName = { userId: factor.userId, id: factor.id }
  const secret = await openTotpSecret(deps.keys.totpKeys, { ...name, keyId: factor.keyId, sealedSecret: factor.sealedSecret })
  if (secret !== null) return secret
  deps.log("second_factor_unreadable", { keyId: factor.keyId })
  throw new AppError("key_unavailable", {
    detail: "Codes of your app cannot be checked just now. Use a recovery code, or tell whoever runs this service.",
    reason: "TOTP secret does not open",
  })
}

/** The statements that encrypt a secret anew where the current key is another by now. */
async function upkeep(deps: Deps, factor: TotpFactor, secret: Uint8Array<ArrayBuffer>): Promise<Statement[]> {
  if (factor.keyId === deps.keys.totpKeys.currentId) return []
  const sealed = await sealTotpSecret(deps.keys.totpKeys, { userId: factor.userId, id: factor.id }, secret)
  return [resealFactor(deps.db, factor, sealed)]
}

type RightCode = { isRecovery: boolean; statements: Statement[] }
/** Why a code was refused, for the audit trail alone: callers hear the same of all. */
type CodeFault = "wrong_code" | "replayed_code" | "unknown_recovery_code" | "used_recovery_code"
type CheckedCode = RightCode | { fault: CodeFault }

/**
 * Checks a code of an active factor, or a recovery code; only the former can be guessed and is counted.
 * @returns the statements that use it up, or what is wrong with it
 * @throws AppError `too_many_requests`, `key_unavailable`
 */
async function checkCode(deps: Deps, user: User, factor: TotpFactor, code: string, limit: GuessLimit): Promise<CheckedCode> {
  const recoveryHash = await hashRecoveryCode(user.id, code)
  if (recoveryHash !== null) {
    const known = await findRecoveryCode(deps.db, user.id, recoveryHash)
    if (known?.usedAtMs !== null) return { fault: known === undefined ? "unknown_recovery_code" : "used_recovery_code" }
    const used = auditEvent(deps, "second_factor.recovery_code_used", user.id, user.id)
    return { isRecovery: true, statements: [...claimRecoveryCode(deps.db, user.id, recoveryHash, deps.now()), used] }
  }
  await takeGuess(deps, limit, user.id, () => tellOfGuessing(deps, user, limit))
  const secret = await secretOf(deps, factor)
  const step = matchTotpStep(secret, code.replaceAll(/\s/g, ""), deps.now())
  if (step === null) return { fault: "wrong_code" }
  // RFC 6238 section 5.2: a code that was taken is not taken again.
  if (step <= factor.lastStep) return { fault: "replayed_code" }
  const statements = [claimStep(deps.db, user.id, step), ...(await upkeep(deps, factor, secret))]
  return { isRecovery: false, statements: [...statements, ...(await forgetGuesses(deps, limit, user.id))] }
}

/** Whoever guesses at a login knows the password: its owner must hear of it. */
async function tellOfGuessing(deps: Deps, user: User, limit: GuessLimit): Promise<void> {
  const statements = [confirmUser(deps.db, user.id), auditEvent(deps, "second_factor.limited", null, user.id)] as const
  const notice = noticeTo(user, "second_factor_guessed", secondFactorGuessedMessage(deps.policy))
  try {
    await (limit === "second-factor" ? commitWithMail(deps, statements, notice) : runBatch(deps.db, statements))
  } catch (error) {
    // The account was deleted at this moment: there is nobody to tell.
    if (!isConstraintFailure(error)) throw error
  }
}

/** What a login has shown of the second factor. */
export type FactorProof = { factorId: string | null; statements: readonly Statement[]; notice: AccountMail | null }

/**
 * Asks whoever has given the right password for the second factor, if one guards the account.
 * @param code - null when none was sent
 * @throws AppError `second_factor_required`, `invalid_second_factor`, `too_many_requests`, `key_unavailable`
 */
export async function proveSecondFactor(deps: Deps, user: User, code: string | null): Promise<FactorProof> {
  const factor = await findFactor(deps.db, user.id)
  if (factor === undefined || factor.confirmedAtMs === null) return { factorId: null, statements: [], notice: null }
  if (code === null) {
    await runBatch(deps.db, [auditEvent(deps, "second_factor.asked", null, user.id)])
    throw new AppError("second_factor_required", {
      detail: "Log in again with the same fields and the code of your authenticator app, or a recovery code, in the field code.",
    })
  }
  const checked = await checkCode(deps, user, factor, code, "second-factor")
  if ("fault" in checked) {
    await runBatch(deps.db, [auditEvent(deps, "second_factor.refused", null, user.id, { reason: checked.fault })])
    throw new AppError("invalid_second_factor", {
      detail: "The code is wrong, too old or used before. Wait for the app's next one; its clock must be right.",
    })
  }
  const left = checked.isRecovery ? (await countUnusedRecoveryCodes(deps.db, user.id)) - 1 : 0
  const message = recoveryCodeUsedMessage({ publicOrigin: deps.policy.publicOrigin, left })
  const notice = checked.isRecovery ? noticeTo(user, "recovery_code_used", message) : null
  return { factorId: factor.id, statements: checked.statements, notice }
}

/** Recovery codes are not counted as guesses, so whoever is logged in can send wrong ones as often as they like. */
const noteRefusedChange = (deps: Deps, { userId }: Caller, reason: CodeFault | "raced"): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "second_factor.change_refused", userId, userId, { reason, oncePerMs: ONCE_MS })])

/** Runs a change of the second factor; what does not hold any more at that moment is told as `otherwise`. */
async function commitChange(
  deps: Deps,
  caller: Caller,
  statements: readonly Statement[],
  notice: AccountMail | null,
  otherwise: AppError,
): Promise<void> {
  const all = [confirmSession(deps.db, caller.sessionId, deps.now()), confirmUser(deps.db, caller.userId), ...statements] as const
  try {
    await (notice === null ? runBatch(deps.db, all) : commitWithMail(deps, all, notice))
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    await noteRefusedChange(deps, caller, "raced")
    throw otherwise
  }
}

export type Enrolment = { secret: string; otpauthUri: string }

/**
 * Begins the enrolment of a second factor; it guards nothing until `confirmTotp`.
 * @returns the secret for the app, shown this once
 * @throws AppError `second_factor_active`, `wrong_password`, `too_many_requests`, `busy`
 */
export async function enrolTotp(deps: Deps, caller: Caller, password: string): Promise<Enrolment> {
  if (caller.hasSecondFactor) throw alreadyActive()
  const user = await requirePassword(deps, caller, { field: "password", password, refusal: "second_factor.change_refused" })
  const raw = newTotpSecret()
  const name: FactorName = { userId: user.id, id: newId() }
  const factor = { ...name, ...(await sealTotpSecret(deps.keys.totpKeys, name, raw)), createdAtMs: deps.now() }
  const statements = [
    confirmProof(deps.db, user.id, { passwordHash: user.passwordHash, factorId: null }),
    insertFactor(deps.db, factor),
    auditEvent(deps, "second_factor.enrolled", user.id, user.id),
  ]
  await commitChange(deps, caller, statements, null, alreadyActive())
  return { secret: formatTotpSecret(raw), otpauthUri: totpUri(raw, user.email) }
}

/** Fresh recovery codes, and what D1 holds of them. */
async function newRecoveryCodes(userId: string): Promise<{ codes: string[]; hashes: string[] }> {
  const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode)
  const hashes = await Promise.all(codes.map((code) => hashRecoveryCode(userId, code)))
  return { codes, hashes: hashes.filter((hash) => hash !== null) }
}

async function refuseChange(deps: Deps, caller: Caller, fault: CodeFault): Promise<never> {
  await noteRefusedChange(deps, caller, fault)
  throw wrongCode()
}

async function userAndFactor(deps: Deps, caller: Caller): Promise<{ user: User; factor: TotpFactor }> {
  const user = await findUser(deps.db, caller.userId)
  const factor = await findFactor(deps.db, caller.userId)
  if (user === undefined || factor === undefined) throw notEnrolled()
  return { user, factor }
}

/**
 * Makes an enrolment guard the account, by a first code of the app. All other sessions end.
 * @returns ten recovery codes, shown this once
 * @throws AppError `second_factor_active`, `second_factor_not_enrolled`, `wrong_second_factor`, `too_many_requests`
 */
export async function confirmTotp(deps: Deps, caller: Caller, code: string): Promise<string[]> {
  const { user, factor } = await userAndFactor(deps, caller)
  if (factor.confirmedAtMs !== null) throw alreadyActive()
  const nowMs = deps.now()
  if (nowMs - factor.createdAtMs >= ENROLMENT_LIFETIME_MS) throw notEnrolled()
  await takeGuess(deps, "second-factor-change", user.id, () => tellOfGuessing(deps, user, "second-factor-change"))
  const step = matchTotpStep(await secretOf(deps, factor), code.replaceAll(/\s/g, ""), nowMs)
  if (step === null) return refuseChange(deps, caller, "wrong_code")
  const { codes, hashes } = await newRecoveryCodes(user.id)
  const statements = [
    activateFactor(deps.db, user.id, factor.id, step, nowMs),
    deleteRecoveryCodes(deps.db, user.id),
    insertRecoveryCodes(deps.db, user.id, hashes),
    endSessionsOf(deps.db, user.id, caller.sessionId, nowMs),
    ...(await forgetGuesses(deps, "second-factor-change", user.id)),
    auditEvent(deps, "second_factor.added", user.id, user.id),
  ]
  const notice = noticeTo(user, "second_factor_added", secondFactorAddedMessage(deps.policy))
  await commitChange(deps, caller, statements, notice, notEnrolled())
  return codes
}

/** The caller's active factor and a right code for it. */
async function requireCode(deps: Deps, caller: Caller, code: string) {
  const { user, factor } = await userAndFactor(deps, caller)
  if (factor.confirmedAtMs === null) throw notEnrolled()
  const checked = await checkCode(deps, user, factor, code, "second-factor-change")
  if ("fault" in checked) return refuseChange(deps, caller, checked.fault)
  return { user, factor, statements: checked.statements }
}

/**
 * Makes new recovery codes in place of all old ones.
 * @returns ten recovery codes, shown this once
 * @throws AppError `second_factor_not_enrolled`, `wrong_second_factor`, `too_many_requests`, `key_unavailable`
 */
export async function renewRecoveryCodes(deps: Deps, caller: Caller, code: string): Promise<string[]> {
  const { user, factor, statements } = await requireCode(deps, caller, code)
  const { codes, hashes } = await newRecoveryCodes(user.id)
  const change = [
    confirmProof(deps.db, user.id, { passwordHash: user.passwordHash, factorId: factor.id }),
    ...statements,
    deleteRecoveryCodes(deps.db, user.id),
    insertRecoveryCodes(deps.db, user.id, hashes),
    auditEvent(deps, "second_factor.codes_renewed", user.id, user.id),
  ]
  const notice = noticeTo(user, "recovery_codes_renewed", recoveryCodesRenewedMessage(deps.policy))
  await commitChange(deps, caller, change, notice, wrongCode())
  return codes
}

/**
 * Removes the second factor with its recovery codes. All other sessions end.
 * @throws AppError `second_factor_not_enrolled`, `wrong_password`, `wrong_second_factor`, `too_many_requests`, `busy`,
 *   `key_unavailable`
 */
export async function removeTotp(deps: Deps, caller: Caller, password: string, code: string): Promise<void> {
  if (!caller.hasSecondFactor) throw notEnrolled()
  const { passwordHash } = await requirePassword(deps, caller, {
    field: "password",
    password,
    refusal: "second_factor.change_refused",
  })
  const { user, factor, statements } = await requireCode(deps, caller, code)
  const change = [
    confirmProof(deps.db, user.id, { passwordHash, factorId: factor.id }),
    ...statements,
    deleteFactor(deps.db, user.id),
    endSessionsOf(deps.db, user.id, caller.sessionId, deps.now()),
    auditEvent(deps, "second_factor.removed", user.id, user.id),
  ]
  const notice = noticeTo(user, "second_factor_removed", secondFactorRemovedMessage(deps.policy))
  await commitChange(deps, caller, change, notice, wrongCode())
}
