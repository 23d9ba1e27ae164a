// The bytes of stored files. With uploads.ts and parts.ts the only place where keys and stored bytes meet: whoever wants to
// know how plaintext can come out of storage reads this file. What does not open exactly is `integrity_failure`:
// never a wrong byte, never a fallback.
import { fromHex } from "../crypto/bytes.ts"
import { unwrapFileKey } from "../crypto/file-key.ts"
import {
  FORMAT_VERSION,
  HEADER_BYTES,
  PART_BYTES,
  SEGMENT_BYTES,
  partCount,
  planRange,
  sealedFileBytes,
} from "../crypto/sealed-format.ts"
import { type SealedFile, type SealedReader, createSealedReader } from "../crypto/sealed-reader.ts"
import { SealBrokenError } from "../crypto/sealed-stream.ts"
import { runBatch } from "../db/client.ts"
import type { BlobRow } from "../db/files.ts"
import { AppError } from "../errors.ts"
import type { ByteSource } from "../office/byte-source.ts"
import { auditEvent } from "./audit.ts"
import type { MemoryLease } from "./memory.ts"
import type { Powers } from "./powers.ts"

export type ContentDeps = Pick<Powers, "db" | "blobs" | "keys" | "memory" | "now" | "request" | "afterwards" | "log">

/** Bytes of the file from `start` up to, not including, `end`; or bytes as they are, e.g. framing between ranges. */
export type Piece = { start: number; end: number } | Uint8Array

/** Segments alive in one download: half of them sealed, half of them open. */
const MAX_SEGMENTS = 8
const MIN_SEGMENTS = 2

/** Notes for operator and audit that stored bytes or keys are damaged, and returns what the caller may know. */
async function unreadable(deps: ContentDeps, blob: BlobRow, reason: string): Promise<AppError> {
  deps.log("file_unreadable", { fileId: blob.fileId, version: blob.version, reason })
  await runBatch(deps.db, [auditEvent(deps, "file.unreadable", null, blob.fileId)])
  return new AppError("integrity_failure", { detail: "The stored file is damaged and was not sent.", reason })
}

/**
 * Unwraps a file's key and checks that the row makes sense, before anything is read.
 * @throws AppError `key_unavailable` when its master key is not configured, `integrity_failure` when it was tampered with
 */
async function unlock(deps: ContentDeps, blob: BlobRow): Promise<SealedFile> {
  const version = { fileId: blob.fileId, fileVersion: blob.version }
  const wrappedKey = fromHex(blob.wrappedKey)
  const commitment = fromHex(blob.commitment)
  const isSane =
    blob.format === FORMAT_VERSION &&
    blob.sealedBytes === sealedFileBytes(blob.sizeBytes) &&
    blob.parts === partCount(blob.sizeBytes)
  if (!isSane || wrappedKey === null || commitment === null) throw await unreadable(deps, blob, "row")
  const fileKey = await unwrapFileKey(deps.keys.masterKeys, version, { keyId: blob.keyId, wrappedKey, commitment })
  if (fileKey === "unknown_key") {
    deps.log("master_key_missing", { keyId: blob.keyId, remedy: "add this key id to MASTER_KEYS again" })
    throw new AppError("key_unavailable", {
      detail: "The key for this file is not available at the moment.",
      reason: "unknown key id",
    })
  }
  if (fileKey === "broken") throw await unreadable(deps, blob, "wrapped key")
  return { fileKey, version, sizeBytes: blob.sizeBytes }
}

/** Reads a part's header. The object's size is checked by the read of the run itself. */
async function readHeader(deps: ContentDeps, blob: BlobRow, offset: number): Promise<Uint8Array<ArrayBuffer>> {
  const stored = await deps.blobs.read(blob.objectKey, offset, HEADER_BYTES)
  return stored === null ? new Uint8Array(0) : new Uint8Array(await new Response(stored.body).arrayBuffer())
}

/**
 * Opens a range: at most two reads of R2, for exactly the segments that it touches. The size check comes first,
 * because a cut object could otherwise serve ranges that never reach its end.
 */
async function openRange(
  deps: ContentDeps,
  blob: BlobRow,
  sealed: SealedFile,
  range: { start: number; end: number },
  buffer: ArrayBuffer,
) {
  const plan = planRange(blob.sizeBytes, range.start, range.end)
  const [header, stored] = await Promise.all([
    plan.headerOffset === null ? undefined : readHeader(deps, blob, plan.headerOffset),
    deps.blobs.read(blob.objectKey, plan.offset, plan.lengthBytes),
  ])
  if (stored === null) throw await unreadable(deps, blob, "object missing")
  if (stored.sizeBytes !== blob.sealedBytes) {
    await stored.body.cancel()
    throw await unreadable(deps, blob, "object size")
  }
  return createSealedReader(sealed, plan, stored.body, buffer, header)
}

/** Parts that one read of R2 covers, from the first one on; the last number stays. */
const PARTS_PER_READ = [1, 2, 4, 8]

/**
 * Cuts a range at part boundaries into what single reads of R2 fetch: little at first, so that the first byte
 * does not wait for a large read to be set up, then more.
 */
export function* readsOf(range: { start: number; end: number }): Generator<{ start: number; end: number }, void> {
  let start = range.start
  for (let i = 0; ; i++) {
    const parts = PARTS_PER_READ[Math.min(i, PARTS_PER_READ.length - 1)] ?? 1
    const end = Math.min(range.end, (Math.floor(start / PART_BYTES) + parts) * PART_BYTES)
    yield { start, end }
    if (end === range.end) return
    start = end
  }
}

/** The plaintext of a range, run by run, each run read while the one before it is being used. */
async function* plaintextOf(
  deps: ContentDeps,
  blob: BlobRow,
  sealed: SealedFile,
  range: { start: number; end: number },
  lease: MemoryLease,
) {
  const bufferBytes = Math.max(1, Math.floor(Math.min(MAX_SEGMENTS, lease.bytes / SEGMENT_BYTES) / 2)) * SEGMENT_BYTES
  let buffer = lease.borrow(bufferBytes)
  let reader: SealedReader | undefined
  try {
    for (const part of readsOf(range)) {
      reader = await openRange(deps, blob, sealed, part, buffer)
      await reader.read()
      for (let run = await reader.open(); run !== null;) {
        const reading = reader.read()
        reading.catch(() => undefined)
        yield run
        await reading
        run = await reader.open()
      }
      buffer = await reader.close()
      reader = undefined
    }
  } catch (error) {
    throw error instanceof SealBrokenError
      ? await unreadable(deps, blob, `bytes ${String(range.start)} to ${String(range.end)}`)
      : error
  } finally {
    lease.giveBack(reader === undefined ? buffer : await reader.close())
  }
}

type Run = readonly Uint8Array[]

async function* contentOf(
  deps: ContentDeps,
  blob: BlobRow,
  sealed: SealedFile,
  pieces: readonly Piece[],
  lease: MemoryLease,
): AsyncGenerator<Run, void> {
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) yield [piece]
    else yield* plaintextOf(deps, blob, sealed, piece, lease)
  }
}

/** Hears how the sending goes. */
export type ContentWatch = {
  progress: () => void
  /** The stream is over, whole or broken off. */
  ended: (sentBytes: number) => Promise<void>
}

/**
 * Opens a file for sending. When this returns, key, size and the first segments have proven genuine; a later
 * one that does not breaks the stream off, so what has arrived by then is a true beginning.
 * @param pieces - what to send, in order (default: the whole file)
 * @throws AppError `integrity_failure`, `key_unavailable`, or `busy` when too many transfers are running
 */
export async function openContent(
  deps: ContentDeps,
  blob: BlobRow,
  pieces: readonly Piece[] = [{ start: 0, end: blob.sizeBytes }],
  watch?: ContentWatch,
): Promise<ReadableStream<Uint8Array>> {
  const sealed = await unlock(deps, blob)
  const lease = await deps.memory.admit(MIN_SEGMENTS * SEGMENT_BYTES, MAX_SEGMENTS * SEGMENT_BYTES)
  const content = contentOf(deps, blob, sealed, pieces, lease)
  try {
    const first = await content.next()
    const lengthBytes = pieces.reduce(
      (sum, piece) => sum + (piece instanceof Uint8Array ? piece.length : piece.end - piece.start),
      0,
    )
    const { readable, writable } = new FixedLengthStream(lengthBytes)
    deps.afterwards(pump(first, content, writable, lease, watch))
    return readable
  } catch (error) {
    lease.release()
    throw error
  }
}

/** The whole plaintext, run by run, within a share of memory that the caller has. */
export async function readContent(deps: ContentDeps, blob: BlobRow, lease: MemoryLease): Promise<AsyncGenerator<Run, void>> {
  return plaintextOf(deps, blob, await unlock(deps, blob), { start: 0, end: blob.sizeBytes }, lease)
}

async function pump(
  first: IteratorResult<Run, void>,
  content: AsyncGenerator<Run, void>,
  writable: WritableStream<Uint8Array>,
  lease: MemoryLease,
  watch: ContentWatch | undefined,
): Promise<void> {
  const writer = writable.getWriter()
  let sentBytes = 0
  const send = async (bytes: Uint8Array): Promise<void> => {
    // Taken when it was read on the other side, not when it was queued. Its length first: the buffer may be gone then.
    const { length } = bytes
    await writer.write(bytes)
    sentBytes += length
  }
  try {
    for (let next = first; next.done !== true; next = await content.next()) {
      await Promise.all(next.value.map(send))
      watch?.progress()
    }
    await writer.close()
  } catch (error) {
    // Damage further in (noted already), or a receiver who hung up: either way nothing more may go out.
    await writer.abort(error).catch(() => undefined)
  } finally {
    await content.return().catch(() => undefined)
    lease.release()
    await watch?.ended(sentBytes)
  }
}

/**
 * Random access to a sealed file's plaintext, for checking a document before it is published.
 * @param lease - the upload's own share, with room for a run of segments
 */
export async function contentSource(deps: ContentDeps, blob: BlobRow, lease: MemoryLease): Promise<ByteSource> {
  const sealed = await unlock(deps, blob)
  return {
    sizeBytes: blob.sizeBytes,
    async read(offset, lengthBytes) {
      const plaintext = new Uint8Array(lengthBytes)
      if (lengthBytes === 0) return plaintext
      let filled = 0
      for await (const run of plaintextOf(deps, blob, sealed, { start: offset, end: offset + lengthBytes }, lease)) {
        for (const bytes of run) {
          plaintext.set(bytes, filled)
          filled += bytes.length
        }
      }
      return plaintext
    },
  }
}
