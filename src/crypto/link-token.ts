// The opaque part of a download link: base64url(kid ‖ iv ‖ ciphertext ‖ mac), always 142 characters.
// Claims are encrypted with AES-256-CTR, then everything before the mac is authenticated with HMAC-SHA-256
// (encrypt-then-MAC), under two keys that HKDF derives from the link key. Pure: whether the link still
// counts for anything is for domain/links.ts to say.
import { type Bytes, concatBytes, fromBase64url, fromHex, randomBytes, toBase64url, toHex, utf8 } from "./bytes.ts"
import { type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"
import { bytesToId, idToBytes } from "../ids.ts"

/** Who may fetch what, until when. Times are whole seconds since 1970. */
export type LinkClaims = FileLinkClaims | SelectionLinkClaims

export type FileLinkClaims = { kind: "file"; linkId: string; userId: string; fileId: string; expiresAtSeconds: number }

export type SelectionLinkClaims = {
  kind: "selection"
  selectionId: string
  userId: string
  /** {@link contentsOf} its files: 16 bytes, hex. */
  contents: string
  expiresAtSeconds: number
}

export type LinkKey = { encryption: CryptoKey; mac: CryptoKey }

/** The first byte of the claims, authenticated with them: neither kind can be taken for the other. */
const FILE_CLAIMS = 1
const SELECTION_CLAIMS = 2
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

/** What a selection consists of: the first 16 bytes, hex, of SHA-256 over its files' ids, 16 bytes each, in their order. */
export async function contentsOf(fileIds: readonly string[]): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", concatBytes(...fileIds.map(idToBytes)))
  return toHex(new Uint8Array(digest, 0, 16))
}

const ctr = (iv: Bytes) => ({ name: "AES-CTR", counter: iv, length: 128 }) as const

function contentsBytes(hex: string): Bytes {
  const bytes = fromHex(hex)
  if (bytes?.length !== 16) throw new TypeError("contents are 16 bytes")
  return bytes
}

/** Makes the token of a link under the ring's current key. */
export async function sealLinkToken(
  keys: KeyRing<LinkKey>,
  claims: LinkClaims,
  iv: Bytes = randomBytes(IV_BYTES),
): Promise<string> {
  const plain = new Uint8Array(CLAIMS_BYTES)
  const isFile = claims.kind === "file"
  plain[0] = isFile ? FILE_CLAIMS : SELECTION_CLAIMS
  plain.set(idToBytes(isFile ? claims.linkId : claims.selectionId), 1)
  plain.set(idToBytes(claims.userId), 17)
  plain.set(isFile ? idToBytes(claims.fileId) : contentsBytes(claims.contents), 33)
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
  const expires = new DataView(plain.buffer).getBigUint64(49)
  if (expires > BigInt(Number.MAX_SAFE_INTEGER)) return null
  const [subject, userId, contents] = [plain.subarray(1, 17), bytesToId(plain.subarray(17, 33)), plain.subarray(33, 49)]
  const expiresAtSeconds = Number(expires)
  if (plain[0] === FILE_CLAIMS)
    return { kind: "file", linkId: bytesToId(subject), userId, fileId: bytesToId(contents), expiresAtSeconds }
  if (plain[0] === SELECTION_CLAIMS)
    return { kind: "selection", selectionId: bytesToId(subject), userId, contents: toHex(contents), expiresAtSeconds }
  return null
}
