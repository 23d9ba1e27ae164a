// Where the entries of a ZIP lie: from the first byte to the directory without overlaps, and with nothing between
// them that their own headers do not explain. Local headers must say what the directory says (APPNOTE 6.3.10
// sections 4.3.7 and 4.3.9), or a reader that goes through the file would find another document than we do.
import { uint64, view } from "./binary.ts"
import type { ByteSource } from "./byte-source.ts"
import { DocumentFault } from "./fault.ts"
import { type ZipDirectory, type ZipEntry, MAX_VERSION_NEEDED, parseExtraFields, saysTheSame } from "./zip-directory.ts"

const LOCAL_HEADER = 0x04034b50
const LOCAL_BYTES = 30
const DESCRIPTOR = 0x08074b50
/** A data descriptor: sizes of 32 or 64 bits, with or without its signature. */
const DESCRIPTOR_BYTES = [12, 16, 20, 24]
const ENCRYPTION_FLAGS = 0x2041
const DESCRIPTOR_FLAG = 0x0008
const EXTRA_ZIP64 = 0x0001
const EXTRA_UNICODE_PATH = 0x7075
const ALL_ONES_32 = 0xffffffff
const NO_BYTES = new Uint8Array(0)

/** An entry with the bytes that are its own: from its header to the next entry or the directory. */
export type PlacedEntry = { entry: ZipEntry; endOffset: number }

/** Bytes between an entry's name and data and the next entry: its local extra field and its descriptor. */
export const slackBytes = ({ entry, endOffset }: PlacedEntry): number =>
  endOffset - (entry.headerOffset + LOCAL_BYTES + entry.nameBytes.length + entry.compressedBytes)

/**
 * All entries in the order in which they lie.
 * @throws DocumentFault `prefix_data`, `overlapping_entries`
 */
export function placeEntries({ entries, offset }: ZipDirectory): PlacedEntry[] {
  const sorted = entries.toSorted((a, b) => a.headerOffset - b.headerOffset)
  const first = sorted[0]
  if (first === undefined) return []
  if (first.headerOffset !== 0) throw new DocumentFault("prefix_data", first.name)
  return sorted.map((entry, i) => {
    const placed = { entry, endOffset: sorted[i + 1]?.headerOffset ?? offset }
    if (slackBytes(placed) < 0) throw new DocumentFault("overlapping_entries", entry.name)
    return placed
  })
}

/**
 * Holds an entry's local header and descriptor against the directory.
 * @returns where its data begins
 * @throws DocumentFault `local_header_differs`, `hidden_bytes`, `overlapping_entries`
 */
export async function checkLocalHeader(source: ByteSource, placed: PlacedEntry): Promise<number> {
  const { entry, endOffset } = placed
  const header = await source.read(entry.headerOffset, LOCAL_BYTES + entry.nameBytes.length)
  const data = view(header)
  const differs = (): DocumentFault => new DocumentFault("local_header_differs", entry.name)
  if (data.getUint32(0, true) !== LOCAL_HEADER || data.getUint16(8, true) !== entry.method) throw differs()
  const flags = data.getUint16(6, true)
  const hasSameName =
    data.getUint16(26, true) === entry.nameBytes.length && entry.nameBytes.every((byte, i) => byte === header[LOCAL_BYTES + i])
  const isTooNew = (data.getUint16(4, true) & 0xff) > MAX_VERSION_NEEDED
  if ((flags & ENCRYPTION_FLAGS) !== 0 || isTooNew || !hasSameName) throw differs()
  const extraBytes = data.getUint16(28, true)
  const slack = slackBytes(placed)
  if (extraBytes > slack) throw new DocumentFault("overlapping_entries", entry.name)
  const extraOffset = entry.headerOffset + LOCAL_BYTES + entry.nameBytes.length
  const extra = parseExtraFields(extraBytes === 0 ? NO_BYTES : await source.read(extraOffset, extraBytes), entry.name)
  const secondName = extra.get(EXTRA_UNICODE_PATH)?.subarray(5)
  if (secondName !== undefined && !isEqual(secondName, entry.nameBytes)) throw differs()
  const hasDescriptor = (flags & DESCRIPTOR_FLAG) !== 0
  const zip64 = extra.get(EXTRA_ZIP64)
  if (!agree(entry, localSizes(data, zip64), hasDescriptor)) throw differs()
  // Values that the field need not hold: some writers leave room for them and put 0.
  const isRepeated = zip64 === undefined || zip64.every((byte) => byte === 0)
  if (!isRepeated && !saysTheSame(view(zip64), [entry.plainBytes, entry.compressedBytes])) throw differs()
  const restBytes = slack - extraBytes
  // Who goes through the file would take the next header for the descriptor.
  if (hasDescriptor && restBytes === 0) throw differs()
  if (restBytes > 0) await checkDescriptor(source, entry, { offset: endOffset - restBytes, bytes: restBytes }, hasDescriptor)
  return extraOffset + extraBytes
}

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

type Sizes = Pick<ZipEntry, "crc32" | "compressedBytes" | "plainBytes">

function localSizes(header: DataView, zip64: Uint8Array | undefined): Sizes {
  const plainBytes = header.getUint32(22, true)
  const compressedBytes = header.getUint32(18, true)
  const field = view(zip64 ?? NO_BYTES)
  // In a local header the field holds both or none (APPNOTE 4.5.3).
  const isLong = (plainBytes === ALL_ONES_32 || compressedBytes === ALL_ONES_32) && field.byteLength >= 16
  return {
    crc32: header.getUint32(14, true),
    plainBytes: isLong && plainBytes === ALL_ONES_32 ? uint64(field, 0) : plainBytes,
    compressedBytes: isLong && compressedBytes === ALL_ONES_32 ? uint64(field, 8) : compressedBytes,
  }
}

/** With a descriptor the header may leave each number 0, or all ones where Zip64 was meant to follow. */
function agree(entry: ZipEntry, local: Sizes, hasDescriptor: boolean): boolean {
  const fits = (here: number, there: number): boolean => here === there || (hasDescriptor && (here === 0 || here === ALL_ONES_32))
  return (
    fits(local.crc32, entry.crc32) &&
    fits(local.compressedBytes, entry.compressedBytes) &&
    fits(local.plainBytes, entry.plainBytes)
  )
}

/** What stands behind the data must be a descriptor, and say what the directory says. */
async function checkDescriptor(
  source: ByteSource,
  entry: ZipEntry,
  place: { offset: number; bytes: number },
  isExpected: boolean,
): Promise<void> {
  if (!isExpected || !DESCRIPTOR_BYTES.includes(place.bytes)) throw new DocumentFault("hidden_bytes", entry.name)
  const data = view(await source.read(place.offset, place.bytes))
  const isSigned = place.bytes === 16 || place.bytes === 24
  const isLong = place.bytes >= 20
  const at = isSigned ? 4 : 0
  const compressedBytes = isLong ? uint64(data, at + 4) : data.getUint32(at + 4, true)
  const plainBytes = isLong ? uint64(data, at + 12) : data.getUint32(at + 8, true)
  const isSame =
    (!isSigned || data.getUint32(0, true) === DESCRIPTOR) &&
    data.getUint32(at, true) === entry.crc32 &&
    compressedBytes === entry.compressedBytes &&
    plainBytes === entry.plainBytes
  if (!isSame) throw new DocumentFault("local_header_differs", entry.name)
}
