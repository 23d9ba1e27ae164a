// The token of the links by which somebody refuses a kind of mail (RFC 8058): it names user and kind, works without a
// login, and opens nothing else. Encrypted and authenticated, so that a forwarded link says of nobody who they are. It has
// no end of its own: a mail may be read years later. With its key it leaves the ring.
import { type Bytes, concatBytes, fromBase64url, randomBytes, toBase64url, utf8 } from "./bytes.ts"
import { type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"
import { bytesToId, idToBytes } from "../ids.ts"

const DOMAIN = utf8("sealpost/unsubscribe/v1")
const IV_BYTES = 12
/** kid (1) ‖ iv (12) ‖ encrypted user id (16) and kind (1) ‖ tag (16) */
const TOKEN_BYTES = 1 + IV_BYTES + 17 + 16

/** A key of its own, derived from the ring that seals handles. */
export async function importUnsubscribeKey(raw: Bytes): Promise<CryptoKey> {
  const gcm = { name: "AES-GCM", length: 256 } as const
  return crypto.subtle.deriveKey(hkdf(DOMAIN), await importHkdfKey(raw), gcm, false, ["encrypt", "decrypt"])
}

const gcm = (iv: Bytes) => ({ name: "AES-GCM", iv, additionalData: DOMAIN }) as const

/** @param kind - a number from 0 to 255 that stands for the kind of mail, for ever */
export async function sealUnsubscribe(
  keys: KeyRing<CryptoKey>,
  { userId, kind }: { userId: string; kind: number },
): Promise<string> {
  if (!Number.isInteger(kind) || kind < 0 || kind > 255) throw new TypeError("a kind is one byte")
  const iv = randomBytes(IV_BYTES)
  const plain = concatBytes(idToBytes(userId), Uint8Array.of(kind))
  const sealed = new Uint8Array(await crypto.subtle.encrypt(gcm(iv), keys.current, plain))
  return toBase64url(concatBytes(Uint8Array.of(keys.currentId), iv, sealed))
}

/** What a token names; null for everything that is not a token of ours. */
export async function openUnsubscribe(keys: KeyRing<CryptoKey>, token: string): Promise<{ userId: string; kind: number } | null> {
  const bytes = fromBase64url(token)
  if (bytes?.length !== TOKEN_BYTES) return null
  const key = keys.byId.get(bytes[0] ?? 0)
  if (key === undefined) return null
  const plain = await crypto.subtle
    .decrypt(gcm(bytes.slice(1, 1 + IV_BYTES)), key, bytes.subarray(1 + IV_BYTES))
    .catch(() => null)
  if (plain === null) return null
  const opened = new Uint8Array(plain)
  return { userId: bytesToId(opened.subarray(0, 16)), kind: opened[16] ?? 0 }
}
