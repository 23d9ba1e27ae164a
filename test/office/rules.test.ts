// Rules of packages, and limits of what a check takes on, that nothing else would enforce. Each refused document stands
// beside its twin, which differs only in the one fault and is accepted.
import { deflateRawSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { openArchive } from "../../src/office/archive.ts"
import { memorySource } from "../../src/office/byte-source.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { WORK_PER_ENTRY, createWork } from "../../src/office/work.ts"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { CONTENT_TYPES, contentTypes, MAIN_TYPES, minimalParts, relationships, zipOf } from "../support/documents.ts"
import { type BuiltEntry, buildZip } from "../support/zip-builder.ts"

const MIB = 1024 * 1024
const KINDS = "http://schemas.microsoft.com/office/2006/relationships"
const text = (content: string | Uint8Array): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content
const minimalEntries = (): BuiltEntry[] =>
  Object.entries(minimalParts()).map(([name, content]) => ({ name, content: text(content) }))
const checkZip = (entries: readonly BuiltEntry[]) => checkDocument(memorySource(buildZip(entries)), "docx")

async function expectPair(twin: Parts, faulty: Parts, reason: FaultReason, part: string): Promise<void> {
  expect(await checkParts(twin), "the twin").toEqual({ fault: null })
  expect(await checkParts(faulty)).toEqual({ fault: reason, part })
}

describe("a part that describes others", () => {
  const types = String(minimalParts()[CONTENT_TYPES])

  it("with an attribute that stands there twice is refused, even if it says the same", async () => {
    const override = (name: string): Parts => ({
      ...minimalParts(),
      [CONTENT_TYPES]: types.replace("<Override ", `<Override ${name}="/part0.xml" `),
    })
    await expectPair(override("PartNames"), override("PartName"), "bad_xml", CONTENT_TYPES)
  })

  it("with more than 256 prefixes is refused, wherever within each other they are declared", async () => {
    const prefixes = (count: number, letter: string): string =>
      Array.from({ length: count }, (_, i) => ` xmlns:${letter}${String(i)}="urn:${String(i)}"`).join("")
    // Besides the default namespace.
    const document = (count: number): Parts => ({
      ...minimalParts(),
      [CONTENT_TYPES]: types
        .replace("<Types", `<Types${prefixes(200, "p")}`)
        .replace("<Override", `<Override${prefixes(count - 201, "q")}`),
    })
    await expectPair(document(256), document(257), "bad_xml", CONTENT_TYPES)
  })
})

describe("G2: macros and controls, each told by one thing alone", () => {
  const related = (kind: string): Parts => ({
    ...minimalParts(),
    "_rels/part0.xml.rels": relationships({ kind: `${KINDS}/${kind}`, target: "a.bin" }),
    "a.bin": "x",
  })

  it.each(["wordVbaData", "vbaProject", "vbaProjectSignature", "xlMacrosheet", "xlIntlMacrosheet"])(
    "a relationship of the kind %s is refused",
    async (kind) => {
      await expectPair(related(`x${kind}`), related(kind), "macro_enabled", "_rels/part0.xml.rels")
    },
  )

  it.each([
    ["word/vbaData.xml", "word/vbaDatum.xml"],
    ["vbaData.xml", "myvbaData.xml"],
    ["word/vbaProjectSignature.bin", "word/vbProjectSignature.bin"],
  ])("a part called %s is refused; %s is not", async (name, twin) => {
    const named = (part: string): Parts => withPart(minimalParts(), part, "application/octet-stream", "x")
    await expectPair(named(twin), named(name), "macro_enabled", name)
  })

  it.each(["activeXControlBinary", "control"])("a control, by a relationship of the kind %s, is refused", async (kind) => {
    await expectPolicy("docx", related(kind), related(`${kind}s`), "activeX", "activex")
  })
})

describe("G4: a document protected with a password", () => {
  /** A Compound File Binary with this name in its directory (MS-CFB 2.2, 2.6). */
  function compoundFile(name: string): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(2048)
    const view = new DataView(bytes.buffer)
    bytes.set([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1])
    view.setUint16(30, 9, true)
    view.setUint32(48, 1, true)
    for (let i = 0; i < name.length; i++) view.setUint16(1024 + 2 * i, name.charCodeAt(i), true)
    return bytes
  }

  it.each(["EncryptionInfo", "EncryptedPackage"])("is known by %s alone (MS-OFFCRYPTO 2.3.4)", async (name) => {
    expect(await checkDocument(memorySource(compoundFile(`${name.slice(0, -1)}_`)), "docx")).toEqual({ fault: "compound_file" })
    expect(await checkDocument(memorySource(compoundFile(name)), "docx")).toEqual({ fault: "password_protected" })
  })
})

describe("documents within a document", () => {
  const BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
  const withBooks = (...books: Uint8Array[]): Parts => ({
    ...minimalParts(),
    [CONTENT_TYPES]: contentTypes(MAIN_TYPES.docx).replace(
      "</Types>",
      `<Default Extension="xlsx" ContentType="${BOOK}"/></Types>`,
    ),
    ...Object.fromEntries(books.map((book, i) => [`book${String(i)}.xlsx`, book])),
  })

  it("that are too much to check are refused for that, and not called broken", async () => {
    const book = (spaces: number): Uint8Array => {
      const parts = minimalParts("xlsx")
      return zipOf({ ...parts, [CONTENT_TYPES]: String(parts[CONTENT_TYPES]) + " ".repeat(spaces) })
    }
    await expectPair(withBooks(book(MIB)), withBooks(book(10 * MIB)), "too_complex", "book0.xlsx")
  })

  const large = zipOf({ ...minimalParts("xlsx"), "media/0.png": new Uint8Array(3.9 * MIB) }, 0)
  const many = (count: number, last: Uint8Array): Parts => withBooks(...Array.from({ length: count }, () => large), last)
  const broken = text("MZ")

  it("are looked into up to the last", async () => {
    await expectPair(many(4, zipOf(minimalParts("xlsx"))), many(4, broken), "bad_embedded_document", "book4.xlsx")
  })

  it("are all looked into, and together more than 16 MiB only where they do not lie within each other", async () => {
    expect(await checkParts(many(5, broken))).toEqual({ fault: "bad_embedded_document", part: "book5.xlsx" })
    const book = (mebibytes: number): Uint8Array =>
      zipOf({ ...minimalParts("xlsx"), "media/0.png": new Uint8Array(mebibytes * MIB) }, 0)
    await expectPair(withBooks(book(15)), withBooks(book(17)), "too_complex", "book0.xlsx")
  })
})

describe("G12: what an archive declares to hold", () => {
  const zeros = new Uint8Array(60_000_000)
  const raw = new Uint8Array(deflateRawSync(zeros))
  const dense = (count: number): BuiltEntry[] =>
    Array.from({ length: count }, (_, i) => ({ name: `media/${String(i)}.png`, content: zeros, raw }))
  const padding = (bytes: number): BuiltEntry => ({ name: "media/noise.png", content: new Uint8Array(bytes), method: 0 })

  it("beyond 256 MiB is a bomb at 200 to one; fewer of the same parts are none, and none are all of them beside others", async () => {
    const bomb = [...minimalEntries(), ...dense(5)]
    expect(await checkZip([...minimalEntries(), ...dense(4)])).toEqual({ fault: null })
    expect(await checkZip([...bomb, padding(1_300_000)])).toEqual({ fault: null })
    expect(await checkZip(bomb)).toEqual({ fault: "archive_bomb", part: "media/0.png" })
    expect(await checkZip([...bomb, padding(1_000_000)])).toEqual({ fault: "archive_bomb", part: "media/0.png" })
  })

  it("beyond 8 GiB is a bomb at any rate", async () => {
    const content = new Uint8Array(15_000_000)
    const third = Math.floor((8 * 1024 * MIB) / 3)
    const document = (more: number): BuiltEntry[] => [
      ...minimalEntries(),
      ...[third, third, 8 * 1024 * MIB - 2 * third + more].map((plainBytes, i): BuiltEntry => ({
        name: `media/${String(i)}.png`,
        content,
        raw: content,
        central: { plainBytes },
      })),
    ]
    const others = minimalEntries().reduce((sum, { content: { length } }) => sum + length, 0)
    expect(await checkZip(document(-others))).toEqual({ fault: null })
    expect(await checkZip(document(1 - others))).toMatchObject({ fault: "archive_bomb" })
  })
})

describe("the work of a check", () => {
  it("has a limit that is counted in units, of which the last is still to be had", () => {
    const work = createWork()
    const all = work.remaining()
    work.spend(all)
    expect(work.trySpend(1)).toBe(false)
    expect(() => {
      work.spend(1)
    }).toThrow(expect.objectContaining({ reason: "too_complex" }))
  })

  it("ends with a document of more relationships than any program writes", async () => {
    // A worksheet has 65 530 hyperlinks at most. Elements of this length are some 26 to 38 units each.
    const document = (count: number): Parts => ({
      ...minimalParts(),
      ...Object.fromEntries(
        Array.from({ length: 3 }, (_, i) => [
          `a/_rels/${String(i)}.xml.rels`,
          relationships().replace("</Relationships>", `${'<Relationship Target="a"/>'.repeat(count / 3)}</Relationships>`),
        ]),
      ),
    })
    expect(await checkParts(document(300_000))).toEqual({ fault: null })
    expect(await checkParts(document(700_000))).toMatchObject({ fault: "too_complex" })
  })

  it("is spent on each entry of a directory before anything is made of it", async () => {
    const bytes = zipOf(minimalParts())
    const open = (units: number) => {
      const work = createWork()
      work.spend(work.remaining() - units)
      return openArchive(memorySource(bytes), work)
    }
    // Something more for the letters of their names.
    expect((await open(3 * WORK_PER_ENTRY + 100)).entries.length).toBe(3)
    await expect(open(3 * WORK_PER_ENTRY - 1)).rejects.toMatchObject({ reason: "too_complex" })
  })
})

describe("a main part", () => {
  it("that begins with zeros is no XML first of all, whatever its size is said to be", async () => {
    await expectPair(minimalParts(), { ...minimalParts(), "part0.xml": new Uint8Array(1000) }, "bad_xml", "part0.xml")
  })
})
