// What leads out of a document by other ways than its text and the plain relationships of ooxml.test.ts: connections,
// settings, properties, relationships that say they are hyperlinks, embedded and imported files, document types.
import { describe, expect, it } from "vitest"
import { EVERYTHING_ALLOWED, STRICTEST_POLICY } from "../../src/office/policy.ts"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { MAIN_PARTS, type TestRelationship, minimalParts, relationships, zipOf } from "../support/documents.ts"

const OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
const NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const BOOK = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
const R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'

describe("G2: a data connection", () => {
  const connections = (inner: string, type = `${OFFICE_TYPE}.spreadsheetml.connections+xml`): Parts =>
    withPart(
      minimalParts("xlsx"),
      "c.dat",
      type,
      `<connections ${BOOK}><connection id="1">${inner}</connection></connections>`,
      "connections",
    )
  it("is one whatever it is declared as, and also as a local cube", async () => {
    const own = '<dbPr connection="Data Model Connection"/>'
    const database = '<dbPr connection="Provider=SQLOLEDB"/>'
    await expectPolicy(
      "xlsx",
      connections(database, "image/png"),
      connections(own, "image/png"),
      "externalRelationships",
      "external_data",
    )
    await expectPolicy(
      "xlsx",
      connections('<olapPr localConnection="Provider=MSOLAP"/>'),
      connections(own),
      "externalRelationships",
      "external_data",
    )
  })

  it("makes a mashup of Power Query run; a mashup without one does nothing", async () => {
    const mashup = '<DataMashup xmlns="http://schemas.microsoft.com/DataMashup">AAAAAA==</DataMashup>'
    const withMashup = (base: Parts): Parts => ({ ...withPart(base, "customXml/item1.xml", "application/xml", mashup) })
    const query = connections('<dbPr connection="Provider=Microsoft.Mashup.OleDb.1;Data Source=$Workbook$;Location=Query1"/>')
    await expectPolicy("xlsx", withMashup(query), withMashup(minimalParts("xlsx")), "externalRelationships", "external_data")
  })
})

describe("G2: what a document fetches by its settings and properties", () => {
  const settings = (inner: string): Parts =>
    withPart(
      minimalParts(),
      "s.xml",
      `${OFFICE_TYPE}.wordprocessingml.settings+xml`,
      `<w:settings ${NS}>${inner}</w:settings>`,
      "settings",
    )
  const merge = (inner: string): Parts => settings(`<w:mailMerge><w:mainDocumentType w:val="formLetters"/>${inner}</w:mailMerge>`)
  it.each(['<w:connectString w:val="Provider=x;Data Source=//h/x.mdb"/>', '<w:odso><w:udl w:val="Provider=x"/></w:odso>'])(
    "is a mail merge of %s, not one without source",
    async (source) => {
      await expectPolicy("docx", merge(source), merge('<w:connectString w:val=""/>'), "externalRelationships", "external_data")
    },
  )

  it.each(["mailMergeSource", "mailMergeHeaderSource"])("is a mail merge by a relationship of kind %s", async (kind) => {
    const related = (relationship: TestRelationship): Parts => ({ ...merge(""), "_rels/s.xml.rels": relationships(relationship) })
    const twin = related({ kind: "hyperlink", target: "file:///C:/x.mdb", mode: "External" })
    await expectPolicy(
      "docx",
      related({ kind, target: "file:///C:/x.mdb", mode: "External" }),
      twin,
      "externalRelationships",
      "external_relationship",
    )
  })

  it("is a schema with a program, not one without", async () => {
    const schema = (attribute: string): Parts =>
      settings(`<sl:schemaLibrary><sl:schema sl:uri="a"${attribute}/></sl:schemaLibrary>`)
    await expectPolicy(
      "docx",
      schema(' sl:manifestLocation="https://example.com/m.xml"'),
      schema(""),
      "externalRelationships",
      "add_in",
    )
  })

  it.each(["_AssemblyLocation", "_AssemblyName", "_assemblylocation0"])(
    "is a program of its own by property %s",
    async (name) => {
      const properties = (property: string, type = `${OFFICE_TYPE}.custom-properties+xml`): Parts =>
        withPart(
          minimalParts(),
          "p.xml",
          type,
          `<Properties><property name="${property}"><vt:lpwstr>https://example.com/a.vsto|1</vt:lpwstr></property></Properties>`,
          "custom-properties",
        )
      await expectPolicy("docx", properties(name), properties("Assembly"), "externalRelationships", "add_in")
      await expectPolicy(
        "docx",
        properties(name, "image/png"),
        properties("Assembly", "image/png"),
        "externalRelationships",
        "add_in",
      )
    },
  )
})

describe("G2: a relationship that says it is a hyperlink", () => {
  const linked = (body: string, namespace = R): Parts => ({
    ...minimalParts(),
    "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body ${namespace}>${body}</w:body>`),
    "_rels/part0.xml.rels": relationships({ kind: "hyperlink", target: "https://example.com/x", mode: "External" }),
  })
  const strict = 'xmlns:r="http://purl.oclc.org/ooxml/officeDocument/relationships"'
  it.each<[string, string, string?]>([
    ["a linked picture", '<a:blip r:link="rId1"/>'],
    ["a linked picture behind a bracket", '<a:blip x=">" r:link="rId1"/>'],
    ["a linked picture behind what seems to be another", `<a:blip x=" r:z=" r:link="rId1"/>`],
    ["a picture of VML", '<v:imagedata r:id="rId1"/>'],
    ["a picture of VML by its own attribute", '<v:fill o:relid="rId1"/>'],
    ["a template", '<w:attachedTemplate r:id="rId1"/>'],
    ["an object, spelled in references", '<o:OLEObject r:id="r&#73;d1"/>'],
    ["a picture, in strict form", '<a:blip r:link="rId1"/>', strict],
    ["a picture by another prefix", '<a:blip y:link="rId1"/>', R.replace("xmlns:r", "xmlns:y")],
    ["a picture by a namespace in references", '<a:blip r:link="rId1"/>', R.replace("http", "&#104;ttp")],
  ])("is refused as %s", async (_, body, namespace) => {
    const twin = linked(
      '<w:hyperlink r:id="rId1"/><a:hlinkClick r:id="rId1"/><a:hlinkHover r:id="rId1"/><w:x w:id="rId1"/>',
      namespace,
    )
    await expectPolicy("docx", linked(body, namespace), twin, "externalRelationships", "external_relationship")
  })

  it("is not what a text says of such things", async () => {
    const text = '<w:hyperlink r:id="rId1"/><w:t>&lt;w:footerReference r:id="rId1" /> r:id="rId1" </w:t>'
    expect(await checkParts(linked(text))).toEqual({ fault: null })
    expect(await checkParts(linked(text.replace("&lt;", "<")))).toMatchObject({ fault: "external_relationship" })
  })

  it("is looked for in every part that has some, whatever it is declared as", async () => {
    const drawing = (tag: string): Parts => ({
      ...withPart(minimalParts("xlsx"), "d.xml", "application/x-any", `<xdr:wsDr ${R}><a:${tag}/></xdr:wsDr>`),
      "_rels/d.xml.rels": relationships({ kind: "hyperlink", target: "//h/x.png", mode: "External" }),
    })
    await expectPolicy(
      "xlsx",
      drawing('blip r:link="rId1"'),
      drawing('hlinkClick r:id="rId1"'),
      "externalRelationships",
      "external_relationship",
    )
  })
})

describe("G2: a macro project", () => {
  it("is found by a percent-encoded name", async () => {
    expect(await checkParts({ ...minimalParts(), "word/vbaOb%6Aect.bin": "x" })).toEqual({ fault: null })
    expect(await checkParts({ ...minimalParts(), "word/vbaProj%65ct.bin": "x" })).toMatchObject({ fault: "macro_enabled" })
  })

  it("is found in an embedded workbook by its relationship alone", async () => {
    const outer = (kind: string): Parts => {
      const inner = { ...minimalParts("xlsx"), "m.bin": "x", "_rels/part0.xml.rels": relationships({ kind, target: "m.bin" }) }
      return withPart(minimalParts(), "b.xlsx", `${OFFICE_TYPE}.spreadsheetml.sheet`, zipOf(inner), "package")
    }
    const office = "http://schemas.microsoft.com/office/2006/relationships"
    for (const policy of [STRICTEST_POLICY, EVERYTHING_ALLOWED]) {
      expect(await checkParts(outer(`${office}/other`), "docx", policy)).toEqual({ fault: null })
      expect(await checkParts(outer(`${office}/vbaProject`), "docx", policy)).toEqual({ fault: "macro_enabled", part: "b.xlsx" })
    }
  })
})

describe("G2: imported text", () => {
  const chunk = (content: string | Uint8Array): Parts => withPart(minimalParts(), "a.txt", "text/plain", content, "aFChunk")
  it.each<[string, string | Uint8Array]>([
    ["rich text", "{\\rtf1 x}"],
    ["rich text behind blanks", "\n {\\rtf1 x}"],
    ["a web page", "\ufeff<html>"],
    ["a web archive", "MIME-Version: 1.0"],
    ["a package", zipOf(minimalParts())],
    ["an old document", Uint8Array.of(0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1)],
  ])("that is %s under the type of plain text is refused", async (_, content) => {
    await expectPolicy("docx", chunk(content), chunk("plain {\\rtf <html>"), "embeddedObjects", "embedded_object")
    expect(await checkParts(chunk(""))).toEqual({ fault: null })
  })
})

describe("G2: a button that starts a program", () => {
  it.each([
    ["diagramData", "drawingml.diagramData+xml"],
    ["http://schemas.microsoft.com/office/2007/relationships/diagramDrawing", "x"],
    ["chartUserShapes", "drawingml.chartshapes+xml"],
    ["slide", "x"],
  ])("is found in a %s", async (kind, type) => {
    const part = (action: string): Parts =>
      withPart(
        minimalParts("pptx"),
        "d.xml",
        `${OFFICE_TYPE}.${type}`,
        `<x><a:hlinkClick action="ppaction://${action}"/></x>`,
        kind,
      )
    await expectPolicy("pptx", part("program"), part("noaction"), "dde", "program_action")
  })
})

describe("G2: a DOCTYPE", () => {
  const declaration = '<!DOCTYPE a [<!ENTITY e "DDE x">]>'
  const part = (type: string, before: string, kind?: string): Parts =>
    withPart(minimalParts("xlsx"), "p.xml", type, `${before}<a/>`, kind)
  it.each<[string, string, string?]>([
    ["a sheet", `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`, "worksheet"],
    ["shared texts", `${OFFICE_TYPE}.spreadsheetml.sharedStrings+xml`],
    ["properties", "application/vnd.openxmlformats-package.core-properties+xml"],
    ["a drawing of VML", `${OFFICE_TYPE}.vmlDrawing`],
    ["custom XML", "application/xml"],
    ["a header under another type", "application/x-any", "header"],
  ])("in %s is refused, whatever is allowed", async (_, type, kind) => {
    for (const policy of [STRICTEST_POLICY, EVERYTHING_ALLOWED]) {
      expect(await checkParts(part(type, "", kind), "xlsx", policy)).toEqual({ fault: null })
      const verdict = await checkParts(part(type, declaration, kind), "xlsx", policy)
      expect(verdict).toEqual({ fault: "xml_doctype", part: "p.xml" })
    }
  })

  it.each([
    ["a declaration and blanks", '<?xml version="1.0"?>\n', "xml_doctype"],
    ["comments and instructions", "<?x > ?><!-- <a> --><!-- > -->", "xml_doctype"],
    ["a long comment", `<!--${" ".repeat(5000)}-->`, "xml_doctype"],
    ["a comment longer than any", `<!--${" ".repeat(70_000)}-->`, "bad_xml"],
  ])("behind %s is found", async (_, before, reason) => {
    const type = `${OFFICE_TYPE}.spreadsheetml.styles+xml`
    if (reason === "xml_doctype") expect(await checkParts(part(type, before), "xlsx")).toEqual({ fault: null })
    expect(await checkParts(part(type, before + declaration), "xlsx")).toMatchObject({ fault: reason })
  })

  it("in a part too large to be unpacked whole is found at its beginning", async () => {
    const type = `${OFFICE_TYPE}.spreadsheetml.sharedStrings+xml`
    const large = (before: string): Parts =>
      withPart(minimalParts("xlsx"), "p.xml", type, `${before}<a>${" ".repeat(9 * 1024 * 1024)}</a>`)
    expect(await checkParts(large(""), "xlsx")).toEqual({ fault: null })
    expect(await checkParts(large(declaration), "xlsx")).toEqual({ fault: "xml_doctype", part: "p.xml" })
  })

  it("in a picture is its own business", async () => {
    expect(await checkParts(part("image/svg+xml", '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">'), "xlsx")).toEqual({
      fault: null,
    })
  })
})
