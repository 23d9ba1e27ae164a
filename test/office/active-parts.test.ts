// What a document would do when it is opened, found in the text of its parts. Every refused one has a twin that differs
// only in the one thing and is taken, and is taken itself where the deployment allows it.
import { describe, expect, it } from "vitest"
import { EVERYTHING_ALLOWED, STRICTEST_POLICY } from "../../src/office/policy.ts"
import { type Parts, checkParts, expectPolicy, withPart } from "../support/document-policy.ts"
import { CONTENT_TYPES, MAIN_PARTS, MAIN_TYPES, contentTypes, minimalParts, relationships, zipOf } from "../support/documents.ts"

const check = checkParts

const NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
const OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
const char = (type: string, more = ""): string => `<w:r><w:fldChar w:fldCharType="${type}"${more}/></w:r>`
const code = (text: string): string => `<w:r><w:instrText xml:space="preserve">${text}</w:instrText></w:r>`
const shown = (text: string): string => `<w:r><w:t>${text}</w:t></w:r>`
const field = (instruction: string, result = shown("x")): string =>
  `${char("begin")}${instruction}${char("separate")}${result}${char("end")}`
const word = (body: string): Parts => ({
  ...minimalParts(),
  "part0.xml": MAIN_PARTS.docx.replace("<w:body/>", `<w:body><w:p>${body}</w:p></w:body>`),
})

describe("G2: a field", () => {
  it.each<[string, string, string]>([
    ["within a field", field(code("IF ") + field(code("DDE x")) + code(" = 1")), field(code("IF ") + field(code("DATE")))],
    [
      "three deep",
      field(code("IF ") + field(code("QUOTE ") + field(code("DDEAUTO x")))),
      field(code("IF ") + field(code("QUOTE ") + field(code("DATE")))),
    ],
    [
      "in a result",
      field(code("TOC"), field(code("HYPERLINK x"), field(code("DDE x")))),
      field(code("TOC"), field(code("HYPERLINK x"), field(code("PAGEREF x")))),
    ],
    [
      "behind a nested field",
      field(field(code("PAGE")) + code("DDE x")),
      field(code("IF ") + field(code("PAGE")) + code("DDE x")),
    ],
    [
      "whose first word a field begins",
      field(field(code("QUOTE 68 68 69"), shown("PA")) + code(" x")),
      field(code("= ") + field(code("X"))),
    ],
    [
      "whose first word a field ends",
      field(code("D") + field(code('QUOTE "DE"'))),
      field(code("DATE ") + field(code('QUOTE "DE"'))),
    ],
    ["whose first word is text", field(shown("DDE") + code(" x")), field(code("QUOTE ") + shown("DDE") + code(" x"))],
    [
      "whose first word is a field's result",
      field(code("D") + field(code("X"), shown("DE ")) + code("x")),
      field(code("DATE ") + field(code("X"), shown("DE "))),
    ],
    ["over paragraphs", field(`${code("DDE")}</w:p><w:p>${code("x")}`), field(`${code("DDES")}</w:p><w:p>${code("x")}`)],
    [
      "with a tabulator in it",
      field(`${code("DDE")}<w:r><w:tab/></w:r>${code("x")}`),
      field(`${code("DDES")}<w:r><w:tab/></w:r>`),
    ],
    ["without a separator", char("begin") + code("DDE x") + char("end"), char("begin") + code("QUOTE DDE") + char("end")],
    ["that never ends", char("begin") + code("DDE x"), char("begin") + code("PAGE")],
    [
      "that was deleted",
      field(code("DDE x").replaceAll("instrText", "delInstrText")),
      field(code("PAGE").replaceAll("instrText", "delInstrText")),
    ],
    [
      "that is simple, in a field",
      field(code("IF ") + '<w:fldSimple w:instr=" DDE x"/>'),
      field(code("IF ") + '<w:fldSimple w:instr=" PAGE"/>'),
    ],
    [
      "in a text box",
      `<w:pict><v:textbox><w:txbxContent><w:p>${field(code("DDE x"))}</w:p></w:txbxContent></v:textbox></w:pict>`,
      `<w:pict><v:textbox><w:txbxContent><w:p>${field(code("PAGE"))}</w:p></w:txbxContent></v:textbox></w:pict>`,
    ],
    [
      "in an alternative",
      `<mc:AlternateContent><mc:Choice/><mc:Fallback>${field(code("DDE x"))}</mc:Fallback></mc:AlternateContent>`,
      `<mc:AlternateContent><mc:Choice/><mc:Fallback>${field(code("PAGE"))}</mc:Fallback></mc:AlternateContent>`,
    ],
  ])("of DDE %s is refused", async (_, body, twin) => {
    await expectPolicy("docx", word(body), word(twin), "dde", "dde")
  })

  it.each(["header", "footer", "footnotes", "endnotes", "comments", "document.glossary"])(
    "of DDE in %s is refused",
    async (story) => {
      const type = `${OFFICE_TYPE}.wordprocessingml.${story}+xml`
      const part = (text: string): Parts =>
        withPart(minimalParts(), "s.xml", type, `<w:x ${NS}><w:p>${field(code(text))}</w:p></w:x>`)
      await expectPolicy("docx", part("DDEAUTO x"), part("PAGE"), "dde", "dde")
    },
  )

  it("of DDE in a part that is declared as any XML is refused", async () => {
    const part = (text: string): Parts =>
      withPart(minimalParts(), "s.xml", "application/xml", `<w:hdr ${NS}>${field(code(text))}</w:hdr>`)
    await expectPolicy("docx", part("DDE x"), part("PAGE"), "dde", "dde")
  })

  it("of DDE in a custom part in another encoding is refused; one that is no text is accepted", async () => {
    const part = (text: string): Parts =>
      withPart(
        minimalParts(),
        "s.xml",
        "application/xml",
        `<?xml version="1.0" encoding="gb2312"?><w:hdr ${NS}>${field(code(text))}</w:hdr>`,
      )
    await expectPolicy("docx", part("DDE x"), part("PAGE"), "dde", "dde")
    expect(await check({ ...part("PAGE"), "s.xml": Uint8Array.of(0, 0xff, 0x80, 0xd8) })).toEqual({ fault: null })
  })

  it.each<[string, string, string]>([
    ["INCLUDETEXT", field(code('INCLUDETEXT "https://example.com/x.docx"')), field(code("REF includetext"))],
    ["IMPORT", field(code("IMPORT c:\\\\x.png")), field(code("QUOTE import"))],
    ["LINK", field(code('LINK Excel.Sheet.12 "C:\\\\x.xlsx"')), field(code('HYPERLINK "https://example.com"'))],
    ["DATABASE", field(code('DATABASE \\d "C:\\\\x.mdb"')), field(code("DATE"))],
    [
      "a picture that is not kept",
      field(code('INCLUDEPICTURE "https://example.com/x.png" \\d')),
      field(code('INCLUDEPICTURE "https://example.com/x.png" \\* MERGEFORMATINET')),
    ],
    [
      "a picture on a share",
      field(code('INCLUDEPICTURE "\\\\\\\\10.0.0.1\\\\x.png"')),
      field(code('INCLUDEPICTURE "C:\\\\x.png"')),
    ],
    [
      "a picture out of date",
      field(code('INCLUDEPICTURE "https://example.com/x.png"')).replace('"begin"', '"begin" w:dirty="true"'),
      field(code('INCLUDEPICTURE "https://example.com/x.png"')).replace('"begin"', '"begin" w:dirty="false"'),
    ],
  ])("that fetches, %s, is refused", async (_, body, twin) => {
    await expectPolicy("docx", word(body), word(twin), "externalRelationships", "external_data")
  })
})

const BOOK = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
const sheet = (formula: string): Parts =>
  withPart(
    minimalParts("xlsx"),
    "sheet1.xml",
    `${OFFICE_TYPE}.spreadsheetml.worksheet+xml`,
    `<worksheet ${BOOK}><sheetData><row><c r="A1"><f>${formula}</f></c></row></sheetData></worksheet>`,
  )

describe("G2: a formula", () => {
  it.each<[string, string, string]>([
    ["a program", "cmd|'/c calc'!A0", "'cmd|/c'!A0"],
    ["a program within a function", "IF(1,MSEXCEL|'\\..\\x.exe /k'!A0,2)", "IF(1,&quot;MSEXCEL|x&quot;,2)"],
    ["a program, spelled in references", "cmd&#124;'/c calc'!A0", "&quot;cmd&#124;&quot;"],
    ["a program in CDATA", "<![CDATA[cmd|'/c'!A0]]>", '<![CDATA["cmd|"]]>'],
    ["the function DDE", 'DDE("soffice";"a";"b")', 'MYDDE("soffice")'],
    ["real-time data", '_xlfn.RTD("x",,"y")', 'ART("x")'],
  ])("that starts %s is refused", async (_, formula, twin) => {
    await expectPolicy("xlsx", sheet(formula), sheet(twin), "dde", "dde")
  })

  it("of a column of a table is no program", async () => {
    expect(await check(sheet("SUM(Table1[a|b])"), "xlsx")).toEqual({ fault: null })
  })

  it.each([
    ["_xlfn.WEBSERVICE(&quot;https://example.com&quot;)", "HYPERLINK(&quot;https://example.com&quot;)"],
    ["_xlfn.IMAGE(A1)", "IMAGINARY(A1)"],
  ])("that fetches, %s, is refused", async (formula, twin) => {
    await expectPolicy("xlsx", sheet(formula), sheet(twin), "externalRelationships", "external_data")
  })

  it("of a name is looked at, too", async () => {
    const named = (formula: string): Parts => ({
      ...minimalParts("xlsx"),
      "part0.xml": MAIN_PARTS.xlsx.replace(
        "<sheets/>",
        `<sheets/><definedNames><definedName name="a">${formula}</definedName></definedNames>`,
      ),
    })
    await expectPolicy("xlsx", named("cmd|'/c'!A0"), named("Sheet1!A1"), "dde", "dde")
  })

  it("is a link to a program as an external link, whatever that is declared as", async () => {
    const link = (element: string, type: string): Parts =>
      withPart(minimalParts("xlsx"), "link.xml", type, `<externalLink ${BOOK}><${element} ddeService="cmd"/></externalLink>`, {
        kind: "externalLink",
        target: "link.xml",
      })
    for (const type of [`${OFFICE_TYPE}.spreadsheetml.externalLink+xml`, "application/x-anything"]) {
      await expectPolicy("xlsx", link("ddeLink", type), link("externalBook", type), "dde", "dde")
    }
  })
})

describe("G2: a data connection", () => {
  const connections = (inner: string, attributes = ""): Parts =>
    withPart(
      minimalParts("xlsx"),
      "connections.xml",
      `${OFFICE_TYPE}.spreadsheetml.connections+xml`,
      `<connections ${BOOK}><connection id="1" name="a" type="5"${attributes}>${inner}</connection></connections>`,
    )
  const own = '<dbPr connection="Data Model Connection" command="Model"/>'
  it.each<[string, Parts]>([
    ["a database", connections('<dbPr connection="Provider=SQLOLEDB;Data Source=db.example.com" command="x"/>')],
    ["Power Query", connections('<dbPr connection="Provider=Microsoft.Mashup.OleDb.1;Data Source=$Workbook$"/>')],
    ["a web page", connections('<webPr url="https://example.com"/>')],
    ["a text file", connections('<textPr sourceFile="\\\\server\\x.csv"/>')],
    ["a connection file", connections(own, ' odcFile="\\\\server\\x.odc"')],
    ["a data feed", connections('<extLst><ext><x15:dataFeedPr connection="https://example.com"/></ext></extLst>')],
  ])("to %s is refused, and one to the workbook's own data model is not", async (_, parts) => {
    await expectPolicy("xlsx", parts, connections(own), "externalRelationships", "external_data")
  })
})

describe("G2: a presentation", () => {
  const slide = (action: string, tag = "hlinkClick"): Parts =>
    withPart(
      minimalParts("pptx"),
      "slide1.xml",
      `${OFFICE_TYPE}.presentationml.slide+xml`,
      `<p:sld xmlns:p="a" xmlns:a="b"><a:${tag} r:id="rId1" action="${action}"/></p:sld>`,
    )
  it.each([
    ["clicked", slide("ppaction://program")],
    ["touched", slide("ppaction://program", "hlinkHover")],
    ["touched, as shapes have it", slide("PPAction://Program?x=1", "hlinkMouseOver")],
    ["clicked, spelled in references", slide("ppaction&#58;//program")],
  ])("with a button that starts a program when it is %s is refused", async (_, parts) => {
    await expectPolicy("pptx", parts, slide("ppaction://hlinkshowjump?jump=nextslide"), "dde", "program_action")
  })

  it("with a button for a macro that is not there is accepted: there is nothing to run", async () => {
    expect(await check(slide("ppaction://macro?name=Gone"), "pptx")).toEqual({ fault: null })
    expect(await check({ ...slide("ppaction://macro?name=Gone"), "ppt/vbaProject.bin": "x" }, "pptx")).toMatchObject({
      fault: "macro_enabled",
    })
  })
})

describe("G2: a ribbon", () => {
  const ribbon = (attribute: string, kind = "extensibility"): Parts =>
    withPart(
      minimalParts(),
      "customUI/customUI14.xml",
      "application/xml",
      `<customUI xmlns="http://schemas.microsoft.com/office/2009/07/customui"><ribbon><button id="a" ${attribute}/></ribbon></customUI>`,
      { kind: `http://schemas.microsoft.com/office/2007/relationships/ui/${kind}`, target: "customUI/customUI14.xml" },
    )
  it.each([
    ["onAction='https://example.com/x.xlsm!Run'", "extensibility"],
    ['onLoad="Run"', "extensibility"],
    ['getLabel="Run"', "extensibility"],
    ['loadImage = "Run"', "extensibility"],
    ['onAction="Run"', "userCustomization"],
  ])("that calls back (%s) is refused whatever is allowed, one that does not is accepted", async (attribute, kind) => {
    expect(await check(ribbon('visible="false"', kind))).toEqual({ fault: null })
    for (const policy of [STRICTEST_POLICY, EVERYTHING_ALLOWED]) {
      expect(await check(ribbon(attribute, kind), "docx", policy)).toEqual({
        fault: "macro_enabled",
        part: "customUI/customUI14.xml",
      })
    }
  })
})

describe("G2: an add-in", () => {
  it.each([
    ["its type", withPart(minimalParts(), "w.xml", "application/vnd.ms-office.webextension+xml", "<x/>")],
    ["its task pane's type", withPart(minimalParts(), "w.xml", "application/vnd.ms-office.webextensiontaskpanes+xml", "<x/>")],
    [
      "its relationship",
      withPart(minimalParts(), "w.xml", "text/xml", "<x/>", {
        kind: "http://schemas.microsoft.com/office/2011/relationships/webextension",
        target: "w.xml",
      }),
    ],
  ])("is refused by %s", async (_, parts) => {
    await expectPolicy("docx", parts, withPart(minimalParts(), "w.xml", "text/xml", "<x/>"), "externalRelationships", "add_in")
  })
})

describe("G2: imported text", () => {
  const chunk = (type: string): Parts =>
    withPart(minimalParts(), "afchunk.dat", type, "x", { kind: "aFChunk", target: "afchunk.dat" })
  it.each(["text/html", "message/rfc822", "application/rtf", "application/xhtml+xml", "application/octet-stream"])(
    "of type %s is refused, plain text is not",
    async (type) => {
      await expectPolicy("docx", chunk(type), chunk("text/plain"), "embeddedObjects", "embedded_object")
    },
  )

  it("that is a document with macros is refused, one without is not", async () => {
    const inner = (more: Parts): Parts => ({
      ...chunk(`${OFFICE_TYPE}.wordprocessingml.document`),
      "afchunk.dat": zipOf({ ...minimalParts(), ...more }),
    })
    expect(await check(inner({}))).toEqual({ fault: null })
    expect(await check(inner({ "word/vbaProject.bin": "x" }))).toEqual({ fault: "macro_enabled", part: "afchunk.dat" })
  })
})

describe("G2: a relationship", () => {
  const related = (target: string, kind = "image"): Parts => ({
    ...minimalParts(),
    "word/_rels/x.xml.rels": relationships({ kind, target }),
  })
  it.each(["https://example.com/x.png", "file:///C:/x.png", "//10.0.0.1/share/x.png", "\\\\10.0.0.1\\share\\x.png", "C:\\x.png"])(
    "that claims to be inside and leads to %s is refused as one that leads outside",
    async (target) => {
      await expectPolicy("docx", related(target), related("../x.png"), "externalRelationships", "external_relationship")
      expect(await check(related(target, "hyperlink"))).toEqual({ fault: null })
    },
  )

  it("with spaces around its type is what it is without", async () => {
    const kind = " http://schemas.microsoft.com/office/2006/relationships/vbaProject\n"
    expect(await check(related("x.bin", kind.replace("vbaProject", "other")))).toEqual({ fault: null })
    expect(await check(related("x.bin", kind))).toMatchObject({ fault: "macro_enabled" })
  })

  it.each(["EXTERNAL", "external", " External", "anything"])("of mode %s leads outside", async (mode) => {
    const moded = (value: string): Parts => ({
      ...minimalParts(),
      "word/_rels/x.xml.rels": relationships({ kind: "attachedTemplate", target: "x.dotx", mode: value as "External" }),
    })
    expect(await check(moded("Internal"))).toEqual({ fault: null })
    expect(await check(moded(mode))).toMatchObject({ fault: "external_relationship" })
  })
})

describe("what is left out", () => {
  it("is nothing of a type: all are looked at wherever they lie", async () => {
    const main = contentTypes(MAIN_TYPES.docx)
    const parts = { ...minimalParts(), [CONTENT_TYPES]: main, "__MACOSX/x.xml": "x" }
    expect(await check(parts)).toEqual({ fault: null })
    const types = main.replace(
      "</Types>",
      '<Override PartName="/__MACOSX/x.xml" ContentType="application/vnd.ms-office.vbaProject"/></Types>',
    )
    expect(await check({ ...parts, [CONTENT_TYPES]: types })).toEqual({ fault: "macro_enabled", part: "__MACOSX/x.xml" })
    expect(await check({ ...parts, "[trash]/vbaProject.bin": "x" })).toMatchObject({ fault: "macro_enabled" })
  })
})
