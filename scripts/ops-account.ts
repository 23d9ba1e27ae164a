// Makes an ops account straight in D1. Nothing that the Worker serves can do this.
import { type AuditRow, importAuditKey, signRow } from "../src/crypto/audit-mac.ts"
import type { Bytes } from "../src/crypto/bytes.ts"
import { type KeyRing, mapKeyRing, parseKeyRing } from "../src/crypto/keyring.ts"
import { PASSWORD_MAX_CHARS, hashPassword, importPepper, passwordFault } from "../src/crypto/password.ts"
import type { AuditKind } from "../src/domain/audit.ts"
import { type EmailAddress, parseEmailAddress } from "../src/domain/email-address.ts"
import { isEasyToGuess } from "../src/domain/password-rules.ts"
import { newId } from "../src/ids.ts"
import { type Database, sqlText } from "./database.ts"

/** Said to whoever runs the command, without a stack. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

const passwordSentences = {
  too_short: (minChars: number) => `The password needs at least ${String(minChars)} characters.`,
  too_long: () => `The password may have at most ${String(PASSWORD_MAX_CHARS)} characters.`,
  not_text: () => "The password is not well-formed Unicode text.",
}

/** A password that somebody chose, whose it is to be, and the fewest characters that the service asks for. */
export type PasswordChoice = { address: EmailAddress; password: string; minChars: number }

export function requireEmail(text: string): EmailAddress {
  const address = parseEmailAddress(text)
  if (address === null) throw new UsageError(`--email: ${JSON.stringify(text)} is not an e-mail address.`)
  return address
}

/** What of a deployment's secrets is needed here. */
export const ACCOUNT_SECRETS = ["PASSWORD_PEPPERS", "AUDIT_KEYS"] as const
export type AccountSecrets = Record<(typeof ACCOUNT_SECRETS)[number], string>

/** @throws UsageError naming what is missing */
export function accountSecrets(from: Record<string, unknown>): AccountSecrets {
  const missing = ACCOUNT_SECRETS.filter((name) => typeof from[name] !== "string" || from[name] === "")
  if (missing.length > 0)
    throw new UsageError(`Not set: ${missing.join(", ")}. Name the deployment's secrets file with --secrets, or set them.`)
  return from as AccountSecrets
}

function readRing<Name extends keyof AccountSecrets>(secrets: Pick<AccountSecrets, Name>, name: Name): KeyRing<Bytes> {
  const ring = parseKeyRing(secrets[name])
  if (typeof ring === "string") throw new UsageError(`${name} is not usable: ${ring}.`)
  return ring
}

/** The row of the audit trail, signed like those of the service, which gives it its place in the chain. */
export async function auditSql(
  secrets: Pick<AccountSecrets, "AUDIT_KEYS">,
  kind: AuditKind,
  subjectId: string,
  atMs: number,
): Promise<string> {
  const keys = await mapKeyRing(readRing(secrets, "AUDIT_KEYS"), importAuditKey)
  const nothing = { actorId: null, place: null, reason: "command", requestId: null }
  const row: AuditRow = { id: newId(), atMs, kind, subjectId, result: "ok", ...nothing }
  const texts = [row.id, row.kind, subjectId, row.result, "command", signRow(keys, row)].map(sqlText).join(", ")
  return `insert into audit_events (id, kind, subject_id, result, reason, mac, at_ms)
     select ${texts}, ${String(atMs)} from users where id = ${sqlText(subjectId)}`
}

/**
 * The hash of a password that an ops account may have.
 * @throws UsageError for a password that it may not
 */
export async function hashOpsPassword(secrets: AccountSecrets, { address, password, minChars }: PasswordChoice): Promise<string> {
  const fault = passwordFault(password, minChars)
  if (fault !== null) throw new UsageError(passwordSentences[fault](minChars))
  if (isEasyToGuess(password, address.key))
    throw new UsageError("The password is easy to guess: take four or more unrelated words.")
  return hashPassword(await mapKeyRing(readRing(secrets, "PASSWORD_PEPPERS"), importPepper), password)
}

/**
 * @returns false when the address has an account already, which stays as it is
 */
export async function createOpsAccount(database: Database, secrets: AccountSecrets, choice: PasswordChoice): Promise<boolean> {
  const { address } = choice
  const hash = await hashOpsPassword(secrets, choice)
  const id = newId()
  const nowMs = Date.now()
  const now = String(nowMs)
  const user = [id, "ops", address.original, address.key, hash].map(sqlText).join(", ")
  const [rows] = await database.batch([
    `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
     values (${user}, ${now}, ${now}) on conflict (email_key) do nothing returning id`,
    await auditSql(secrets, "account.ops_created", id, nowMs),
  ])
  return rows?.length === 1
}
