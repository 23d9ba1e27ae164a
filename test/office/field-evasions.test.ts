// More ways around the looks at fields: what one reader ignores, trims or takes as it is spelled, and another does not.
// Each refused one has a twin without the trick, refused as well, and a neighbour with it that is taken.
import { describe, expect, it } from "vitest"
import { fieldFaults } from "../../src/office/fields.ts"
import { type Parts, checkParts, expectPolicy } from "../support/document-policy.ts"
import { MAIN_PARTS, minimalParts } from "../support/documents.ts"

const MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
const MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:x="urn:x" mc:Ignorable="x"'
const char = (type: string): string => `<w:r><w:fldChar w:fldCharType="${type}"/></w:r>`
const code = (text: string): string => `<w:r><w:instrText>${text}</w:instrText></w:r>`
const shown = (text: string): string => `<w:r><w:t>${text}</w:t></w:r>`
const field = (instruction: string): string => char("begin") + instruction + char("separate") + shown("r") + char("end")
const open = (more: string): string => char("begin") + more + char("end")
const word = (body: string): Parts => ({
  ...minimalParts(),
  "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body ${MC}><w:p>${body}</w:p></w:body>`),
})
const split = code("D") + code("DE x")
const kept = code("D") + code("ATE")
const simple = (result: string): string => `<w:fldSimple w:instr="QUOTE a">${shown(result)}</w:fldSimple>`
const complex = (result: string): string => char("begin") + code("QUOTE a") + char("separate") + shown(result) + char("end")
const deleted = (inner: string): string => `<w:del>${inner}</w:del>`
const delText = (text: string): string => `<w:r><w:delInstrText>${text}</w:delInstrText></w:r>`

describe("G2: a field of DDE", () => {
  it.each<[string, string, string, string]>([
    [
      "of which a part is deleted, and whose begin is, without a prefix",
      `<del xmlns="${MAIN}">${char("begin")}${code("ATE")}</del>${split}${char("end")}`,
      `<w:del>${char("begin")}${code("ATE")}</w:del>${split}${char("end")}`,
      `<del xmlns="${MAIN}">${char("begin")}${code("D")}</del>${kept}${char("end")}`,
    ],
    ["with a blank that is not kept", field(code("D ") + code("DE x")), field(split), field(code("D ") + code("ATE"))],
    ["with a line break that is not kept", field(code("D") + code("\n  DE x")), field(split), field(code("D") + code("\n  ATE"))],
    [
      "with blanks that are not kept, and deleted letters",
      field(code("D ") + deleted(delText("ATE")) + code(" DE x")),
      field(code("D") + deleted(delText("ATE")) + code("DE x")),
      field(code("D ") + deleted(delText("D")) + code(" ATE")),
    ],
    [
      "that another one goes on with, which is simple",
      field(code("D") + simple("ATE") + code(" x")),
      field(code("D") + complex("ATE") + code(" x")),
      field(code("IF ") + simple("ATE") + code(" x")),
    ],
    [
      "that goes on with deleted letters where nothing is deleted",
      field(code("D") + deleted(code("ATE")) + delText("DE x")),
      field(code("D") + deleted(delText("ATE")) + code("DE x")),
      field(code("D") + deleted(code("D")) + delText("ATE")),
    ],
    ["in curly quotes", field(code("\u201cDDE\u201d x")), field(code('"DDE" x')), field(code("\u201cDATE\u201d x"))],
    ["in low quotes", field(code("\u201eDDE\u201c x")), field(code('"DDE" x')), field(code("\u201eDATE\u201c x"))],
    ["with a separator of an unknown type", open(char("foo") + split), open(split), open(char("foo") + kept)],
    [
      "with a separator without a type",
      open("<w:r><w:fldChar/></w:r>" + split),
      open(split),
      open("<w:r><w:fldChar/></w:r>" + kept),
    ],
    ...["separate", "end"].flatMap((type): [string, string, string, string][] =>
      [
        `<x:fldChar x:fldCharType="${type}"/>`,
        `<x:fldChar w:fldCharType="${type}"/>`,
        `<w:fldChar x:fldCharType="${type}"/>`,
        `<w:fldChar x:a=" w:fldCharType='${type}'"/>`,
        `<w:fldChar x:a=" w:fldCharType" x:fldCharType="${type}"/>`,
      ].map((tag) => [`with one that may be ignored, ${tag},`, open(tag + split), open(split), open(tag + kept)]),
    ),
    [
      "that may be ended by one of another prefix",
      `${char("begin") + code("DDE")}<y:fldChar y:fldCharType="separate"/>${shown("S")}${char("end")}`,
      `${char("begin") + code("DDE") + char("separate") + shown("S")}${char("end")}`,
      `${char("begin") + code("DATE")}<y:fldChar y:fldCharType="separate"/>${shown("S")}${char("end")}`,
    ],
    [
      "divided by a text that is ignored",
      field(code("D<x:t></x:t>DE x")),
      field(code("D<x:y></x:y>DE x")),
      field(code("D<x:t></x:t>ATE")),
    ],
    [
      "divided by another instruction within",
      field(code("D<x:instrText>a</x:instrText>DE x")),
      field(code("DDE x")),
      field(code("D<x:instrText>a</x:instrText>ATE")),
    ],
    [
      "divided by one of the same name within",
      field(code('D<w:instrText a=">"/><w:instrText></w:instrText>DE x')),
      field(code("DDE x")),
      field(code('D<w:instrText a=">"/><w:instrText></w:instrText>ATE')),
    ],
    ["ended by a break within", field(code("DDE<w:br/>x")), field(code("DDE x")), field(code("DDES<w:br/>x"))],
    [
      "beside a text that is ignored",
      field(code("D") + "<w:r><x:t>ATE</x:t></w:r>" + code("DE x")),
      field(split),
      field(code("D") + "<w:r><x:t>D</x:t></w:r>" + code("ATE")),
    ],
    [
      "beside a tab that is ignored",
      field(code("D") + "<w:r><x:tab/></w:r>" + code("DE x")),
      field(split),
      field(code("D") + "<w:r><x:tab/></w:r>" + code("ATE")),
    ],
    [
      "around letters that are ignored",
      field(code("D<x:y>ATE</x:y>DE x")),
      field(code("DDE x")),
      field(code("D<x:y>D</x:y>ATE")),
    ],
    [
      "around texts that are ignored",
      field(code("D<x:t>ATE</x:t>DE") + code(" x")),
      field(code("DDE x")),
      field(code("D<x:t>D</x:t>ATE") + code(" x")),
    ],
  ])("%s is refused", async (_, body, twin, neighbour) => {
    expect(await checkParts(word(twin))).toMatchObject({ fault: "dde" })
    await expectPolicy("docx", word(body), word(neighbour), "dde", "dde")
  })
})

const picture = (rest: string): string => field(code(`INCLUDEPICTURE ${rest}`))
const WEB = '"https://example.com/x.png"'

describe("G2: a field of a picture that is fetched", () => {
  it.each<[string, string, string, string]>([
    ["by a switch without a blank", `${WEB}\\d`, `${WEB} \\d`, `"C:\\\\d\\\\x.png"\\x`],
    ["by a switch out of reach", `${WEB} ${" ".repeat(2100)}\\d`, `${WEB} \\d`, `${WEB} ${" ".repeat(1900)}\\x`],
    [
      "from a share behind a switch",
      '\\* MERGEFORMAT "\\\\\\\\10.0.0.1\\\\x.png"',
      '"\\\\\\\\10.0.0.1\\\\x.png"',
      `\\* MERGEFORMAT ${WEB}`,
    ],
    ["from a share of mixed slashes", '"/\\\\10.0.0.1/x.png"', '"//10.0.0.1/x.png"', '"/10.0.0.1/x.png"'],
    ["from a file behind a switch", '\\* MERGEFORMAT "file:///x.png"', '"file:///x.png"', '\\* MERGEFORMAT "profile:x.png"'],
    ["from a share in curly quotes", "\u201c\\\\\\\\h\\\\x.png\u201d", '"\\\\\\\\h\\\\x.png"', "\u201cC:\\\\x.png\u201d"],
  ])("%s is refused", async (_, body, twin, neighbour) => {
    expect(await checkParts(word(picture(twin)))).toMatchObject({ fault: "external_data" })
    await expectPolicy("docx", word(picture(body)), word(picture(neighbour)), "externalRelationships", "external_data")
  })

  it("is looked for once, whatever is repeated in it", () => {
    const endless = { spend: () => undefined, trySpend: () => true, remaining: () => Number.POSITIVE_INFINITY }
    for (const letters of ["\\\\", '"', "/ ", " \\", "file", "\u201c"]) {
      const text = letters.repeat(2000 / letters.length)
      const simpleField = (more: string): string =>
        `<w:fldSimple w:instr="includepicture x${text.replaceAll('"', "&quot;")}${more}"/>`
      const found = [...fieldFaults(simpleField("a").repeat(1500) + simpleField(" \\d"), endless)]
      expect(found.length).toBeGreaterThanOrEqual(1)
    }
  })
})

describe("texts within texts", () => {
  it("are gone through while that is no more work than a check may be", async () => {
    const nested = (count: number): Parts => word(open("<w:t>a".repeat(count) + "</w:t>".repeat(count)))
    expect(await checkParts(nested(300))).toEqual({ fault: null })
    expect(await checkParts(nested(30_000))).toMatchObject({ fault: "too_complex" })
    expect(await checkParts(word(open("<w:t>a".repeat(30_000))))).toMatchObject({ fault: "too_complex" })
  })

  it("may have a prefix of megabytes", async () => {
    const long = "p".repeat(1_000_000)
    const parts = (more: string): Parts => word(field(`<${long}:instrText>D<x/>${more}</${long}:instrText>`))
    expect(await checkParts(parts("ATE"))).toEqual({ fault: null })
    expect(await checkParts(parts("DE x"))).toMatchObject({ fault: "dde" })
  })
})

it("a field of many readings costs no more than a check may", async () => {
  const all = `${deleted(code(" D<x:y>A</x:y> "))}${delText(" D")}<x:t>a</x:t>`
  const inner = `${code("x")}<w:fldChar w:fldCharType="begin"/><w:fldChar w:fldCharType="end"/>`
  const many = (count: number): Parts => word(open(code("PAGE ") + all + inner.repeat(count)))
  expect(await checkParts(many(1000))).toEqual({ fault: null })
  expect(await checkParts(many(40_000))).toMatchObject({ fault: "too_complex" })
})
