// Archives as another reader sees them, one that reads at places as unpackers of large files do: the Zip64 forms too,
// over archives of many gigabytes of which no byte of content exists.
import { crc32 } from "node:zlib"
import { buffer } from "node:stream/consumers"
import { Readable } from "node:stream"
import { type Entry, RandomAccessReader, type ZipFile, fromBuffer, fromRandomAccessReader } from "yauzl"
import { describe, expect, it } from "vitest"
import { type ZipEntry, layOutZip } from "../../src/protocol/zip-writer.ts"

const GIB = 1024 ** 3
const MODIFIED_MS = Date.parse("2026-11-25T13:45:30Z")

function entriesOf(zip: ZipFile): Promise<Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: Entry[] = []
    zip.on("entry", (entry: Entry) => {
      entries.push(entry)
      zip.readEntry()
    })
    zip.on("end", () => {
      resolve(entries)
    })
    zip.on("error", reject)
    zip.readEntry()
  })
}

const opened = (open: (done: (error: Error | null, zip: ZipFile) => void) => void): Promise<ZipFile> =>
  new Promise((resolve, reject) => {
    open((error, zip) => {
      if (error === null) resolve(zip)
      else reject(error)
    })
  })

const OPTIONS = { lazyEntries: true, autoClose: false, validateEntrySizes: true, strictFileNames: true }

/** An archive whose contents are zeros that are made when they are read. */
class Hollow extends RandomAccessReader {
  readonly fromBehind: { at: number; bytes: Uint8Array }[]
  constructor(pieces: { at: number; bytes: Uint8Array }[]) {
    super()
    this.fromBehind = pieces.toReversed()
  }
  override _readStreamForRange(start: number, end: number): Readable {
    if (end - start > 64 * 1024 * 1024) throw new RangeError("reads what it need not")
    const bytes = Buffer.alloc(end - start)
    // From the end, where the directory is, no further back than needed: there may be very many.
    for (const { at, bytes: piece } of this.fromBehind) {
      const [from, to] = [Math.max(at, start), Math.min(at + piece.length, end)]
      if (from < to) bytes.set(piece.subarray(from - at, to - at), from - start)
      if (at <= start) break
    }
    return Readable.from([bytes])
  }
}

async function hollow(entries: readonly ZipEntry[]): Promise<Entry[]> {
  const { headers, directory, sizeBytes } = layOutZip(entries)
  const pieces: { at: number; bytes: Uint8Array }[] = []
  let at = 0
  for (const [i, header] of headers.entries()) {
    pieces.push({ at, bytes: header })
    at += header.length + (entries[i]?.sizeBytes ?? 0)
  }
  pieces.push({ at, bytes: directory })
  const zip = await opened((done) => {
    fromRandomAccessReader(new Hollow(pieces), sizeBytes, OPTIONS, done)
  })
  const found = await entriesOf(zip)
  // Where the directory says, there are the local headers.
  expect(found.map((entry) => entry.relativeOffsetOfLocalHeader)).toEqual(pieces.slice(0, -1).map((piece) => piece.at))
  return found
}

const entry = (sizeBytes: number, name: string): ZipEntry => ({ name, sizeBytes, crc32: 7, modifiedMs: MODIFIED_MS })

describe("another reader", () => {
  it("finds every file with its name, content, time and mode", async () => {
    const files = ["a.docx", "Überblick für Zoë.docx", "報告書.xlsx", "тест.pptx", "👩🏽‍🚀.docx"].map((name) => ({
      name,
      content: new TextEncoder().encode(name.repeat(100)),
    }))
    const { headers, directory } = layOutZip(
      files.map(({ name, content }) => ({ name, sizeBytes: content.length, crc32: crc32(content), modifiedMs: MODIFIED_MS })),
    )
    const archive = Buffer.concat([...files.flatMap(({ content }, i) => [headers[i] ?? new Uint8Array(0), content]), directory])
    const zip = await opened((done) => {
      fromBuffer(archive, OPTIONS, done)
    })
    const entries = await entriesOf(zip)
    expect(entries.map(({ fileName }) => fileName)).toEqual(files.map(({ name }) => name))
    for (const [i, found] of entries.entries()) {
      expect(found.getLastModDate({ timezone: "UTC" }).getTime()).toBe(MODIFIED_MS)
      expect(found.externalFileAttributes >>> 16).toBe(0o100644)
      const content = await new Promise<Readable>((resolve, reject) => {
        zip.openReadStream(found, (error, stream) => {
          if (error === null) resolve(stream)
          else reject(error)
        })
      })
      const bytes = await buffer(content)
      expect(crc32(bytes)).toBe(found.crc32)
      expect(bytes.equals(Buffer.from(files[i]?.content ?? []))).toBe(true)
    }
  })

  it.each<[string, number[]]>([
    ["a file just below the limit", [4 * GIB - 2]],
    ["a file at the limit", [4 * GIB - 1]],
    ["a file far beyond it", [5 * 1024 * GIB]],
    ["an offset beyond it", [3 * GIB, 3 * GIB, 1]],
    ["both", [1, 6 * GIB, 7 * GIB, 3]],
  ])("reads sizes and offsets of %s", async (_, sizes) => {
    const found = await hollow(sizes.map((size, i) => entry(size, `${String(i)}.docx`)))
    expect(found.map(({ uncompressedSize, compressedSize }) => [uncompressedSize, compressedSize])).toEqual(
      sizes.map((size) => [size, size]),
    )
  })

  it("counts more files than 16 bits can say", async () => {
    const { headers, directory } = layOutZip(Array.from({ length: 65_540 }, (_, i) => entry(0, `${String(i)}.docx`)))
    const archive = Buffer.concat([...headers, directory])
    const zip = await opened((done) => {
      fromBuffer(archive, OPTIONS, done)
    })
    expect(await entriesOf(zip)).toHaveLength(65_540)
  })
})
