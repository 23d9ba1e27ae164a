// Digests that a client announces with an upload (RFC 9530), for both kinds of uploads.
import type { ExpectedDigests } from "../domain/digests.ts"
import { AppError } from "../errors.ts"
import { requiredDigests } from "../protocol/digest-fields.ts"

/**
 * The digests in a field. Null where it announces none that can be trusted.
 * @throws AppError `digest_malformed`
 */
export function announcedDigests(headers: Headers, field: string): ExpectedDigests | null {
  const digests = requiredDigests(headers.get(field))
  if (digests.kind === "malformed") {
    throw new AppError("digest_malformed", { detail: `${field} must look like this: sha-256=:<base64 of the 32 bytes>:` })
  }
  return digests.kind === "none" ? null : digests
}

/**
 * The SHA-256 that Repr-Digest announces for a whole resumable upload, or null.
 * @throws AppError `digest_malformed`, also for a digest that could not be checked here: it would be a false comfort
 */
export function requireSha256(headers: Headers): Uint8Array | null {
  const digests = announcedDigests(headers, "Repr-Digest")
  if (digests === null) return null
  if (digests.sha256 === undefined || digests.sha512 !== undefined) {
    throw new AppError("digest_malformed", { detail: "Announce a resumable upload's digest as sha-256 alone." })
  }
  return digests.sha256
}
