// Ways around the looks of active-parts.test.ts: fields and formulas, spelled or placed so that programs see them and a
// careless reader does not. LibreOffice was seen to follow most of them. Each refused one has a twin that is taken.
import { describe, expect, it } from "vitest"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { MAIN_PARTS, minimalParts } from "../support/documents.ts"

const OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
const NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const BOOK = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
const R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
const char = (type: string): string => `<w:r><w:fldChar w:fldCharType="${type}"/></w:r>`
const code = (text: string): string => `<w:r><w:instrText>${text}</w:instrText></w:r>`
const field = (instruction: string): string => char("begin") + instruction + char("separate") + char("end")
const alternative = (choice: string, fallback: string): string =>
  `<mc:AlternateContent><mc:Choice Requires="w">${choice}</mc:Choice><mc:Fallback>${fallback}</mc:Fallback></mc:AlternateContent>`
const word = (body: string, more: Parts = {}): Parts => ({
  ...minimalParts(),
  "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body ${R}><w:p>${body}</w:p></w:body>`),
  ...more,
})
const header = (body: string): string => `<w:hdr ${NS}><w:p>${body}</w:p></w:hdr>`
const utf32 = (text: string): Uint8Array => new Uint8Array(Uint32Array.from(text, (letter) => letter.codePointAt(0) ?? 0).buffer)

describe("G2: a field of DDE", () => {
  it.each<[string, string, string]>([
    [
      "with a prefix in letters of another edition",
      `<w:fldSimple xmlns:x\u0300="a" w:instr="DDE x"/>`,
      `<w:fldSimple xmlns:x\u0300="a" w:instr="PAGE"/>`,
    ],
    [
      "with a prefix that holds a mark of byte order",
      `<w:fldSimple xmlns:x\ufeffy="a" w:instr="DDE x"/>`,
      `<w:fldSimple xmlns:x\ufeffy="a" w:instr="PAGE"/>`,
    ],
    [
      "behind an attribute of two prefixes",
      `<w:fldSimple a:b:c=" x='" w:instr="DDE '"/>`,
      `<w:fldSimple a:b:c=" x='" w:instr="DATE '"/>`,
    ],
    ["divided by an element that is ignored", field(code("D<x:y a='>'/>DE x")), field(code("D<x:y a='>'/>ATE"))],
    [
      "begun before alternatives",
      field(code("D") + alternative(code("DE x"), code("ATE"))),
      field(code("DATE ") + alternative(code("x"), code("y"))),
    ],
    [
      "ended behind alternatives",
      field(code("D") + alternative("", code("ATE")) + code("DE x")),
      field(code("DATE ") + alternative("", code("x")) + code("DDE")),
    ],
    [
      "wholly one of alternatives",
      field(alternative(code("PAGE"), code("DDE x"))),
      alternative(field(code("PAGE")), field(code("DATE"))),
    ],
    [
      "whose separator is one of alternatives",
      field(code("D") + alternative("", char("separate")) + code("DE x")),
      field(code("DATE ") + alternative("", "<w:r/>") + code("DDE")),
    ],
    [
      "with deleted letters",
      field(code("D") + "<w:del><w:r><w:delInstrText>ATE</w:delInstrText></w:r></w:del>" + code("DE x")),
      field(code("D") + "<w:del><w:r><w:delInstrText>D</w:delInstrText></w:r></w:del>" + code("ATE")),
    ],
    [
      "with letters that were moved away",
      field(code("D") + `<w:moveFrom>${code("ATE")}</w:moveFrom>` + code("DE x")),
      field(code("D") + `<w:moveFrom>${code("D")}</w:moveFrom>` + code("ATE")),
    ],
  ])("%s is refused", async (_, body, twin) => {
    await expectPolicy("docx", word(body), word(twin), "dde", "dde")
  })

  it("beside another of the same local name is refused, as readers choose by namespaces", async () => {
    const simple = (first: string): Parts => word(`<w:fldSimple x:instr="${first}" w:instr="DATE"/>`)
    expect(await checkParts(simple("DATE"))).toEqual({ fault: null })
    expect(await checkParts(simple("PAGE"))).toEqual({ fault: "bad_xml", part: "part0.xml" })
  })

  it.each(["image/png", "application/octet-stream", "application/vnd.ms-anything"])(
    "in a header that is declared as %s is refused",
    async (type) => {
      const part = (text: string): Parts => withPart(minimalParts(), "h.dat", type, header(field(code(text))), "header")
      await expectPolicy("docx", part("DDE x"), part("PAGE"), "dde", "dde")
    },
  )

  it.each<[string, (text: string) => string | Uint8Array]>([
    ["UTF-7", (text) => `<?xml version="1.0" encoding="UTF-7"?>${text.replaceAll("<", "+ADw-")}`],
    ["ISO 2022", (text) => `<?xml version="1.0" encoding="ISO-2022-JP"?>${text.replaceAll("fldSimple", "fld\u001b(BSimple")}`],
    ["EBCDIC by its declaration", (text) => `<?xml version="1.0" encoding="cp037"?>${text}`],
  ])("in a header in %s is refused", async (_, encode) => {
    const part = (content: string | Uint8Array): Parts => withPart(minimalParts(), "h.xml", "application/xml", content, "header")
    const text = header('<w:fldSimple w:instr="DDE x"/>')
    expect(await checkParts(part(encode(text)))).toEqual({ fault: "bad_xml", part: "h.xml" })
    expect(await checkParts(part(`<?xml version="1.0" encoding="Shift_JIS"?>${header("")}`))).toEqual({ fault: null })
  })

  it("in UTF-32 is refused", async () => {
    const type = `${OFFICE_TYPE}.wordprocessingml.header+xml`
    const part = (content: string | Uint8Array, ofType = type): Parts =>
      withPart(minimalParts(), "h.xml", ofType, content, "header")
    expect(await checkParts(part(utf32(header("x"))))).toEqual({ fault: "bad_xml", part: "h.xml" })
    expect(await checkParts(part(utf32(header(field(code("DDE x")))), "application/xml"))).toEqual({
      fault: "dde",
      part: "h.xml",
    })
    expect(await checkParts(part(header("x")))).toEqual({ fault: null })
  })
})

const sheet = (formula: string, type = `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`): Parts =>
  withPart(minimalParts("xlsx"), "s.xml", type, `<worksheet ${BOOK}><f>${formula}</f></worksheet>`, "worksheet")

describe("G2: a formula", () => {
  it.each<[string, Parts, Parts]>([
    ["in a sheet that is declared as a picture", sheet("cmd|'/c'!A0", "image/png"), sheet("A1", "image/png")],
    ["divided by an element", sheet("cmd<x/>|'/c'!A0"), sheet("1+<x/>2")],
    ["behind an element", sheet("1+<x/>DDE('a')"), sheet("1+<x/>MYDDE('a')")],
    [
      "behind a column that seems to begin a text",
      sheet(`T[a ']"b]&amp;cmd|'/c'!A0&amp;"x"`),
      sheet(`T[a ']"b]&amp;"cmd|"&amp;"x"`),
    ],
  ])("that starts a program, %s, is refused", async (_, parts, twin) => {
    await expectPolicy("xlsx", parts, twin, "dde", "dde")
  })

  it.each<[string, string]>([
    ["'\\\\10.0.0.1\\share\\[b.xlsx]S'!A1", "'[1]S t'!A1"],
    ["'https://example.com/[b.xlsx]S'!A1", "'Sheet 1:Sheet 3'!A1"],
    ["SUM([b.xlsx]S!A1)", "SUM([1]S!A1,[0]!Name)"],
    ["'C:\\it''s\\b.xlsx'!Name", "'it''s'!Name"],
    ["'\\\\host\\x''y.xlsx'!Name", `"\\\\host"&amp;'y'!Name`],
    [`T['#]+"x'"+'\\\\h\\[b]S'!A1+"y"`, `T['#]+"x'"+'S'!A1+"y\\"`],
    [`"["&amp;'[b.xlsx]S'!A1`, `INDIRECT("'["&amp;A1&amp;"]S'!B2")`],
    ["'[b.xlsx]S'!A1", "Table1[[#This Row],[a '#]]*Table1[b '#]"],
  ])("that reaches another workbook by its path, %s, is refused; %s is not", async (formula, twin) => {
    await expectPolicy("xlsx", sheet(formula), sheet(twin), "externalRelationships", "external_data")
  })

  const element = (name: string, content: string, attributes = ""): string => `<${name}${attributes}>${content}</${name}>`
  it.each<[string, (formula: string) => Parts]>([
    [
      "a conditional format",
      (f) => sheet(`1</f>${element("conditionalFormatting", element("cfRule", element("formula", f)))}<f>`),
    ],
    ["a validation rule", (f) => sheet(`1</f>${element("dataValidation", element("formula1", f))}<f>`)],
    ["a validation rule's second formula", (f) => sheet(`1</f>${element("dataValidation", element("formula2", f))}<f>`)],
    ["an extended validation rule", (f) => sheet(`1</f>${element("x14:formula1", element("xm:f", f))}<f>`)],
    [
      "a chart",
      (f) =>
        withPart(
          minimalParts("xlsx"),
          "c.xml",
          `${OFFICE_TYPE}.drawingml.chart+xml`,
          `<c:chart><c:f>${f}</c:f></c:chart>`,
          "chart",
        ),
    ],
    ...["calculatedColumnFormula", "totalsRowFormula"].map((name): [string, (formula: string) => Parts] => [
      `a table's ${name}`,
      (f) =>
        withPart(
          minimalParts("xlsx"),
          "t.xml",
          `${OFFICE_TYPE}.spreadsheetml.table+xml`,
          `<table ${BOOK}>${element(name, f)}</table>`,
          "table",
        ),
    ]),
  ])("of %s is looked at", async (_, make) => {
    await expectPolicy("xlsx", make("cmd|'/c'!A0"), make("Sheet1!A1"), "dde", "dde")
  })

  it.each<[string, string, (formula: string) => string]>([
    ["a shape", "drawing+xml", (f) => `<xdr:wsDr><xdr:sp macro="" textlink="${f}"/></xdr:wsDr>`],
    ["a shape with a macro", "drawing+xml", (f) => `<xdr:wsDr><xdr:pic macro="${f}"/></xdr:wsDr>`],
    ["a button of VML", "vmlDrawing", (f) => `<xml><x:FmlaMacro>${f}</x:FmlaMacro></xml>`],
    ["a control", "x", (f) => `<formControlPr fmlaLink="${f}"/>`],
  ])("of %s is looked at", async (_, type, make) => {
    const shape = (formula: string): Parts =>
      withPart(minimalParts("xlsx"), "d.xml", `${OFFICE_TYPE}.${type}`, make(formula), type === "x" ? "ctrlProp" : undefined)
    await expectPolicy("xlsx", shape("cmd|'/c'!A0"), shape("'it''s'!$A$1"), "dde", "dde")
    const other = "'\\\\h\\[b.xlsm]S'!Run"
    await expectPolicy("xlsx", shape(other), shape("[0]!Run"), "externalRelationships", "external_data")
  })

  it.each(["_xlfn._xlws.IMAGE", "COM.MICROSOFT.WEBSERVICE", "_xlfn.WEBSERVICE"])(
    "that fetches by %s() is refused",
    async (name) => {
      await expectPolicy(
        "xlsx",
        sheet(`${name}(A1)`),
        sheet(`MY.${name.replace(/.*\./, "")}(A1)`),
        "externalRelationships",
        "external_data",
      )
    },
  )

  it("of a chart may say which book its numbers came from: nothing is fetched by that", async () => {
    const chart = `<c:chart><c:f>'[Book 1.xlsx]Sheet1'!$A$1</c:f></c:chart>`
    expect(
      await checkParts(withPart(minimalParts("pptx"), "c.xml", `${OFFICE_TYPE}.drawingml.chart+xml`, chart, "chart"), "pptx"),
    ).toEqual({ fault: null })
  })
})
