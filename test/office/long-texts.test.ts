// Long texts of genuine documents, which are taken, and what is hidden among as much: where pieces are cut, what cannot be
// cleaned, and what uses up the work before anything was looked at.
import { describe, expect, it } from "vitest"
import type { FaultReason } from "../../src/office/fault.ts"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { minimalParts } from "../support/documents.ts"

const OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
const RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
const NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const MIB = 1024 * 1024
const document = (body: string): Parts => ({
  ...minimalParts(),
  "part0.xml": `<w:document ${NS}><w:body>${body}</w:body></w:document>`,
})
const sheet = (content: string): Parts =>
  withPart(
    minimalParts("xlsx"),
    "s.xml",
    `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`,
    `<worksheet>${content}</worksheet>`,
    "worksheet",
  )
/** A header that is declared as something else: programs read it all the same. */
const header = (content: string | Uint8Array): Parts => withPart(minimalParts(), "h.xml", "application/xml", content, "header")
const char = (type: string): string => `<w:fldChar w:fldCharType="${type}"/>`
const field = (code: string): string => `${char("begin")}<w:instrText>${code}</w:instrText>${char("end")}`

const utf16 = (text: string): Uint8Array => {
  const bytes = new Uint8Array(2 * text.length + 2)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i <= text.length; i++) view.setUint16(2 * i, i === 0 ? 0xfeff : text.charCodeAt(i - 1), true)
  return bytes
}

describe("a genuine document", () => {
  it("may have a million cells filled down", { timeout: 120_000 }, async () => {
    const cells = '<c r="C1" s="4" t="str"><f t="shared" si="3"/><v></v></c>'.repeat(900_000)
    expect(await checkParts(sheet(`<sheetData>${cells}</sheetData>`), "xlsx")).toEqual({ fault: null })
    expect(await checkParts(sheet(`<f>cmd|'/c calc'!A0</f>${cells}`), "xlsx")).toMatchObject({ fault: "dde" })
  })

  it("may hold a file of megabytes as text", async () => {
    const held = (letters: number): Parts =>
      withPart(minimalParts(), "customXml/item1.xml", "application/xml", `<d>${"QUJD".repeat(letters / 4)}</d>`, "customXml")
    expect(await checkParts(held(6_000_000))).toEqual({ fault: null })
    expect(await checkParts(held(14_000_000))).toMatchObject({ fault: "too_complex" })
  })

  it("may have comments with tags in them behind one another, wherever a piece ends", async () => {
    for (let shift = 0; shift < 3000; shift += 500) {
      const before = "<w:p/>".repeat(Math.floor((MIB - 1500) / 6)) + " ".repeat(shift)
      const parts = (code: string): Parts =>
        document(`${before}<w:t><!-- <a> --><!-- b -->${"text ".repeat(600)}</w:t>${field(`D<!-- <a> --><!-- b -->${code}`)}`)
      expect(await checkParts(parts("ATE"))).toEqual({ fault: null })
      expect(await checkParts(parts("DE x"))).toMatchObject({ fault: "dde" })
    }
  })
})

describe("what cannot be cleaned", () => {
  const flood = (count: number): string => `<x:y xmlns:x="urn:x"><![CDATA[${"&".repeat(count)}]]></x:y>`

  it.each<[string, string, FaultReason]>([
    ["D<!-- > -->DE x", "D<!-- > -->ATE", "bad_xml"],
    ["<![CDATA[D]]>DE x", "<![CDATA[D]]>ATE", "bad_xml"],
  ])("does not hide %s behind a flood of CDATA", async (code, other, fault) => {
    const parts = (count: number, text: string): Parts => header(`<w:hdr ${NS}>${flood(count)}${field(text)}</w:hdr>`)
    expect(await checkParts(parts(60_000, other))).toEqual({ fault: null })
    expect(await checkParts(parts(60_000, code))).toMatchObject({ fault: "dde" })
    expect(await checkParts(parts(70_000, code))).toMatchObject({ fault })
  })

  it("is taken where there is nothing that is looked for", async () => {
    expect(await checkParts(header(`<a>${flood(70_000)}</a>`))).toEqual({ fault: null })
  })

  it("is not what letters of UTF-16 look like in other encodings", async () => {
    const parts = (code: string): Parts =>
      header(utf16(`<w:hdr ${NS}><w:t>\u213c\u2d2d</w:t>${field(code)}<w:t>\u2d2d></w:t>${"<w:p/>".repeat(100_000)}</w:hdr>`))
    expect(await checkParts(parts("DATE"))).toEqual({ fault: null })
    expect(await checkParts(parts("DDE x"))).toMatchObject({ fault: "dde" })
  })
})

describe("work that is used up", () => {
  // Some number of relationships leaves work for the reading of the main part and not for looking at it.
  it.each([500_000, 600_000, 700_000, 760_000])("by %i relationships hides no field", async (count) => {
    const parts = (code: string): Parts => ({
      ...document(`<w:fldSimple w:instr="${code}"/>${"<w:p/>".repeat(12_000)}`),
      "_rels/part0.xml.rels": `<Relationships xmlns="${RELATIONSHIPS}">${"<Relationship/>".repeat(count)}</Relationships>`,
    })
    const { fault } = await checkParts(parts("DDE x y"))
    expect(["dde", "too_complex"]).toContain(fault)
  })

  it("is not by a few of them", async () => {
    const rels = `<Relationships xmlns="${RELATIONSHIPS}">${"<Relationship/>".repeat(10)}</Relationships>`
    const parts = (code: string): Parts => ({
      ...document(`<w:fldSimple w:instr="${code}"/>`),
      "_rels/part0.xml.rels": rels,
    })
    await expectPolicy("docx", parts("DDE x"), parts("PAGE"), "dde", "dde")
  })

  it("is not by tags that never end, each of which reaches as far as the last", async () => {
    expect(await checkParts(sheet(`${"<f ".repeat(345_000)}/><b/>`), "xlsx")).toEqual({ fault: null })
    expect(await checkParts(sheet(`${"<f ".repeat(345_000)}/><f>cmd|'/c calc'!A0</f>`), "xlsx")).toMatchObject({ fault: "dde" })
  })
})
