// Documents made to cost as much as they can, each under 20 MB, for the bench of the document check.
import { deflateRawSync } from "node:zlib"
import { type BuiltEntry, buildZip } from "../test/support/zip-builder.ts"
import { OFFICE, entry, noise, parts, replaced, series, text } from "./hostile-entries.ts"
import { hostileParts } from "./hostile-parts.ts"
import { documentParts } from "./subject.ts"

const MIB = 1024 * 1024
const PACKAGE = "http://schemas.openxmlformats.org/package/2006"

/** By what they are; all are to be taken for a .docx. */
export const hostileDocuments: Record<string, () => Uint8Array<ArrayBuffer>> = {
  ...hostileParts,
  "19 MB of nothing but entries": () =>
    buildZip(
      series(99_990, (i) => entry(`a/${"x".repeat(40)}${String(i)}.bin`, noise(20))),
      { zip64: {} },
    ),
  "60 000 empty entries": () => buildZip([...parts(), ...series(60_000, (i) => entry(`${String(i)}.bin`, new Uint8Array(0)))]),
  "8 000 relationship parts": () =>
    buildZip([
      ...parts(),
      ...series(7990, (i) => entry(`a/_rels/${String(i)}.rels`, text(`<Relationships xmlns="${PACKAGE}/relationships"/>`))),
    ]),
  "6 × 4 MiB of relationships": () => {
    const one = `<Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" Target="../media/a.png"/>`
    const many = text(`<Relationships xmlns="${PACKAGE}/relationships">${one.repeat(32_000)}</Relationships>`)
    return buildZip([...parts(), ...series(6, (i) => entry(`a/_rels/${String(i)}.rels`, many))])
  },
  "everything at once": () => {
    const one = '<Relationship Id="r" Type="a/image" Target="../media/a.png"/>'
    const many = text(`<Relationships xmlns="${PACKAGE}/relationships">${one.repeat(60)}</Relationships>`)
    const story = `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${"<w:fldChar w:fldCharType='begin'/>".repeat(200_000)}</w:document>`
    return buildZip([
      ...replaced("d.xml", text(story)),
      ...series(30_000, (i) => entry(`${String(i)}.bin`, new Uint8Array(0))),
      ...series(2000, (i) => entry(`a/_rels/${String(i)}.rels`, many)),
    ])
  },
  "8 MiB of content types": () => {
    const types = documentParts(new Uint8Array(0))["[Content_Types].xml"] ?? new Uint8Array(0)
    const more = Array.from({ length: 90_000 }, (_, i) => `<Override PartName="/a/${String(i)}.xml" ContentType="text/xml"/>`)
    return buildZip(
      replaced("[Content_Types].xml", text(new TextDecoder().decode(types).replace("</Types>", `${more.join("")}</Types>`))),
    )
  },
  "4 MiB of one tag that never ends": () => buildZip(replaced("_rels/.rels", text(`<a ${"b='c' ".repeat(690_000)}`))),
  "4 MiB of spaces in a tag": () => buildZip(replaced("_rels/.rels", text(`<a${" ".repeat(4_000_000)}`))),
  "4 MiB of attributes that repeat": () => buildZip(replaced("_rels/.rels", text(`<a ${"b='c' ".repeat(600_000)}/>`))),
  "4 MiB of nesting": () => buildZip(replaced("_rels/.rels", text("<a>".repeat(1_300_000)))),
  "8 MiB of fields": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${"<w:fldChar w:fldCharType='begin'/>".repeat(240_000)}</w:document>`,
        ),
      ),
    ),
  "8 MiB of half a tag of a field": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${"<w:instrText '".repeat(580_000)}`,
        ),
      ),
    ),
  "8 MiB of comments that never end": () =>
    buildZip(
      replaced(
        "d.xml",
        text(`<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${"<!--".repeat(2_000_000)}`),
      ),
    ),
  "8 MiB of fields with long names": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${`<w:instrText ${"a".repeat(4_000_000)}`.repeat(2)}`,
        ),
      ),
    ),
  "8 MiB of text in fields that never end": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${"<w:fldChar w:fldCharType='begin'/><w:fldChar w:fldCharType='separate'/>".repeat(50_000)}${"<w:t>a</w:t>".repeat(380_000)}`,
        ),
      ),
    ),
  "8 MiB of an instruction in crumbs": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:fldChar w:fldCharType="begin"/>${"<w:t>&#97;</w:t>".repeat(500_000)}`,
        ),
      ),
    ),
  "24 MiB of formulas": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const sheets = series(3, (i) => entry(`${String(i)}.xml`, text(`<a>${"<f>'[\"|\"]'</f>".repeat(520_000)}`)))
    const more = '<Default Extension="xml" ContentType="application/xml"/></Types>'
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), ...sheets])
  },
  "20 MiB of references to books": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const sheets = series(3, (i) => entry(`${String(i)}.xml`, text(`<a>${'<f>"[\'!"</f>'.repeat(520_000)}`)))
    const more = '<Default Extension="xml" ContentType="application/xml"/></Types>'
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), ...sheets])
  },
  "8 MiB of columns that never end": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const more = '<Default Extension="xml" ContentType="application/xml"/></Types>'
    const formula = `<a><f>${"['".repeat(2_000_000)}${"'!".repeat(1_900_000)}</f></a>`
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), entry("s.xml", text(formula))])
  },
  "8 MiB of texts with others in them": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">${"<w:instrText><w:t><a/>".repeat(370_000)}`,
        ),
      ),
    ),
  "8 MiB of alternatives": () =>
    buildZip(
      replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:fldChar w:fldCharType="begin"/><w:instrText>IF </w:instrText>${"<Choice><w:t>a</w:t></Choice>".repeat(280_000)}</w:document>`,
        ),
      ),
    ),
  "24 MiB of everything at once": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const more = '<Default Extension="xml" ContentType="application/xml"/></Types>'
    const crumbs = `<w:t a:id='r'>&#97;</w:t><f>"['!"</f><a:hlinkClick r:id='r' action='&#97;'/>`
    const sheets = series(3, (i) =>
      entry(`${String(i)}.xml`, text(`<a xmlns:r="${OFFICE}"><w:fldChar w:fldCharType="begin"/>${crumbs.repeat(100_000)}</a>`)),
    )
    const links = text(
      `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="r" Type="a/hyperlink" Target="https://example.com" TargetMode="External"/></Relationships>`,
    )
    const rels = series(3, (i) => entry(`_rels/${String(i)}.xml.rels`, links))
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), ...sheets, ...rels])
  },
  "8 MiB of shapes": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const more = '<Default Extension="xml" ContentType="application/vnd.openxmlformats-officedocument.drawing+xml"/></Types>'
    const sheets = [`<sp macro='"|"'/>`, "<sp/>"].map((tag, i) =>
      entry(`${String(i)}.xml`, text(`<a b="macro|">${tag.repeat(470_000)}</a>`)),
    )
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), ...sheets])
  },
  "8 MiB of hyperlinks": () =>
    buildZip([
      ...replaced(
        "d.xml",
        text(
          `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><w:hyperlink${" r:id='r'".repeat(900_000)}/></w:document>`,
        ),
      ),
      entry(
        "_rels/d.xml.rels",
        text(
          `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="r" Type="a/hyperlink" Target="https://example.com" TargetMode="External"/></Relationships>`,
        ),
      ),
    ]),
  "60 parts that begin with 264 KiB": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const more = '<Default Extension="xml" ContentType="text/a+xml"/></Types>'
    const blank = new Uint8Array(4_200_000).fill(32)
    const raw = new Uint8Array(deflateRawSync(blank))
    const sheets = series(60, (i) => ({ ...entry(`${String(i)}.xml`, blank), raw }))
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), ...sheets])
  },
  "16 MiB of comments before a root": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const more = '<Default Extension="xml" ContentType="text/a+xml"/></Types>'
    const sheets = series(250, (i) => entry(`${String(i)}.xml`, text(`${"<!---->".repeat(9_300)}<a/>`)))
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), ...sheets])
  },
  "8 MiB of one formula": () => {
    const types = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
    const more = '<Default Extension="xml" ContentType="application/xml"/></Types>'
    const formula = `<a><f>${"''[\"".repeat(1_000_000)}${"['".repeat(1_000_000)}&amp;</f></a>`
    return buildZip([...replaced("[Content_Types].xml", text(types.replace("</Types>", more))), entry("s.xml", text(formula))])
  },
  "a bomb of 19 GB in 19 MB": () => {
    const raw = noise(19 * MIB)
    const sizes = { plainBytes: 4_000_000_000 }
    return buildZip([
      ...parts(),
      ...series(5, (i) => ({
        ...entry(`${String(i)}.bin`, new Uint8Array(0)),
        raw: raw.subarray(i * 4_000_000, (i + 1) * 4_000_000 - 1),
        local: sizes,
        central: sizes,
      })),
    ])
  },
  "20 MB of noise behind a header": () => new Uint8Array(Buffer.concat([text("PK\u0003\u0004"), noise(20_000_000)])),
  "5 MB that unpack to 16 MB": () =>
    buildZip([
      ...parts(),
      ...series(16, (i) => entry(`${String(i)}.bin`, new Uint8Array(Buffer.concat([noise(200_000), Buffer.alloc(800_000)])))),
    ]),
  "many embedded workbooks": () => {
    const types = documentParts(new Uint8Array(0))["[Content_Types].xml"] ?? new Uint8Array(0)
    const declared = new TextDecoder()
      .decode(types)
      .replace(
        "</Types>",
        '<Default Extension="docx" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document"/></Types>',
      )
    const inner = buildZip([...parts(), ...series(2000, (i) => entry(`${String(i)}.bin`, new Uint8Array(0)))])
    return buildZip([...replaced("[Content_Types].xml", text(declared)), ...series(80, (i) => entry(`${String(i)}.docx`, inner))])
  },
}

// What is to be pushed out of the looks, or hidden where they do not reach.
const WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const DDE = '<w:fldSimple w:instr="DDE x y"/>'
const WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
const declaring = (more: string): Uint8Array =>
  text(new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"]).replace("</Types>", `${more}</Types>`))
const story = (before: string): Uint8Array => text(`<w:document ${WORD}><w:body>${before}${DDE}</w:body></w:document>`)
const headers = '<Default Extension="hd" ContentType="' + WORD_TYPE + '.header+xml"/>'
const withDocx = (inner: Uint8Array): BuiltEntry[] => [
  ...replaced("[Content_Types].xml", declaring(`<Default Extension="docx" ContentType="${WORD_TYPE}.document"/>`)),
  entry("e.docx", inner),
]
const macros = (padding: number): Uint8Array =>
  buildZip([
    ...replaced("[Content_Types].xml", declaring('<Default Extension="bin" ContentType="application/octet-stream"/>')),
    entry("word/vbaProject.bin", text("x")),
    { ...entry("p.bin", new Uint8Array(padding)), method: 0 },
  ])
const decoys = (large: number, small: number): BuiltEntry[] => [
  ...replaced("[Content_Types].xml", declaring(headers)).map((part) =>
    part.name === "d.xml" ? { ...part, content: story("") } : part,
  ),
  ...series(large, (i) => entry(`h${String(i)}.hd`, text(`<w:hdr ${WORD}><w:fldChar/>${"<w:p/>".repeat(1_380_000)}</w:hdr>`))),
  ...series(small, (i) => entry(`s${String(i)}.hd`, text(`<w:hdr ${WORD}><w:fldChar/></w:hdr>`))),
]

Object.assign(hostileDocuments, {
  "hidden: DDE behind 60 MB of paragraphs": () => buildZip(replaced("d.xml", story("<w:p/>".repeat(10_000_000)))),
  "hidden: DDE behind 60 MiB of comments": () => buildZip(replaced("d.xml", story("<!-- -->".repeat(7_500_000)))),
  "hidden: DDE behind 60 MiB of fields": () =>
    buildZip(replaced("d.xml", story('<w:fldChar w:fldCharType="begin"/><w:fldChar w:fldCharType="end"/>'.repeat(850_000)))),
  "hidden: DDE behind 30 large headers": () => buildZip(decoys(30, 0)),
  "hidden: DDE behind 3 large headers and 200": () => buildZip(decoys(3, 200)),
  "hidden: DDE in a document above 5 MiB": () =>
    buildZip([
      ...replaced("d.xml", story(`<w:t>${Buffer.from(noise(600_000)).toString("base64")}</w:t>`)),
      { ...entry("i.png", noise(5_500_000)), method: 0 },
    ]),
  "hidden: macros two documents deep": () => buildZip(withDocx(buildZip(withDocx(macros(0))))),
  "hidden: macros in a document of 4.3 MB": () => buildZip(withDocx(macros(4_300_000))),
  "hidden: 20 documents of 15 MB": () =>
    buildZip([
      ...withDocx(macros(0)).slice(0, -1),
      ...series(20, (i) =>
        entry(`${String(i)}.docx`, buildZip([...parts(), { ...entry("p.bin", new Uint8Array(15_000_000)), method: 0 }])),
      ),
    ]),
  "1700 relationships to one text": () => {
    const one = '<Relationship Id="r" Type="a/aFChunk" Target="t.txt"/>'
    return buildZip([
      ...replaced("[Content_Types].xml", declaring('<Default Extension="txt" ContentType="text/plain"/>')),
      entry("t.txt", new Uint8Array(400_000).fill(32)),
      entry("_rels/d.xml.rels", text(`<Relationships xmlns="${PACKAGE}/relationships">${one.repeat(1700)}</Relationships>`)),
    ])
  },
  "12 000 small stories": () => buildZip(decoys(0, 12_000)),
  "a .pptx of 4000 slides with notes": () => deck(4000),
})

function deck(count: number): Uint8Array<ArrayBuffer> {
  const kinds = ["slide", "notesSlide"] as const
  const type = "application/vnd.openxmlformats-officedocument.presentationml"
  const numbers = Array.from({ length: count }, (_, i) => String(i))
  const names = numbers.flatMap((i) => kinds.map((kind) => `ppt/${kind}s/${kind}${i}.xml`))
  const overrides = names.map((name) => {
    const kind = name.includes("notes") ? "notesSlide" : "slide"
    return `<Override PartName="/${name}" ContentType="${type}.${kind}+xml"/>`
  })
  const relation = (id: number, kind: string, target: string): string =>
    `<Relationship Id="rId${String(id)}" Type="${OFFICE}/${kind}" Target="${target}"/>`
  const related = (...all: string[]): Uint8Array =>
    text(`<Relationships xmlns="${PACKAGE}/relationships">${all.join("")}</Relationships>`)
  const types = `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/p.xml" ContentType="${type}.presentation.main+xml"/>${overrides.join("")}</Types>`
  const shapes = "<p:sp><a:t>text</a:t></p:sp>".repeat(8)
  const namespace = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
  return buildZip([
    entry("[Content_Types].xml", text(types)),
    entry("_rels/.rels", related(relation(1, "officeDocument", "p.xml"))),
    entry("p.xml", text(`<p:presentation ${namespace}/>`)),
    ...numbers.flatMap((i) => [
      entry(`ppt/slides/slide${i}.xml`, text(`<p:sld ${namespace}><p:cSld><p:spTree>${shapes}</p:spTree></p:cSld></p:sld>`)),
      entry(
        `ppt/slides/_rels/slide${i}.xml.rels`,
        related(
          relation(1, "slideLayout", "../slideLayouts/l.xml"),
          relation(2, "notesSlide", `../notesSlides/notesSlide${i}.xml`),
        ),
      ),
      entry(`ppt/notesSlides/notesSlide${i}.xml`, text(`<p:notes ${namespace}/>`)),
      entry(
        `ppt/notesSlides/_rels/notesSlide${i}.xml.rels`,
        related(relation(1, "notesMaster", "../notesMasters/m.xml"), relation(2, "slide", `../slides/slide${i}.xml`)),
      ),
    ]),
  ])
}
