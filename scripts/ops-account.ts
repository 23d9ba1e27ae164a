// Makes an ops account straight in D1. Nothing that the Worker serves can do this.
import { parseKeyRing, mapKeyRing } from "../src/crypto/keyring.ts"
import { hashPassword, importPepper, passwordFault } from "../src/crypto/password.ts"
import { type EmailAddress, parseEmailAddress } from "../src/domain/email-address.ts"
import { isEasyToGuess } from "../src/domain/password-rules.ts"
import { newId } from "../src/ids.ts"
import { type Place, executeSql, sqlText } from "./wrangler.ts"

/** Said to whoever runs the command, without a stack. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

const passwordSentences = {
  too_short: "The password needs at least 15 characters.",
  too_long: "The password may have at most 128 characters.",
  not_text: "The password is not well-formed Unicode text.",
}

export function requireEmail(text: string): EmailAddress {
  const address = parseEmailAddress(text)
  if (address === null) throw new UsageError(`--email: ${JSON.stringify(text)} is not an e-mail address.`)
  return address
}

/**
 * The hash of a password that an ops account may have.
 * @param peppers - the deployment's PASSWORD_PEPPERS
 */
export async function hashOpsPassword(peppers: string, address: EmailAddress, password: string): Promise<string> {
  const fault = passwordFault(password)
  if (fault !== null) throw new UsageError(passwordSentences[fault])
  if (isEasyToGuess(password, address.key))
    throw new UsageError("The password is easy to guess: take four or more unrelated words.")
  const ring = parseKeyRing(peppers)
  if (typeof ring === "string") throw new UsageError(`PASSWORD_PEPPERS is not usable: ${ring}.`)
  return hashPassword(await mapKeyRing(ring, importPepper), password)
}

/**
 * @param peppers - the deployment's PASSWORD_PEPPERS
 * @returns false when the address has an account already, which stays as it is
 */
export async function createOpsAccount(place: Place, peppers: string, address: EmailAddress, password: string): Promise<boolean> {
  const hash = await hashOpsPassword(peppers, address, password)
  const id = newId()
  const now = String(Date.now())
  const user = [id, "ops", address.original, address.key, hash].map(sqlText).join(", ")
  const [rows] = await executeSql(
    place,
    `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
     values (${user}, ${now}, ${now}) on conflict (email_key) do nothing returning id;
     insert into audit_events (id, at_ms, kind, subject_id)
     select ${sqlText(newId())}, ${now}, 'account.ops_created', id from users where id = ${sqlText(id)};`,
  )
  return rows?.length === 1
}
