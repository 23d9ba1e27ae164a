// Ways around the looks by where a thing stands or how what leads to it is spelled: prefixes, blanks in attributes, names
// that are no addresses, formulas where few programs write them. Each refused one has a twin that is taken.
import { describe, expect, it } from "vitest"
import { memorySource } from "../../src/office/byte-source.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { attributeValue } from "../../src/office/references.ts"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { MAIN_PARTS, RELS, type TestRelationship, minimalParts, relationships, zipOf } from "../support/documents.ts"

const OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
const OWN_RELS = "_rels/part0.xml.rels"
const R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
const NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const PROGRAM = "cmd|'/c calc'!A0"
const OTHER_BOOK = "'\\\\h\\[b.xlsm]S'!Run"

describe("A2: a misused hyperlink behind other prefixes", () => {
  const linked = (count: number, spell: (i: string) => string, body: string): Parts => ({
    ...minimalParts(),
    "part0.xml": MAIN_PARTS.docx.replace(
      "<w:body/>",
      `<w:body${Array.from({ length: count }, (_, i) => spell(String(i))).join("")} ${R}>${body}</w:body>`,
    ),
    [OWN_RELS]: relationships({ kind: "hyperlink", target: "https://example.com/x", mode: "External" }),
  })
  const [picture, link] = ['<v:imagedata r:id="rId1"/>', '<w:hyperlink r:id="rId1"/>']
  it.each<[string, number, (i: string) => string]>([
    ["none", 0, () => ""],
    ["64 that look like it", 64, (i) => ` xmlns:p${i}="urn:relationships:${i}"`],
    ["200 in references", 200, (i) => ` xmlns:p${i}="urn:&#120;${i}"`],
    ["15 that are it", 15, (i) => R.replace("xmlns:r", ` xmlns:p${i}`)],
  ])("%s is refused", async (_, count, spell) => {
    const [parts, twin] = [linked(count, spell, picture), linked(count, spell, link)]
    await expectPolicy("docx", parts, twin, "externalRelationships", "external_relationship")
  })

  it("of the same namespace is refused where there are more than any program writes", async () => {
    const parts = linked(16, (i) => R.replace("xmlns:r", ` xmlns:p${i}`), link)
    expect(await checkParts(parts)).toEqual({ fault: "bad_xml", part: "part0.xml" })
  })
})

describe("A3: a value of an attribute", () => {
  it.each([
    ["a b", "a b"],
    ["a\tb\nc\rd", "a b c d"],
    ["a\r\nb\n\rc", "a b  c"],
    ["a&#9;b&#xA;c&#13;&#10;d", "a\tb\nc\r\nd"],
    ["\t&amp;#9;", " &#9;"],
  ])("%j is read as %j", (written, value) => {
    expect(attributeValue(written)).toBe(value)
  })

  it.each(["\t", "\n", "\r", "\r\n"])("with %j for a blank names the same relationship", async (blank) => {
    const linked = (id: string, reference: string, name = "v:imagedata"): Parts => ({
      ...minimalParts(),
      "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body ${R}><${name} r:id="${reference}"/></w:body>`),
      [OWN_RELS]: relationships({ kind: "hyperlink", target: "https://example.com/x", mode: "External" }).replace("rId1", id),
    })
    for (const [id, reference] of [
      ["r 1", "r 1"],
      [`r${blank}1`, "r 1"],
      ["r 1", `r${blank}1`],
    ] as const) {
      const [parts, twin] = [linked(id, reference), linked(id, reference, "w:hyperlink")]
      await expectPolicy("docx", parts, twin, "externalRelationships", "external_relationship")
    }
  })
})

const header = (name: string, target: string, instruction: string): Parts => ({
  ...withPart(minimalParts(), name, "application/octet-stream", `<w:hdr ${NS}><w:fldSimple w:instr="${instruction}"/></w:hdr>`),
  [OWN_RELS]: relationships({ kind: "header", target }),
})

describe("A3 and E: a part", () => {
  it.each([
    ["h.dat", "h.dat"],
    ["h er.dat", "h er.dat"],
    ["h er.dat", "h\ter.dat"],
    ["h er.dat", "h\r\ner.dat"],
    ["her.dat", "h&#9;er.dat"],
    ["h.dat?x", "h.dat?x"],
    ["h.dat#x", "./h.dat#x"],
    ["#x", "#x"],
    ["a/h.dat?x", "/a/b/..\\h.dat?x"],
    ["h%zz er.dat", "h%zz er.dat"],
    [" h.dat", " h.dat"],
    ["ab:h.dat", "ab:h.dat"],
    ["h.dat", "h.dat?x"],
  ])("named %j that a header's target %j leads to is looked at", async (name, target) => {
    const isAddress = target.startsWith("ab:")
    const parts = header(name, target, "DDE x")
    const policy = { externalRelationships: isAddress, embeddedObjects: false, activeX: false, dde: false }
    expect(await checkParts(header(name, target, "PAGE"), "docx", policy), "the twin").toEqual({ fault: null })
    expect(await checkParts(parts, "docx", policy)).toEqual({ fault: "dde", part: name })
  })

  it.each([
    ["c ui.xml", "c ui.xml"],
    ["c ui.xml", "c\tui.xml"],
    ["c.xml?x", "c.xml?x"],
  ])("named %j that a ribbon's target %j leads to is looked at", async (name, target) => {
    const kind = "http://schemas.microsoft.com/office/2006/relationships/ui/extensibility"
    const ribbon = (attribute: string): Parts => ({
      ...withPart(minimalParts(), name, "application/xml", `<customUI ${attribute}="x"/>`),
      [RELS]: relationships({ kind: "officeDocument", target: "part0.xml" }, { kind, target }),
    })
    expect(await checkParts(ribbon("id"))).toEqual({ fault: null })
    expect(await checkParts(ribbon("onLoad"))).toEqual({ fault: "macro_enabled", part: name })
  })
})

const sheet = (content: string): Parts =>
  withPart(minimalParts("xlsx"), "s.xml", `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`, `<worksheet>${content}</worksheet>`)
const part = (type: string, content: string, relationship?: TestRelationship | string): Parts =>
  withPart(minimalParts("xlsx"), "c.xml", type, content, relationship)
const CHARTEX = "http://schemas.microsoft.com/office/2014/relationships/chartEx"

describe("D: a formula", () => {
  it.each<[string, (formula: string) => Parts]>([
    ["a step of a conditional format", (f) => sheet(`<cfvo type="formula" val="${f}"/>`)],
    ["a control's macro", (f) => sheet(`<controlPr macro="${f}"/>`)],
    ["a control's cell", (f) => sheet(`<controlPr linkedCell="${f}"/>`)],
    ["a control's list", (f) => sheet(`<x:controlPr listFillRange="${f}"></x:controlPr>`)],
    ["an object's macro", (f) => sheet(`<objectPr macro="${f}"/>`)],
    ["a linked object", (f) => sheet(`<oleObject progId="x" link="${f}"/>`)],
    ["a shape in a chart", (f) => part(`${OFFICE_TYPE}.drawingml.chartshapes+xml`, `<cdr:sp macro="" textlink="${f}"/>`)],
    ["a shape in a chart under another type", (f) => part("image/png", `<cdr:pic macro="${f}"/>`, "chartUserShapes")],
  ])("of %s is looked at", async (_, make) => {
    await expectPolicy("xlsx", make(PROGRAM), make("'it''s'!$A$1"), "dde", "dde")
    await expectPolicy("xlsx", make(OTHER_BOOK), make("[1]!'x'"), "externalRelationships", "external_data")
  })

  it.each<[string, (formula: string) => Parts]>([
    ["a newer chart", (f) => part("application/vnd.ms-office.chartex+xml", `<cx:f dir="row">${f}</cx:f>`)],
    ["a newer chart's name", (f) => part("application/vnd.ms-office.chartex+xml", `<cx:nf>${f}</cx:nf>`)],
    ["a newer chart under another type", (f) => part("image/png", `<cx:f>${f}</cx:f>`, { kind: CHARTEX, target: "c.xml" })],
  ])("of %s is looked at; it may say which book its numbers came from", async (_, make) => {
    await expectPolicy("xlsx", make(PROGRAM), make("'[Book 1.xlsx]Sheet1'!$A$1"), "dde", "dde")
  })

  it("is found far into a long sheet", async () => {
    const long = (value: string): Parts => sheet(`${"<c/>".repeat(400_000)}<cfvo type="num" val="10"/><cfvo val="${value}"/>`)
    await expectPolicy("xlsx", long(PROGRAM), long("A1"), "dde", "dde")
  })

  it("is not looked for in what a sheet says, nor what its objects are called", async () => {
    const text = `<t>${PROGRAM}</t><oleObject progId="a|b" shapeId="1"/><controlPr altText="a|b" defaultSize="0"/>`
    expect(await checkParts(sheet(text), "xlsx")).toEqual({ fault: null })
  })
})

it("D: a button of a newer chart that starts a program is refused", async () => {
  const chart = (action: string): Parts =>
    part("application/vnd.ms-office.chartex+xml", `<a:hlinkClick action="ppaction://${action}"/>`)
  await expectPolicy("xlsx", chart("program"), chart("hlinkshowjump"), "dde", "program_action")
})

describe("E: a text that is imported", () => {
  const utf16 = (text: string, isLittle: boolean): Uint8Array => {
    const view = new DataView(new ArrayBuffer(2 * text.length))
    for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), isLittle)
    return new Uint8Array(view.buffer)
  }
  const chunk = (content: string | Uint8Array): Parts => withPart(minimalParts(), "t.txt", "text/plain", content, "aFChunk")
  it.each<[string, (text: string) => string | Uint8Array]>([
    ["as it is", (text) => text],
    ["with a mark", (text) => `\ufeff${text}`],
    ["in UTF-16", (text) => utf16(`\ufeff${text}`, true)],
    ["in UTF-16, the other way round", (text) => utf16(`\ufeff${text}`, false)],
    ["in UTF-16 without a mark", (text) => utf16(text, true)],
    ["behind 60 blanks", (text) => " ".repeat(60) + text],
  ])("is refused as a web page %s", async (_, encode) => {
    await expectPolicy("docx", chunk(encode("<html/>")), chunk(encode("a < b")), "embeddedObjects", "embedded_object")
  })

  it.each([505, 600])("is refused where nothing can be seen of it behind %i blanks", async (count) => {
    const check = async (text: string): Promise<unknown> => checkDocument(memorySource(zipOf(chunk(text), 0)), "docx")
    expect(await check(`${" ".repeat(count)}<html/>`)).toMatchObject({ fault: "embedded_object" })
    expect(await check(`${" ".repeat(60)}text${" ".repeat(count)}<html/>`)).toEqual({ fault: null })
    expect(await check(" ".repeat(500))).toEqual({ fault: null })
  })
})
