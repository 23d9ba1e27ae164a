// The bytes of stored files. With uploads.ts and parts.ts the only place where keys and stored bytes meet: whoever wants to
// know how plaintext can come out of storage reads this file. What does not open exactly is `integrity_failure`:
// never a wrong byte, never a fallback.
import { fromHex } from "../crypto/bytes.ts"
import { unwrapFileKey } from "../crypto/file-key.ts"
import {
  FORMAT_VERSION,
  HEADER_BYTES,
  PART_BYTES,
  SEALED_PART_BYTES,
  SEGMENT_BYTES,
  partCount,
  planRange,
  sealedFileBytes,
  segmentsEnd,
} from "../crypto/sealed-format.ts"
import { type PartStream, type SealedFile, type SealedReader, createSealedReader } from "../crypto/sealed-reader.ts"
import { SealBrokenError } from "../crypto/sealed-stream.ts"
import { runBatch } from "../db/client.ts"
import { type BlobRow, findBlobByObjectKey } from "../db/files.ts"
import { AppError } from "../errors.ts"
import { isId } from "../ids.ts"
import type { ByteSource } from "../office/byte-source.ts"
import { ONCE_MS, auditEvent } from "./audit.ts"
import { type ContentWatch, type Run, STALL_MS, deliver } from "./delivery.ts"
import type { MemoryLease } from "./memory.ts"
import type { PartHeader } from "./part-headers.ts"
import type { Powers } from "./powers.ts"
import { toItsEnd } from "./to-its-end.ts"

export type ContentDeps = Pick<
  Powers,
  "db" | "blobs" | "keys" | "memory" | "partHeaders" | "now" | "request" | "afterwards" | "log"
>

/** Bytes of the file from `start` up to, not including, `end`; or bytes as they are, e.g. framing between ranges. */
export type Piece = { start: number; end: number } | Uint8Array

/** The same of any file; bytes as they are also stand between files, e.g. an archive's headers. */
export type FilePiece = { blob: BlobRow; start: number; end: number } | Uint8Array

/** Any text that R2 takes as a key and that uploads could have made. */
const OBJECT_KEY = /^[\w-]{1,255}$/

/** Segments alive in one download: half of them sealed, half of them open. */
const MAX_SEGMENTS = 8
const MIN_SEGMENTS = 2

/** Which check failed; the same words as in scripts/recovery-decryptor.ts. "segment" is a part's header, too. */
export const CONTENT_FAULTS = ["row", "wrapped_key", "commitment", "object_missing", "object_size", "segment"] as const
export type ContentFault = (typeof CONTENT_FAULTS)[number]

/**
 * Notes for operator and audit that stored bytes or keys are damaged, and returns what the caller may know.
 * @param where - more for the log
 */
async function unreadable(
  deps: ContentDeps,
  blob: BlobRow,
  reason: ContentFault,
  where: string | null = null,
): Promise<AppError> {
  deps.log("file_unreadable", { fileId: blob.fileId, version: blob.version, reason, where })
  await runBatch(deps.db, [auditEvent(deps, "file.unreadable", null, blob.fileId, { reason, oncePerMs: ONCE_MS })])
  return new AppError("integrity_failure", { detail: "The stored file is damaged and was not sent.", reason })
}

/** What to say when the object is not there: that is damage, unless the file itself is gone by now. */
async function missing(deps: ContentDeps, blob: BlobRow): Promise<AppError> {
  if ((await findBlobByObjectKey(deps.db, blob.objectKey)) !== undefined) return unreadable(deps, blob, "object_missing")
  return new AppError("not_found", { detail: "There is no such file.", reason: "deleted meanwhile" })
}

const isWholeNumber = (value: unknown, min: number, max: number): boolean =>
  Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max

/** Does the row make sense? Looked at before anything is read for it; whoever edits the database can put anything there. */
const isSane = (blob: BlobRow): boolean =>
  blob.format === FORMAT_VERSION &&
  isId(blob.fileId) &&
  isWholeNumber(blob.version, 0, 0xffff_ffff) &&
  isWholeNumber(blob.sizeBytes, 0, Number.MAX_SAFE_INTEGER) &&
  isWholeNumber(blob.keyId, 1, 255) &&
  /^[0-9a-f]{64}$/.test(blob.sha256) &&
  OBJECT_KEY.test(blob.objectKey) &&
  blob.sealedBytes === sealedFileBytes(blob.sizeBytes) &&
  blob.parts === partCount(blob.sizeBytes)

/** @throws AppError `integrity_failure` for a row that makes no sense */
export async function requireSane(deps: ContentDeps, blob: BlobRow): Promise<void> {
  if (!isSane(blob)) throw await unreadable(deps, blob, "row")
}

/**
 * Unwraps a file's key.
 * @throws AppError `key_unavailable` when its master key is not configured, `integrity_failure` when it was tampered with
 */
async function unlock(deps: ContentDeps, blob: BlobRow): Promise<SealedFile> {
  const version = { fileId: blob.fileId, fileVersion: blob.version }
  const wrappedKey = fromHex(blob.wrappedKey)
  const commitment = fromHex(blob.commitment)
  if (wrappedKey === null || commitment === null) throw await unreadable(deps, blob, "row")
  const fileKey = await unwrapFileKey(deps.keys.masterKeys, version, { keyId: blob.keyId, wrappedKey, commitment })
  if (fileKey === "unknown_key") {
    const remedy = "add this key id to MASTER_KEYS again, or restart the service if it is there"
    deps.log("master_key_missing", { keyId: blob.keyId, remedy })
    const why = { reason: "key_unavailable", oncePerMs: ONCE_MS }
    await runBatch(deps.db, [auditEvent(deps, "file.unreadable", null, blob.fileId, why)])
    throw new AppError("key_unavailable", {
      detail: "The key for this file is not available at the moment.",
      reason: "unknown key id",
    })
  }
  if (typeof fileKey === "string") throw await unreadable(deps, blob, fileKey)
  return { fileKey, version, sizeBytes: blob.sizeBytes }
}

/** Reads a part's header. The object's size is checked by the read of the run itself. */
async function readHeader(deps: ContentDeps, blob: BlobRow, part: number): Promise<PartHeader> {
  const stored = await deps.blobs.read(blob.objectKey, part * SEALED_PART_BYTES, HEADER_BYTES)
  if (stored === null) return { header: new Uint8Array(0), etag: "" }
  const header = { header: new Uint8Array(await new Response(stored.body).arrayBuffer()), etag: stored.etag }
  deps.partHeaders.keep(blob.objectKey, part, header)
  return header
}

/**
 * Opens a range: at most two reads of R2, for exactly the segments that it touches, begun while the file's key may
 * still be being unwrapped. The size check comes first, because a cut object could otherwise serve ranges that never
 * reach its end.
 * @param before - the part that was opened last, whose header is known then
 */
async function openRange(
  deps: ContentDeps,
  blob: BlobRow,
  unlocking: Promise<SealedFile>,
  range: { start: number; end: number },
  buffer: ArrayBuffer,
  before: PartStream | undefined,
) {
  const plan = planRange(blob.sizeBytes, range.start, range.end)
  const part = plan.units[0]?.part ?? 0
  const needsHeader = plan.headerOffset !== null && before?.part !== part
  const reading = deps.blobs.read(blob.objectKey, plan.offset, plan.lengthBytes)
  const [sealed, known, stored] = await Promise.all([
    unlocking,
    needsHeader ? (deps.partHeaders.find(blob.objectKey, part) ?? readHeader(deps, blob, part)) : null,
    reading,
  ]).catch(async (error: unknown) => {
    await (await reading.catch(() => null))?.body.cancel()
    throw error
  })
  if (stored === null) throw await missing(deps, blob)
  if (stored.sizeBytes !== blob.sealedBytes) {
    await stored.body.cancel()
    throw await unreadable(deps, blob, "object_size")
  }
  if (known === null)
    return createSealedReader(sealed, plan, stored.body, buffer, plan.headerOffset === null ? undefined : before)
  const { header } = known.etag === stored.etag ? known : await readHeader(deps, blob, part)
  return createSealedReader(sealed, plan, stored.body, buffer, { header })
}

/** Segments that the first read of R2 covers, and those of a range so short that it is read at once. */
const FIRST_SEGMENTS = 1
const SHORT_SEGMENTS = 4
/** Parts that one read of R2 covers from the second on, the end of a part begun counted; the last number stays. */
const PARTS_PER_READ = [1, 2, 4, 8]

/**
 * Cuts a range at edges of segments, then of parts, into what single reads of R2 fetch: little at first, so that
 * the first byte does not wait for a large read to be set up, then more.
 */
export function* readsOf(range: { start: number; end: number }): Generator<{ start: number; end: number }, void> {
  let start = range.start
  const firstEnd = segmentsEnd(start, FIRST_SEGMENTS)
  if (range.end > segmentsEnd(start, SHORT_SEGMENTS)) {
    yield { start, end: firstEnd }
    start = firstEnd
  }
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
  unlocking: Promise<SealedFile>,
  range: { start: number; end: number },
  lease: MemoryLease,
) {
  const bufferBytes = Math.max(1, Math.floor(Math.min(MAX_SEGMENTS, lease.bytes / SEGMENT_BYTES) / 2)) * SEGMENT_BYTES
  let buffer = lease.borrow(bufferBytes)
  let reader: SealedReader | undefined
  let lastPart: PartStream | undefined
  try {
    for (const part of readsOf(range)) {
      reader = await openRange(deps, blob, unlocking, part, buffer, lastPart)
      await reader.read()
      for (let run = await reader.open(); run !== null;) {
        const reading = reader.read()
        reading.catch(() => undefined)
        yield run
        await reading
        run = await reader.open()
      }
      buffer = await reader.close()
      lastPart = reader.lastPart()
      reader = undefined
    }
  } catch (error) {
    throw error instanceof SealBrokenError
      ? await unreadable(deps, blob, "segment", `bytes ${String(range.start)} to ${String(range.end)}`)
      : error
  } finally {
    lease.giveBack(reader === undefined ? buffer : await reader.close())
  }
}

/** Begins to unwrap a file's key; whoever awaits it hears of a fault, and nobody has to. */
function beginUnlocking(deps: ContentDeps, blob: BlobRow): Promise<SealedFile> {
  const unlocking = unlock(deps, blob)
  unlocking.catch(() => undefined)
  return unlocking
}

async function* contentOf(deps: ContentDeps, pieces: readonly FilePiece[], lease: MemoryLease): AsyncGenerator<Run, void> {
  // Framing goes with the bytes behind it: nothing is sent before the first segment has proven genuine.
  let framing: Uint8Array[] = []
  let current: { blob: BlobRow; unlocking: Promise<SealedFile> } | undefined
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) framing.push(piece)
    else {
      if (current?.blob !== piece.blob) current = { blob: piece.blob, unlocking: beginUnlocking(deps, piece.blob) }
      for await (const run of plaintextOf(deps, piece.blob, current.unlocking, piece, lease)) {
        yield [...framing, ...run]
        framing = []
      }
    }
  }
  if (framing.length > 0) yield framing
}

/** Bytes of an answer made of these pieces. */
const bytesOf = (piece: Piece): number => (piece instanceof Uint8Array ? piece.length : piece.end - piece.start)

/**
 * Opens a file for sending. When this returns, key, size and the first segments have proven genuine; a later
 * one that does not breaks the stream off, so what has arrived by then is a true beginning.
 * @param pieces - what to send, in order (default: the whole file)
 * @param stallMs - how long a receiver may take nothing before the stream is broken off and its memory freed
 * @throws AppError `integrity_failure`, `key_unavailable`, or `busy` when too many transfers are running
 */
export async function openContent(
  deps: ContentDeps,
  blob: BlobRow,
  pieces: readonly Piece[] = [{ start: 0, end: blob.sizeBytes }],
  watch?: ContentWatch,
  stallMs = STALL_MS,
): Promise<ReadableStream<Uint8Array>> {
  await requireSane(deps, blob)
  return openPieces(deps, piecesOf(blob, pieces), watch, stallMs)
}

/** Pieces of a file, with the file. */
export const piecesOf = (blob: BlobRow, pieces: readonly Piece[]): FilePiece[] =>
  pieces.map((piece) => (piece instanceof Uint8Array ? piece : { blob, ...piece }))

/**
 * Opens pieces of several files for sending, one file after the other, in the memory of one download. As
 * {@link openContent}, but only the file that comes first has proven genuine when this returns; of the others it is
 * known that their rows make sense.
 */
export async function openPieces(
  deps: ContentDeps,
  pieces: readonly FilePiece[],
  watch?: ContentWatch,
  stallMs = STALL_MS,
): Promise<ReadableStream<Uint8Array>> {
  for (const piece of pieces) if (!(piece instanceof Uint8Array)) await requireSane(deps, piece.blob)
  const lease = await deps.memory.admit(MIN_SEGMENTS * SEGMENT_BYTES, MAX_SEGMENTS * SEGMENT_BYTES)
  const content = contentOf(deps, pieces, lease)
  try {
    // Goes on when the client hangs up: else nobody may be left to give the share of memory back.
    const first = await toItsEnd(deps, () => content.next())
    const { readable, writable } = new FixedLengthStream(pieces.reduce((sum, piece) => sum + bytesOf(piece), 0))
    deps.afterwards(deliver(first, content, writable, { lease, watch, stallMs }))
    return readable
  } catch (error) {
    lease.release()
    throw error
  }
}

/** The whole plaintext, run by run, within a share of memory that the caller has. */
export async function readContent(deps: ContentDeps, blob: BlobRow, lease: MemoryLease): Promise<AsyncGenerator<Run, void>> {
  await requireSane(deps, blob)
  const unlocking = unlock(deps, blob)
  await unlocking
  return plaintextOf(deps, blob, unlocking, { start: 0, end: blob.sizeBytes }, lease)
}

async function* chunksOf(runs: AsyncIterable<Run>): AsyncGenerator<Uint8Array, void> {
  for await (const run of runs) yield* run
}

/**
 * Hands the whole plaintext to `use`, within a share of memory of its own; each chunk is good until the next is asked for.
 * @throws AppError as {@link openContent}
 */
export async function withContent<T>(
  deps: ContentDeps,
  blob: BlobRow,
  use: (chunks: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const lease = await deps.memory.admit(MIN_SEGMENTS * SEGMENT_BYTES, MAX_SEGMENTS * SEGMENT_BYTES)
  try {
    const chunks = chunksOf(await readContent(deps, blob, lease))
    return await use(chunks).finally(() => chunks.return())
  } finally {
    lease.release()
  }
}

/** Small reads are served out of one such piece: opening a segment for each of them would cost far more. */
const WINDOW_BYTES = 128 * 1024

/**
 * Random access to a sealed file's plaintext, for checking a document before it is published.
 * @param lease - the upload's own share, with room for a run of segments
 */
export async function contentSource(deps: ContentDeps, blob: BlobRow, lease: MemoryLease): Promise<ByteSource> {
  await requireSane(deps, blob)
  const unlocking = unlock(deps, blob)
  await unlocking
  let held = { offset: 0, bytes: new Uint8Array(0) }
  async function open(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const plaintext = new Uint8Array(lengthBytes)
    if (lengthBytes === 0) return plaintext
    let filled = 0
    for await (const run of plaintextOf(deps, blob, unlocking, { start: offset, end: offset + lengthBytes }, lease)) {
      for (const bytes of run) {
        plaintext.set(bytes, filled)
        filled += bytes.length
      }
    }
    return plaintext
  }
  return {
    sizeBytes: blob.sizeBytes,
    async read(offset, lengthBytes) {
      if (lengthBytes >= WINDOW_BYTES / 2) return open(offset, lengthBytes)
      if (offset < held.offset || offset + lengthBytes > held.offset + held.bytes.length) {
        // Half a window before it: the parts that a check reads lie near each other, in any order.
        const start = Math.max(0, offset - (offset % (WINDOW_BYTES / 2)))
        held = { offset: start, bytes: await open(start, Math.min(WINDOW_BYTES, blob.sizeBytes - start)) }
      }
      return held.bytes.subarray(offset - held.offset, offset - held.offset + lengthBytes)
    },
  }
}

/**
 * Hands a sealed file's plaintext to `use` as a stream, within the upload's own share. The stream is over when this
 * returns, whether or not it was read to its end.
 */
export async function withContentStream<T>(
  deps: ContentDeps,
  blob: BlobRow,
  lease: MemoryLease,
  use: (plaintext: ReadableStream<Uint8Array>) => Promise<T>,
): Promise<T> {
  await requireSane(deps, blob)
  const unlocking = unlock(deps, blob)
  await unlocking
  const { readable, writable } = new FixedLengthStream(blob.sizeBytes)
  const writer = writable.getWriter()
  async function pour(): Promise<void> {
    for await (const run of plaintextOf(deps, blob, unlocking, { start: 0, end: blob.sizeBytes }, lease)) {
      for (const bytes of run) await writer.write(bytes)
    }
    await writer.close()
  }
  // What breaks here breaks the stream, and with it whatever reads it.
  const pouring = pour().catch((error: unknown) => writer.abort(error).catch(() => undefined))
  try {
    return await use(readable)
  } finally {
    await writer.abort().catch(() => undefined)
    await pouring
  }
}
