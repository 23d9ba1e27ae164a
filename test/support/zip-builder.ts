// Writes ZIPs field by field, so that a test can tell one lie and nothing else. By default what it writes is in order.
import { crc32, deflateRawSync } from "node:zlib"
import { unzipSync } from "fflate"

export type Fields = {
  flags: number
  method: number
  crc: number
  compressedBytes: number
  plainBytes: number
  extra: Uint8Array
  /** What a reader must know to unpack it, times ten. */
  versionNeeded: number
  /** Date and time as MS-DOS has them. */
  modified: number
}

export type BuiltEntry = {
  name: string
  content: Uint8Array
  /** The content as it lies in the file; by default deflated. */
  raw?: Uint8Array
  method?: number
  /** Flags of both headers. */
  flags?: number
  local?: Partial<Fields> & { name?: string }
  central?: Partial<Fields> & { name?: string; externalAttributes?: number; disk?: number; offset?: number; comment?: Uint8Array }
  /** The name of both headers as bytes, for one that is no UTF-8. */
  nameBytes?: Uint8Array
  descriptor?: DescriptorForm
  /** What the descriptor says instead of the truth, and bytes more or fewer at its end. */
  descriptorFields?: Partial<{ signature: number; crc: number; compressedBytes: number; plainBytes: number; moreBytes: number }>
  /** Bytes behind the entry that belong to nobody. */
  after?: Uint8Array
}

export const DESCRIPTOR_FORMS = ["signed", "unsigned", "signed64", "unsigned64"] as const
export type DescriptorForm = (typeof DESCRIPTOR_FORMS)[number]

export type BuiltEnd = { entries: number; entriesHere: number; bytes: number; offset: number; disk: number; commentBytes: number }

export type ZipOptions = {
  prefix?: Uint8Array
  suffix?: Uint8Array
  comment?: Uint8Array
  end?: Partial<BuiltEnd>
  /** The directory lists the entries in the order opposite to that in which they lie. */
  reverseDirectory?: boolean
  /** Writes Zip64 end records; the plain one then holds all ones. */
  zip64?: Partial<{
    entries: number
    entriesHere: number
    bytes: number
    offset: number
    /** Of the record itself, and of the directory. */
    disk: number
    directoryDisk: number
    recordBytes: number
    signature: number
    recordOffset: number
    locatorDisk: number
    disks: number
    /** What the plain record holds instead of all ones. */
    plain: Partial<BuiltEnd>
  }>
}

const number = (value: number, bytes: 2 | 4 | 8): Uint8Array => {
  const out = new Uint8Array(bytes)
  const view = new DataView(out.buffer)
  if (bytes === 2) view.setUint16(0, value, true)
  else if (bytes === 4) view.setUint32(0, value, true)
  else view.setBigUint64(0, BigInt(value), true)
  return out
}
const u2 = (value: number): Uint8Array => number(value, 2)
const u4 = (value: number): Uint8Array => number(value, 4)
const u8 = (value: number): Uint8Array => number(value, 8)

export function join(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

/** An extra field. */
export const extraField = (id: number, content: Uint8Array): Uint8Array => join([u2(id), u2(content.length), content])
export const zip64Field = (...values: number[]): Uint8Array => extraField(1, join(values.map(u8)))

const DESCRIPTOR = 0x08074b50
const NOTHING = new Uint8Array(0)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function fieldsOf(entry: BuiltEntry): Fields & { raw: Uint8Array } {
  const method = entry.method ?? 8
  const raw = entry.raw ?? (method === 0 ? entry.content : new Uint8Array(deflateRawSync(entry.content)))
  const flags = (entry.flags ?? 0) | (entry.descriptor === undefined ? 0 : 8)
  return {
    method,
    raw,
    flags,
    crc: crc32(entry.content),
    compressedBytes: raw.length,
    plainBytes: entry.content.length,
    extra: NOTHING,
    versionNeeded: 20,
    modified: 0,
  }
}

function descriptorOf(entry: BuiltEntry, fields: Fields): Uint8Array {
  if (entry.descriptor === undefined) return NOTHING
  const said = { signature: DESCRIPTOR, moreBytes: 0, ...fields, ...entry.descriptorFields }
  const size = entry.descriptor.endsWith("64") ? u8 : u4
  const signature = entry.descriptor.startsWith("signed") ? u4(said.signature) : NOTHING
  const whole = join([signature, u4(said.crc), size(said.compressedBytes), size(said.plainBytes)])
  return said.moreBytes < 0 ? whole.subarray(0, said.moreBytes) : join([whole, new Uint8Array(said.moreBytes)])
}

const commonFields = (
  { flags, method, modified, crc, compressedBytes, plainBytes }: Fields,
  name: Uint8Array,
  extra: Uint8Array,
): Uint8Array =>
  join([u2(flags), u2(method), u4(modified), u4(crc), u4(compressedBytes), u4(plainBytes), u2(name.length), u2(extra.length)])

export function buildZip(entries: readonly BuiltEntry[], options: ZipOptions = {}): Uint8Array<ArrayBuffer> {
  const pieces: Uint8Array[] = [options.prefix ?? NOTHING]
  const directory: Uint8Array[] = []
  let at = pieces[0]?.length ?? 0
  const push = (piece: Uint8Array): void => {
    pieces.push(piece)
    at += piece.length
  }
  for (const entry of entries) {
    const { raw, ...fields } = fieldsOf(entry)
    const hidden = entry.descriptor === undefined ? {} : { crc: 0, compressedBytes: 0, plainBytes: 0 }
    const local = { ...fields, ...hidden, ...entry.local }
    const central = { ...fields, ...entry.central }
    const localName = entry.nameBytes ?? encode(entry.local?.name ?? entry.name)
    const centralName = entry.nameBytes ?? encode(entry.central?.name ?? entry.name)
    const comment = entry.central?.comment ?? NOTHING
    directory.push(
      join([
        u4(0x02014b50),
        u2(0x0314),
        u2(central.versionNeeded),
        commonFields(central, centralName, central.extra),
        u2(comment.length),
        u2(entry.central?.disk ?? 0),
        u2(0),
        u4(entry.central?.externalAttributes ?? 0),
        u4(entry.central?.offset ?? at),
        centralName,
        central.extra,
        comment,
      ]),
    )
    push(join([u4(0x04034b50), u2(local.versionNeeded), commonFields(local, localName, local.extra), localName, local.extra]))
    push(raw)
    push(descriptorOf(entry, fields))
    push(entry.after ?? NOTHING)
  }
  const offset = at
  for (const header of options.reverseDirectory === true ? directory.toReversed() : directory) push(header)
  const end: BuiltEnd = {
    disk: 0,
    commentBytes: 0,
    entries: entries.length,
    entriesHere: entries.length,
    bytes: at - offset,
    offset,
    ...options.end,
  }
  if (options.zip64 !== undefined) push(zip64Records(options.zip64, end, at))
  const shown = options.zip64 === undefined ? end : { ...end, ...ALL_ONES, ...options.zip64.plain }
  const comment = options.comment ?? NOTHING
  push(join([u4(0x06054b50), u2(shown.disk), u2(0), u2(shown.entriesHere), u2(shown.entries), u4(shown.bytes), u4(shown.offset)]))
  push(u2(options.end?.commentBytes ?? comment.length))
  push(comment)
  push(options.suffix ?? NOTHING)
  return join(pieces)
}

const ALL_ONES = { entries: 0xffff, entriesHere: 0xffff, bytes: 0xffffffff, offset: 0xffffffff }

function zip64Records(zip64: NonNullable<ZipOptions["zip64"]>, end: BuiltEnd, at: number): Uint8Array {
  const { entries, bytes, offset } = { ...end, ...zip64 }
  const { entriesHere = entries, disk = 0, directoryDisk = 0, locatorDisk = 0, disks = 1 } = zip64
  return join([
    u4(zip64.signature ?? 0x06064b50),
    u8(zip64.recordBytes ?? 44),
    u2(45),
    u2(45),
    u4(disk),
    u4(directoryDisk),
    ...[entriesHere, entries, bytes, offset].map(u8),
    u4(0x07064b50),
    u4(locatorDisk),
    u8(zip64.recordOffset ?? at),
    u4(disks),
  ])
}

/** The entries of a genuine document, to build it anew. */
export const takeApart = (bytes: Uint8Array): BuiltEntry[] =>
  Object.entries(unzipSync(bytes))
    .filter(([name]) => !name.endsWith("/"))
    .map(([name, content]) => ({ name, content }))
