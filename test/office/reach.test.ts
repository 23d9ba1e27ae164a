// How far the looks reach: what is to be pushed out of them by much that is there for nothing else, or to lie deeper than
// they go. Every refused one has a twin that differs only in the one thing and is taken.
import { describe, expect, it } from "vitest"
import { memorySource } from "../../src/office/byte-source.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { CONTENT_TYPES, MAIN_TYPES, contentTypes, minimalParts, relationships, zipOf } from "../support/documents.ts"
import { buildZip } from "../support/zip-builder.ts"

const OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
const NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const MIB = 1024 * 1024
const field = (code: string): string => `<w:fldSimple w:instr="${code}"/>`
const long = '<w:fldChar w:fldCharType="begin"/><w:instrText>PAGE</w:instrText><w:fldChar w:fldCharType="end"/>'
const story = (before: string, code: string): string =>
  `<w:document ${NS}><w:body>${long}${before}${field(code)}</w:body></w:document>`
const word = (before: string, code: string): Parts => ({ ...minimalParts(), "part0.xml": story(before, code) })
const declared = (more: string, type: keyof typeof MAIN_TYPES = "docx"): Parts => ({
  ...minimalParts(type),
  [CONTENT_TYPES]: contentTypes(MAIN_TYPES[type]).replace("</Types>", `${more}</Types>`),
})

describe("a field of DDE", () => {
  it.each<[string, string]>([
    ["9 MiB of paragraphs", "<w:p/>".repeat(1_600_000)],
    ["40 MiB of paragraphs", "<w:p/>".repeat(7_000_000)],
    ["9 MiB of text", "<w:t>é</w:t>".repeat(700_000)],
  ])("behind %s is refused", async (_, before) => {
    await expectPolicy("docx", word(before, "DDE x"), word(before, "PAGE"), "dde", "dde")
  })

  it("over the edge of two pieces is refused", async () => {
    const run = (code: string): string => `<w:r><w:instrText>${code}</w:instrText></w:r>`
    for (let shift = 0; shift < 60; shift += 7) {
      const before = "<w:p/>".repeat(Math.floor(MIB / 6) - 60) + "<w:br/>" + " ".repeat(shift)
      const split = (a: string, b: string): Parts => ({
        ...minimalParts(),
        "part0.xml": `<w:document ${NS}>${before}<w:fldChar w:fldCharType="begin"/>${run(a)}${"<w:r/>".repeat(30)}${run(b)}<w:fldChar w:fldCharType="end"/></w:document>`,
      })
      expect(await checkParts(split("D", "DE x"))).toEqual({ fault: "dde", part: "part0.xml" })
      expect(await checkParts(split("D", "ATE"))).toEqual({ fault: null })
    }
  })

  it("in the main part is refused, however many headers stand before it", async () => {
    const headers = (code: string): Uint8Array<ArrayBuffer> => {
      const base = declared(`<Default Extension="hd" ContentType="${OFFICE_TYPE}.wordprocessingml.header+xml"/>`)
      // Behind all others.
      delete base["part0.xml"]
      const large = `<w:hdr ${NS}>${long}${"<w:p/>".repeat(1_300_000)}</w:hdr>`
      const small = Array.from({ length: 200 }, (_, i): [string, string] => [`s${String(i)}.hd`, `<w:hdr ${NS}>${long}</w:hdr>`])
      const decoys: Parts = { "a.hd": large, "b.hd": large, "c.hd": large, ...Object.fromEntries(small) }
      return zipOf({ ...base, ...decoys, "part0.xml": story("", code) })
    }
    expect(await checkDocument(memorySource(headers("PAGE")), "docx")).toEqual({ fault: null })
    expect(await checkDocument(memorySource(headers("DDE x")), "docx")).toEqual({ fault: "dde", part: "part0.xml" })
  })

  it("in a story of a document above 5 MiB is refused, while reading stays within its budget", async () => {
    const noise = crypto.getRandomValues(new Uint8Array(65_536))
    const picture = new Uint8Array(6 * MIB)
    for (let at = 0; at < picture.length; at += noise.length) picture.set(noise, at)
    const letters = Array.from({ length: 12 }, () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(40_000)))))
    const before = `<w:t>${letters.join("")}</w:t>`
    const bytes = (code: string): Uint8Array<ArrayBuffer> => {
      const parts = { ...declared(`<Default Extension="png" ContentType="image/png"/>`), "part0.xml": story(before, code) }
      const entries = Object.entries(parts).map(([name, content]) => ({
        name,
        content: typeof content === "string" ? new TextEncoder().encode(content) : content,
      }))
      return buildZip([{ name: "i.png", content: picture, method: 0 }, ...entries])
    }
    expect(await checkDocument(memorySource(bytes("PAGE")), "docx")).toEqual({ fault: null })
    expect(await checkDocument(memorySource(bytes("DDE x")), "docx")).toEqual({ fault: "dde", part: "part0.xml" })
  })
})

describe("a formula", () => {
  it("at the end of 20 MiB of cells is refused", async () => {
    const cells = '<c><f t="shared" si="0"/><v>1</v></c><c><f>SUM(A1:B2)&amp;"x"</f><v>1</v></c>'.repeat(250_000)
    const sheet = (formula: string): Parts =>
      withPart(
        minimalParts("xlsx"),
        "s.xml",
        `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`,
        `<worksheet>${cells}<c><f>${formula}</f></c></worksheet>`,
      )
    await expectPolicy("xlsx", sheet("cmd|'/c'!A0"), sheet("1+2"), "dde", "dde")
  })

  it.each(["REGISTER.ID(&quot;a.dll&quot;,&quot;b&quot;)", "_xlfn.register.id (A1,A2)"])(
    "that loads a library, %s, is refused",
    async (formula) => {
      const sheet = (text: string): Parts =>
        withPart(
          minimalParts("xlsx"),
          "s.xml",
          `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`,
          `<worksheet><f>${text}</f></worksheet>`,
        )
      await expectPolicy("xlsx", sheet(formula), sheet(formula.replace(/register/i, "MYREGISTER")), "dde", "dde")
    },
  )
})

describe("a picture of VML", () => {
  it.each(["https://example.com/x.png", "\\\\10.0.0.1\\x.png", "//10.0.0.1/x.png", "file:///C:/x.png", "C:\\x.png"])(
    "from %s without a relationship is refused",
    async (source) => {
      const shape = (src: string, name = "imagedata"): Parts => ({
        ...minimalParts(),
        "part0.xml": `<w:document ${NS}><w:pict><v:shape><v:${name} src="${src}" o:href="https://example.com"/></v:shape></w:pict></w:document>`,
      })
      for (const name of ["imagedata", "fill", "stroke"])
        await expectPolicy("docx", shape(source, name), shape("", name), "externalRelationships", "external_relationship")
    },
  )
})

describe("an embedded document", () => {
  const docx = `<Default Extension="docx" ContentType="${OFFICE_TYPE}.wordprocessingml.document"/>`
  const within = (inner: Uint8Array): Uint8Array<ArrayBuffer> => zipOf({ ...declared(docx), "e.docx": inner })
  const inner = (more: Parts = {}): Uint8Array<ArrayBuffer> => zipOf({ ...minimalParts(), ...more }, 0)
  const macros: Parts = { "word/vbaProject.bin": "x" }
  const check = (bytes: Uint8Array<ArrayBuffer>) => checkDocument(memorySource(bytes), "docx")

  it.each<[string, Parts, FaultReason]>([
    ["macros", macros, "macro_enabled"],
    ["no content types", { [CONTENT_TYPES]: "<x/>" }, "bad_embedded_document"],
  ])("two deep with %s is refused", async (_, more, fault) => {
    expect(await check(within(within(inner())))).toEqual({ fault: null })
    expect(await check(within(within(inner(more))))).toEqual({ fault, part: "e.docx" })
  })

  it("padded to more than 4 MiB is looked into", async () => {
    const padding = { "p.bin": new Uint8Array(4_300_000) }
    expect(await check(within(inner(padding)))).toEqual({ fault: null })
    expect(await check(within(inner({ ...padding, ...macros })))).toEqual({ fault: "macro_enabled", part: "e.docx" })
  })

  it("deeper than anybody goes, or larger than any becomes, is refused", async () => {
    expect(await check(within(within(within(within(inner())))))).toEqual({ fault: null })
    expect(await check(within(within(within(within(within(inner()))))))).toEqual({ fault: "too_complex", part: "e.docx" })
    expect(await check(within(inner({ "p.bin": new Uint8Array(12 * MIB) })))).toEqual({ fault: null })
    expect(await check(within(inner({ "p.bin": new Uint8Array(17 * MIB) })))).toEqual({ fault: "too_complex", part: "e.docx" })
  })
})

describe("many parts", () => {
  it("as 5000 sheets are accepted, and the last of them is looked at", async () => {
    const names = Array.from({ length: 5000 }, (_, i) => `xl/worksheets/sheet${String(i)}.xml`)
    const overrides = names.map(
      (name) => `<Override PartName="/${name}" ContentType="${OFFICE_TYPE}.spreadsheetml.worksheet+xml"/>`,
    )
    const sheet = (formula: string): string => `<worksheet><sheetData><c><f>${formula}</f></c></sheetData></worksheet>`
    const book = (last: string): Parts => ({
      ...declared(overrides.join(""), "xlsx"),
      "_rels/part0.xml.rels": relationships(...names.map((target) => ({ kind: "worksheet", target }))),
      ...Object.fromEntries(names.map((name, i) => [name, sheet(i === names.length - 1 ? last : "A1+1")])),
    })
    expect(await checkParts(book("A1+2"), "xlsx")).toEqual({ fault: null })
    expect(await checkParts(book("DDE(1)"), "xlsx")).toEqual({ fault: "dde", part: "xl/worksheets/sheet4999.xml" })
  })

  it("as 4000 slides with notes are accepted", async () => {
    const parts: Parts = {}
    const types: string[] = []
    for (let i = 0; i < 4000; i++)
      for (const [kind, other] of [
        ["slide", "notesSlide"],
        ["notesSlide", "slide"],
      ] as const) {
        const name = `ppt/${kind}s/${kind}${String(i)}.xml`
        types.push(`<Override PartName="/${name}" ContentType="${OFFICE_TYPE}.presentationml.${kind}+xml"/>`)
        parts[name] = "<p:sld xmlns:p='http://schemas.openxmlformats.org/presentationml/2006/main'/>"
        parts[`ppt/${kind}s/_rels/${kind}${String(i)}.xml.rels`] = relationships({
          kind: other,
          target: `../${other}s/${other}${String(i)}.xml`,
        })
      }
    expect(await checkParts({ ...declared(types.join(""), "pptx"), ...parts }, "pptx")).toEqual({ fault: null })
  })
})
