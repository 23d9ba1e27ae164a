// Reads a ZIP from its first byte by local headers alone, as programs do that unpack while they download (APPNOTE 6.3.10
// sections 4.3.7 to 4.3.9). It knows nothing of the directory, and shares nothing with the reader that it is held against.
import { crc32, inflateRawSync } from "node:zlib"

export type ForwardEntry = { nameBytes: Uint8Array; content: Uint8Array }

const LOCAL = 0x04034b50
const DESCRIPTOR = 0x08074b50
/** What may follow the last entry: the directory, or end records where there is none. */
const ENDS = [0x02014b50, 0x06064b50, 0x06054b50]
const ALL_ONES = 0xffffffff

/** @throws Error where it loses its way */
export function readForward(bytes: Uint8Array<ArrayBuffer>): ForwardEntry[] {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: ForwardEntry[] = []
  let at = 0
  while (data.getUint32(at, true) === LOCAL) {
    const header = readHeader(data, bytes, at)
    if (header.method !== 0 && header.method !== 8) throw new Error(`method ${String(header.method)}`)
    const { content, end } = header.hasDescriptor ? readStreamed(data, bytes, header) : readDeclared(bytes, header)
    entries.push({ nameBytes: header.nameBytes, content })
    at = end
  }
  if (!ENDS.includes(data.getUint32(at, true))) throw new Error(`no header at ${String(at)}`)
  return entries
}

type Header = {
  nameBytes: Uint8Array
  hasDescriptor: boolean
  method: number
  crc: number
  compressedBytes: number
  plainBytes: number
  dataAt: number
}

function readHeader(data: DataView, bytes: Uint8Array, at: number): Header {
  const nameEnd = at + 30 + data.getUint16(at + 26, true)
  const dataAt = nameEnd + data.getUint16(at + 28, true)
  const header = {
    nameBytes: bytes.subarray(at + 30, nameEnd),
    hasDescriptor: (data.getUint16(at + 6, true) & 8) !== 0,
    method: data.getUint16(at + 8, true),
    crc: data.getUint32(at + 14, true),
    compressedBytes: data.getUint32(at + 18, true),
    plainBytes: data.getUint32(at + 22, true),
    dataAt,
  }
  for (let field = nameEnd; field + 4 <= dataAt; field += 4 + data.getUint16(field + 2, true)) {
    if (data.getUint16(field, true) !== 1) continue
    if (header.plainBytes === ALL_ONES) header.plainBytes = Number(data.getBigUint64(field + 4, true))
    if (header.compressedBytes === ALL_ONES) header.compressedBytes = Number(data.getBigUint64(field + 12, true))
  }
  return header
}

type Found = { content: Uint8Array; end: number }

function readDeclared(bytes: Uint8Array, header: Header): Found {
  const end = header.dataAt + header.compressedBytes
  const raw = bytes.subarray(header.dataAt, end)
  const content = header.method === 0 || raw.length === 0 ? raw : inflate(raw).content
  if (content.length !== header.plainBytes || crc32(content) !== header.crc)
    throw new Error("a part that differs from its header")
  return { content, end }
}

/** Where the data ends, only the data tells, or the first descriptor that fits what is before it. */
function readStreamed(data: DataView, bytes: Uint8Array, header: Header): Found {
  if (header.method !== 0) {
    const { content, rawBytes } = inflate(bytes.subarray(header.dataAt))
    const dataEnd = header.dataAt + rawBytes
    const end = descriptorEnd(data, dataEnd, { crc: crc32(content), compressedBytes: rawBytes, plainBytes: content.length })
    if (end === null) throw new Error("no descriptor behind deflated data")
    return { content, end }
  }
  for (let dataEnd = header.dataAt; dataEnd + 12 <= bytes.length; dataEnd++) {
    const length = dataEnd - header.dataAt
    // Its size stands in one of these places; to compute the checksum each time would take long.
    if (![4, 8].some((place) => dataEnd + place + 4 <= bytes.length && data.getUint32(dataEnd + place, true) === length)) continue
    const content = bytes.subarray(header.dataAt, dataEnd)
    const end = descriptorEnd(data, dataEnd, { crc: crc32(content), compressedBytes: length, plainBytes: length })
    if (end !== null) return { content, end }
  }
  throw new Error("no descriptor behind stored data")
}

function inflate(raw: Uint8Array): { content: Uint8Array; rawBytes: number } {
  // With `info`, it tells how much of the input was its own.
  const result = inflateRawSync(raw, { info: true }) as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } }
  return { content: result.buffer, rawBytes: result.engine.bytesWritten }
}

/** Where a descriptor of any form that says this ends, and another header follows. */
function descriptorEnd(data: DataView, at: number, said: Pick<Header, "crc" | "compressedBytes" | "plainBytes">): number | null {
  for (const [isSigned, isLong] of [
    [true, false],
    [true, true],
    [false, false],
    [false, true],
  ] as const) {
    const crcAt = at + (isSigned ? 4 : 0)
    const end = crcAt + (isLong ? 20 : 12)
    if (end + 4 > data.byteLength) continue
    const size = (place: number): number =>
      isLong ? Number(data.getBigUint64(crcAt + 4 + 8 * place, true)) : data.getUint32(crcAt + 4 + 4 * place, true)
    const fits =
      (!isSigned || data.getUint32(at, true) === DESCRIPTOR) &&
      data.getUint32(crcAt, true) === said.crc &&
      size(0) === said.compressedBytes &&
      size(1) === said.plainBytes &&
      [LOCAL, ...ENDS].includes(data.getUint32(end, true))
    if (fits) return end
  }
  return null
}
