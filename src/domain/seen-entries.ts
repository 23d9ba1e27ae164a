// Small parts of a document that is streaming by, kept for the check at its end: reading hundreds of them back, each from
// another place of a sealed object, would cost more than all of the check. Only a cache of true bytes by their offset: what
// is not in it is read, and nothing is decided here.
import { Buffer } from "node:buffer"
import type { Bytes } from "../crypto/bytes.ts"
import type { ByteSource } from "../office/byte-source.ts"

/** As much as a check reads of a large document (office/archive.ts). */
export const SEEN_BYTES = 1024 * 1024
/** Room is taken in such blocks. */
export const BLOCK_BYTES = 64 * 1024
/** Of an entry with its header; larger ones are few. */
const MAX_ENTRY_BYTES = 16 * 1024
/** Headers that are looked at; a hostile file could be made of nothing else. */
const MAX_HEADERS = 50_000

const LOCAL_HEADER = "PK\u0003\u0004"
const LOCAL_BYTES = 30
const DESCRIPTOR_FLAG = 0x0008
/** Parts that a check reads. */
const READ_NAME = /\.(?:xml|rels)$/i

type Kept = { offset: number; bytes: Bytes }

export type SeenEntries = ReturnType<typeof createSeenEntries>

/** A buffer in blocks, one after the other, until it is used up. */
export function blocksOf(buffer: Bytes): () => Bytes | null {
  let at = 0
  return () => (at < buffer.length ? buffer.subarray(at, (at += BLOCK_BYTES)) : null)
}

/** @param allocate - the next block to keep them in; null when there is no more room */
export function createSeenEntries(allocate: () => Bytes | null) {
  let kept: Kept[] = []
  /** What is left of the last block; null when nothing more is kept. */
  let free: Bytes | null = new Uint8Array(0)
  let headers = 0

  function keep(offset: number, entry: Buffer): void {
    if (free !== null && free.length < entry.length) free = allocate()
    // The last block of a buffer may be short.
    if (free === null || free.length < entry.length) return
    const bytes = free.subarray(0, entry.length)
    bytes.set(entry)
    kept.push({ offset, bytes })
    free = free.subarray(entry.length)
  }

  function find(offset: number, lengthBytes: number): Kept | undefined {
    let low = 0
    for (let high = kept.length; low < high;) {
      const middle = (low + high) >>> 1
      if ((kept[middle]?.offset ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    const found = kept[low - 1]
    return found !== undefined && offset + lengthBytes <= found.offset + found.bytes.length ? found : undefined
  }

  return {
    /** Looks through the next bytes of the document, which begin at `offset`. An entry that is cut by their end is left out. */
    see(plaintext: Uint8Array, offset: number): void {
      const bytes = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.length)
      for (let at = bytes.indexOf(LOCAL_HEADER, 0, "latin1"); at >= 0;) {
        if (++headers > MAX_HEADERS || free === null) return
        const lengthBytes = smallEntryBytes(bytes, at)
        if (lengthBytes > 0) keep(offset + at, bytes.subarray(at, at + lengthBytes))
        at = bytes.indexOf(LOCAL_HEADER, at + Math.max(LOCAL_HEADER.length, lengthBytes), "latin1")
      }
    },
    /** The same document, read from what was kept where that is enough. */
    over: (source: ByteSource): ByteSource => ({
      sizeBytes: source.sizeBytes,
      read(offset, lengthBytes) {
        const found = find(offset, lengthBytes)
        if (found === undefined) return source.read(offset, lengthBytes)
        const start = offset - found.offset
        return Promise.resolve(found.bytes.slice(start, start + lengthBytes))
      },
    }),
    /** Keeps nothing any more, and nothing new. */
    forget(): void {
      kept = []
      free = null
    },
  }
}

/** How long the entry here is with its header, if a check would read it and all of it is there; else 0. */
function smallEntryBytes(bytes: Buffer, at: number): number {
  if (at + LOCAL_BYTES > bytes.length) return 0
  const nameEnd = at + LOCAL_BYTES + bytes.readUInt16LE(at + 26)
  const dataStart = nameEnd + bytes.readUInt16LE(at + 28)
  if (dataStart > bytes.length || dataStart - at > MAX_ENTRY_BYTES) return 0
  if (!READ_NAME.test(bytes.toString("latin1", Math.max(at + LOCAL_BYTES, nameEnd - 5), nameEnd))) return 0
  const sizeBytes = bytes.readUInt32LE(at + 18)
  if (sizeBytes > 0 || (bytes.readUInt16LE(at + 6) & DESCRIPTOR_FLAG) === 0) {
    const lengthBytes = dataStart - at + sizeBytes
    return lengthBytes <= MAX_ENTRY_BYTES && at + lengthBytes <= bytes.length ? lengthBytes : 0
  }
  // Its size stands in a descriptor behind it: as far as the next header.
  const rest = bytes.subarray(dataStart, at + MAX_ENTRY_BYTES).indexOf(LOCAL_HEADER, 0, "latin1")
  return rest < 0 ? 0 : dataStart - at + rest
}
