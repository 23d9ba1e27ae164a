// Names for things that must be recognised but not kept: addresses of people and networks, in counters and
// lists of known places. Keyed, because network addresses are few enough to try them all.
import { concatBytes, encodeParts, toHex, utf8 } from "./bytes.ts"
import type { KeyRing } from "./keyring.ts"

const DOMAIN = utf8("sealpost/pseudonym/v1")
const PSEUDONYM_BYTES = 16

/**
 * 128 bits in hex that stand for the parts. Changes with the current pepper: counters then start anew and known
 * places are forgotten, which costs nobody more than a wait.
 */
export async function pseudonym(peppers: KeyRing<CryptoKey>, ...parts: readonly string[]): Promise<string> {
  const mac = await crypto.subtle.sign("HMAC", peppers.current, concatBytes(DOMAIN, encodeParts(parts)))
  return toHex(new Uint8Array(mac).subarray(0, PSEUDONYM_BYTES))
}
