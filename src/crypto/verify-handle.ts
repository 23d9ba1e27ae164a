// The encrypted handle in the sign-up URL and the short code that the mail carries. The handle names one
// pending proof of address and proves nothing by itself; the code proves nothing without the handle.
import { type Bytes, concatBytes, fromBase64url, randomBytes, toBase64url, utf8 } from "./bytes.ts"
import { type KeyId, type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"
import { bytesToId, idToBytes } from "../ids.ts"

export type HandleKey = { encryption: CryptoKey; codeMac: CryptoKey }

const IV_BYTES = 12
/** kid (1) ‖ iv (12) ‖ encrypted id (16) ‖ tag (16) */
const HANDLE_BYTES = 1 + IV_BYTES + 16 + 16
const HANDLE_DOMAIN = utf8("sealpost/verify-handle/v1")

/** Crockford's base 32: no I, L, O or U, so nothing can be misread. */
const CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const CODE_CHARS = 8

export async function importHandleKey(raw: Bytes): Promise<HandleKey> {
  const root = await importHkdfKey(raw)
  const gcm = { name: "AES-GCM", length: 256 } as const
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 } as const
  return {
    encryption: await crypto.subtle.deriveKey(hkdf(HANDLE_DOMAIN), root, gcm, false, ["encrypt", "decrypt"]),
    codeMac: await crypto.subtle.deriveKey(hkdf(utf8("sealpost/verify-code/v1")), root, hmac, false, ["sign"]),
  }
}

const gcm = (iv: Bytes) => ({ name: "AES-GCM", iv, additionalData: HANDLE_DOMAIN }) as const

export async function sealHandle(keys: KeyRing<HandleKey>, verificationId: string): Promise<string> {
  const iv = randomBytes(IV_BYTES)
  const sealed = await crypto.subtle.encrypt(gcm(iv), keys.current.encryption, idToBytes(verificationId))
  return toBase64url(concatBytes(Uint8Array.of(keys.currentId), iv, new Uint8Array(sealed)))
}

/** The id inside a handle and the key that made it; null for everything that is not a handle of ours. */
export async function openHandle(
  keys: KeyRing<HandleKey>,
  handle: string,
): Promise<{ verificationId: string; keyId: KeyId } | null> {
  const bytes = fromBase64url(handle)
  if (bytes?.length !== HANDLE_BYTES) return null
  const keyId = bytes[0] ?? 0
  const key = keys.byId.get(keyId)
  if (key === undefined) return null
  const plain = await crypto.subtle
    .decrypt(gcm(bytes.slice(1, 1 + IV_BYTES)), key.encryption, bytes.subarray(1 + IV_BYTES))
    .catch(() => null)
  return plain === null ? null : { verificationId: bytesToId(new Uint8Array(plain)), keyId }
}

/** A fresh code of 40 random bits, shown as `XXXX-XXXX`. */
export function newCode(): string {
  const chars = Array.from(randomBytes(CODE_CHARS), (byte) => CODE_ALPHABET[byte % 32] ?? "").join("")
  return `${chars.slice(0, 4)}-${chars.slice(4)}`
}

/** What people type, in the one form that is compared: case, spaces, hyphens and look-alikes do not matter. */
export const normaliseCode = (typed: string): string =>
  typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1")

/**
 * What D1 holds of a code: keyed, because 40 bits behind a plain hash are found in minutes,
 * and bound to its verification, so that a code never answers for another handle.
 */
export async function codeMac(
  keys: KeyRing<HandleKey>,
  keyId: KeyId,
  verificationId: string,
  code: string,
): Promise<Bytes | null> {
  const key = keys.byId.get(keyId)
  if (key === undefined) return null
  const message = concatBytes(idToBytes(verificationId), utf8(normaliseCode(code)))
  return new Uint8Array(await crypto.subtle.sign("HMAC", key.codeMac, message))
}
