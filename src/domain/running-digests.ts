// Digests of resumable uploads, carried on from one request to the next as long as the same isolate sees them. Nothing
// depends on it: an upload whose digest broke off is read back and hashed when it is complete (resumable-completion.ts).
import { type ContentDigests, type RunningDigest, createRunningDigest } from "./digests.ts"

export type RunningDigests = {
  /** The digest of the upload's first `offsetBytes` bytes, for its one user to go on with; null when it is not known. */
  take(uploadId: string, offsetBytes: number): RunningDigest | null
  /** The digests of all of the upload, if they are known; they stay. */
  digestsOf(uploadId: string, lengthBytes: number): ContentDigests | null
  /** Keeps the digest of exactly those bytes, all of them stored. */
  keep(uploadId: string, offsetBytes: number, digest: RunningDigest): void
}

/** A few hundred bytes each. */
const MAX_KEPT = 256

export function createRunningDigests(): RunningDigests {
  const kept = new Map<string, { offsetBytes: number; digest: RunningDigest }>()
  return {
    take(uploadId, offsetBytes) {
      if (offsetBytes === 0) return createRunningDigest()
      const found = kept.get(uploadId)
      if (found?.offsetBytes !== offsetBytes) return null
      kept.delete(uploadId)
      return found.digest
    },
    digestsOf(uploadId, lengthBytes) {
      const found = kept.get(uploadId)
      return found?.offsetBytes === lengthBytes ? found.digest.digests() : null
    },
    keep(uploadId, offsetBytes, digest) {
      kept.delete(uploadId)
      kept.set(uploadId, { offsetBytes, digest })
      const [oldest] = kept.keys()
      if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest)
    },
  }
}
