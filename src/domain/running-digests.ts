// SHA-256 of resumable uploads, carried on from one request to the next as long as the same isolate sees them. Nothing
// depends on it: an upload whose digest broke off is read back and hashed when it is complete (resumable-completion.ts).
import { type Hash, createHash } from "node:crypto"

export type RunningDigests = {
  /** The digest of the upload's first `offsetBytes` bytes, for its one user to go on with; null when it is not known. */
  take(uploadId: string, offsetBytes: number): Hash | null
  /** The digest of all of the upload, in hex, if it is known; it stays. */
  sha256Of(uploadId: string, lengthBytes: number): string | null
  /** Keeps the digest of exactly those bytes, all of them stored. */
  keep(uploadId: string, offsetBytes: number, digest: Hash): void
}

/** A few hundred bytes each. */
const MAX_KEPT = 256

export function createRunningDigests(): RunningDigests {
  const kept = new Map<string, { offsetBytes: number; digest: Hash }>()
  return {
    take(uploadId, offsetBytes) {
      if (offsetBytes === 0) return createHash("sha256")
      const found = kept.get(uploadId)
      if (found?.offsetBytes !== offsetBytes) return null
      kept.delete(uploadId)
      return found.digest
    },
    sha256Of(uploadId, lengthBytes) {
      const found = kept.get(uploadId)
      return found?.offsetBytes === lengthBytes ? found.digest.copy().digest("hex") : null
    },
    keep(uploadId, offsetBytes, digest) {
      kept.delete(uploadId)
      kept.set(uploadId, { offsetBytes, digest })
      const [oldest] = kept.keys()
      if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest)
    },
  }
}
