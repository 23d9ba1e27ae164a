// What a check costs: bytes read, counted, never seconds. And what it may not miss in a document too large to read.
import { describe, expect, it } from "vitest"
import type { ByteSource } from "../../src/office/byte-source.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { CONTENT_TYPES, MAIN_TYPES, contentTypes, minimalParts, relationships } from "../support/documents.ts"
import { type BuiltEntry, buildZip } from "../support/zip-builder.ts"

const MIB = 1024 * 1024
const text = (content: string | Uint8Array): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content

/** Counts what is read. */
function counted(bytes: Uint8Array<ArrayBuffer>): ByteSource & { readBytes: () => number; reads: () => number } {
  let readBytes = 0
  let reads = 0
  return {
    sizeBytes: bytes.length,
    readBytes: () => readBytes,
    reads: () => reads,
    read(offset, lengthBytes) {
      if (offset < 0 || offset + lengthBytes > bytes.length) throw new RangeError("read outside the file")
      readBytes += lengthBytes
      reads++
      return Promise.resolve(bytes.subarray(offset, offset + lengthBytes))
    },
  }
}

/** A presentation of so many slides, with pictures that make it as large as wanted, laid out as Office does. */
function presentation(slides: number, pictureBytes: number, change: (entry: BuiltEntry) => Partial<BuiltEntry> = () => ({})) {
  const names = Array.from({ length: slides }, (_, i) => `ppt/slides/slide${String(i)}.xml`)
  const slideType = "application/vnd.openxmlformats-officedocument.presentationml.slide+xml"
  const overrides = names.map((name) => `<Override PartName="/${name}" ContentType="${slideType}"/>`).join("")
  const noise = crypto.getRandomValues(new Uint8Array(65_536))
  const picture = new Uint8Array(pictureBytes)
  for (let at = 0; at < pictureBytes; at += noise.length)
    picture.set(noise.subarray(0, Math.min(noise.length, pictureBytes - at)), at)
  const entries: BuiltEntry[] = Object.entries({
    ...minimalParts("pptx"),
    [CONTENT_TYPES]: contentTypes(MAIN_TYPES.pptx).replace("</Types>", `${overrides}</Types>`),
  }).map(([name, content]) => ({ name, content: text(content) }))
  names.forEach((name, i) => {
    const rels = relationships(
      { kind: "image", target: `../media/image${String(i)}.bin` },
      { kind: "hyperlink", target: `https://example.com/${String(i)}`, mode: "External" },
    )
    entries.push({ name, content: text("<sld/>") })
    entries.push({ name: name.replace("slides/", "slides/_rels/").concat(".rels"), content: text(rels) })
    entries.push({ name: `ppt/media/image${String(i)}.bin`, content: picture, method: 0 })
  })
  const bytes = buildZip(entries.map((entry) => ({ ...entry, ...change(entry) })))
  return { bytes, directoryBytes: new DataView(bytes.buffer).getUint32(bytes.length - 10, true) }
}

describe("a document of 100 MB", () => {
  it("is checked by reading at most one mebibyte besides its directory", async () => {
    const { bytes, directoryBytes } = presentation(400, 262_144)
    expect(bytes.length).toBeGreaterThan(100_000_000)
    const source = counted(bytes)
    expect(await checkDocument(source, "pptx")).toEqual({ fault: null })
    expect(source.readBytes()).toBeLessThanOrEqual(MIB + directoryBytes)
  })

  it("is checked at that cost where it is hostile, too", async () => {
    const { bytes, directoryBytes } = presentation(100, MIB, ({ name }) =>
      name.endsWith("slide1.xml.rels") ? { content: crypto.getRandomValues(new Uint8Array(65_536)), method: 0 } : {},
    )
    const source = counted(bytes)
    expect(await checkDocument(source, "pptx")).toMatchObject({ fault: "bad_xml" })
    expect(source.readBytes()).toBeLessThanOrEqual(MIB + directoryBytes)
  })

  it("with more relationships than any has is refused before they are all read", async () => {
    const many = Array.from({ length: 400 }, (_, i) => ({ kind: "image", target: `x${String(i)}${"y".repeat(60)}` }))
    const long = text(relationships(...many))
    const { bytes, directoryBytes } = presentation(60, 200_000, ({ name }) =>
      name.endsWith(".xml.rels") ? { content: long, method: 0 } : {},
    )
    const source = counted(bytes)
    expect(await checkDocument(source, "pptx")).toMatchObject({ fault: "too_complex" })
    expect(source.readBytes()).toBeLessThanOrEqual(MIB + directoryBytes)
  })

  it.each<[string, string, (entry: BuiltEntry) => Partial<BuiltEntry>]>([
    ["hidden_bytes", "ppt/media/image7.bin", () => ({ after: new Uint8Array(1000) })],
    ["local_header_differs", CONTENT_TYPES, () => ({ local: { name: CONTENT_TYPES.toUpperCase() } })],
    ["local_header_differs", "part0.xml", () => ({ local: { method: 0 } })],
    ["bad_checksum", "_rels/.rels", () => ({ local: { crc: 1 }, central: { crc: 1 } })],
    ["unsafe_name", "ppt/media/image7.bin", ({ name }) => ({ name: `../${name}` })],
    ["overlapping_entries", "ppt/media/image7.bin", () => ({ central: { compressedBytes: 300_000, plainBytes: 300_000 } })],
  ])("is refused for %s of %s, although the rest is not read", async (reason, part, change) => {
    expect(await checkDocument(counted(presentation(30, 200_000).bytes), "pptx")).toEqual({ fault: null })
    const { bytes } = presentation(30, 200_000, (entry) => (entry.name === part ? change(entry) : {}))
    expect(bytes.length).toBeGreaterThan(5 * MIB)
    expect(await checkDocument(counted(bytes), "pptx")).toMatchObject({ fault: reason })
  })
})

describe("hostile archives", () => {
  it("of very many entries are read once, each header at most", async () => {
    const entries = Array.from({ length: 40_000 }, (_, i): BuiltEntry => ({
      name: `a/${String(i)}.bin`,
      content: new Uint8Array(0),
      method: 0,
    }))
    const source = counted(buildZip(entries))
    expect(await checkDocument(source, "docx")).toMatchObject({ fault: "zip_archive" })
    expect(source.readBytes()).toBeLessThanOrEqual(2 * source.sizeBytes + 65_557 + 22)
  })

  it("with more relationship parts than any document has are refused unread", async () => {
    const entries = Array.from({ length: 12_001 }, (_, i): BuiltEntry => ({
      name: `a/_rels/${String(i)}.rels`,
      content: new Uint8Array(0),
      method: 0,
    }))
    const { bytes } = { bytes: buildZip(entries) }
    const source = counted(bytes)
    expect(await checkDocument(source, "docx")).toMatchObject({ fault: "too_many_parts" })
    expect(source.reads()).toBeLessThan(6)
  })

  it("whose small parts inflate beyond what they declare are refused for that", async () => {
    const lie = { plainBytes: 2000 }
    const parts = Object.entries(minimalParts()).map(([name, content]): BuiltEntry => ({ name, content: text(content) }))
    for (const part of [CONTENT_TYPES, "_rels/.rels", "part0.xml"]) {
      // Each begins as it should: a main part of zeros is no XML first of all.
      const documentWith = (fields: { plainBytes?: number }): Uint8Array<ArrayBuffer> =>
        buildZip(
          parts.map((entry) => {
            if (entry.name !== part) return entry
            const content = text(new TextDecoder().decode(entry.content).padEnd(4 * MIB))
            return { ...entry, content, local: fields, central: fields }
          }),
        )
      expect(await checkDocument(counted(documentWith({})), "docx"), part).toEqual({ fault: null })
      expect(await checkDocument(counted(documentWith(lie)), "docx"), part).toEqual({ fault: "lying_sizes", part })
    }
  })
})

describe("an error out of a check", () => {
  /** Begins as a package does, and cannot be read any further. */
  const failing = (error: Error): ByteSource => {
    const start = new Uint8Array(512)
    start.set([0x50, 0x4b, 3, 4])
    return { sizeBytes: 1_000_000, read: (offset) => (offset === 0 ? Promise.resolve(start) : Promise.reject(error)) }
  }

  it("of V8 that a pattern or a call went too deep is a verdict, or each later try would fail the same way", async () => {
    const overflow = new RangeError("Maximum call stack size exceeded")
    expect(await checkDocument(failing(overflow), "docx")).toEqual({ fault: "too_complex" })
  })

  it("of V8 out of a pattern reads the same", () => {
    expect(() => /^(?:a|b)*c$/.test("ab".repeat(8_000_000))).toThrow(new RangeError("Maximum call stack size exceeded"))
  })

  it.each([new RangeError("read outside the file"), new TypeError("Maximum call stack size exceeded"), new Error("R2 is gone")])(
    "that is a defect stays one: %s",
    async (error) => {
      await expect(checkDocument(failing(error), "docx")).rejects.toBe(error)
    },
  )
})
