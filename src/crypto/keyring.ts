// Key rings: several 256-bit keys of one purpose, each with an id from 1 to 255, the first one current.
// Text form: `2:<43 base64url characters>,1:<…>`. New data is made under the current key; the others only read.
import { type Bytes, fromBase64url, randomBytes, toBase64url } from "./bytes.ts"

export type KeyId = number
export type KeyRing<K> = { readonly currentId: KeyId; readonly current: K; readonly byId: ReadonlyMap<KeyId, K> }

export const KEY_BYTES = 32

/** What is wrong with a key ring's text; said to the operator, so it never quotes key material. */
export type KeyRingFault =
  | "empty"
  | "malformed entry"
  | "key id not a whole number from 1 to 255"
  | "key not 32 bytes of base64url"
  | "duplicate key id"
  | "duplicate key"
  | "key not random"

/** Parses the text form. Returns the fault instead of throwing: config.ts gathers all of them. */
export function parseKeyRing(text: string): KeyRing<Bytes> | KeyRingFault {
  if (text.trim() === "") return "empty"
  const byId = new Map<KeyId, Bytes>()
  const seen = new Set<string>()
  for (const entry of text.split(",")) {
    const match = /^\s*([^:\s]+):(\S+)\s*$/.exec(entry)
    if (match?.[1] === undefined || match[2] === undefined) return "malformed entry"
    const id = Number(match[1])
    if (!/^[1-9]\d{0,2}$/.test(match[1]) || id > 255) return "key id not a whole number from 1 to 255"
    const key = fromBase64url(match[2])
    if (key?.length !== KEY_BYTES) return "key not 32 bytes of base64url"
    if (!looksRandom(key)) return "key not random"
    if (byId.has(id)) return "duplicate key id"
    if (seen.has(match[2])) return "duplicate key"
    seen.add(match[2])
    byId.set(id, key)
  }
  const [first] = byId
  if (first === undefined) return "empty"
  return { currentId: first[0], current: first[1], byId }
}

/**
 * Refuses keys that somebody typed: repeated bytes, counting, or printable words. 32 random bytes have
 * fewer than 16 different values, or only printable ASCII, with a probability under 2^-40.
 */
function looksRandom(key: Uint8Array): boolean {
  const steps = new Set(key.map((byte, i) => (byte - (key[i - 1] ?? 0) + 256) % 256))
  return new Set(key).size >= 16 && steps.size >= 8 && key.some((byte) => byte < 0x20 || byte > 0x7e)
}

/** One fresh entry in the text form. */
export const newKeyRingEntry = (id: KeyId): string => `${String(id)}:${toBase64url(randomBytes(KEY_BYTES))}`

/** The same ring with every key turned into another form, e.g. an imported `CryptoKey`. */
export async function mapKeyRing<A, B>(ring: KeyRing<A>, convert: (key: A, id: KeyId) => Promise<B>): Promise<KeyRing<B>> {
  const byId = new Map<KeyId, B>()
  for (const [id, key] of ring.byId) byId.set(id, await convert(key, id))
  const current = byId.get(ring.currentId)
  if (current === undefined) throw new TypeError("a ring holds its current key")
  return { currentId: ring.currentId, current, byId }
}

/** Imports raw key material for HKDF; it can never be read back out of the result. */
export const importHkdfKey = (raw: Bytes): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", raw, "HKDF", false, ["deriveKey", "deriveBits"])

const NO_SALT = new Uint8Array(0)

/** HKDF-SHA-256 (RFC 5869) parameters with an empty salt: the input keys are uniformly random already. */
export const hkdf = (info: Bytes, salt: Bytes = NO_SALT) => ({ name: "HKDF", hash: "SHA-256", salt, info }) as const
