// Writing a ZIP whose every byte is known before the first is sent (PKWARE APPNOTE 6.3.10): entries are stored as they
// are, sizes and CRC-32 stand in their local headers, no data descriptors, Zip64 only where a number needs it. Bytes and
// arithmetic alone: whose content goes between the headers is for the caller.

/** One file of the archive. */
export type ZipEntry = {
  /** Without directories; unique in the archive ({@link distinctNames}). */
  name: string
  sizeBytes: number
  /** CRC-32 of the content, as an unsigned number. */
  crc32: number
  /** Milliseconds since 1970: the archive says it in UTC, to the second. */
  modifiedMs: number
}

/** What the archive consists of: for each entry its header, then its content; behind the last one the directory. */
export type ZipLayout = {
  headers: Uint8Array<ArrayBuffer>[]
  directory: Uint8Array<ArrayBuffer>
  sizeBytes: number
}

/** From here on a field cannot say the number, and means: look into the Zip64 record (section 4.4.1.4). */
const MAX_UINT32 = 0xffff_ffff
const MAX_UINT16 = 0xffff

const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46
const END_BYTES = 22
const ZIP64_END_BYTES = 56
const ZIP64_LOCATOR_BYTES = 20

const PLAIN_VERSION = 20
const ZIP64_VERSION = 45
/** Section 4.4.2: made on Unix, so that the upper half of the external attributes is a mode. */
const MADE_ON_UNIX = 3 << 8
/** Section 4.4.4 bit 11: names are UTF-8. */
const UTF8_NAMES = 1 << 11
const STORED = 0
/** A regular file, rw-r--r--. */
const EXTERNAL_ATTRIBUTES = 0o100644 * 0x1_0000

type Writer = { u16: (value: number) => Writer; u32: (value: number) => Writer; u64: (value: number) => Writer }

/** Numbers, one after the other, little-endian as all of ZIP. */
function writeTo(bytes: Uint8Array<ArrayBuffer>, offset = 0): Writer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = offset
  const writer: Writer = {
    u16(value) {
      view.setUint16(at, value, true)
      at += 2
      return writer
    },
    u32(value) {
      view.setUint32(at, value, true)
      at += 4
      return writer
    },
    u64(value) {
      view.setBigUint64(at, BigInt(value), true)
      at += 8
      return writer
    },
  }
  return writer
}

const capped32 = (value: number): number => Math.min(value, MAX_UINT32)
const capped16 = (value: number): number => Math.min(value, MAX_UINT16)

/** Section 4.4.6: the two fields of an MS-DOS time, here in UTC; clamped to the years that they can say. */
export function dosTime(ms: number): { time: number; date: number } {
  const earliest = Date.UTC(1980, 0, 1)
  const latest = Date.UTC(2107, 11, 31, 23, 59, 58)
  const moment = new Date(Math.min(Math.max(ms, earliest), latest))
  const seconds = Math.floor(moment.getUTCSeconds() / 2)
  return {
    time: (moment.getUTCHours() << 11) | (moment.getUTCMinutes() << 5) | seconds,
    date: ((moment.getUTCFullYear() - 1980) << 9) | ((moment.getUTCMonth() + 1) << 5) | moment.getUTCDate(),
  }
}

/** Info-ZIP's extended timestamp (0x5455), the modification time alone; nothing where 32 bits cannot say it. */
function timestampField(ms: number): Uint8Array<ArrayBuffer> {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 0 || seconds > 0x7fff_ffff) return new Uint8Array(0)
  const field = new Uint8Array(9)
  writeTo(field).u16(0x5455).u16(5)
  field[4] = 1
  writeTo(field, 5).u32(seconds)
  return field
}

/** Section 4.5.3: the Zip64 field with just these numbers; nothing when there are none. */
function zip64Field(values: readonly number[]): Uint8Array<ArrayBuffer> {
  if (values.length === 0) return new Uint8Array(0)
  const field = new Uint8Array(4 + values.length * 8)
  const writer = writeTo(field)
    .u16(1)
    .u16(values.length * 8)
  for (const value of values) writer.u64(value)
  return field
}

function join(...chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Section 4.3.7. In a local header Zip64 has both sizes or none. */
function localHeader({ name, sizeBytes, crc32, modifiedMs }: ZipEntry): Uint8Array<ArrayBuffer> {
  const isLarge = sizeBytes >= MAX_UINT32
  const nameBytes = utf8(name)
  const extra = join(zip64Field(isLarge ? [sizeBytes, sizeBytes] : []), timestampField(modifiedMs))
  const { time, date } = dosTime(modifiedMs)
  const header = new Uint8Array(LOCAL_BYTES)
  writeTo(header)
    .u32(0x0403_4b50)
    .u16(isLarge ? ZIP64_VERSION : PLAIN_VERSION)
    .u16(UTF8_NAMES)
    .u16(STORED)
    .u16(time)
    .u16(date)
    .u32(crc32)
    .u32(capped32(sizeBytes))
    .u32(capped32(sizeBytes))
    .u16(nameBytes.length)
    .u16(extra.length)
  return join(header, nameBytes, extra)
}

/** Section 4.3.12. Here Zip64 has those numbers alone whose fields are full. */
function centralHeader({ name, sizeBytes, crc32, modifiedMs }: ZipEntry, offset: number): Uint8Array<ArrayBuffer> {
  const isLarge = sizeBytes >= MAX_UINT32
  const large = [...(isLarge ? [sizeBytes, sizeBytes] : []), ...(offset >= MAX_UINT32 ? [offset] : [])]
  const version = large.length > 0 ? ZIP64_VERSION : PLAIN_VERSION
  const nameBytes = utf8(name)
  const extra = join(zip64Field(large), timestampField(modifiedMs))
  const { time, date } = dosTime(modifiedMs)
  const header = new Uint8Array(CENTRAL_BYTES)
  writeTo(header)
    .u32(0x0201_4b50)
    .u16(MADE_ON_UNIX | ZIP64_VERSION)
    .u16(version)
    .u16(UTF8_NAMES)
    .u16(STORED)
    .u16(time)
    .u16(date)
    .u32(crc32)
    .u32(capped32(sizeBytes))
    .u32(capped32(sizeBytes))
    .u16(nameBytes.length)
    .u16(extra.length)
    // Comment, disk, internal attributes.
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(EXTERNAL_ATTRIBUTES)
    .u32(capped32(offset))
  return join(header, nameBytes, extra)
}

/** Sections 4.3.14 to 4.3.16: the end of the directory, behind its Zip64 twin and that one's locator where needed. */
function endRecords(entries: number, directoryBytes: number, directoryOffset: number): Uint8Array<ArrayBuffer> {
  const end = new Uint8Array(END_BYTES)
  writeTo(end)
    .u32(0x0605_4b50)
    .u16(0)
    .u16(0)
    .u16(capped16(entries))
    .u16(capped16(entries))
    .u32(capped32(directoryBytes))
    .u32(capped32(directoryOffset))
    .u16(0)
  if (entries < MAX_UINT16 && directoryBytes < MAX_UINT32 && directoryOffset < MAX_UINT32) return end
  const large = new Uint8Array(ZIP64_END_BYTES + ZIP64_LOCATOR_BYTES)
  writeTo(large)
    .u32(0x0606_4b50)
    // Of what follows in this record.
    .u64(ZIP64_END_BYTES - 12)
    .u16(MADE_ON_UNIX | ZIP64_VERSION)
    .u16(ZIP64_VERSION)
    .u32(0)
    .u32(0)
    .u64(entries)
    .u64(entries)
    .u64(directoryBytes)
    .u64(directoryOffset)
    .u32(0x0706_4b50)
    .u32(0)
    .u64(directoryOffset + directoryBytes)
    .u32(1)
  return join(large, end)
}

/**
 * Lays out an archive of these entries, in their order: the same for the same entries, whenever it is asked.
 * @throws RangeError when a number is none that a ZIP can hold
 */
export function layOutZip(entries: readonly ZipEntry[]): ZipLayout {
  let offset = 0
  const headers: Uint8Array<ArrayBuffer>[] = []
  const central: Uint8Array<ArrayBuffer>[] = []
  for (const entry of entries) {
    if (!Number.isSafeInteger(entry.sizeBytes) || entry.sizeBytes < 0) throw new RangeError("not a size")
    if (utf8(entry.name).length > MAX_UINT16) throw new RangeError("a name of more than 65535 bytes")
    const header = localHeader(entry)
    headers.push(header)
    central.push(centralHeader(entry, offset))
    offset += header.length + entry.sizeBytes
  }
  const centralBytes = join(...central)
  const directory = join(centralBytes, endRecords(entries.length, centralBytes.length, offset))
  const sizeBytes = offset + directory.length
  if (!Number.isSafeInteger(sizeBytes)) throw new RangeError("larger than numbers are exact")
  return { headers, directory, sizeBytes }
}

/** What common file systems hold. */
const MAX_NAME_BYTES = 255

/**
 * What Windows takes in no file name: its unpackers refuse the entry or the whole archive, and `C:` and `a:b` name other
 * places there. Slashes and controls no name here has; if one had, it would not be a path.
 */
const UNPORTABLE = /["*/:<>?\\|\p{Cc}]/gu

/**
 * The form in which file systems that ignore case and composition compare names. Windows compares upper case: also where
 * lower case differs, as in the two small sigmas.
 */
const sameName = (name: string): string =>
  name.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFKC")

/** `report.docx` → `report (2).docx`; what is too long for that gives way at the end of its stem. */
function numbered(name: string, number: number): string {
  const dot = name.lastIndexOf(".")
  const [stem, end] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""]
  const suffix = ` (${String(number)})${end}`
  const characters = Array.from(stem)
  while (utf8(characters.join("") + suffix).length > MAX_NAME_BYTES && characters.length > 1) characters.pop()
  return characters.join("") + suffix
}

/**
 * Names that every file system takes, with `_` for what some do not, made distinct also for those that do not tell upper
 * from lower case: the first of equal names stays as it is, the next is `name (2).docx`, and so on, past names that others have.
 */
export function distinctNames(all: readonly string[]): string[] {
  const names = all.map((name) => name.replaceAll(UNPORTABLE, "_"))
  const taken = new Set(names.map(sameName))
  const seen = new Set<string>()
  const last = new Map<string, number>()
  return names.map((name) => {
    const key = sameName(name)
    if (!seen.has(key)) {
      seen.add(key)
      return name
    }
    for (let number = (last.get(key) ?? 1) + 1; ; number++) {
      const candidate = numbered(name, number)
      if (taken.has(sameName(candidate))) continue
      taken.add(sameName(candidate))
      last.set(key, number)
      return candidate
    }
  })
}
