// Cutting a document into parts, sealing each and handing it to R2. With content.ts the place where keys and stored
// bytes meet: whatever is written to storage is sealed here first. Knows nothing of files, names or owners.
import type { Bytes } from "../crypto/bytes.ts"
import type { FileVersion } from "../crypto/file-key.ts"
import { PART_BYTES, partAssociatedData, streamBytes } from "../crypto/sealed-format.ts"
import { sealStream } from "../crypto/sealed-stream.ts"
import { AppError } from "../errors.ts"
import type { StoredPart } from "../blobs/store.ts"
import type { MemoryLease } from "./memory.ts"
import type { Powers } from "./powers.ts"

export type Part = { plaintext: Bytes; isLast: boolean }

/** The buffers of an upload: a part as it came, and sealed; and, where asked for, one to keep things in beside them. */
export type PartBuffers = { plain: Bytes; sealed: Bytes; beside: Bytes }

/**
 * Room for a part of an upload of at most that size. Rounded up to a power of two, so that buffers of small
 * uploads have few different sizes and are reused.
 */
function bufferBytes(atMostBytes: number): number {
  return Math.min(PART_BYTES, 2 ** Math.ceil(Math.log2(Math.max(64 * 1024, atMostBytes))))
}

/**
 * A share of memory for an upload of at most that many bytes, its buffers already borrowed.
 * @param besideBytes - how much room it wants besides, if it may have more than one part
 * @throws AppError `busy`
 */
export async function admitUpload(
  deps: Pick<Powers, "memory">,
  atMostBytes: number,
  besideBytes = 0,
): Promise<{ lease: MemoryLease; buffers: PartBuffers }> {
  const plainBytes = bufferBytes(atMostBytes)
  const sealedBytes = streamBytes(plainBytes)
  const roomBytes = atMostBytes > PART_BYTES ? besideBytes : 0
  const lease = await deps.memory.admit(plainBytes + sealedBytes + roomBytes)
  const borrow = (lengthBytes: number): Bytes => new Uint8Array(lease.borrow(lengthBytes))
  return { lease, buffers: { plain: borrow(plainBytes), sealed: borrow(sealedBytes), beside: borrow(roomBytes) } }
}

/**
 * Cuts a stream into parts of PART_BYTES. A full part is held back until more arrives or the stream ends,
 * because its seal says whether it is the last. All parts share `buffer`: use each before asking for more.
 * @param buffer - as long as a part, or as the whole stream where that is shorter
 * @param filledBytes - how much of the first part stands in the buffer already
 * @param tooMany - what to throw when more than `maxBytes` come (default: `payload_too_large`)
 */
export async function* cutIntoParts(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  buffer: Bytes = new Uint8Array(PART_BYTES),
  filledBytes = 0,
  tooMany = (): AppError => tooLarge(maxBytes),
): AsyncGenerator<Part, void> {
  let filled = filledBytes
  let total = 0
  for await (const chunk of chunks) {
    total += chunk.length
    if (total > maxBytes) throw tooMany()
    for (let taken = 0; taken < chunk.length;) {
      if (filled === buffer.length) {
        if (filled < PART_BYTES) throw new RangeError("the stream is longer than it was said to be")
        yield { plaintext: buffer, isLast: false }
        filled = 0
      }
      const piece = chunk.subarray(taken, taken + buffer.length - filled)
      buffer.set(piece, filled)
      filled += piece.length
      taken += piece.length
    }
  }
  yield { plaintext: buffer.subarray(0, filled), isLast: true }
}

export const tooLarge = (maxBytes: number): AppError =>
  new AppError("payload_too_large", { detail: `The file is larger than ${String(maxBytes)} bytes, the most that is taken here.` })

/** A part on its way to R2: its place in the document, and its number there. */
export type PlacedPart = Part & { index: number; number: number }

export type PartWriter = ReturnType<typeof createPartWriter>

/**
 * Seals parts into `sealed` and puts them into a multipart object. While one is on its way, the caller may fill its
 * plaintext buffer again; the next one waits for the sealed buffer.
 * @param stored - done with each part once R2 has it, before the next one is put
 */
export function createPartWriter(
  deps: Pick<Powers, "blobs">,
  object: { objectKey: string; multipartId: string },
  seal: { fileKey: CryptoKey; version: FileVersion },
  sealed: Bytes,
  stored: (part: StoredPart, placed: { index: number; isLast: boolean }) => Promise<void> | void,
) {
  let storing: Promise<void> = Promise.resolve()

  async function store(place: Omit<PlacedPart, "plaintext">, bytes: Uint8Array): Promise<void> {
    const part = await deps.blobs.putPart(object.objectKey, object.multipartId, place.number, bytes)
    await stored(part, place)
  }

  return {
    /** Done when the plaintext is sealed. Throws what the part before it met. */
    async write({ plaintext, ...place }: PlacedPart): Promise<void> {
      await storing
      const associatedData = partAssociatedData({ ...seal.version, partIndex: place.index, isLastPart: place.isLast })
      storing = store(place, await sealStream(seal.fileKey, associatedData, plaintext, sealed))
      storing.catch(() => undefined)
    },
    /** Done when R2 has every part; throws what the last one met. */
    finish: (): Promise<void> => storing,
    /** Done when nothing reads the sealed buffer any more, whatever happened. */
    idle: (): Promise<void> => storing.catch(() => undefined),
  }
}
