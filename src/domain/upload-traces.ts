// What resumable uploads leave behind in an isolate while they stream by: running digests, and the small parts that the
// check will read. Carried on from one request to the next as long as the same isolate sees them. Nothing depends on it:
// an upload whose trace broke off is read back once when it is complete (resumable-completion.ts).
import type { Bytes } from "../crypto/bytes.ts"
import { type RunningDigest, createRunningDigest } from "./digests.ts"
import { BLOCK_BYTES, SEEN_BYTES, type SeenEntries, createSeenEntries } from "./seen-entries.ts"

export type UploadTrace = { digest: RunningDigest; seen: SeenEntries }

export type UploadTraces = {
  /** A trace of nothing yet, in place of what was there. */
  begin(uploadId: string): UploadTrace
  /** The trace of the upload's first `offsetBytes` bytes, for its one user to go on with; null when it is not known. */
  take(uploadId: string, offsetBytes: number): UploadTrace | null
  /** The trace of all of the upload, if it is known; it stays. */
  find(uploadId: string, lengthBytes: number): UploadTrace | null
  /** Keeps the trace of exactly those bytes, all of them stored. */
  keep(uploadId: string, offsetBytes: number, trace: UploadTrace): void
  /** Nobody will ask for it again. */
  forget(uploadId: string): void
  /** Room that entries seen take, of all uploads together. */
  readonly bytes: number
}

/** Of an isolate. A digest has a few hundred bytes. */
const MAX_TRACES = 256
const MAX_BYTES = 8 * 1024 * 1024

/** `offsetBytes` is null while somebody goes on with it, and stays so when they do not come to an end. */
type Kept = UploadTrace & { offsetBytes: number | null; bytes: number }

export function createUploadTraces(): UploadTraces {
  /** The one that was used last comes last. */
  const kept = new Map<string, Kept>()
  let bytes = 0

  function forget(uploadId: string): void {
    const found = kept.get(uploadId)
    if (found === undefined) return
    kept.delete(uploadId)
    bytes -= found.bytes
    // Also for whoever still goes on with it: the room is no longer its own.
    found.seen.forget()
  }

  /** Room for one more block of an upload, at the cost of those that nobody has used for longest. */
  function allocate(uploadId: string, trace: Kept): Bytes | null {
    if (trace.bytes + BLOCK_BYTES > SEEN_BYTES) return null
    for (const oldest of kept.keys()) {
      if (bytes + BLOCK_BYTES <= MAX_BYTES) break
      if (oldest !== uploadId) forget(oldest)
    }
    bytes += BLOCK_BYTES
    trace.bytes += BLOCK_BYTES
    return new Uint8Array(BLOCK_BYTES)
  }

  function begin(uploadId: string): UploadTrace {
    forget(uploadId)
    const trace: Kept = {
      offsetBytes: null,
      bytes: 0,
      digest: createRunningDigest(),
      seen: createSeenEntries(() => allocate(uploadId, trace)),
    }
    kept.set(uploadId, trace)
    const [oldest] = kept.keys()
    if (kept.size > MAX_TRACES && oldest !== undefined) forget(oldest)
    return trace
  }

  return {
    begin,
    take(uploadId, offsetBytes) {
      if (offsetBytes === 0) return begin(uploadId)
      const found = kept.get(uploadId)
      if (found?.offsetBytes !== offsetBytes) return null
      found.offsetBytes = null
      return found
    },
    find(uploadId, lengthBytes) {
      const found = kept.get(uploadId)
      return found?.offsetBytes === lengthBytes ? found : null
    },
    keep(uploadId, offsetBytes, trace) {
      const found = kept.get(uploadId)
      if (found === undefined || found !== trace) return
      found.offsetBytes = offsetBytes
      kept.delete(uploadId)
      kept.set(uploadId, found)
    },
    forget,
    get bytes() {
      return bytes
    },
  }
}
