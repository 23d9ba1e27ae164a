// Opaque bearer secrets: 256 random bits outside, only their SHA-256 inside. A copy of the database
// cannot be replayed (ASVS 5.0 V7.2, SECURITY row B14). A plain hash is enough for 256 random bits.
import { fromBase64url, randomBytes, toBase64url, toHex } from "./bytes.ts"

const SECRET_BYTES = 32

export const newSecretToken = (): string => toBase64url(randomBytes(SECRET_BYTES))

/** The stored form of a token; null when the text cannot be one of ours. */
export async function hashSecretToken(token: string): Promise<string | null> {
  const bytes = fromBase64url(token)
  if (bytes?.length !== SECRET_BYTES) return null
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)))
}
