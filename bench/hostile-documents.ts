// Documents made to cost as much as they can, each under 20 MB, for the bench of the document check.
import { deflateRawSync } from "node:zlib"
import { buildZip } from "../test/support/zip-builder.ts"
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
