// As much of ZIP (APPNOTE 6.3.10) as an OOXML package needs: the central directory, found from the end, and
// single entries, inflated under a budget of real bytes. Every offset and length is checked before use.
import type { ByteSource } from "./byte-source.ts"

/** Why the bytes are not a package that we read. */
export class ZipFault extends Error {
  override readonly name = "ZipFault"
}

export type ZipEntry = {
  name: string
  method: number
  encrypted: boolean
  compressedBytes: number
  plainBytes: number
  headerOffset: number
}

const LOCAL_HEADER = 0x04034b50
const CENTRAL_HEADER = 0x02014b50
const END = 0x06054b50
const ZIP64_END = 0x06064b50
const ZIP64_LOCATOR = 0x07064b50
const END_BYTES = 22
const ZIP64_LOCATOR_BYTES = 20
const ZIP64_END_BYTES = 56
const MAX_COMMENT_BYTES = 0xffff
/** A presentation of thousands of slides has some ten entries a slide. */
export const MAX_ENTRIES = 100_000
export const MAX_DIRECTORY_BYTES = 16 * 1024 * 1024

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function uint64(data: DataView, offset: number): number {
  const value = data.getBigUint64(offset, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ZipFault("a size beyond all files")
  return Number(value)
}

type DirectoryPlace = { entries: number; offset: number; bytes: number }

/** Reads the names and places of all entries. Throws `ZipFault` on anything that is not a plain, whole ZIP. */
export async function readZipDirectory(source: ByteSource): Promise<ZipEntry[]> {
  if (source.sizeBytes < END_BYTES) throw new ZipFault("too short")
  if (view(await source.read(0, 4)).getUint32(0, true) !== LOCAL_HEADER) throw new ZipFault("does not start with an entry")
  const place = await findDirectory(source)
  if (place.entries > MAX_ENTRIES || place.bytes > MAX_DIRECTORY_BYTES) throw new ZipFault("too many entries")
  if (place.offset + place.bytes > source.sizeBytes) throw new ZipFault("directory outside the file")
  return parseDirectory(await source.read(place.offset, place.bytes), place.entries)
}

async function findDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const tailBytes = Math.min(source.sizeBytes, END_BYTES + MAX_COMMENT_BYTES)
  const tailStart = source.sizeBytes - tailBytes
  const tail = view(await source.read(tailStart, tailBytes))
  for (let at = tailBytes - END_BYTES; at >= 0; at--) {
    // The comment must reach exactly to the end: a signature inside a comment or trailing data is none.
    if (tail.getUint32(at, true) !== END || at + END_BYTES + tail.getUint16(at + 20, true) !== tailBytes) continue
    const end = {
      entries: tail.getUint16(at + 10, true),
      bytes: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    }
    const needsZip64 = end.entries === 0xffff || end.bytes === 0xffffffff || end.offset === 0xffffffff
    return needsZip64 ? findZip64Directory(source, tailStart + at) : end
  }
  throw new ZipFault("no end of central directory")
}

async function findZip64Directory(source: ByteSource, endOffset: number): Promise<DirectoryPlace> {
  const locatorOffset = endOffset - ZIP64_LOCATOR_BYTES
  if (locatorOffset < 0) throw new ZipFault("no Zip64 locator")
  const locator = view(await source.read(locatorOffset, ZIP64_LOCATOR_BYTES))
  if (locator.getUint32(0, true) !== ZIP64_LOCATOR) throw new ZipFault("no Zip64 locator")
  const recordOffset = uint64(locator, 8)
  if (recordOffset + ZIP64_END_BYTES > locatorOffset) throw new ZipFault("Zip64 record outside the file")
  const record = view(await source.read(recordOffset, ZIP64_END_BYTES))
  if (record.getUint32(0, true) !== ZIP64_END) throw new ZipFault("no Zip64 record")
  return { entries: uint64(record, 32), bytes: uint64(record, 40), offset: uint64(record, 48) }
}

function parseDirectory(bytes: Uint8Array, count: number): ZipEntry[] {
  const data = view(bytes)
  const entries: ZipEntry[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || data.getUint32(at, true) !== CENTRAL_HEADER) throw new ZipFault("broken directory")
    const nameEnd = at + 46 + data.getUint16(at + 28, true)
    const extraEnd = nameEnd + data.getUint16(at + 30, true)
    const next = extraEnd + data.getUint16(at + 32, true)
    if (next > bytes.length) throw new ZipFault("broken directory")
    const entry: ZipEntry = {
      name: new TextDecoder().decode(bytes.subarray(at + 46, nameEnd)),
      encrypted: (data.getUint16(at + 8, true) & 1) === 1,
      method: data.getUint16(at + 10, true),
      compressedBytes: data.getUint32(at + 20, true),
      plainBytes: data.getUint32(at + 24, true),
      headerOffset: data.getUint32(at + 42, true),
    }
    entries.push(applyZip64(entry, view(bytes.subarray(nameEnd, extraEnd))))
    at = next
  }
  return entries
}

/** The Zip64 extra field (APPNOTE 4.5.3) holds, in this order, only those values that are all ones outside. */
function applyZip64(entry: ZipEntry, extra: DataView): ZipEntry {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue
    const end = at + 4 + extra.getUint16(at + 2, true)
    let field = at + 4
    const take = (value: number): number => {
      if (value !== 0xffffffff) return value
      if (field + 8 > end || end > extra.byteLength) throw new ZipFault("broken Zip64 field")
      field += 8
      return uint64(extra, field - 8)
    }
    const plainBytes = take(entry.plainBytes)
    const compressedBytes = take(entry.compressedBytes)
    return { ...entry, plainBytes, compressedBytes, headerOffset: take(entry.headerOffset) }
  }
  return entry
}

/**
 * Reads one entry, stored or deflated.
 * @param maxBytes - budget for the compressed and for the really inflated bytes, whatever sizes are declared
 */
export async function readZipEntry(source: ByteSource, entry: ZipEntry, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (entry.encrypted) throw new ZipFault("encrypted entry")
  if (entry.plainBytes > maxBytes || entry.compressedBytes > maxBytes) throw new ZipFault("entry too large")
  if (entry.headerOffset + 30 > source.sizeBytes) throw new ZipFault("entry outside the file")
  const header = view(await source.read(entry.headerOffset, 30))
  if (header.getUint32(0, true) !== LOCAL_HEADER) throw new ZipFault("no local header")
  const start = entry.headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true)
  if (start + entry.compressedBytes > source.sizeBytes) throw new ZipFault("entry outside the file")
  const raw = await source.read(start, entry.compressedBytes)
  const plain = entry.method === 0 ? raw : entry.method === 8 ? await inflate(raw, maxBytes) : null
  if (plain === null) throw new ZipFault("unknown compression method")
  if (plain.length !== entry.plainBytes) throw new ZipFault("declared size is wrong")
  return plain
}

async function inflate(raw: Uint8Array<ArrayBuffer>, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let total = 0
  try {
    const inflated = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate-raw"))
    for await (const chunk of inflated) {
      total += chunk.length
      if (total > maxBytes) break
      chunks.push(chunk)
    }
  } catch {
    throw new ZipFault("broken deflate data")
  }
  if (total > maxBytes) throw new ZipFault("inflates beyond its budget")
  const plain = new Uint8Array(total)
  let offset = 0
  for (const chunk of chunks) {
    plain.set(chunk, offset)
    offset += chunk.length
  }
  return plain
}
