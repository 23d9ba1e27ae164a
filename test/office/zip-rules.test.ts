// Rules of the ZIP layer that nothing else would enforce. Each refused archive stands beside its twin, which differs only in
// the one fault and is accepted.
import { describe, expect, it } from "vitest"
import { openArchive } from "../../src/office/archive.ts"
import { memorySource } from "../../src/office/byte-source.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { createWork } from "../../src/office/work.ts"
import { realDocument } from "../support/documents.ts"
import {
  type BuiltEntry,
  DESCRIPTOR_FORMS,
  type ZipOptions,
  buildZip,
  extraField,
  join,
  takeApart,
  zip64Field,
} from "../support/zip-builder.ts"

const genuine = takeApart(realDocument("openpyxl-chart.xlsx"))
const SHEET = "xl/worksheets/sheet1.xml"
const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const check = (bytes: Uint8Array<ArrayBuffer>) => checkDocument(memorySource(bytes), "xlsx")

type Change = (entry: BuiltEntry) => Partial<BuiltEntry>
/** The genuine document with its sheet changed. */
const withSheet = (change: Change): BuiltEntry[] =>
  genuine.map((entry) => (entry.name === SHEET ? { ...entry, ...change(entry) } : entry))
const withMore = (...entries: BuiltEntry[]): Uint8Array<ArrayBuffer> => buildZip([...genuine, ...entries])
/** As an archive that is too large to be read through. */
const openLarge = (bytes: Uint8Array<ArrayBuffer>) => openArchive(memorySource(bytes), createWork(), true)

async function expectPair(
  twin: Uint8Array<ArrayBuffer>,
  faulty: Uint8Array<ArrayBuffer>,
  reason: FaultReason,
  part?: string,
): Promise<void> {
  expect(await check(twin), "the twin").toEqual({ fault: null })
  expect(await check(faulty)).toEqual(part === undefined ? { fault: reason } : { fault: reason, part })
}

describe("the end records of an archive", () => {
  const count = genuine.length

  it.each<[string, NonNullable<ZipOptions["zip64"]>, NonNullable<ZipOptions["zip64"]>, FaultReason]>([
    ["a Zip64 record on another disk", { disk: 0 }, { disk: 1 }, "split_archive"],
    ["a Zip64 directory on another disk", { directoryDisk: 0 }, { directoryDisk: 1 }, "split_archive"],
    ["a Zip64 locator that points to another disk", { locatorDisk: 0 }, { locatorDisk: 1 }, "split_archive"],
    ["a Zip64 locator of two disks", { disks: 1 }, { disks: 2 }, "split_archive"],
    ["fewer Zip64 entries here than in all", { entriesHere: count }, { entriesHere: count - 1 }, "bad_directory"],
    [
      "plain entries that Zip64 contradicts",
      { plain: { entries: count, entriesHere: count } },
      { plain: { entries: count + 1, entriesHere: count + 1 } },
      "bad_directory",
    ],
    ["a Zip64 record of another kind", { signature: 0x06064b50 }, { signature: 0x06064b51 }, "bad_directory"],
    ["a Zip64 record of another length", { recordBytes: 44 }, { recordBytes: 52 }, "bad_directory"],
  ])("with %s are refused", async (_, right, wrong, reason) => {
    await expectPair(buildZip(genuine, { zip64: right }), buildZip(genuine, { zip64: wrong }), reason)
  })

  it.each(["bytes", "offset"] as const)("whose plain %s Zip64 contradicts are refused", async (field) => {
    const { length } = buildZip(genuine)
    const end = new DataView(buildZip(genuine).buffer, length - 22)
    const value = end.getUint32(field === "bytes" ? 12 : 16, true)
    await expectPair(
      buildZip(genuine, { zip64: { plain: { [field]: value } } }),
      buildZip(genuine, { zip64: { plain: { [field]: value - 1 } } }),
      "bad_directory",
    )
  })
})

describe("an entry of the directory", () => {
  const unicodePath = extraField(0x7075, join([new Uint8Array(5), text(SHEET)]))
  const sizes = (entry: BuiltEntry): Uint8Array => zip64Field(entry.content.length, entry.content.length)

  it.each<[string, Change, Change, FaultReason]>([
    [
      "two Zip64 fields",
      (entry) => ({ method: 0, central: { extra: sizes(entry) } }),
      (entry) => ({ method: 0, central: { extra: join([sizes(entry), sizes(entry)]) } }),
      "bad_directory",
    ],
    [
      "two Unicode paths",
      () => ({ central: { extra: unicodePath } }),
      () => ({ central: { extra: join([unicodePath, unicodePath]) } }),
      "bad_directory",
    ],
    [
      "two Zip64 fields locally",
      (entry) => ({ method: 0, local: { extra: sizes(entry) } }),
      (entry) => ({ method: 0, local: { extra: join([sizes(entry), sizes(entry)]) } }),
      "bad_directory",
    ],
    [
      "two Unicode paths locally",
      () => ({ local: { extra: unicodePath } }),
      () => ({ local: { extra: join([unicodePath, unicodePath]) } }),
      "bad_directory",
    ],
    // APPNOTE 4.5.12: strong encryption, and 4.4.4 bit 13: the directory is encrypted and local headers are masked.
    [
      "the field of strong encryption",
      () => ({ central: { extra: extraField(0x0018, new Uint8Array(8)) } }),
      () => ({ central: { extra: extraField(0x0017, new Uint8Array(8)) } }),
      "encrypted_entry",
    ],
    ["masked headers", () => ({ flags: 0x0006 }), () => ({ flags: 0x2006 }), "encrypted_entry"],
    ["masked headers locally", () => ({ local: { flags: 6 } }), () => ({ local: { flags: 0x2006 } }), "local_header_differs"],
    ["strong encryption locally", () => ({ local: { flags: 6 } }), () => ({ local: { flags: 0x0046 } }), "local_header_differs"],
  ])("with %s is refused", async (_, right, wrong, reason) => {
    await expectPair(buildZip(withSheet(right)), buildZip(withSheet(wrong)), reason, SHEET)
  })

  it("of fewer bytes than a deflate stream has is refused, where nobody would unpack it", async () => {
    const entry = (compressedBytes: number): Uint8Array<ArrayBuffer> =>
      withMore({ name: "a.png", content: new Uint8Array(500), raw: new Uint8Array(compressedBytes) })
    expect((await openLarge(entry(2))).find("a.png")).toMatchObject({ plainBytes: 500 })
    await expect(openLarge(entry(1))).rejects.toMatchObject({ reason: "lying_sizes", part: "a.png" })
  })

  it("with a name of more than 1024 letters is refused", async () => {
    const named = (letters: number): BuiltEntry => ({ name: `xl/${"a".repeat(letters - 7)}.xml`, content: text("<x/>") })
    await expectPair(withMore(named(1024)), withMore(named(1025)), "unsafe_name", named(1025).name)
  })

  it("with a name that is no UTF-8, although its flag says so, is refused", async () => {
    const named = (flags: number): BuiltEntry => ({
      name: "",
      nameBytes: Uint8Array.of(0x78, 0x6c, 0x2f, 0xe4, 0x2e, 0x78, 0x6d, 0x6c),
      content: text("<x/>"),
      flags,
    })
    await expectPair(withMore(named(0)), withMore(named(0x0800)), "unsafe_name", "xl/ä.xml")
  })
})

describe("a data descriptor", () => {
  const sheetBytes = genuine.find(({ name }) => name === SHEET)?.content.length ?? 0
  const lies: [string, NonNullable<BuiltEntry["descriptorFields"]>, FaultReason][] = [
    ["another checksum", { crc: 1 }, "local_header_differs"],
    ["another compressed size", { compressedBytes: 1 }, "local_header_differs"],
    ["another size", { plainBytes: sheetBytes + 1 }, "local_header_differs"],
    ["a byte too many", { moreBytes: 1 }, "hidden_bytes"],
    ["a byte too few", { moreBytes: -1 }, "hidden_bytes"],
  ]
  const longLies: typeof lies = [
    ["a compressed size that differs in its upper half", { compressedBytes: 2 ** 40 }, "local_header_differs"],
    ["a size that differs in its upper half", { plainBytes: sheetBytes + 2 ** 32 }, "local_header_differs"],
    ["a size beyond all files", { plainBytes: 2 ** 60 }, "bad_directory"],
  ]
  const signedLies: typeof lies = [["another signature", { signature: 0x08074b51 }, "local_header_differs"]]
  const cases = DESCRIPTOR_FORMS.flatMap((form) =>
    [...lies, ...(form.endsWith("64") ? longLies : []), ...(form.startsWith("signed") ? signedLies : [])].map(
      ([name, fields, reason]) => [form, name, fields, reason] as const,
    ),
  )

  it.each(cases)("(%s) with %s is refused", async (descriptor, _, descriptorFields, reason) => {
    const twin = buildZip(withSheet(() => ({ descriptor })))
    await expectPair(twin, buildZip(withSheet(() => ({ descriptor, descriptorFields }))), reason, SHEET)
  })

  it.each([4, 8, 16, 28])("that is none, of %i bytes, is refused", async (bytes) => {
    const hidden =
      (after: Uint8Array): Change =>
      () => ({ flags: 8, after })
    const [form] = DESCRIPTOR_FORMS
    await expectPair(
      buildZip(withSheet(() => ({ descriptor: form }))),
      buildZip(withSheet(hidden(new Uint8Array(bytes)))),
      bytes === 16 ? "local_header_differs" : "hidden_bytes",
      SHEET,
    )
  })
})

describe("a local extra field", () => {
  it("that is longer than its room is refused, although its entry's data would be sound behind it", async () => {
    // The entry's data would end with the signature of the next header.
    const content = text("some stored bytesPK\u0003\u0004")
    const entry = (raw: Uint8Array): BuiltEntry => ({
      name: "a.png",
      content,
      raw,
      method: 0,
      local: { extra: extraField(0xa220, new Uint8Array(0)), compressedBytes: content.length },
      central: { compressedBytes: content.length },
    })
    const before = (raw: Uint8Array): Uint8Array<ArrayBuffer> => buildZip([entry(raw), ...genuine])
    await expectPair(before(content), before(content.subarray(0, -4)), "overlapping_entries", "a.png")
  })

  it("in which an entry could hide is looked at in large archives, and more than 256 of them are refused", async () => {
    const padded = (count: number): Uint8Array<ArrayBuffer> =>
      buildZip(
        Array.from({ length: count }, (_, i): BuiltEntry => ({
          name: `${String(i)}.png`,
          content: new Uint8Array(0),
          method: 0,
          local: { extra: extraField(0xa220, new Uint8Array(100)) },
        })),
      )
    expect((await openLarge(padded(256))).entries.length).toBe(256)
    await expect(openLarge(padded(257))).rejects.toMatchObject({ reason: "hidden_bytes" })
  })
})
