// Passwords: scrypt N = 2^15, r = 8, p = 3 (OWASP Password Storage; inside workerd's cap N·r·p ≤ 2^20),
// then HMAC-SHA-256 under a pepper that lives outside the database. Stored as a PHC string:
// `$scrypt$ln=15,r=8,p=3,keyid=1$<salt>$<mac>`. Runs in workerd and in Node alike (node:crypto).
import { scryptSync } from "node:crypto"
import { type Bytes, concatBytes, equalBytes, randomBytes, toBase64, utf8 } from "./bytes.ts"
import type { KeyRing } from "./keyring.ts"

export const PASSWORD_MIN_CHARS = 15
export const PASSWORD_MAX_CHARS = 128

type Cost = { ln: number; r: number; p: number }
const COST: Cost = { ln: 15, r: 8, p: 3 }
/** Production refuses more than this product (workerd, 2026-05); a stored hash must not ask for it either. */
const MAX_COST = 2 ** 20
const SALT_BYTES = 16
const HASH_BYTES = 32

export const importPepper = (raw: Bytes): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])

/** Unicode NFC (RFC 8265 section 4.2, OpaqueString): the one form in which passwords are counted and hashed. */
const normalise = (password: string): string => password.normalize("NFC")

/**
 * Why a new password is refused for its length or form, or null. Counts code points, so an emoji is one character.
 * @param minChars - what the deployment asks for (PASSWORD_MIN_LENGTH)
 */
export function passwordFault(password: string, minChars = PASSWORD_MIN_CHARS): "too_short" | "too_long" | "not_text" | null {
  // Twice the limit in UTF-16 units can already hold too many code points: no need to normalise a megabyte.
  if (password.length > 4 * PASSWORD_MAX_CHARS) return "too_long"
  if (!password.isWellFormed()) return "not_text"
  const characters = Array.from(normalise(password)).length
  if (characters < minChars) return "too_short"
  return characters > PASSWORD_MAX_CHARS ? "too_long" : null
}

/** Everything but the password that a hash is made with: equal ones give equal hashes of equal passwords. */
type Recipe = { cost: Cost; keyId: number; pepper: CryptoKey; salt: Bytes }

/**
 * Runs on the isolate's own thread in either form of the API, so the plain one is honest: whoever calls this takes
 * a turn (domain/hashing.ts).
 */
function runScrypt(password: string, salt: Bytes, cost: Cost): Bytes {
  const options = { N: 2 ** cost.ln, r: cost.r, p: cost.p, maxmem: 64 * 1024 * 1024 }
  return new Uint8Array(scryptSync(utf8(normalise(password)), salt, HASH_BYTES, options))
}

async function cook(password: string, { cost, pepper, salt }: Recipe): Promise<Bytes> {
  const hash = runScrypt(password, salt, cost)
  return new Uint8Array(await crypto.subtle.sign("HMAC", pepper, concatBytes(utf8("sealpost/password/v1"), salt, hash)))
}

/** PHC strings use base64 without padding. */
const phcBase64 = (bytes: Bytes): string => toBase64(bytes).replaceAll("=", "")

function fromPhcBase64(text: string): Bytes {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
}

const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}),keyid=(\d{1,3})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/

/** Null for what cannot be checked here: not ours, too costly, or made with a pepper that is gone. */
function parseStored(peppers: KeyRing<CryptoKey>, stored: string): { recipe: Recipe; mac: Bytes } | null {
  const match = PHC.exec(stored)
  if (match === null) return null
  const [ln = 0, r = 0, p = 0, keyId = 0] = match.slice(1, 5).map(Number)
  const pepper = peppers.byId.get(keyId)
  if (pepper === undefined || 2 ** ln * r * p > MAX_COST || ln * r * p === 0) return null
  const recipe = { cost: { ln, r, p }, keyId, pepper, salt: fromPhcBase64(match[5] ?? "") }
  return { recipe, mac: fromPhcBase64(match[6] ?? "") }
}

const newRecipe = (peppers: KeyRing<CryptoKey>, salt: Bytes): Recipe => ({
  cost: COST,
  keyId: peppers.currentId,
  pepper: peppers.current,
  salt,
})

const isSameRecipe = (a: Recipe, b: Recipe): boolean =>
  a.keyId === b.keyId && a.cost.ln === b.cost.ln && a.cost.r === b.cost.r && a.cost.p === b.cost.p && equalBytes(a.salt, b.salt)

/**
 * Hashes a password that `passwordFault` let through, with today's parameters and pepper.
 * @param like - a stored hash whose salt, parameters and pepper are taken over where they still can be used, so
 *   that one try of a password answers for both (docs/decisions/0012)
 */
export async function hashPassword(peppers: KeyRing<CryptoKey>, password: string, like: string | null = null): Promise<string> {
  const model = like === null ? null : parseStored(peppers, like)
  const recipe = model?.recipe ?? newRecipe(peppers, randomBytes(SALT_BYTES))
  const { cost, keyId, salt } = recipe
  const mac = await cook(password, recipe)
  const parameters = `ln=${String(cost.ln)},r=${String(cost.r)},p=${String(cost.p)},keyid=${String(keyId)}`
  return `$scrypt$${parameters}$${phcBase64(salt)}$${phcBase64(mac)}`
}

/** Was this made with other parameters or another pepper than today's? */
export function isOutdated(peppers: KeyRing<CryptoKey>, stored: string): boolean {
  const parsed = parseStored(peppers, stored)
  return parsed === null || !isSameRecipe(parsed.recipe, newRecipe(peppers, parsed.recipe.salt))
}

/**
 * Tries a password against several stored hashes for the price of one: those with the salt, parameters and pepper
 * of the first that can be used. With none the same work is done for nothing, so that an unknown address takes as
 * long as a wrong password.
 * @returns those of `stored` that it matches, and how many of them can no longer be checked at all
 */
export async function matchPasswords(
  peppers: KeyRing<CryptoKey>,
  password: string,
  stored: readonly string[],
): Promise<{ matching: string[]; unusable: number }> {
  const parsed = stored.map((text) => ({ text, hash: parseStored(peppers, text) }))
  const recipe = parsed.find(({ hash }) => hash !== null)?.hash?.recipe ?? newRecipe(peppers, new Uint8Array(SALT_BYTES))
  // No stored password has a fault, so one that has it cannot match: hash something of bounded size instead.
  const isFaulty = password.length > 4 * PASSWORD_MAX_CHARS || !password.isWellFormed()
  const mac = await cook(isFaulty ? "" : password, recipe)
  const matching = parsed.filter(
    ({ hash }) => hash !== null && isSameRecipe(hash.recipe, recipe) && equalBytes(hash.mac, mac) && !isFaulty,
  )
  return { matching: matching.map(({ text }) => text), unusable: parsed.filter(({ hash }) => hash === null).length }
}

/**
 * Checks a password. With `stored` null the same work is done for nothing.
 * @returns whether it matches, and whether the stored hash should be replaced by a fresh one
 */
export async function checkPassword(
  peppers: KeyRing<CryptoKey>,
  password: string,
  stored: string | null,
): Promise<{ matches: boolean; outdated: boolean }> {
  const { matching } = await matchPasswords(peppers, password, stored === null ? [] : [stored])
  return { matches: matching.length > 0, outdated: stored !== null && isOutdated(peppers, stored) }
}
