// The opaque part of a download link: base64url(kid ‖ iv ‖ ciphertext ‖ mac), always 142 characters.
// Claims are encrypted with AES-256-CTR, then everything before the mac is authenticated with HMAC-SHA-256
// (encrypt-then-MAC), under two keys that HKDF derives from the link key. Pure: whether the link still
// counts for anything is for domain/links.ts to say.
import { type Bytes, concatBytes, fromBase64url, randomBytes, toBase64url, utf8 } from "./bytes.ts"
import { type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"
import { bytesToId, idToBytes } from "../ids.ts"

/** Who may fetch what, until when. Times are whole seconds since 1970. */
export type LinkClaims = { linkId: string; userId: string; fileId: string; expiresAtSeconds: number }

export type LinkKey = { encryption: CryptoKey; mac: CryptoKey }

const CLAIMS_VERSION = 1
const IV_BYTES = 16
const CLAIMS_BYTES = 1 + 16 + 16 + 16 + 8
const MAC_BYTES = 32
const TOKEN_BYTES = 1 + IV_BYTES + CLAIMS_BYTES + MAC_BYTES
export const LINK_TOKEN_CHARS = Math.ceil((TOKEN_BYTES * 4) / 3)

export async function importLinkKey(raw: Bytes): Promise<LinkKey> {
  const root = await importHkdfKey(raw)
  const encryption = crypto.subtle.deriveKey(
    hkdf(utf8("sealpost/link/encrypt/v1")),
    root,
    { name: "AES-CTR", length: 256 },
    false,
    ["encrypt", "decrypt"],
  )
  const mac = crypto.subtle.deriveKey(
    hkdf(utf8("sealpost/link/mac/v1")),
    root,
    { name: "HMAC", hash: "SHA-256", length: 256 },
    false,
    ["sign", "verify"],
  )
  return { encryption: await encryption, mac: await mac }
}

const ctr = (iv: Bytes) => ({ name: "AES-CTR", counter: iv, length: 128 }) as const

/** Makes the token of a link under the ring's current key. */
export async function sealLinkToken(
  keys: KeyRing<LinkKey>,
  claims: LinkClaims,
  iv: Bytes = randomBytes(IV_BYTES),
): Promise<string> {
  const plain = new Uint8Array(CLAIMS_BYTES)
  plain[0] = CLAIMS_VERSION
  plain.set(idToBytes(claims.linkId), 1)
  plain.set(idToBytes(claims.userId), 17)
  plain.set(idToBytes(claims.fileId), 33)
  new DataView(plain.buffer).setBigUint64(49, BigInt(claims.expiresAtSeconds))
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(ctr(iv), keys.current.encryption, plain))
  const signed = concatBytes(Uint8Array.of(keys.currentId), iv, ciphertext)
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", keys.current.mac, signed))
  return toBase64url(concatBytes(signed, mac))
}

/**
 * Verifies and decrypts a token: no I/O, so that a forged link costs nothing.
 * @returns the claims, or null for every kind of wrong token alike. Expiry is not looked at.
 */
export async function openLinkToken(keys: KeyRing<LinkKey>, token: string): Promise<LinkClaims | null> {
  if (token.length !== LINK_TOKEN_CHARS) return null
  const bytes = fromBase64url(token)
  const key = bytes?.length === TOKEN_BYTES ? keys.byId.get(bytes[0] ?? 0) : undefined
  if (bytes === null || key === undefined) return null
  const signed = bytes.subarray(0, TOKEN_BYTES - MAC_BYTES)
  // WebCrypto's verify compares in constant time.
  const genuine = await crypto.subtle.verify("HMAC", key.mac, bytes.subarray(TOKEN_BYTES - MAC_BYTES), signed)
  if (!genuine) return null
  const iv = signed.slice(1, 1 + IV_BYTES)
  const plain = new Uint8Array(await crypto.subtle.decrypt(ctr(iv), key.encryption, signed.subarray(1 + IV_BYTES)))
  if (plain[0] !== CLAIMS_VERSION) return null
  const expires = new DataView(plain.buffer).getBigUint64(49)
  if (expires > BigInt(Number.MAX_SAFE_INTEGER)) return null
  return {
    linkId: bytesToId(plain.subarray(1, 17)),
    userId: bytesToId(plain.subarray(17, 33)),
    fileId: bytesToId(plain.subarray(33, 49)),
    expiresAtSeconds: Number(expires),
  }
}
