// Small parts of a document that is streaming by, kept for the check at its end: reading hundreds of them back, each from
// another place of a sealed object, would cost more than all of the check. Only a cache of true bytes by their offset: what
// is not in it is read, and nothing is decided here.
import { Buffer } from "node:buffer"
import type { ByteSource } from "../office/byte-source.ts"

/** As much as a check reads of a large document (office/archive.ts). */
export const SEEN_BYTES = 1024 * 1024
/** Of an entry with its header; larger ones are few. */
const MAX_ENTRY_BYTES = 16 * 1024
/** Headers that are looked at; a hostile file could be made of nothing else. */
const MAX_HEADERS = 50_000

const LOCAL_HEADER = "PK\u0003\u0004"
const LOCAL_BYTES = 30
const DESCRIPTOR_FLAG = 0x0008
/** Parts that a check reads. */
const READ_NAME = /\.(?:xml|rels)$/i

type Kept = { offset: number; at: number; lengthBytes: number }

export type SeenEntries = ReturnType<typeof createSeenEntries>

/** @param buffer - where to keep them; it bounds how much */
export function createSeenEntries(buffer: Uint8Array<ArrayBuffer>) {
  const kept: Kept[] = []
  let usedBytes = 0
  let headers = 0

  function find(offset: number, lengthBytes: number): Kept | undefined {
    let low = 0
    for (let high = kept.length; low < high;) {
      const middle = (low + high) >>> 1
      if ((kept[middle]?.offset ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    const found = kept[low - 1]
    return found !== undefined && offset + lengthBytes <= found.offset + found.lengthBytes ? found : undefined
  }

  return {
    /** Looks through the next bytes of the document, which begin at `offset`. An entry that is cut by their end is left out. */
    see(plaintext: Uint8Array<ArrayBuffer>, offset: number): void {
      const bytes = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.length)
      for (let at = bytes.indexOf(LOCAL_HEADER, 0, "latin1"); at >= 0;) {
        if (++headers > MAX_HEADERS || usedBytes === buffer.length) return
        const lengthBytes = smallEntryBytes(bytes, at)
        if (lengthBytes > 0 && usedBytes + lengthBytes <= buffer.length) {
          buffer.set(bytes.subarray(at, at + lengthBytes), usedBytes)
          kept.push({ offset: offset + at, at: usedBytes, lengthBytes })
          usedBytes += lengthBytes
        }
        at = bytes.indexOf(LOCAL_HEADER, at + Math.max(LOCAL_HEADER.length, lengthBytes), "latin1")
      }
    },
    /** The same document, read from what was kept where that is enough. */
    over: (source: ByteSource): ByteSource => ({
      sizeBytes: source.sizeBytes,
      read(offset, lengthBytes) {
        const found = find(offset, lengthBytes)
        if (found === undefined) return source.read(offset, lengthBytes)
        const start = found.at + offset - found.offset
        return Promise.resolve(buffer.slice(start, start + lengthBytes))
      },
    }),
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
