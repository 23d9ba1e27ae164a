// Passwords: scrypt N = 2^15, r = 8, p = 3 (OWASP Password Storage; inside workerd's cap N·r·p ≤ 2^20),
// then HMAC-SHA-256 under a pepper that lives outside the database. Stored as a PHC string:
// `$scrypt$ln=15,r=8,p=3,keyid=1$<salt>$<mac>`. Runs in workerd and in Node alike (node:crypto).
import { scrypt } from "node:crypto"
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

/** Why a new password is refused, or null. Counts code points, so an emoji is one character. */
export function passwordFault(password: string): "too_short" | "too_long" | "not_text" | null {
  // Twice the limit in UTF-16 units can already hold too many code points: no need to normalise a megabyte.
  if (password.length > 4 * PASSWORD_MAX_CHARS) return "too_long"
  if (!password.isWellFormed()) return "not_text"
  const characters = Array.from(normalise(password)).length
  if (characters < PASSWORD_MIN_CHARS) return "too_short"
  return characters > PASSWORD_MAX_CHARS ? "too_long" : null
}

function runScrypt(password: string, salt: Bytes, cost: Cost): Promise<Bytes> {
  const options = { N: 2 ** cost.ln, r: cost.r, p: cost.p, maxmem: 64 * 1024 * 1024 }
  return new Promise((resolve, reject) => {
    scrypt(utf8(normalise(password)), salt, HASH_BYTES, options, (error, key) => {
      if (error === null) resolve(new Uint8Array(key))
      else reject(error)
    })
  })
}

async function pepperedHash(password: string, salt: Bytes, cost: Cost, pepper: CryptoKey): Promise<Bytes> {
  const hash = await runScrypt(password, salt, cost)
  return new Uint8Array(await crypto.subtle.sign("HMAC", pepper, concatBytes(utf8("sealpost/password/v1"), salt, hash)))
}

/** PHC strings use base64 without padding. */
const phcBase64 = (bytes: Bytes): string => toBase64(bytes).replaceAll("=", "")

function fromPhcBase64(text: string): Bytes {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
}

/** Hashes a password that `passwordFault` let through, with today's parameters and pepper. */
export async function hashPassword(peppers: KeyRing<CryptoKey>, password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const mac = await pepperedHash(password, salt, COST, peppers.current)
  const parameters = `ln=${String(COST.ln)},r=${String(COST.r)},p=${String(COST.p)},keyid=${String(peppers.currentId)}`
  return `$scrypt$${parameters}$${phcBase64(salt)}$${phcBase64(mac)}`
}

const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}),keyid=(\d{1,3})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/

/**
 * Checks a password. With `stored` null the same work is done for nothing, so that an unknown address
 * takes as long as a wrong password.
 * @returns whether it matches, and whether the stored hash should be replaced by a fresh one
 */
export async function checkPassword(
  peppers: KeyRing<CryptoKey>,
  password: string,
  stored: string | null,
): Promise<{ matches: boolean; outdated: boolean }> {
  const match = PHC.exec(stored ?? "")
  const [ln, r, p, keyId] = match === null ? [COST.ln, COST.r, COST.p, peppers.currentId] : match.slice(1, 5).map(Number)
  const cost = { ln: ln ?? 0, r: r ?? 0, p: p ?? 0 }
  const pepper = peppers.byId.get(keyId ?? 0)
  if (pepper === undefined || 2 ** cost.ln * cost.r * cost.p > MAX_COST) throw new Error("stored password hash is unusable")
  const salt = match?.[5] === undefined ? new Uint8Array(SALT_BYTES) : fromPhcBase64(match[5])
  // No stored password has a fault, so one that has it cannot match: hash something of bounded size instead.
  const faulty = password.length > 4 * PASSWORD_MAX_CHARS || !password.isWellFormed()
  const mac = await pepperedHash(faulty ? "" : password, salt, cost, pepper)
  const expected = match?.[6] === undefined ? new Uint8Array(HASH_BYTES) : fromPhcBase64(match[6])
  const outdated = cost.ln !== COST.ln || cost.r !== COST.r || cost.p !== COST.p || keyId !== peppers.currentId
  return { matches: equalBytes(mac, expected) && match !== null && !faulty, outdated }
}
