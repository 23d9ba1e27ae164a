import { describe, expect, it } from "vitest"
import { utf8 } from "../../src/crypto/bytes.ts"
import { memorySource } from "../../src/office/byte-source.ts"
import type { DocumentType } from "../../src/office/document-type.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { MAIN_TYPES, contentTypes, corpus, zipOf } from "../support/documents.ts"

const check = (bytes: Uint8Array<ArrayBuffer>, type: DocumentType) => checkDocument(memorySource(bytes), type)
const typeOf = (name: string): DocumentType => name.slice(name.lastIndexOf(".") + 1) as DocumentType
const utf16 = (text: string): Uint8Array => {
  const bytes = new Uint8Array(2 + 2 * text.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0xfeff, true)
  for (let i = 0; i < text.length; i++) view.setUint16(2 + 2 * i, text.charCodeAt(i), true)
  return bytes
}

describe("real documents", () => {
  it.each(Object.entries(corpus))("%s is what its name says, and nothing else", async (name, bytes) => {
    const type = typeOf(name)
    for (const claimed of ["docx", "xlsx", "pptx"] as const) {
      const verdict = await check(bytes, claimed)
      expect(verdict, claimed).toEqual(claimed === type ? { fault: null } : { fault: "other_type", found: type })
    }
  })

  it("are refused cut short anywhere", async () => {
    const bytes = corpus["openpyxl.xlsx"] ?? new Uint8Array(0)
    for (const at of [0, 1, 4, 21, 22, 100, bytes.length - 23, bytes.length - 1]) {
      expect((await check(bytes.slice(0, at), "xlsx")).fault, `cut at ${String(at)}`).toBe("not_a_package")
    }
  })
})

describe("packages", () => {
  const good = contentTypes(MAIN_TYPES.docx)
  const part = "[Content_Types].xml"

  it.each<[string, Record<string, string | Uint8Array>, string | null]>([
    ["a main part", { [part]: good }, null],
    ["its parts in another order", { "word/document.xml": "<w/>", [part]: good }, null],
    ["the part's name in other case", { "[content_types].XML": good }, null],
    ["UTF-16", { [part]: utf16(good.replace("UTF-8", "UTF-16")) }, null],
    [
      "prefixes and comments",
      { [part]: `<!-- c --><x:Types xmlns:x="u"><x:Override PartName='/a' ContentType='${MAIN_TYPES.docx}'/></x:Types>` },
      null,
    ],
    ["no content types", { "word/document.xml": "<w/>" }, "no_content_types"],
    ["no main part", { [part]: contentTypes("text/xml") }, "not_a_document"],
    ["two kinds of main part", { [part]: contentTypes(MAIN_TYPES.docx, MAIN_TYPES.xlsx) }, "not_a_document"],
    ["a template", { [part]: contentTypes(MAIN_TYPES.docx.replace("document.main", "template.main")) }, "not_a_document"],
    ["a macro document", { [part]: contentTypes("application/vnd.ms-word.document.macroEnabled.main+xml") }, "macro_enabled"],
    ["a macro project", { [part]: contentTypes(MAIN_TYPES.docx, "application/vnd.ms-office.vbaProject") }, "macro_enabled"],
    ["a DOCTYPE", { [part]: `<!DOCTYPE Types [<!ENTITY a "b">]>${good.slice(good.indexOf("<Types"))}` }, "bad_content_types"],
    ["an unknown entity", { [part]: good.replace('PartName="/part0.xml"', 'PartName="&a;"') }, "bad_content_types"],
    ["broken XML", { [part]: good.replace("</Types>", "") }, "bad_content_types"],
    ["bytes that are no text", { [part]: Uint8Array.of(0xff, 0xff, 0xff) }, "bad_content_types"],
    ["a part too large to read", { [part]: good + " ".repeat(5 * 1024 * 1024) }, "not_a_package"],
  ])("with %s", async (_, parts, fault) => {
    for (const level of [0, 6] as const) expect((await check(zipOf(parts, level), "docx")).fault).toBe(fault)
  })

  it.each<[string, Uint8Array<ArrayBuffer>, string]>([
    ["plain text", utf8("hello hello hello hello"), "not_a_package"],
    ["a PDF", utf8("%PDF-1.7\n%âãÏÓ and so on, long enough"), "not_a_package"],
    [
      "an old or encrypted document",
      Uint8Array.from([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ...new Array<number>(600).fill(0)]),
      "encrypted_or_legacy",
    ],
    ["nothing", new Uint8Array(0), "not_a_package"],
    ["an empty zip", Uint8Array.from([0x50, 0x4b, 5, 6, ...new Array<number>(18).fill(0)]), "not_a_package"],
  ])("%s is none", async (_, bytes, fault) => {
    expect((await check(bytes, "docx")).fault).toBe(fault)
  })

  it("with an encrypted, lying or bombing content-types part are refused, and its honest twin is not", async () => {
    const honest = zipOf({ [part]: good })
    const central = new DataView(honest.buffer).getUint32(honest.length - 6, true)
    const changed = (change: (view: DataView) => void): Uint8Array<ArrayBuffer> => {
      const bytes = honest.slice()
      change(new DataView(bytes.buffer))
      return bytes
    }
    expect((await check(honest, "docx")).fault).toBeNull()
    const cases: [string, (view: DataView) => void][] = [
      [
        "encrypted",
        (view) => {
          view.setUint16(central + 8, 1, true)
        },
      ],
      [
        "method 12",
        (view) => {
          view.setUint16(central + 10, 12, true)
        },
      ],
      [
        "declared too small",
        (view) => {
          view.setUint32(central + 24, 10, true)
        },
      ],
      [
        "declared too large",
        (view) => {
          view.setUint32(central + 24, 100_000, true)
        },
      ],
      [
        "offset outside",
        (view) => {
          view.setUint32(central + 42, 0x7fffffff, true)
        },
      ],
      [
        "directory outside",
        (view) => {
          view.setUint32(honest.length - 6, 0x7fffffff, true)
        },
      ],
      [
        "more entries than there are",
        (view) => {
          view.setUint16(honest.length - 12, 9, true)
        },
      ],
    ]
    for (const [name, change] of cases) expect((await check(changed(change), "docx")).fault, name).toBe("not_a_package")
  })

  it("with bytes before or after the zip are refused", async () => {
    const honest = zipOf({ [part]: good })
    const before = new Uint8Array(honest.length + 4)
    before.set(honest, 4)
    const after = new Uint8Array(honest.length + 4)
    after.set(honest)
    expect((await check(before, "docx")).fault).toBe("not_a_package")
    expect((await check(after, "docx")).fault).toBe("not_a_package")
  })
})
