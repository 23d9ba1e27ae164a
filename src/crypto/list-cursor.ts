// Cursors of lists: where a page ended, signed together with whose list it is and how it is sorted and filtered. A
// cursor therefore continues the list that it came from and no other. It is not encrypted: it holds what the page showed.
import { type Bytes, concatBytes, encodeParts, equalBytes, fromBase64url, toBase64url, utf8 } from "./bytes.ts"
import { type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"

const DOMAIN = utf8("sealpost/list-cursor/v1")
const MAC_BYTES = 16

/** A key of its own, derived from the ring that seals handles. */
export async function importCursorKey(raw: Bytes): Promise<CryptoKey> {
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 } as const
  return crypto.subtle.deriveKey(hkdf(DOMAIN), await importHkdfKey(raw), hmac, false, ["sign"])
}

async function macOf(key: CryptoKey, context: readonly string[], position: string): Promise<Bytes> {
  const mac = await crypto.subtle.sign("HMAC", key, concatBytes(DOMAIN, encodeParts([...context, position])))
  return new Uint8Array(mac).slice(0, MAC_BYTES)
}

/** base64url(kid (1) ‖ mac (16) ‖ position in UTF-8) */
export async function sealCursor(keys: KeyRing<CryptoKey>, context: readonly string[], position: string): Promise<string> {
  return toBase64url(concatBytes(Uint8Array.of(keys.currentId), await macOf(keys.current, context, position), utf8(position)))
}

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** The position; null for everything that was not sealed here in this very context. */
export async function openCursor(keys: KeyRing<CryptoKey>, context: readonly string[], cursor: string): Promise<string | null> {
  const bytes = fromBase64url(cursor)
  const key = keys.byId.get(bytes?.[0] ?? 0)
  if (bytes === null || key === undefined || bytes.length <= 1 + MAC_BYTES) return null
  const position = decode(bytes.subarray(1 + MAC_BYTES))
  if (position === null) return null
  return equalBytes(await macOf(key, context, position), bytes.subarray(1, 1 + MAC_BYTES)) ? position : null
}
