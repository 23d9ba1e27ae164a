import { crc32 } from "node:zlib"
import fc from "fast-check"
import { unzipSync } from "fflate"
import { describe, expect, it } from "vitest"
import { type ZipEntry, distinctNames, dosTime, layOutZip } from "../../src/protocol/zip-writer.ts"
import vector from "../vectors/zip-v1.json"

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
const GIB = 1024 ** 3
const MODIFIED_MS = Date.parse("2026-11-25T13:45:31.900Z")

type File = { name: string; content: Uint8Array }

const entryOf = ({ name, content }: File): ZipEntry => ({
  name,
  sizeBytes: content.length,
  crc32: crc32(content),
  modifiedMs: MODIFIED_MS,
})

function archiveOf(files: readonly File[]): Uint8Array {
  const { headers, directory, sizeBytes } = layOutZip(files.map(entryOf))
  const archive = new Uint8Array(sizeBytes)
  let at = 0
  const put = (bytes: Uint8Array): void => {
    archive.set(bytes, at)
    at += bytes.length
  }
  for (const [i, { content }] of files.entries()) {
    put(headers[i] ?? new Uint8Array(0))
    put(content)
  }
  put(directory)
  expect(at).toBe(sizeBytes)
  return archive
}

/** As documents may be called: any script, no controls, no separators. */
const names = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  .map((text) => `${text.replaceAll(/[\p{Cc}\p{Cs}/\\]/gu, "_")}.docx`)
const files = fc.uniqueArray(fc.record({ name: names, content: fc.uint8Array({ maxLength: 3000 }) }), {
  selector: ({ name }) => name,
  maxLength: 12,
})

describe("an archive", () => {
  it("is read by others as the files that it was made of, in length as announced", () => {
    fc.assert(
      fc.property(files, (all) => {
        expect(unzipSync(archiveOf(all))).toEqual(Object.fromEntries(all.map(({ name, content }) => [name, content])))
      }),
    )
  })

  it("is the same bytes whenever it is laid out, and those that it always was", () => {
    const all = vector.files.map(({ name, text }) => ({ name, content: utf8(text) }))
    const archive = hex(archiveOf(all))
    expect(archive).toBe(vector.archive)
    expect(hex(archiveOf(all))).toBe(archive)
  })

  it("has sizes and checksum in its local headers, UTF-8 names, no descriptors, and plain files that anybody may read", () => {
    const content = utf8("abc")
    const { headers, directory } = layOutZip([entryOf({ name: "ü.docx", content })])
    const local = new DataView((headers[0] ?? new Uint8Array(0)).buffer)
    const [flags, method] = [local.getUint16(6, true), local.getUint16(8, true)]
    expect([flags & 0b1000, flags & 0x800, method]).toEqual([0, 0x800, 0])
    expect([14, 18, 22].map((at) => local.getUint32(at, true))).toEqual([crc32(content), 3, 3])
    const central = new DataView(directory.buffer)
    expect(central.getUint32(38, true)).toBe(0o100644 * 0x1_0000)
    expect([central.getUint16(8, true), central.getUint16(4, true) >> 8]).toEqual([0x800, 3])
  })

  it("of no files is an end and nothing else", () => {
    expect(layOutZip([])).toMatchObject({ headers: [], sizeBytes: 22 })
  })
})

/** The fields of the archive's end, and of its Zip64 twin where there is one. */
function endOf(directory: Uint8Array) {
  const at = directory.length - 22
  const view = new DataView(directory.buffer, directory.byteOffset)
  const plain = {
    entries: view.getUint16(at + 10, true),
    bytes: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  }
  const hasZip64 = at >= 76 && view.getUint32(at - 20, true) === 0x0706_4b50
  if (!hasZip64) return { plain, large: null }
  const start = at - 76
  expect(view.getUint32(start, true)).toBe(0x0606_4b50)
  const u64 = (offset: number): number => Number(view.getBigUint64(start + offset, true))
  // The locator says where the record is.
  expect(Number(view.getBigUint64(at - 20 + 8, true))).toBe(u64(48) + u64(40))
  return { plain, large: { entries: u64(32), bytes: u64(40), offset: u64(48) } }
}

describe("the limits of Zip64", () => {
  const entry = (sizeBytes: number, name = "a.docx"): ZipEntry => ({ name, sizeBytes, crc32: 7, modifiedMs: MODIFIED_MS })
  const extraBytesOf = (header: Uint8Array): number => new DataView(header.buffer).getUint16(28, true)

  it("are met exactly by the size of a file", () => {
    const below = layOutZip([entry(4 * GIB - 2)])
    const from = layOutZip([entry(4 * GIB - 1)])
    const sizesOf = (header: Uint8Array | undefined) =>
      [18, 22].map((at) => new DataView((header ?? new Uint8Array(0)).buffer).getUint32(at, true))
    expect(sizesOf(below.headers[0])).toEqual([4 * GIB - 2, 4 * GIB - 2])
    expect(sizesOf(from.headers[0])).toEqual([0xffff_ffff, 0xffff_ffff])
    expect(extraBytesOf(from.headers[0] ?? new Uint8Array(0)) - extraBytesOf(below.headers[0] ?? new Uint8Array(0))).toBe(20)
    const field = new DataView((from.headers[0] ?? new Uint8Array(0)).buffer, 30 + 6)
    expect([field.getUint16(0, true), field.getUint16(2, true)]).toEqual([1, 16])
    expect([4, 12].map((at) => Number(field.getBigUint64(at, true)))).toEqual([4 * GIB - 1, 4 * GIB - 1])
  })

  it("are met exactly by the offset of a file and of the directory", () => {
    const headerBytes = layOutZip([entry(0)]).headers[0]?.length ?? 0
    // The second file, or the directory, begins one byte before what 32 bits can say, or at it.
    for (const [offset, isLarge] of [
      [0xffff_fffe, false],
      [0xffff_ffff, true],
    ] as const) {
      // prettier-ignore
      const one = layOutZip([entry(offset - headerBytes)])
      expect(endOf(one.directory).large === null, `directory at ${String(offset)}`).toBe(!isLarge)
      expect(endOf(one.directory).plain.offset).toBe(isLarge ? 0xffff_ffff : offset)
      const two = layOutZip([entry(offset - headerBytes), entry(1, "b.docx")])
      const second = new DataView(two.directory.buffer, 46 + 6 + 9)
      expect(second.getUint32(0, true)).toBe(0x0201_4b50)
      expect([second.getUint32(42, true), second.getUint16(6, true)]).toEqual([isLarge ? 0xffff_ffff : offset, isLarge ? 45 : 20])
      if (!isLarge) continue
      // Of the numbers only the one whose field is full.
      expect([second.getUint16(46 + 6, true), second.getUint16(46 + 8, true)]).toEqual([1, 8])
      expect(Number(second.getBigUint64(46 + 10, true))).toBe(offset)
    }
  })

  it("are met exactly by the number of files", () => {
    const many = (count: number) => layOutZip(Array.from({ length: count }, (_, i) => entry(0, `${String(i)}.docx`)))
    const [below, from] = [endOf(many(65_534).directory), endOf(many(65_535).directory)]
    expect([below.plain.entries, below.large]).toEqual([65_534, null])
    expect([from.plain.entries, from.large?.entries]).toEqual([65_535, 65_535])
  })

  it("leave the announced size the sum of what there is", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 3 * GIB * 4 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(sizes, (all) => {
        const entries = all.map((sizeBytes, i) => entry(sizeBytes, `${String(i)}.docx`))
        const { headers, directory, sizeBytes } = layOutZip(entries)
        const total = headers.reduce((sum, header) => sum + header.length, 0) + all.reduce((sum, size) => sum + size, 0)
        expect(sizeBytes).toBe(total + directory.length)
        const { plain, large } = endOf(directory)
        expect((large ?? plain).offset).toBe(total)
        expect((large ?? plain).entries).toBe(all.length)
      }),
    )
  })

  it.each([-1, 0.5, Number.NaN, 2 ** 53])("and no size is %s", (sizeBytes) => {
    expect(() => layOutZip([entry(sizeBytes)])).toThrow(RangeError)
    expect(() => layOutZip([entry(5)])).not.toThrow()
  })
})

describe("times", () => {
  const parts = ({ time, date }: { time: number; date: number }) => [
    1980 + (date >> 9), (date >> 5) & 15, date & 31, time >> 11, (time >> 5) & 63, (time & 31) * 2,
  ] // prettier-ignore

  it("are in UTC, to two seconds, within the years that DOS knows", () => {
    expect(parts(dosTime(MODIFIED_MS))).toEqual([2026, 11, 25, 13, 45, 30])
    expect(parts(dosTime(0))).toEqual([1980, 1, 1, 0, 0, 0])
    expect(parts(dosTime(Date.UTC(2200, 0)))).toEqual([2107, 12, 31, 23, 59, 58])
  })

  it("are to the second in the extended field, and not said where 32 bits cannot say them", () => {
    const extra = (modifiedMs: number) => {
      const header = layOutZip([{ name: "a", sizeBytes: 0, crc32: 0, modifiedMs }]).headers[0] ?? new Uint8Array(0)
      return hex(header.subarray(31))
    }
    const seconds = Math.floor(MODIFIED_MS / 1000)
    const little = new Uint8Array(4)
    new DataView(little.buffer).setUint32(0, seconds, true)
    expect(extra(MODIFIED_MS)).toBe(`5554050001${hex(little)}`)
    expect(extra(2 ** 31 * 1000 - 1)).toMatch(/^5554050001ffffff7f$/)
    expect(extra(2 ** 31 * 1000)).toBe("")
  })
})

describe("names", () => {
  it.each<[string[], string[]]>([
    [["a.docx", "b.docx"], ["a.docx", "b.docx"]],
    [["a.docx", "a.docx", "a.docx"], ["a.docx", "a (2).docx", "a (3).docx"]],
    [["a.docx", "A.DOCX"], ["a.docx", "A (2).DOCX"]],
    [["a.docx", "a.xlsx"], ["a.docx", "a.xlsx"]],
    [["a.docx", "a.docx", "a (2).docx"], ["a.docx", "a (3).docx", "a (2).docx"]],
    [["\u00e9.docx", "e\u0301.docx"], ["\u00e9.docx", "e\u0301 (2).docx"]],
    [["\u00c9.docx", "\u00e9.docx"], ["\u00c9.docx", "\u00e9 (2).docx"]],
    [[".docx", ".docx"], [".docx", ".docx (2)"]],
    // What Windows takes in no name, or takes for a place; slashes, though no name has them.
    [['a<b>c:d"e|f?g*h.docx', "a/b\\c\u0007.docx"], ["a_b_c_d_e_f_g_h.docx", "a_b_c_.docx"]],
    [["a:b.docx", "a?b.docx", "a_b.docx"], ["a_b.docx", "a_b (2).docx", "a_b (3).docx"]],
    // Equal in upper case, as Windows compares.
    [["ΟΔΟΣ.docx", "οδοσ.docx", "οδος.docx"], ["ΟΔΟΣ.docx", "οδοσ (2).docx", "οδος (3).docx"]],
    [["STRASSE.docx", "straße.docx"], ["STRASSE.docx", "straße (2).docx"]],
  ])("%j become %j", (all, distinct) => {
    expect(distinctNames(all)).toEqual(distinct)
  }) // prettier-ignore

  it("are distinct whatever they were, for every file system, and as long as one takes; the first keeps its own", () => {
    const alike = fc.constantFrom(
      "a.docx",
      "A.docx",
      "a (2).docx",
      "a (2) (2).docx",
      `${"ä".repeat(125)}.docx`,
      `${"Ä".repeat(125)}.docx`,
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(alike, names), { maxLength: 40 }), (all) => {
        const distinct = distinctNames(all)
        expect(new Set(distinct.map((name) => name.normalize("NFKC").toLowerCase().normalize("NFKC"))).size).toBe(all.length)
        for (const [i, name] of distinct.entries()) {
          expect(utf8(name).length).toBeLessThanOrEqual(Math.max(255, utf8(all[i] ?? "").length))
          expect(name.endsWith(".docx")).toBe(true)
          if (all.indexOf(all[i] ?? "") === i && !all.slice(0, i).some((other) => other.toLowerCase() === all[i]?.toLowerCase()))
            expect(distinct.filter((other) => other === all[i]).length).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  it("cost no more than they are many", () => {
    expect(new Set(distinctNames(Array.from({ length: 20_000 }, () => "a.docx"))).size).toBe(20_000)
  })
})
