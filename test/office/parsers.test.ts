// Parts of a few packed kilobytes that are large when they are unpacked: long tags, names and values, and very many of
// what is short. None may take longer than its bytes, fill the memory of patterns, or be refused for what programs write.
import { describe, expect, it } from "vitest"
import type { FaultReason } from "../../src/office/fault.ts"
import { fieldFaults } from "../../src/office/fields.ts"
import { parseRelationships } from "../../src/office/relationships.ts"
import { createWork } from "../../src/office/work.ts"
import { type Parts, checkParts, withPart } from "../support/document-policy.ts"
import { CONTENT_TYPES, MAIN_PARTS, RELS, minimalParts, relationships } from "../support/documents.ts"

const RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
const R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
const OWN_RELS = "_rels/part0.xml.rels"
const char = (type: string): string => `<w:r><w:fldChar w:fldCharType="${type}"/></w:r>`
const field = (instruction: string): string => `${char("begin")}<w:instrText>${instruction}</w:instrText>${char("end")}`
const word = (body: string): Parts => ({
  ...minimalParts(),
  "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body ${R}>${body}</w:body>`),
})
const related = (content: string, attributes = ""): Parts => ({
  ...minimalParts(),
  [OWN_RELS]: `<Relationships xmlns="${RELATIONSHIPS}"${attributes}>${content}</Relationships>`,
})
const typed = (more: string): Parts => ({
  ...minimalParts(),
  [CONTENT_TYPES]: String(minimalParts()[CONTENT_TYPES]).replace("</Types>", `${more}</Types>`),
})
const sheet = (content: string): Parts =>
  withPart(
    minimalParts("xlsx"),
    "s.xml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml",
    `<worksheet>${content}</worksheet>`,
    "worksheet",
  )
const attributes = (count: number): string => Array.from({ length: count }, (_, i) => ` a${String(i)}=""`).join("")

describe("a tag", () => {
  it.each<[string, number, (attributes: string) => Parts]>([
    ["of content types", 2, (more) => typed(`<Default Extension="x" ContentType="text/x"${more}/>`)],
    ["of relationships", 0, (more) => related(`<Relationship${more}/>`)],
    ["of a field", 1, (more) => word(`${char("begin")}<w:instrText${more} w:x="y">PAGE</w:instrText>${char("end")}`)],
    ["of a formula", 0, (more) => sheet(`<f${more}>A1&amp;"|"</f>`)],
    [
      "with a link",
      1,
      (more) => ({
        ...word(`<w:hyperlink${more} r:id="rId1"/>`),
        [OWN_RELS]: relationships({ kind: "hyperlink", target: "https://example.com", mode: "External" }),
      }),
    ],
  ])("%s may have as many attributes as any program writes, and never more", async (_, own, parts) => {
    const type = "s.xml" in parts("") ? "xlsx" : "docx"
    expect(await checkParts(parts(attributes(256 - own)), type)).toEqual({ fault: null })
    expect(await checkParts(parts(attributes(257 - own)), type)).toMatchObject({ fault: "bad_xml" })
    expect(await checkParts(parts(' a=""'.repeat(600_000)), type)).toMatchObject({ fault: "bad_xml" })
    const { fault } = await checkParts(parts(' a=""'.repeat(1_600_000)), type)
    expect(["bad_xml", "too_complex"]).toContain(fault)
  })

  it("within an instruction divides no word, however long it is", async () => {
    const quotes = '""'.repeat(1_900_000)
    expect(await checkParts(word(field(`D<x ${quotes}/>ATE`)))).toEqual({ fault: null })
    expect(await checkParts(word(field(`D<x ${quotes}/>DE x`)))).toMatchObject({ fault: "dde" })
    expect(await checkParts(word(field(`D<x ${quotes}`)))).toEqual({ fault: null })
    expect(await checkParts(word(field(`D<x ${quotes}${quotes}${quotes}/>ATE`)))).toMatchObject({ fault: "too_complex" })
  })

  it.each<[string, (name: string) => string]>([
    ["its name", (name) => `<${name} xmlns="${RELATIONSHIPS}"/>`],
    ["the name of an attribute", (name) => `<Relationship ${name}=""/>`],
  ])("of relationships is refused for %s, of megabytes", async (_, tag) => {
    expect(await checkParts(related('<Relationship aé=""/>'))).toEqual({ fault: null })
    expect(await checkParts(related(tag("é".repeat(4_000_000))))).toMatchObject({ fault: "bad_xml" })
  })
})

describe("values", () => {
  it.each([
    ["bad_content_types", "tmp", 256],
    [null, "tmp", 255],
  ])("as types end in %s where .%s is one of %i letters", async (fault, extension, length) => {
    const parts = typed(`<Default Extension="${extension}" ContentType="${"a".repeat(length)}"/>`)
    expect(await checkParts({ ...parts, "a.tmp": "" })).toMatchObject({ fault })
  })

  it.each<[string, FaultReason | null, string]>([
    ["the last letter before the halves", null, "&#xD7FF;"],
    ["the first half of a letter", "bad_xml", "&#xD800;"],
    ["the last half of a letter", "bad_xml", "&#57343;"],
    ["the first letter behind them", null, "&#57344;"],
    ["a reference that never ends", "bad_xml", `&${"a".repeat(3_000_000)}`],
    ["references that never end", "bad_xml", "&".repeat(3_000_000)],
    ["very many references", null, "&#x4e00;".repeat(800_000)],
  ])("may refer to letters: %s", async (_, fault, reference) => {
    expect(await checkParts(related(`<Relationship Id="${reference}"/>`))).toMatchObject({ fault })
  })

  it("as targets lead nowhere when they are longer than any name of a part could be", async () => {
    const target = (folders: number): Parts => related(`<Relationship Target="${"a/".repeat(folders)}"/>`)
    expect(await checkParts(target(8000))).toEqual({ fault: null })
    for (const step of ["a/", "../"])
      expect(await checkParts(related(`<Relationship Target="${step.repeat(2_600_000)}b"/>`))).toMatchObject({
        fault: "external_relationship",
      })
  })

  it("in CDATA become no longer by being hidden, nor are there more of them than anybody writes", async () => {
    const parts = (count: number): Parts => word(field(`PAGE <![CDATA[${"&".repeat(count)}]]>`))
    expect(await checkParts(parts(65_536))).toEqual({ fault: null })
    expect(await checkParts(parts(65_537))).toMatchObject({ fault: "bad_xml" })
  })

  it("as formulas are refused when they are longer than any program takes", async () => {
    const text = (length: number): Parts => sheet(`<f>A1&amp;"|${"a".repeat(length - 6)}"</f>`)
    expect(await checkParts(text(65_536), "xlsx")).toEqual({ fault: null })
    expect(await checkParts(text(65_537), "xlsx")).toMatchObject({ fault: "too_complex" })
    expect(await checkParts(text(8_000_000), "xlsx")).toMatchObject({ fault: "too_complex" })
  })
})

// Each of these took minutes when it was gone through again and again.
describe("very many", () => {
  it("blanks in instructions of pictures are gone through once", () => {
    const codes = (address: string, count: number): string =>
      `<w:fldSimple w:instr="includepicture${" ".repeat(2020)}${address}"/>`.repeat(count)
    const endless = { spend: () => undefined, trySpend: () => true, remaining: () => Number.POSITIVE_INFINITY }
    expect([...fieldFaults(codes("x", 15_000), endless)]).toEqual([])
    expect([...fieldFaults(codes("x", 10) + codes("//", 1), endless)]).toEqual(["external_data"])
  })

  it("prefixes are not copied for each element", async () => {
    const prefixes = (count: number): string => Array.from({ length: count }, (_, i) => ` xmlns:p${String(i)}="u"`).join("")
    const parts = related('<Relationship xmlns:a=""/>'.repeat(400_000), prefixes(250))
    expect(await checkParts(parts)).toEqual({ fault: null })
  })

  it("prefixes are no more than 256, wherever they are declared", async () => {
    const prefixes = (count: number): string => Array.from({ length: count }, (_, i) => ` xmlns:p${String(i)}="u"`).join("")
    const parts = (count: number): Parts => related(`<Relationship${prefixes(count)}/>`, prefixes(200))
    expect(await checkParts(parts(55))).toEqual({ fault: null })
    expect(await checkParts(parts(56))).toMatchObject({ fault: "bad_xml" })
  })

  it("relationships of nothing are refused before they are all read, and a thousand are not", async () => {
    expect(await checkParts(related("<Relationship/>".repeat(1000)))).toEqual({ fault: null })
    expect(await checkParts(related("<Relationship/>".repeat(1_000_000)))).toMatchObject({ fault: "too_complex" })
  })

  it("fields within a long one are refused, as it is judged for each of them, and a thousand are not", async () => {
    const inner = char("begin") + char("end")
    const parts = (count: number): Parts =>
      word(`${char("begin")}<w:instrText>includepicture ${" \\".repeat(1016)}</w:instrText>${inner.repeat(count)}`)
    expect(await checkParts(parts(1000))).toEqual({ fault: null })
    expect(await checkParts(parts(90_000))).toMatchObject({ fault: "too_complex" })
  })
})

describe("the work of relationships", () => {
  const spent = (source: string, relationship: string): number => {
    const work = createWork()
    const before = work.remaining()
    const text = `<Relationships xmlns="${RELATIONSHIPS}">${relationship.repeat(1000)}</Relationships>`
    for (const { isExternal } of parseRelationships(new TextEncoder().encode(text), source, work)) if (isExternal) break
    return (before - work.remaining()) / 1000
  }
  const PLAIN = '<Relationship Target="b"/>'

  it.each([
    ["", PLAIN, 30],
    ["a/".repeat(500), PLAIN, 190],
    ["é".repeat(500), PLAIN, 700],
    ["", '<Relationship Target="%"/>', 230],
    ["", `<Relationship Id="${"i".repeat(100)}" Target="b"/>`, 150],
    ["", `<Relationship Target="b${"&amp;".repeat(100)}"/>`, 800],
    ["", `<Relationship${attributes(200)}/>`, 1000],
  ])("is more for what takes longer (%#)", (source, relationship, units) => {
    expect(spent(source, relationship)).toBeGreaterThanOrEqual(units)
    expect(spent("", PLAIN)).toBeLessThan(40)
  })
})

describe("a workbook with as many hyperlinks as Excel takes on a sheet", () => {
  const COUNT = 65_530
  const each = (make: (i: number) => string): string => Array.from({ length: COUNT }, (_, i) => make(i + 1)).join("")
  const HYPERLINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"
  const links = each(
    (i) => `<Relationship Id="rId${String(i)}" Type="${HYPERLINK}" Target="mailto:m.rossi@example.com" TargetMode="External"/>`,
  )
  const cells = each((i) => `<row r="${String(i)}"><c r="A${String(i)}" t="s"><v>${String(i)}</v></c></row>`)
  const hyperlinks = each((i) => `<hyperlink ref="A${String(i)}" r:id="rId${String(i)}"/>`)
  const workbook = (more: string): Parts => ({
    ...sheet(`<sheetData ${R}>${cells}${more}</sheetData><hyperlinks>${hyperlinks}</hyperlinks>`),
    "_rels/s.xml.rels": `<Relationships xmlns="${RELATIONSHIPS}">${links}</Relationships>`,
  })

  it("is taken", async () => {
    expect(await checkParts(workbook(""), "xlsx")).toEqual({ fault: null })
  })

  it.each<[FaultReason, string]>([
    ["dde", "<f>cmd|x!y</f>"],
    ["external_relationship", '<blip r:embed="rId7"/>'],
  ])("is refused for %s at the end of them", async (reason, more) => {
    expect(await checkParts(workbook(more), "xlsx")).toEqual({ fault: reason, part: "s.xml" })
  })
})

describe("names", () => {
  const named = (names: readonly string[]): Parts => ({
    ...minimalParts(),
    ...Object.fromEntries(names.map((name, i) => [`${name}${String(i)}.png`, ""])),
  })
  const many = (count: number, name: string): string[] => Array.from({ length: count }, () => name)

  it("may have as many marks on a letter as any language, and no more: to order them takes their number squared", async () => {
    expect(await checkParts(named([`a${"\u0323".repeat(30)}`]))).toEqual({ fault: null })
    expect(await checkParts(named([`a${"\u0323".repeat(31)}`]))).toMatchObject({ fault: "unsafe_name" })
  })

  it.each([
    // One such letter is taken apart into eighteen.
    ["ligatures", "\ufdfa".repeat(300), 100, 1500],
    ["marks in the wrong order", `a${"\u0301\u0323".repeat(15)}`.repeat(32), 100, 1500],
    ["backslashes", "a\\".repeat(500), 100, 5500],
  ])("are compared while that is no more work than a check may be: %s", async (_, name, few, more) => {
    expect(await checkParts(named(many(few, name)))).toEqual({ fault: null })
    expect(await checkParts(named(many(more, name)))).toMatchObject({ fault: "too_complex" })
  })
})

describe("the relationships of the package", () => {
  it("are found by an absolute target, too", async () => {
    const target = (name: string): Parts => ({
      ...minimalParts(),
      [RELS]: relationships({ kind: "officeDocument", target: name }),
    })
    expect(await checkParts(target("/part0.xml"))).toEqual({ fault: null })
    expect(await checkParts(target("/part1.xml"))).toMatchObject({ fault: "no_main_part" })
  })
})
