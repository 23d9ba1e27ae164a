// What is refused of a package that is a sound ZIP, and what is not. Every refused one is a genuine document with
// one fault; test/support/zip-builder.ts writes both.
import { describe, expect, it } from "vitest"
import { utf8 } from "../../src/crypto/bytes.ts"
import { memorySource } from "../../src/office/byte-source.ts"
import { DOCUMENT_TYPES, type DocumentType } from "../../src/office/document-type.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { type DocumentPolicy, STRICTEST_POLICY } from "../../src/office/policy.ts"
import {
  CONTENT_TYPES,
  MAIN_PARTS,
  MAIN_TYPES,
  RELS,
  type TestRelationship,
  contentTypes,
  corpus,
  minimalParts,
  packaged,
  realDocument,
  relationships,
  zipOf,
} from "../support/documents.ts"

const check = (bytes: Uint8Array<ArrayBuffer>, type: DocumentType = "docx", policy?: DocumentPolicy) =>
  checkDocument(memorySource(bytes), type, policy)
const typeOf = (name: string): DocumentType => name.slice(name.lastIndexOf(".") + 1) as DocumentType
const ALLOWED: DocumentPolicy = { externalRelationships: true, embeddedObjects: true, activeX: true, dde: true }

const utf16 = (text: string, isLittle = true, withMark = true): Uint8Array => {
  const marked = withMark ? `\ufeff${text}` : text
  const bytes = new Uint8Array(2 * marked.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < marked.length; i++) view.setUint16(2 * i, marked.charCodeAt(i), isLittle)
  return bytes
}

const utf32 = (text: string): Uint8Array => {
  const bytes = new Uint8Array(4 * text.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < text.length; i++) view.setUint32(4 * i, text.charCodeAt(i), true)
  return bytes
}

describe("G17: real documents", () => {
  it("are at least thirty, of all three types", () => {
    expect(Object.keys(corpus).length).toBeGreaterThanOrEqual(30)
    expect(new Set(Object.keys(corpus).map(typeOf))).toEqual(new Set(DOCUMENT_TYPES))
  })

  it.each([
    ...Object.entries(corpus).map(([name, bytes]) => ({ path: name, by: "", type: typeOf(name), bytes })),
    ...packaged.filter(({ fault }) => fault === null),
  ])("$path ($by) is what its name says, and neither of the others", async ({ type, bytes }) => {
    for (const claimed of DOCUMENT_TYPES) {
      const verdict = await check(bytes, claimed)
      expect(verdict, claimed).toEqual(claimed === type ? { fault: null } : { fault: "other_type", found: type })
    }
  })

  const refused = packaged.filter(({ fault }) => fault !== null)

  it.each(refused)("$path ($by) is refused as a .$type: $fault", async ({ type, bytes, fault }) => {
    expect(await check(bytes, type)).toMatchObject({ fault })
  })

  it.each(refused.filter(({ fault }) => fault === "external_relationship"))(
    "$path is taken where links are",
    async ({ bytes }) => {
      expect(await check(bytes, "docx", { ...STRICTEST_POLICY, externalRelationships: true })).toEqual({ fault: null })
    },
  )

  it("of thousands of slides and sheets are accepted", async () => {
    const slide = (i: number): string => `ppt/slides/slide${String(i)}.xml`
    const count = 4000
    const types = Array.from(
      { length: count },
      (_, i) =>
        `<Override PartName="/${slide(i)}" ContentType="application/vnd.openxmlformats-officedocument.presentationml.slide+xml"/>`,
    )
    const parts: Record<string, string | Uint8Array> = {
      ...minimalParts("pptx"),
      [CONTENT_TYPES]: contentTypes(MAIN_TYPES.pptx).replace("</Types>", `${types.join("")}</Types>`),
    }
    for (let i = 0; i < count; i++) {
      parts[slide(i)] = "<p:sld xmlns:p='http://schemas.openxmlformats.org/presentationml/2006/main'/>"
      parts[`ppt/slides/_rels/slide${String(i)}.xml.rels`] = relationships({
        kind: "slideLayout",
        target: "../slideLayouts/l.xml",
      })
    }
    expect(await check(zipOf(parts), "pptx")).toEqual({ fault: null })
  })
})

describe("G1, G2: a package", () => {
  const good = contentTypes(MAIN_TYPES.docx)
  const office = (...more: TestRelationship[]): string => relationships({ kind: "officeDocument", target: "part0.xml" }, ...more)

  it.each<[string, Record<string, string | Uint8Array>]>([
    ["nothing but what it must have", {}],
    [
      "its relationships in strict form",
      {
        [RELS]: office().replace(
          "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
          "http://purl.oclc.org/ooxml/officeDocument/relationships",
        ),
      },
    ],
    ["an absolute target", { [RELS]: relationships({ kind: "officeDocument", target: "/part0.xml" }) }],
    ["a target in other case", { [RELS]: relationships({ kind: "officeDocument", target: "PART0.XML" }) }],
    ["UTF-16", { [CONTENT_TYPES]: utf16(good.replace("UTF-8", "UTF-16")), [RELS]: utf16(office(), false) }],
    ["UTF-16 without byte order mark", { [CONTENT_TYPES]: utf16(good.replace("UTF-8", "UTF-16"), true, false) }],
    ["UTF-8 with byte order mark", { [CONTENT_TYPES]: `\ufeff${good}`, "part0.xml": `\ufeff${MAIN_PARTS.docx}` }],
    ["a Western encoding", { [CONTENT_TYPES]: good.replace("UTF-8", "iso-8859-1") }],
    [
      "prefixes, comments and single quotes",
      {
        [CONTENT_TYPES]: `<!-- c -->${good
          .slice(good.indexOf("<Types"))
          .replaceAll(/<(\/?)(Types|Override|Default)/g, "<$1x:$2")
          .replace("xmlns=", "xmlns:x=")
          .replaceAll('"', "'")}`,
      },
    ],
    [
      "types of parts that are not there",
      {
        [CONTENT_TYPES]: good.replace(
          "</Types>",
          '<Default Extension="xlsm" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/><Override PartName="/gone.xml" ContentType="application/vnd.ms-office.vbaProject"/></Types>',
        ),
      },
    ],
    [
      "a type declared twice alike",
      { [CONTENT_TYPES]: good.replace("</Types>", `<Override PartName="/PART0.xml" ContentType="${MAIN_TYPES.docx}"/></Types>`) },
    ],
    ["what Office and macOS leave behind", { "[trash]/0000.dat": "x", "__MACOSX/._part0.xml": "x", "word/.DS_Store": "x" }],
    [
      "hyperlinks of all kinds",
      {
        "_rels/part0.xml.rels": relationships(
          { kind: "hyperlink", target: "file:///\\\\server\\share\\x", mode: "External" },
          {
            kind: "http://purl.oclc.org/ooxml/officeDocument/relationships/hyperlink",
            target: "https://example.com/",
            mode: "External",
          },
        ),
      },
    ],
    ["a relationship that leads nowhere", { "_rels/part0.xml.rels": relationships({ kind: "image", target: "NULL" }) }],
    [
      "the workbook of a chart",
      {
        "_rels/part0.xml.rels": relationships({ kind: "package", target: "book.xlsx" }),
        "book.xlsx": realDocument("openpyxl.xlsx"),
        [CONTENT_TYPES]: good.replace(
          "</Types>",
          '<Default Extension="xlsx" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"/></Types>',
        ),
      },
    ],
  ])("is accepted with %s", async (_, parts) => {
    for (const level of [0, 6] as const)
      expect(await check(zipOf({ ...minimalParts(), ...parts }, level))).toEqual({ fault: null })
  })

  const main0 = (name: string, type: string): Record<string, string> => ({
    [CONTENT_TYPES]: good.replace("</Types>", `<Override PartName="${name}" ContentType="${type}"/></Types>`),
  })
  /** Declares one more part. */
  const declaring = (name: string, type: string): Record<string, string> => ({
    [CONTENT_TYPES]: good.replace("</Types>", `<Override PartName="/${name}" ContentType="${type}"/></Types>`),
    [name]: "<x/>",
  })
  const main = (type: string): Record<string, string> => ({ [CONTENT_TYPES]: contentTypes(type) })

  it.each<[string, Record<string, string | Uint8Array | undefined>, FaultReason, string?]>([
    // What it is instead
    ["no content types", { [CONTENT_TYPES]: undefined }, "zip_archive"],
    ["a manifest of Java in their place", { [CONTENT_TYPES]: undefined, "META-INF/MANIFEST.MF": "x" }, "java_archive"],
    [
      "a manifest of Android",
      { [CONTENT_TYPES]: undefined, "AndroidManifest.xml": "x", "META-INF/MANIFEST.MF": "x" },
      "android_package",
    ],
    [
      "OpenDocument's media type",
      { [CONTENT_TYPES]: undefined, mimetype: "application/vnd.oasis.opendocument.text" },
      "open_document",
    ],
    ["an e-book's", { [CONTENT_TYPES]: undefined, mimetype: "application/epub+zip" }, "epub"],
    ["the index of Pages", { [CONTENT_TYPES]: undefined, "Index/Document.iwa": "x" }, "iwork"],
    ["a template", main(MAIN_TYPES.docx.replace("document.main", "template.main")), "template", "part0.xml"],
    ["a workbook's template", main(MAIN_TYPES.xlsx.replace("sheet.main", "template.main")), "template"],
    ["a presentation's template", main(MAIN_TYPES.pptx.replace("presentation.main", "template.main")), "template"],
    ["a slide show", main(MAIN_TYPES.pptx.replace("presentation.main", "slideshow.main")), "slide_show"],
    ["a binary workbook", main("application/vnd.ms-excel.sheet.binary.macroEnabled.main"), "binary_workbook"],
    ["an unknown main part", main("text/xml"), "not_a_document", "part0.xml"],
    ["a workbook", { ...main(MAIN_TYPES.xlsx), "part0.xml": MAIN_PARTS.xlsx }, "other_type"],
    // Macros
    ...[
      "vnd.ms-word.document.macroEnabled.main+xml",
      "vnd.ms-word.template.macroEnabledTemplate.main+xml",
      "vnd.ms-excel.sheet.macroEnabled.main+xml",
      "vnd.ms-excel.addin.macroEnabled.main+xml",
      "vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
      "vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
    ].map((type): [string, Record<string, string>, FaultReason, string] => [
      type,
      main(`application/${type}`),
      "macro_enabled",
      "part0.xml",
    ]),
    ["a macro project, declared", declaring("a.xml", "application/vnd.ms-office.vbaProject"), "macro_enabled", "a.xml"],
    ["its signature", declaring("a.xml", "application/vnd.ms-office.vbaProjectSignature"), "macro_enabled", "a.xml"],
    ["macro data", declaring("a.xml", "application/vnd.ms-word.vbaData+xml"), "macro_enabled", "a.xml"],
    ["a macro sheet", declaring("a.xml", "application/vnd.ms-excel.macrosheet+xml"), "macro_enabled", "a.xml"],
    [
      "an embedded macro workbook",
      declaring("a.xml", "application/vnd.ms-excel.sheet.macroEnabled.12"),
      "macro_enabled",
      "a.xml",
    ],
    [
      "a macro project by default type",
      {
        "a.prj": "x",
        [CONTENT_TYPES]: good.replace(
          "</Types>",
          '<Default Extension="prj" ContentType="application/vnd.ms-office.vbaProject"/></Types>',
        ),
      },
      "macro_enabled",
      "a.prj",
    ],
    ["a macro project's name", { "word/vbaProject.bin": "x" }, "macro_enabled", "word/vbaProject.bin"],
    ["a macro project's name in other case", { "x/VBAPROJECT.BIN": "x" }, "macro_enabled"],
    ["a macro sheet's folder", { "xl/macrosheets/sheet1.bin": "x" }, "macro_enabled"],
    [
      "a macro relationship",
      {
        "_rels/part0.xml.rels": relationships({
          kind: "http://schemas.microsoft.com/office/2006/relationships/vbaProject",
          target: "a.bin",
        }),
        "a.bin": "x",
      },
      "macro_enabled",
      "_rels/part0.xml.rels",
    ],
    [
      "a macro sheet's relationship",
      {
        "_rels/part0.xml.rels": relationships({
          kind: "http://schemas.microsoft.com/office/2006/relationships/xlMacrosheet",
          target: "a.bin",
        }),
        "a.bin": "x",
      },
      "macro_enabled",
    ],
    // Parts
    ["no relationships", { [RELS]: undefined }, "no_relationships"],
    ["no main part", { "part0.xml": undefined }, "no_main_part", "part0.xml"],
    ["no relationship to it", { [RELS]: relationships() }, "no_main_part"],
    [
      "a main part outside",
      { [RELS]: relationships({ kind: "officeDocument", target: "http://example.com/x", mode: "External" }) },
      "no_main_part",
    ],
    [
      "two main parts",
      { [RELS]: relationships({ kind: "officeDocument", target: "part0.xml" }, { kind: "officeDocument", target: "x.bin" }) },
      "two_main_parts",
    ],
    ["a second document in it", declaring("part1.xml", MAIN_TYPES.xlsx), "two_main_parts", "part1.xml"],
    ["a main part of another kind", { "part0.xml": MAIN_PARTS.pptx }, "bad_main_part", "part0.xml"],
    ["a main part in no namespace", { "part0.xml": "<document/>" }, "bad_main_part", "part0.xml"],
    ["a main part that is no XML", { "part0.xml": "hello" }, "bad_xml", "part0.xml"],
    ["a part that it does not declare", { "payload.exe": "MZ" }, "undeclared_part", "payload.exe"],
    ["classes", { "com/example/Main.class": "x" }, "undeclared_part"],
    // XML
    [
      "a DOCTYPE in content types",
      { [CONTENT_TYPES]: good.replace("<Types", '<!DOCTYPE Types [<!ENTITY a "b">]><Types') },
      "xml_doctype",
      CONTENT_TYPES,
    ],
    [
      "a DOCTYPE in relationships",
      { [RELS]: office().replace("<Relationships", "<!DOCTYPE r><Relationships") },
      "xml_doctype",
      RELS,
    ],
    [
      "a DOCTYPE in the main part",
      { "part0.xml": MAIN_PARTS.docx.replace("<w:document", "<!DOCTYPE r><w:document") },
      "xml_doctype",
      "part0.xml",
    ],
    [
      "a DOCTYPE in UTF-16",
      { [RELS]: utf16(office().replace("<Relationships", "<!DOCTYPE r><Relationships")) },
      "xml_doctype",
      RELS,
    ],
    ["an unknown entity", { [CONTENT_TYPES]: good.replace('PartName="/part0.xml"', 'PartName="&a;"') }, "bad_xml", CONTENT_TYPES],
    ["broken XML", { [CONTENT_TYPES]: good.replace("</Types>", "") }, "bad_xml"],
    ["two roots", { [CONTENT_TYPES]: `${good}<Types/>` }, "bad_xml"],
    ["an encoding that hides tags", { [CONTENT_TYPES]: good.replace("UTF-8", "UTF-7") }, "bad_xml"],
    [
      "an encoding that hides tags, far behind",
      { [CONTENT_TYPES]: good.replace(" encoding=", `${" ".repeat(300)}encoding=`).replace("UTF-8", "UTF-7") },
      "bad_xml",
    ],
    [
      "an encoding further behind than is read",
      { [CONTENT_TYPES]: good.replace(" encoding=", `${" ".repeat(900)}encoding=`) },
      "bad_xml",
    ],
    [
      "two encodings",
      { [CONTENT_TYPES]: good.replace(' encoding="UTF-8"', ' a="encoding=\'UTF-8\'" encoding="UTF-7"') },
      "bad_xml",
    ],
    ["an encoding that hides tags, in UTF-16", { [CONTENT_TYPES]: utf16(good.replace("UTF-8", "UTF-7")) }, "bad_xml"],
    ["UTF-32", { [CONTENT_TYPES]: utf32(good) }, "bad_xml"],
    ["UTF-16 that begins with a space", { [CONTENT_TYPES]: utf16(` ${good}`, true, false) }, "bad_xml"],
    [
      "a type within another element",
      {
        [CONTENT_TYPES]: good
          .replace("<Override", '<mc:Choice xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><Override')
          .replace("</Types>", "</mc:Choice></Types>"),
      },
      "bad_content_types",
    ],
    [
      "a relationship within another element",
      { [RELS]: office().replace("<Relationship ", "<a><Relationship ").replace("</Relationships>", "</a></Relationships>") },
      "bad_xml",
      RELS,
    ],
    [
      "a relationship in no namespace",
      { [RELS]: office().replace("<Relationship ", '<Relationship xmlns="" ') },
      "bad_xml",
      RELS,
    ],
    ["content types by a percent-encoded name", { [CONTENT_TYPES]: undefined, "%5BContent_Types%5D.xml": good }, "zip_archive"],
    ["a type with a space before its part's name", main0(" /part0.xml", "text/xml"), "bad_content_types"],
    ["bytes that are no text", { [CONTENT_TYPES]: Uint8Array.of(0xff, 0xff, 0xff) }, "bad_xml"],
    ["XML without end of depth", { [RELS]: "<a>".repeat(10_000) }, "bad_xml", RELS],
    ["content types of something else", { [CONTENT_TYPES]: good.replaceAll("Types", "Kinds") }, "bad_content_types"],
    [
      "content types in another namespace",
      { [CONTENT_TYPES]: good.replace("package/2006/content-types", "package/2007/content-types") },
      "bad_content_types",
    ],
    [
      "two types for one part",
      { [CONTENT_TYPES]: good.replace("</Types>", '<Override PartName="/part0.XML" ContentType="text/xml"/></Types>') },
      "bad_content_types",
    ],
    ["a type of nothing", { [CONTENT_TYPES]: good.replace(' PartName="/part0.xml"', "") }, "bad_content_types"],
    ["content types of ten megabytes", { [CONTENT_TYPES]: good + " ".repeat(10 * 1024 * 1024) }, "too_complex", CONTENT_TYPES],
  ])("is refused with %s", async (_, change, reason, part) => {
    const changed = { ...minimalParts(), ...change }
    const parts = Object.fromEntries(
      Object.entries(changed).filter((entry): entry is [string, string | Uint8Array] => entry[1] !== undefined),
    )
    for (const level of [0, 6] as const) {
      expect(await check(zipOf(parts, level))).toMatchObject({ fault: reason, ...(part === undefined ? {} : { part }) })
      // Nobody may allow these.
      expect((await check(zipOf(parts, level), "docx", ALLOWED)).fault).toBe(reason)
    }
  })

  const word = (body: string): Record<string, string | Uint8Array> => ({
    ...minimalParts(),
    "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body><w:p>${body}</w:p></w:body>`),
  })
  const field = (...pieces: string[]): string =>
    [
      '<w:r><w:fldChar w:fldCharType="begin"/></w:r>',
      ...pieces.map((piece) => `<w:r><w:instrText xml:space="preserve">${piece}</w:instrText></w:r>`),
      '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:t>x</w:t><w:r><w:fldChar w:fldCharType="end"/></w:r>',
    ].join("")

  it.each([
    ["one piece", field(' DDEAUTO c:\\\\windows\\\\cmd.exe "/k calc" ')],
    ["lower case", field("dde excel a b")],
    ["pieces", field(" D", "DE", "AUTO x y")],
    ["references", field("&#68;D&#x45; x")],
    ["pieces with comments between", field("D<!-- -->DE x")],
    ["another prefix and quotes", field("DDE x").replaceAll("w:", "v:").replaceAll('"', "'")],
    ["a simple field", '<w:fldSimple w:instr=" DDE x y"/>'],
    ["a simple field behind a bracket", "<w:fldSimple w:a='>' w:instr=' DDE x y'/>"],
    ["a simple field behind a decoy", "<w:fldSimple w:a=' instr=&quot;PAGE&quot; ' w:instr=' DDE x y'/>"],
    ["CDATA", field("<![CDATA[DDE x]]>")],
    ["an attribute of references", field("DDE x").replace('"begin"', '"&#98;egin"')],
    ["a field within a field", field("IF ", field("DDE x"), "= 1")],
    [
      "a field behind a field within a field",
      field("QUOTE", "").replace("QUOTE", `</w:instrText></w:r>${field("PAGE")}<w:r><w:instrText>DDE x`),
    ],
  ])("with DDE as a field in %s is refused, and taken where that is allowed", async (_, body) => {
    expect(await check(zipOf(word(body)))).toEqual({ fault: "dde", part: "part0.xml" })
    expect(await check(zipOf(word(body)), "docx", { ...STRICTEST_POLICY, dde: true })).toEqual({ fault: null })
  })

  it.each([field(" PAGE "), field("HYPERLINK dde:x"), "<w:t>DDE is old</w:t>", field("DDEPOT x"), field("QUOTE DDE")])(
    "with %s is accepted: that is no DDE",
    async (body) => {
      expect(await check(zipOf(word(body)))).toEqual({ fault: null })
    },
  )

  it.each<[string, Uint8Array<ArrayBuffer>, FaultReason]>([
    ["macros", zipOf({ ...minimalParts("xlsx"), "xl/vbaProject.bin": "x" }), "macro_enabled"],
    [
      "a macro type",
      zipOf({ ...minimalParts("xlsx"), [CONTENT_TYPES]: contentTypes("application/vnd.ms-excel.sheet.macroEnabled.main+xml") }),
      "macro_enabled",
    ],
    ["no document", utf8("MZ and so on"), "bad_embedded_document"],
    ["another archive", zipOf({ "a.txt": "x" }), "bad_embedded_document"],
  ])("is refused when the workbook of its chart holds %s", async (_, book, reason) => {
    const parts = (bytes: Uint8Array): Record<string, string | Uint8Array> => ({
      ...minimalParts(),
      "_rels/part0.xml.rels": relationships({ kind: "package", target: "book.xlsx" }),
      "book.xlsx": bytes,
      [CONTENT_TYPES]: good.replace(
        "</Types>",
        '<Default Extension="xlsx" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"/></Types>',
      ),
    })
    expect(await check(zipOf(parts(zipOf(minimalParts("xlsx")))))).toEqual({ fault: null })
    expect(await check(zipOf(parts(book)))).toEqual({ fault: reason, part: "book.xlsx" })
  })

  const withRelationship = (
    relationship: TestRelationship,
    more: Record<string, string> = {},
  ): Record<string, string | Uint8Array> => ({
    ...minimalParts(),
    "word/_rels/settings.xml.rels": relationships(relationship),
    ...more,
  })
  const external = (kind: string, target: string) => withRelationship({ kind, target, mode: "External" })

  it.each<[string, Record<string, string | Uint8Array>, keyof DocumentPolicy, FaultReason]>([
    [
      "a remote template",
      external("attachedTemplate", "https://example.com/t.dotm"),
      "externalRelationships",
      "external_relationship",
    ],
    [
      "a template on a share",
      external("attachedTemplate", "file:///\\\\10.0.0.1\\share\\t.dotm"),
      "externalRelationships",
      "external_relationship",
    ],
    ["a linked picture", external("image", "https://example.com/p.png"), "externalRelationships", "external_relationship"],
    ["a linked object", external("oleObject", "file:///C:/x.xlsx"), "externalRelationships", "external_relationship"],
    ["another workbook", external("externalLinkPath", "book.xlsx"), "externalRelationships", "external_relationship"],
    ["a frame", external("frame", "https://example.com"), "externalRelationships", "external_relationship"],
    [
      "a sub-document in strict form",
      external("http://purl.oclc.org/ooxml/officeDocument/relationships/subDocument", "x.docx"),
      "externalRelationships",
      "external_relationship",
    ],
    [
      "an unknown mode",
      withRelationship({ kind: "image", target: "p.png", mode: "external" as "External" }),
      "externalRelationships",
      "external_relationship",
    ],
    [
      "an OLE object",
      withRelationship({ kind: "oleObject", target: "/x.bin" }, { "x.bin": "x" }),
      "embeddedObjects",
      "embedded_object",
    ],
    [
      "an OLE object that is only declared",
      { ...minimalParts(), ...declaring("a.xml", "application/vnd.openxmlformats-officedocument.oleObject") },
      "embeddedObjects",
      "embedded_object",
    ],
    [
      "an embedded file of another kind",
      withRelationship({ kind: "package", target: "/x.bin" }, { "x.bin": "x" }),
      "embeddedObjects",
      "embedded_object",
    ],
    ["an ActiveX control", withRelationship({ kind: "control", target: "/x.bin" }, { "x.bin": "x" }), "activeX", "activex"],
    [
      "an ActiveX part",
      { ...minimalParts(), ...declaring("a.xml", "application/vnd.ms-office.activeX+xml") },
      "activeX",
      "activex",
    ],
    [
      "a DDE link",
      {
        ...minimalParts(),
        ...declaring("link.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.externalLink+xml"),
        "_rels/part0.xml.rels": relationships({ kind: "externalLink", target: "link.xml" }),
        "link.xml":
          '<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><ddeLink ddeService="cmd" ddeTopic="/c calc"/></externalLink>',
      },
      "dde",
      "dde",
    ],
  ])("with %s is refused, and taken where that is allowed", async (_, parts, permission, reason) => {
    expect(await check(zipOf(parts))).toMatchObject({ fault: reason })
    expect(await check(zipOf(parts), "docx", { ...ALLOWED, [permission]: false })).toMatchObject({ fault: reason })
    expect(await check(zipOf(parts), "docx", { ...STRICTEST_POLICY, [permission]: true })).toEqual({ fault: null })
  })
})

describe("G4: a file that is no ZIP", () => {
  /** The beginning of a Compound File Binary with these names in its directory (MS-CFB 2.2, 2.6). */
  function compoundFile(...names: string[]): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(2048)
    const view = new DataView(bytes.buffer)
    bytes.set([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1])
    view.setUint16(30, 9, true)
    view.setUint32(48, 1, true)
    names.forEach((name, i) => {
      for (let c = 0; c < name.length; c++) view.setUint16(1024 + 128 * i + 2 * c, name.charCodeAt(c), true)
    })
    return bytes
  }

  it.each<[string, Uint8Array<ArrayBuffer>, FaultReason]>([
    ["nothing", new Uint8Array(0), "empty_file"],
    ["a byte", utf8("P"), "not_a_zip"],
    ["text", utf8("hello hello hello hello"), "not_a_zip"],
    ["a web page", utf8("<!doctype html><html></html>"), "not_a_zip"],
    ["a PDF", utf8("%PDF-1.7\n%âãÏÓ and so on, long enough"), "pdf"],
    ["rich text", utf8("{\\rtf1\\ansi hello}"), "rich_text"],
    ["an empty ZIP", Uint8Array.from([0x50, 0x4b, 5, 6, ...new Array<number>(18).fill(0)]), "zip_archive"],
    ["a protected document", compoundFile("Root Entry", "EncryptedPackage", "EncryptionInfo"), "password_protected"],
    ["an old text", compoundFile("Root Entry", "WordDocument"), "legacy_format"],
    ["an old workbook", compoundFile("Root Entry", "Workbook"), "legacy_format"],
    ["a very old workbook", compoundFile("Root Entry", "Book"), "legacy_format"],
    ["an old presentation", compoundFile("Root Entry", "PowerPoint Document"), "legacy_format"],
    ["another compound file", compoundFile("Root Entry"), "compound_file"],
    ["half a compound file", compoundFile("Root Entry").slice(0, 100), "compound_file"],
  ])("%s is called what it is", async (_, bytes, reason) => {
    expect(await check(bytes)).toEqual({ fault: reason })
  })
})
