// The central directory of a ZIP (APPNOTE 6.3.10 section 4.3.12): names and places of all entries. Whatever a
// document has no use for and archive readers disagree about is refused here.
import { uint64, view } from "./binary.ts"
import type { ByteSource } from "./byte-source.ts"
import { DocumentFault } from "./fault.ts"
import { decodeEntryName } from "./part-name.ts"
import { findDirectory } from "./zip-end.ts"

export type ZipEntry = {
  name: string
  /** The name as it stands there, to hold the local header against. */
  nameBytes: Uint8Array
  isDirectory: boolean
  hasDescriptor: boolean
  method: 0 | 8
  crc32: number
  compressedBytes: number
  plainBytes: number
  headerOffset: number
}

export type ZipDirectory = { entries: ZipEntry[]; offset: number; bytes: number }

const CENTRAL_HEADER = 0x02014b50
const CENTRAL_BYTES = 46
const ALL_ONES_16 = 0xffff
const ALL_ONES_32 = 0xffffffff
/** Bit 0: encrypted, bit 6: strong encryption, bit 13: masked headers. */
const ENCRYPTION_FLAGS = 0x2041
const DESCRIPTOR_FLAG = 0x0008
const UTF8_FLAG = 0x0800
const PATCH_FLAG = 0x0020
/** Of the standard so far (APPNOTE 4.4.3.2: 6.3); readers refuse what needs a later one. */
export const MAX_VERSION_NEEDED = 63
const STORED = 0
const DEFLATED = 8
const AES_METHOD = 99
const EXTRA_ZIP64 = 0x0001
const EXTRA_STRONG_ENCRYPTION = 0x0017
const EXTRA_AES = 0x9901
const EXTRA_UNICODE_PATH = 0x7075
/** File type of a Unix mode: none, a regular file, a directory. Links and devices are none of a document's business. */
const PLAIN_FILE_TYPES = [0, 0o100000, 0o040000]
/** Deflate cannot do better (RFC 1951: at most 258 bytes for two bits). */
const MAX_DEFLATE_RATIO = 1032

/** @throws DocumentFault naming what is wrong with the archive */
export async function readDirectory(source: ByteSource): Promise<ZipDirectory> {
  const place = await findDirectory(source)
  const bytes = await source.read(place.offset, place.bytes)
  const data = view(bytes)
  const entries: ZipEntry[] = []
  let at = 0
  for (let i = 0; i < place.entries; i++) {
    if (at + CENTRAL_BYTES > bytes.length || data.getUint32(at, true) !== CENTRAL_HEADER) throw new DocumentFault("bad_directory")
    const nameEnd = at + CENTRAL_BYTES + data.getUint16(at + 28, true)
    const extraEnd = nameEnd + data.getUint16(at + 30, true)
    const next = extraEnd + data.getUint16(at + 32, true)
    if (next > bytes.length) throw new DocumentFault("bad_directory")
    const nameBytes = bytes.subarray(at + CENTRAL_BYTES, nameEnd)
    entries.push(parseEntry(view(bytes.subarray(at, at + CENTRAL_BYTES)), nameBytes, bytes.subarray(nameEnd, extraEnd)))
    at = next
  }
  if (at !== bytes.length) throw new DocumentFault("bad_directory")
  return { entries, offset: place.offset, bytes: place.bytes }
}

function parseEntry(header: DataView, nameBytes: Uint8Array, extraBytes: Uint8Array): ZipEntry {
  const flags = header.getUint16(8, true)
  const method = header.getUint16(10, true)
  const name = decodeEntryName(nameBytes, (flags & UTF8_FLAG) !== 0)
  const extra = parseExtraFields(extraBytes, name)
  const isEncrypted = (flags & ENCRYPTION_FLAGS) !== 0 || method === AES_METHOD
  if (isEncrypted || extra.has(EXTRA_AES) || extra.has(EXTRA_STRONG_ENCRYPTION)) throw new DocumentFault("encrypted_entry", name)
  const isTooNew = (header.getUint16(6, true) & 0xff) > MAX_VERSION_NEEDED
  if ((method !== STORED && method !== DEFLATED) || (flags & PATCH_FLAG) !== 0 || isTooNew) {
    throw new DocumentFault("unsupported_compression", name)
  }
  const fileType = (header.getUint32(38, true) >>> 16) & 0o170000
  if (!PLAIN_FILE_TYPES.includes(fileType)) throw new DocumentFault("special_entry", name)
  requireSameName(nameBytes, extra.get(EXTRA_UNICODE_PATH), name)
  const sizes = applyZip64(header, extra.get(EXTRA_ZIP64), name)
  const isPossible =
    method === STORED
      ? sizes.compressedBytes === sizes.plainBytes
      : sizes.plainBytes <= sizes.compressedBytes * MAX_DEFLATE_RATIO && (sizes.compressedBytes >= 2 || sizes.plainBytes === 0)
  if (!isPossible) throw new DocumentFault("lying_sizes", name)
  const isDirectory = /[\\/]$/.test(name)
  if (isDirectory && sizes.plainBytes > 0) throw new DocumentFault("unsafe_name", name)
  const hasDescriptor = (flags & DESCRIPTOR_FLAG) !== 0
  return { name, nameBytes, isDirectory, hasDescriptor, method, crc32: header.getUint32(16, true), ...sizes }
}

const NO_FIELDS: ReadonlyMap<number, Uint8Array> = new Map()

/** Extra fields by id (APPNOTE 4.5). Fewer than four bytes at the end are padding, as alignment tools leave it. */
export function parseExtraFields(bytes: Uint8Array, name: string): ReadonlyMap<number, Uint8Array> {
  if (bytes.length === 0) return NO_FIELDS
  const data = view(bytes)
  const fields = new Map<number, Uint8Array>()
  for (let at = 0; at + 4 <= bytes.length;) {
    const id = data.getUint16(at, true)
    const end = at + 4 + data.getUint16(at + 2, true)
    if (end > bytes.length) throw new DocumentFault("bad_directory", name)
    if (fields.has(id) && (id === EXTRA_ZIP64 || id === EXTRA_UNICODE_PATH)) throw new DocumentFault("bad_directory", name)
    fields.set(id, bytes.subarray(at + 4, end))
    at = end
  }
  return fields
}

/** The Unicode path field (APPNOTE 4.6.9) is a second name: some readers believe it, some do not. */
function requireSameName(nameBytes: Uint8Array, field: Uint8Array | undefined, name: string): void {
  if (field === undefined) return
  const second = field.subarray(5)
  const isSame = second.length === nameBytes.length && second.every((byte, i) => byte === nameBytes[i])
  if (!isSame) throw new DocumentFault("ambiguous_name", name)
}

/** A Zip64 field may repeat values that it need not hold, but not contradict them: some readers always believe it. */
export function saysTheSame(field: DataView, expected: readonly number[]): boolean {
  return expected.every((value, i) => 8 * i + 8 > field.byteLength || uint64(field, 8 * i) === value)
}

const NO_BYTES = new Uint8Array(0)

type Sizes = Pick<ZipEntry, "compressedBytes" | "plainBytes" | "headerOffset">

/** The Zip64 field (APPNOTE 4.5.3) holds, in this order, only those values that are all ones outside. */
function applyZip64(header: DataView, field: Uint8Array | undefined, name: string): Sizes {
  const data = view(field ?? NO_BYTES)
  let at = 0
  const take = (value: number): number => {
    if (value !== ALL_ONES_32) return value
    if (at + 8 > data.byteLength) throw new DocumentFault("bad_directory", name)
    at += 8
    return uint64(data, at - 8)
  }
  const plainBytes = take(header.getUint32(24, true))
  const compressedBytes = take(header.getUint32(20, true))
  const headerOffset = take(header.getUint32(42, true))
  const disk = header.getUint16(34, true)
  const isFirstDisk = disk === 0 || (disk === ALL_ONES_16 && at + 4 <= data.byteLength && data.getUint32(at, true) === 0)
  if (!isFirstDisk) throw new DocumentFault("split_archive", name)
  const restBytes = data.byteLength - at
  if (restBytes >= 8 && !saysTheSame(data, [plainBytes, compressedBytes, headerOffset])) {
    throw new DocumentFault("bad_directory", name)
  }
  return { plainBytes, compressedBytes, headerOffset }
}
