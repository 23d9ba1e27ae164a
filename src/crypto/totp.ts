// Second factors: the codes of authenticator apps (TOTP, RFC 6238), the secret behind them as D1 keeps it, and the
// recovery codes for whoever has lost the app. otpauth does the codes; this file fixes every choice it leaves open.
// SHA-1, six digits, thirty seconds: what every app understands, and HMAC does not need SHA-1 to resist collisions.
import { Secret, TOTP } from "otpauth"
import { type Bytes, concatBytes, fromBase64url, randomBytes, toBase64url, toHex, utf8 } from "./bytes.ts"
import { type KeyId, type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"
import { idToBytes } from "../ids.ts"

export const TOTP_PERIOD_SECONDS = 30
export const TOTP_DIGITS = 6
/** RFC 6238 section 5.2: at most one step for the way, and one for a clock that runs ahead. */
const WINDOW_STEPS = 1
/** RFC 4226 section 4, R6: 160 bits. */
const SECRET_BYTES = 20
const IV_BYTES = 12

const ISSUER = "Sealpost"
const PARAMETERS = { algorithm: "SHA1", digits: TOTP_DIGITS, period: TOTP_PERIOD_SECONDS } as const

const SECRET_DOMAIN = utf8("sealpost/totp-secret/v1")
const RECOVERY_DOMAIN = utf8("sealpost/recovery-code/v1")

export const newTotpSecret = (): Bytes => randomBytes(SECRET_BYTES)

const secretOf = (raw: Bytes): Secret => new Secret({ buffer: raw.slice().buffer })

/** The secret as people type it into an app: base 32 (RFC 4648 section 6). */
export const formatTotpSecret = (raw: Bytes): string => secretOf(raw).base32

/** What apps read from a QR code (github.com/google/google-authenticator/wiki/Key-Uri-Format). */
export const totpUri = (raw: Bytes, account: string): string =>
  new TOTP({ ...PARAMETERS, issuer: ISSUER, label: account, secret: secretOf(raw) }).toString()

/**
 * The time step for which this is the code: the current one, or one before or after it.
 * @returns null for a wrong code. Whether one was used before is for the caller to refuse
 */
export function matchTotpStep(raw: Bytes, code: string, nowMs: number): number | null {
  if (!/^\d{6}$/.test(code)) return null
  const secret = secretOf(raw)
  const delta = TOTP.validate({ ...PARAMETERS, token: code, secret, timestamp: nowMs, window: WINDOW_STEPS })
  return delta === null ? null : TOTP.counter({ period: TOTP_PERIOD_SECONDS, timestamp: nowMs }) + delta
}

/** Imports a raw key of TOTP_KEYS as the key that encrypts secrets. */
export const importTotpKey = async (raw: Bytes): Promise<CryptoKey> =>
  crypto.subtle.deriveKey(hkdf(SECRET_DOMAIN), await importHkdfKey(raw), { name: "AES-GCM", length: 256 }, false, [
    "encrypt",
    "decrypt",
  ])

/** Whose secret it is: a sealed secret that was moved to another row does not open. */
export type FactorName = { userId: string; id: string }

const gcm = (iv: Bytes, { userId, id }: FactorName) =>
  ({ name: "AES-GCM", iv, additionalData: concatBytes(SECRET_DOMAIN, idToBytes(userId), idToBytes(id)) }) as const

/** The secret as D1 keeps it: base64url of iv (12) ‖ encrypted secret (20) ‖ tag (16). */
export async function sealTotpSecret(
  keys: KeyRing<CryptoKey>,
  factor: FactorName,
  raw: Bytes,
): Promise<{ keyId: KeyId; sealedSecret: string }> {
  const iv = randomBytes(IV_BYTES)
  const sealed = new Uint8Array(await crypto.subtle.encrypt(gcm(iv, factor), keys.current, raw))
  return { keyId: keys.currentId, sealedSecret: toBase64url(concatBytes(iv, sealed)) }
}

/** @returns the secret; null when its key is gone, or the row was changed */
export async function openTotpSecret(
  keys: KeyRing<CryptoKey>,
  factor: FactorName & { keyId: KeyId; sealedSecret: string },
): Promise<Bytes | null> {
  const key = keys.byId.get(factor.keyId)
  const bytes = fromBase64url(factor.sealedSecret)
  if (key === undefined || bytes === null || bytes.length <= IV_BYTES) return null
  const params = gcm(bytes.slice(0, IV_BYTES), factor)
  const plain = await crypto.subtle.decrypt(params, key, bytes.subarray(IV_BYTES)).catch(() => null)
  return plain === null ? null : new Uint8Array(plain)
}

/** Crockford's base 32, as in verify-handle.ts. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const RECOVERY_CHARS = 24
const RECOVERY_CODE = new RegExp(`^[${ALPHABET}]{${String(RECOVERY_CHARS)}}$`)
const GROUP_CHARS = 6

/** 120 random bits, in groups. From 112 bits on a plain hash is enough to store (ASVS 5.0 V6.5.2). */
export function newRecoveryCode(): string {
  const chars = Array.from(randomBytes(RECOVERY_CHARS), (byte) => ALPHABET[byte % 32] ?? "").join("")
  return Array.from({ length: RECOVERY_CHARS / GROUP_CHARS }, (_, i) => chars.slice(i * GROUP_CHARS, (i + 1) * GROUP_CHARS)).join(
    "-",
  )
}

/** What D1 holds of a recovery code, bound to its user. Null for what cannot be one. */
export async function hashRecoveryCode(userId: string, typed: string): Promise<string | null> {
  const code = typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1")
  if (!RECOVERY_CODE.test(code)) return null
  const message = concatBytes(RECOVERY_DOMAIN, idToBytes(userId), utf8(code))
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", message)))
}
