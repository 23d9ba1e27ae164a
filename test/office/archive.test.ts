// What is refused of a ZIP. Every refused file is a genuine document built anew with one fault; the same file
// without it is accepted.
import { describe, expect, it } from "vitest"
import { memorySource } from "../../src/office/byte-source.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { realDocument } from "../support/documents.ts"
import { type BuiltEntry, type ZipOptions, buildZip, extraField, join, takeApart, zip64Field } from "../support/zip-builder.ts"

const genuine = takeApart(realDocument("openpyxl-chart.xlsx"))
const SHEET = "xl/worksheets/sheet1.xml"
const TYPES = "[Content_Types].xml"
const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const check = async (bytes: Uint8Array<ArrayBuffer>) => checkDocument(memorySource(bytes), "xlsx")

/** The genuine document with one entry changed. */
const withEntry = (name: string, change: (entry: BuiltEntry) => Partial<BuiltEntry>): BuiltEntry[] =>
  genuine.map((entry) => (entry.name === name ? { ...entry, ...change(entry) } : entry))

type Case = [string, BuiltEntry[], ZipOptions, FaultReason, string?]
const entryCase = (name: string, change: (entry: BuiltEntry) => Partial<BuiltEntry>, reason: FaultReason, part = SHEET): Case => [
  name,
  withEntry(part, change),
  {},
  reason,
  part,
]
const fileCase = (name: string, options: ZipOptions, reason: FaultReason): Case => [name, genuine, options, reason]
const addCase = (name: string, entry: BuiltEntry, reason: FaultReason): Case => [
  `an entry called ${name}`,
  [...genuine, entry],
  {},
  reason,
  entry.name,
]
const sheet = genuine.find(({ name }) => name === SHEET)?.content ?? new Uint8Array(0)
const unicodePath = (name: string): Uint8Array => extraField(0x7075, join([new Uint8Array(5), text(name)]))

describe("G5, G7, G8, G10, G11, G13, G14, G16: an archive", () => {
  it("is accepted as the builder writes it: no case below fails for another cause", async () => {
    expect(await check(buildZip(genuine))).toEqual({ fault: null })
  })

  it.each<[string, BuiltEntry[], ZipOptions]>([
    ["a comment", genuine, { comment: text("made by a tool") }],
    ["Zip64 records that it does not need", genuine, { zip64: {} }],
    ["stored entries", genuine.map((entry) => ({ ...entry, method: 0 })), {}],
    ...(["signed", "unsigned", "signed64", "unsigned64"] as const).map((descriptor): [string, BuiltEntry[], ZipOptions] => [
      `${descriptor} data descriptors`,
      genuine.map((entry) => ({ ...entry, descriptor })),
      {},
    ]),
    [
      "the latest version",
      genuine.map((entry) => ({ ...entry, local: { versionNeeded: 63 }, central: { versionNeeded: 63 } })),
      {},
    ],
    ["folders", [{ name: "xl/", content: new Uint8Array(0), method: 0 }, ...genuine], {}],
    ["Unix modes", withEntry(SHEET, () => ({ central: { externalAttributes: (0o100644 << 16) >>> 0 } })), {}],
    ["padding in a local header", withEntry(TYPES, () => ({ local: { extra: extraField(0xa220, new Uint8Array(600)) } })), {}],
    [
      "Zip64 sizes in the directory that it need not hold",
      withEntry(SHEET, (entry) => ({
        method: 0,
        central: { extra: zip64Field(entry.content.length, entry.content.length) },
      })),
      {},
    ],
    ["an empty Zip64 field in a local header", withEntry(SHEET, () => ({ local: { extra: zip64Field(0, 0) } })), {}],
    ["a Unicode path that says the same", withEntry(SHEET, () => ({ central: { extra: unicodePath(SHEET) } })), {}],
    [
      "Zip64 sizes in a local header",
      withEntry(SHEET, (entry) => ({
        method: 0,
        local: {
          compressedBytes: 0xffffffff,
          plainBytes: 0xffffffff,
          extra: zip64Field(entry.content.length, entry.content.length),
        },
      })),
      {},
    ],
  ])("is accepted with %s", async (_, entries, options) => {
    expect(await check(buildZip(entries, options))).toEqual({ fault: null })
  })

  it.each<Case>([
    // Around the entries
    fileCase("bytes before it", { prefix: text("GIF89a") }, "not_a_zip"),
    fileCase("an archive before it", { prefix: buildZip([{ name: "a", content: text("a") }]) }, "prefix_data"),
    fileCase("bytes behind it", { suffix: text("\0") }, "trailing_data"),
    fileCase("a comment longer than it says", { comment: text("abc"), end: { commentBytes: 2 } }, "trailing_data"),
    fileCase("a comment shorter than it says", { end: { commentBytes: 1 } }, "truncated"),
    fileCase("a second archive in its comment", { comment: buildZip(genuine) }, "bad_directory"),
    fileCase("an end record in its comment", { comment: join([text("PK\u0005\u0006"), new Uint8Array(30)]) }, "two_directories"),
    fileCase("more entries than there are", { end: { entries: 99, entriesHere: 99 } }, "bad_directory"),
    fileCase("fewer entries than there are", { end: { entries: 2, entriesHere: 2 } }, "bad_directory"),
    fileCase("a directory elsewhere", { end: { offset: 7 } }, "bad_directory"),
    fileCase("a directory beyond the file", { end: { offset: 0x7fffffff } }, "bad_directory"),
    fileCase("a directory too large", { end: { bytes: 0x7fffffff } }, "bad_directory"),
    fileCase("a part of the entries elsewhere", { end: { entriesHere: 1 } }, "split_archive"),
    fileCase("a second disk", { end: { disk: 1 } }, "split_archive"),
    fileCase("all ones and no Zip64", { end: { offset: 0xffffffff } }, "bad_directory"),
    fileCase("a Zip64 record elsewhere", { zip64: { recordOffset: 0 } }, "bad_directory"),
    fileCase("a Zip64 record beyond the file", { zip64: { recordOffset: 2 ** 40 } }, "bad_directory"),
    fileCase("a Zip64 directory elsewhere", { zip64: { offset: 1 } }, "bad_directory"),
    fileCase("Zip64 sizes beyond all files", { zip64: { bytes: 2 ** 53 } }, "bad_directory"),
    fileCase("Zip64 with more entries than there is room for", { zip64: { entries: 10_000_000 } }, "bad_directory"),
    ["no directory", [], {}, "zip_archive"],
    // Entries
    entryCase("an encrypted entry", () => ({ flags: 1 }), "encrypted_entry"),
    entryCase("strong encryption", () => ({ flags: 0x40 }), "encrypted_entry"),
    entryCase("an AES field", () => ({ central: { extra: extraField(0x9901, new Uint8Array(7)) } }), "encrypted_entry"),
    entryCase("AES as its method", () => ({ method: 99 }), "encrypted_entry"),
    ...[1, 6, 9, 12, 14, 93, 95, 97, 98].map((method) =>
      entryCase(`method ${String(method)}`, () => ({ method }), "unsupported_compression"),
    ),
    entryCase("a version later than the standard", () => ({ central: { versionNeeded: 64 } }), "unsupported_compression"),
    entryCase("a patch", () => ({ flags: 0x20 }), "unsupported_compression"),
    entryCase("a later version locally", () => ({ local: { versionNeeded: 64 } }), "local_header_differs"),
    entryCase("a symbolic link", () => ({ central: { externalAttributes: (0o120777 << 16) >>> 0 } }), "special_entry"),
    entryCase("a device", () => ({ central: { externalAttributes: (0o060644 << 16) >>> 0 } }), "special_entry"),
    entryCase("another Unicode path", () => ({ central: { extra: unicodePath("xl/other.xml") } }), "ambiguous_name"),
    entryCase("another Unicode path locally", () => ({ local: { extra: unicodePath("xl/other.xml") } }), "local_header_differs"),
    entryCase("another disk", () => ({ central: { disk: 1 } }), "split_archive"),
    entryCase("Zip64 sizes without the field", () => ({ central: { plainBytes: 0xffffffff } }), "bad_directory"),
    entryCase("a wrong checksum", () => ({ local: { crc: 1 }, central: { crc: 1 } }), "bad_checksum"),
    entryCase("broken compression", () => ({ raw: new Uint8Array(40).fill(0xff) }), "bad_compression"),
    entryCase(
      "bytes behind its compression",
      ({ raw }) => ({ raw: join([raw ?? deflated(sheet), text("more")]) }),
      "bad_compression",
    ),
    // Extra fields
    entryCase(
      "an extra field longer than there is room",
      () => ({ central: { extra: Uint8Array.of(0x99, 0x99, 0x90, 1) } }),
      "bad_directory",
    ),
    entryCase(
      "a local extra field longer than there is room",
      () => ({ local: { extra: Uint8Array.of(0x99, 0x99, 0x90, 1) } }),
      "bad_directory",
    ),
    entryCase("other Zip64 sizes that nobody needs", () => ({ central: { extra: zip64Field(5, 5) } }), "bad_directory"),
    entryCase(
      "other Zip64 sizes that nobody needs, locally",
      () => ({ local: { extra: zip64Field(5, 5) } }),
      "local_header_differs",
    ),
    entryCase("a descriptor that is announced and not there", () => ({ flags: 8 }), "local_header_differs"),
    // Sizes
    entryCase("a size too small", () => ({ local: { plainBytes: 10 }, central: { plainBytes: 10 } }), "lying_sizes"),
    entryCase("a size too large", () => ({ local: { plainBytes: 9999 }, central: { plainBytes: 9999 } }), "lying_sizes"),
    entryCase("an impossible size", () => ({ central: { plainBytes: 0x7fffffff } }), "lying_sizes"),
    entryCase("a stored size that differs", () => ({ method: 0, central: { plainBytes: 5 } }), "lying_sizes"),
    // Local headers
    entryCase("another local name", () => ({ local: { name: SHEET.replace("1", "2") } }), "local_header_differs"),
    entryCase("another local method", () => ({ local: { method: 0 } }), "local_header_differs"),
    entryCase("another local checksum", () => ({ local: { crc: 7 } }), "local_header_differs"),
    entryCase("another local size", () => ({ local: { plainBytes: 7 } }), "local_header_differs"),
    entryCase("another local compressed size", () => ({ local: { compressedBytes: 7 } }), "local_header_differs"),
    entryCase("local encryption", () => ({ local: { flags: 1 } }), "local_header_differs"),
    ["a local header that is none", withEntry(genuine[0]?.name ?? "", () => ({ central: { offset: 3 } })), {}, "prefix_data"],
    entryCase("hidden bytes behind it", () => ({ after: new Uint8Array(100) }), "hidden_bytes"),
    entryCase("a byte behind it", () => ({ after: new Uint8Array(1) }), "hidden_bytes"),
    entryCase("a longer local name", () => ({ local: { name: `${SHEET}.xml` } }), "local_header_differs"),
    [
      "a hidden entry between its own",
      withEntry(SHEET, () => ({ after: buildZip([{ name: "xl/vbaProject.bin", content: text("x") }]).slice(0, 60) })),
      {},
      "hidden_bytes",
      SHEET,
    ],
    ["two entries in the same place", withEntry(SHEET, () => ({ central: { offset: 0 } })), {}, "overlapping_entries"],
    // Names
    ...(
      [
        ["../up.xml", "unsafe_name"],
        ["xl/../../up.xml", "unsafe_name"],
        ["xl\\..\\..\\up.xml", "unsafe_name"],
        ["/abs.xml", "unsafe_name"],
        ["\\abs.xml", "unsafe_name"],
        ["C:/abs.xml", "unsafe_name"],
        ["xl/./a.xml", "unsafe_name"],
        ["xl//a.xml", "unsafe_name"],
        ["xl/%2e%2e/a.xml", "unsafe_name"],
        ["xl%2fa.xml", "unsafe_name"],
        ["xl/a\u0000.xml", "unsafe_name"],
        ["xl/a\n.xml", "unsafe_name"],
        ["", "unsafe_name"],
        ["__proto__", "unsafe_name"],
        ["constructor", "unsafe_name"],
        ["xl/toString", "unsafe_name"],
        [SHEET, "duplicate_name"],
        [SHEET.toUpperCase(), "duplicate_name"],
        ["xl\\worksheets\\sheet1.xml", "duplicate_name"],
        ["xl/worksheets/%73heet1.xml", "duplicate_name"],
        ["[content_types].XML", "duplicate_name"],
        ["%5BContent_Types%5D.xml", "duplicate_name"],
        [`${SHEET}.`, "unsafe_name"],
        ["xl/worksheets./sheet9.xml", "unsafe_name"],
        ["xl/wor\u212asheets/sheet1.xml", "duplicate_name"],
        ["xl/worksheets/\uff53heet1.xml", "duplicate_name"],
        ["xl/worksheets/sheet2.xml/[0].piece", "interleaved_part"],
      ] as const
    ).map(([name, reason]) => addCase(name, { name, content: text("<x/>") }, reason)),
    ["a folder with content", [...genuine, { name: "xl/extra/", content: text("x") }], {}, "unsafe_name", "xl/extra/"],
  ])("is refused with %s", async (_, entries, options, reason, part) => {
    const verdict = await check(buildZip(entries, options))
    expect(verdict).toMatchObject({ fault: reason, ...(part === undefined ? {} : { part }) })
  })

  it("is refused as a bomb, and not with fewer of the same parts", async () => {
    // What the directory declares is what counts; nothing of it is unpacked.
    const declared = { plainBytes: 60_000_000 }
    const raw = crypto.getRandomValues(new Uint8Array(65_536))
    const many = Array.from({ length: 5 }, (_, i): BuiltEntry => {
      return { name: `xl/a${String(i)}.png`, content: new Uint8Array(0), raw, local: declared, central: declared }
    })
    expect(await check(buildZip([...genuine, ...many]))).toEqual({ fault: "archive_bomb", part: "xl/a0.png" })
    expect(await check(buildZip([...genuine, ...many.slice(0, 4)]))).toEqual({ fault: null })
  })

  it("is refused cut short anywhere, with every byte of it gone in turn", async () => {
    const whole = buildZip(genuine)
    for (let at = 0; at < whole.length; at += at < 200 || at > whole.length - 200 ? 1 : 97) {
      const { fault } = await check(whole.slice(0, at))
      expect(["empty_file", "not_a_zip", "truncated"], `cut at ${String(at)}`).toContain(fault)
    }
  })
})

function deflated(content: Uint8Array): Uint8Array {
  const whole = buildZip([{ name: "a", content }])
  return whole.slice(31, 31 + new DataView(whole.buffer).getUint32(18, true))
}
