// The end of a ZIP (APPNOTE 6.3.10 sections 4.3.14 to 4.3.16): where the central directory is. Everything behind
// the directory must be its own end records and one comment, so that all readers find the same directory.
import { uint64, view } from "./binary.ts"
import type { ByteSource } from "./byte-source.ts"
import { DocumentFault } from "./fault.ts"

const END = 0x06054b50
const ZIP64_END = 0x06064b50
const ZIP64_LOCATOR = 0x07064b50
const END_BYTES = 22
const ZIP64_LOCATOR_BYTES = 20
const ZIP64_END_BYTES = 56
/** A header of the directory without its name. */
const CENTRAL_BYTES = 46
const MAX_COMMENT_BYTES = 0xffff
const ALL_ONES_16 = 0xffff
const ALL_ONES_32 = 0xffffffff

/** A presentation of thousands of slides has some ten entries a slide. */
export const MAX_ENTRIES = 100_000
export const MAX_DIRECTORY_BYTES = 16 * 1024 * 1024

export type DirectoryPlace = { entries: number; offset: number; bytes: number }

type EndRecord = DirectoryPlace & { at: number }

/**
 * @throws DocumentFault `truncated`, `trailing_data`, `two_directories`, `split_archive`, `too_many_entries`,
 *   `bad_directory`
 */
export async function findDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const tailBytes = Math.min(source.sizeBytes, END_BYTES + MAX_COMMENT_BYTES)
  const tailStart = source.sizeBytes - tailBytes
  const tail = view(await source.read(tailStart, tailBytes))
  const end = findEnd(tail, tailStart)
  const locator = await readLocator(source, end.at)
  if (locator === null && (end.bytes === ALL_ONES_32 || end.offset === ALL_ONES_32)) throw new DocumentFault("bad_directory")
  const place = locator === null ? end : await readZip64End(source, locator, end)
  const after = locator === null ? end.at : locator.recordOffset
  // A number of entries or bytes that cannot be is damaged; only one that can be is too large.
  const isPossible = place.offset + place.bytes === after && place.entries * CENTRAL_BYTES <= place.bytes
  if (!isPossible) throw new DocumentFault("bad_directory")
  if (place.entries > MAX_ENTRIES || place.bytes > MAX_DIRECTORY_BYTES) throw new DocumentFault("too_many_entries")
  requireOneEnd(tail, Math.max(0, after - tailStart), end.at - tailStart)
  return { entries: place.entries, offset: place.offset, bytes: place.bytes }
}

function findEnd(tail: DataView, tailStart: number): EndRecord {
  let hasEarlierEnd = false
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue
    const behind = tail.byteLength - (at + END_BYTES + tail.getUint16(at + 20, true))
    // Bytes behind what the comment's length covers: another reader takes this end record, we take none.
    if (behind > 0) hasEarlierEnd = true
    if (behind !== 0) continue
    const disks = [tail.getUint16(at + 4, true), tail.getUint16(at + 6, true)]
    const entries = tail.getUint16(at + 10, true)
    if (disks.some((disk) => disk !== 0 && disk !== ALL_ONES_16) || tail.getUint16(at + 8, true) !== entries) {
      throw new DocumentFault("split_archive")
    }
    return { at: tailStart + at, entries, bytes: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true) }
  }
  throw new DocumentFault(hasEarlierEnd ? "trailing_data" : "truncated")
}

/** A second end record behind the directory, e.g. in the comment, is one that some readers would believe. */
function requireOneEnd(tail: DataView, from: number, at: number): void {
  for (let i = from; i + 4 <= tail.byteLength; i++) {
    if (i !== at && tail.getUint32(i, true) === END) throw new DocumentFault("two_directories")
  }
}

type Locator = { at: number; recordOffset: number }

async function readLocator(source: ByteSource, endOffset: number): Promise<Locator | null> {
  const at = endOffset - ZIP64_LOCATOR_BYTES
  if (at < 0) return null
  const data = view(await source.read(at, ZIP64_LOCATOR_BYTES))
  if (data.getUint32(0, true) !== ZIP64_LOCATOR) return null
  if (data.getUint32(4, true) !== 0 || data.getUint32(16, true) > 1) throw new DocumentFault("split_archive")
  return { at, recordOffset: uint64(data, 8) }
}

/** Where the plain end record has a number and not all ones, both must say the same. */
async function readZip64End(source: ByteSource, locator: Locator, end: EndRecord): Promise<DirectoryPlace> {
  // The record without its extensible data, which nobody writes, stands directly before the locator.
  if (locator.recordOffset + ZIP64_END_BYTES !== locator.at) throw new DocumentFault("bad_directory")
  const record = view(await source.read(locator.recordOffset, ZIP64_END_BYTES))
  if (record.getUint32(0, true) !== ZIP64_END || uint64(record, 4) !== ZIP64_END_BYTES - 12) {
    throw new DocumentFault("bad_directory")
  }
  if (record.getUint32(16, true) !== 0 || record.getUint32(20, true) !== 0) throw new DocumentFault("split_archive")
  const place = { entries: uint64(record, 32), bytes: uint64(record, 40), offset: uint64(record, 48) }
  const agrees =
    uint64(record, 24) === place.entries &&
    (end.entries === ALL_ONES_16 || end.entries === place.entries) &&
    (end.bytes === ALL_ONES_32 || end.bytes === place.bytes) &&
    (end.offset === ALL_ONES_32 || end.offset === place.offset)
  if (!agrees) throw new DocumentFault("bad_directory")
  return place
}
