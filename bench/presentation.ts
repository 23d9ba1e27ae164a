// Genuine presentations of any size: a real one with pictures added, as a deck full of photographs is. Never whole in
// memory: the bytes come from a generator, the same ones each time.
import { createCipheriv, createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { unzipSync } from "fflate"
import { PROJECT_DIR } from "../scripts/wrangler.ts"

const CHUNK_BYTES = 1024 * 1024
const WIDTH_PIXELS = 1024
const BMP_HEADER_BYTES = 54
const IMAGE_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"

type Part = { name: string; sizeBytes: number; content: () => Iterable<Buffer> }

const part = (name: string, bytes: Uint8Array): Part => ({
  name,
  sizeBytes: bytes.length,
  content: () => [Buffer.from(bytes)],
})

/** A picture of noise (24-bit BMP), which no compression makes smaller. */
function picture(name: string, seed: number, wantedBytes: number): Part {
  const height = Math.max(1, Math.floor(wantedBytes / (WIDTH_PIXELS * 3)))
  const pixelBytes = height * WIDTH_PIXELS * 3
  const header = Buffer.alloc(BMP_HEADER_BYTES)
  header.write("BM")
  header.writeUInt32LE(BMP_HEADER_BYTES + pixelBytes, 2)
  header.writeUInt32LE(BMP_HEADER_BYTES, 10)
  header.writeUInt32LE(40, 14)
  header.writeInt32LE(WIDTH_PIXELS, 18)
  header.writeInt32LE(height, 22)
  header.writeUInt16LE(1, 26)
  header.writeUInt16LE(24, 28)
  header.writeUInt32LE(pixelBytes, 34)
  function* content(): Generator<Buffer> {
    yield header
    const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16))
    const zeros = Buffer.alloc(CHUNK_BYTES)
    for (let at = 0; at < pixelBytes; at += CHUNK_BYTES)
      yield noise.update(zeros.subarray(0, Math.min(CHUNK_BYTES, pixelBytes - at)))
  }
  return { name, sizeBytes: BMP_HEADER_BYTES + pixelBytes, content }
}

function crcOf(content: Iterable<Buffer>): number {
  let crc = 0
  for (const chunk of content) crc = crc32(chunk, crc)
  return crc
}

/** The fields that both headers of a stored entry share, from the version needed on. */
function entryFields({ name, sizeBytes }: Part, crc: number): Buffer {
  const fields = Buffer.alloc(26)
  fields.writeUInt16LE(20, 0)
  fields.writeUInt16LE(0x21, 8)
  fields.writeUInt32LE(crc, 10)
  fields.writeUInt32LE(sizeBytes, 14)
  fields.writeUInt32LE(sizeBytes, 18)
  fields.writeUInt16LE(Buffer.byteLength(name), 22)
  return fields
}

const signature = (text: string): Buffer => Buffer.from(`PK${text}`, "latin1")

/** A ZIP of stored entries; below 4 GiB. */
function* zipOf(parts: readonly Part[]): Generator<Buffer> {
  const directory: Buffer[] = []
  let at = 0
  for (const each of parts) {
    const fields = entryFields(each, crcOf(each.content()))
    const local = Buffer.concat([signature("\x03\x04"), fields, Buffer.from(each.name)])
    const place = Buffer.alloc(14)
    place.writeUInt32LE(at, 10)
    directory.push(Buffer.concat([signature("\x01\x02\x14\x00"), fields, place, Buffer.from(each.name)]))
    yield local
    yield* each.content()
    at += local.length + each.sizeBytes
  }
  const entries = Buffer.concat(directory)
  const end = Buffer.alloc(18)
  end.writeUInt16LE(parts.length, 4)
  end.writeUInt16LE(parts.length, 6)
  end.writeUInt32LE(entries.length, 8)
  end.writeUInt32LE(at, 12)
  yield Buffer.concat([entries, signature("\x05\x06"), end])
}

const edited = (bytes: Uint8Array | undefined, before: string, more: string): Uint8Array => {
  const text = new TextDecoder().decode(bytes)
  if (!text.includes(before)) throw new Error(`no ${before} in ${text}`)
  return new TextEncoder().encode(text.replace(before, more + before))
}

export type Presentation = { sizeBytes: number; sha256: string; chunks: () => Generator<Buffer> }

/**
 * A presentation of about so many bytes.
 * @param pictures - how many to spread them over
 */
export function createPresentation(sizeBytes: number, pictures = 1): Presentation {
  const real: Record<string, Uint8Array> = unzipSync(readFileSync(join(PROJECT_DIR, "test/corpus/libreoffice.pptx")))
  const [types, rels] = ["[Content_Types].xml", "ppt/slides/_rels/slide1.xml.rels"]
  const names = Array.from({ length: pictures }, (_, i) => `noise${String(i + 1)}.bmp`)
  const relationships = names.map(
    (name, i) => `<Relationship Id="noise${String(i)}" Type="${IMAGE_TYPE}" Target="../media/${name}"/>`,
  )
  real[types] = edited(real[types], "</Types>", '<Default Extension="bmp" ContentType="image/bmp"/>')
  real[rels] = edited(real[rels], "</Relationships>", relationships.join(""))
  const parts = [
    ...Object.entries(real).map(([name, bytes]) => part(name, bytes)),
    ...names.map((name, i) => picture(`ppt/media/${name}`, i + 1, sizeBytes / pictures)),
  ]
  const hash = createHash("sha256")
  let total = 0
  for (const chunk of zipOf(parts)) {
    hash.update(chunk)
    total += chunk.length
  }
  return { sizeBytes: total, sha256: hash.digest("hex"), chunks: () => zipOf(parts) }
}
