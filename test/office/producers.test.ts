// G17: the habits of programs whose own files cannot be kept here, as seen in files that they wrote: order of parts, flags,
// extra fields, content types, targets. Every package is built by this project; only its shape is the program's.
import { describe, expect, it } from "vitest"
import { memorySource } from "../../src/office/byte-source.ts"
import type { DocumentType } from "../../src/office/document-type.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { MAIN_PARTS, MAIN_TYPES, minimalParts, realDocument, zipOf } from "../support/documents.ts"
import { type BuiltEntry, type ZipOptions, buildZip, extraField, zip64Field } from "../support/zip-builder.ts"

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const PACKAGE = "http://schemas.openxmlformats.org/package/2006"
const OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
const OPEN_XML = "application/vnd.openxmlformats-officedocument"
const RELATIONSHIPS_TYPE = "application/vnd.openxmlformats-package.relationships+xml"
const DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'

const MAIN = { docx: "word/document.xml", xlsx: "xl/workbook.xml", pptx: "ppt/presentation.xml" } as const
const entry = (name: string, content: string | Uint8Array, more: Partial<BuiltEntry> = {}): BuiltEntry => ({
  name,
  content: typeof content === "string" ? utf8(content) : content,
  ...more,
})
const main = (type: DocumentType, more: Partial<BuiltEntry> = {}): BuiltEntry => entry(MAIN[type], MAIN_PARTS[type], more)
const defaults = `<Default Extension="rels" ContentType="${RELATIONSHIPS_TYPE}"/><Default Extension="xml" ContentType="application/xml"/>`
const types = (type: DocumentType, more = "", first = defaults): string =>
  `${DECLARATION}<Types xmlns="${PACKAGE}/content-types">${first}<Override PartName="/${MAIN[type]}" ContentType="${MAIN_TYPES[type]}"/>${more}</Types>`
const rels = (type: DocumentType, more = "", prefix = ""): string =>
  `${DECLARATION}<Relationships xmlns="${PACKAGE}/relationships">${more}<Relationship Id="rId1" Type="${OFFICE}/officeDocument" Target="${prefix}${MAIN[type]}"/></Relationships>`
const properties = (application: string, version: string): string =>
  `${DECLARATION}<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/extended-properties"><Application>${application}</Application><AppVersion>${version}</AppVersion></Properties>`
const appType = `<Override PartName="/docProps/app.xml" ContentType="${OPEN_XML}.extended-properties+xml"/>`
const folder = (name: string): BuiltEntry => entry(name, "", { method: 0 })
const noise = (lengthBytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(lengthBytes))

/** Office leaves room in the first local headers, to grow them in place. */
const growth = extraField(0xa220, new Uint8Array(516))
const fast = { flags: 6 }
const streamed = { flags: 0x800, descriptor: "signed" } as const
const ntfs = { central: { extra: extraField(10, new Uint8Array(32)) } }
const unixTimes = {
  local: { extra: extraField(0x5455, new Uint8Array(9)) },
  central: { extra: extraField(0x5455, new Uint8Array(5)) },
}

type Habit = [name: string, type: DocumentType, entries: BuiltEntry[], options?: ZipOptions]

const habits: Habit[] = [
  ...(["docx", "xlsx", "pptx"] as const).map((type): Habit => [
    "Microsoft Office 2007 to 365: fast deflate, room to grow, a stored thumbnail",
    type,
    [
      entry("[Content_Types].xml", types(type, appType, `<Default Extension="jpeg" ContentType="image/jpeg"/>${defaults}`), {
        ...fast,
        local: { extra: growth },
      }),
      entry(
        "_rels/.rels",
        rels(
          type,
          `<Relationship Id="rId2" Type="${PACKAGE}/relationships/metadata/thumbnail" Target="docProps/thumbnail.jpeg"/>`,
        ),
        {
          ...fast,
          local: { extra: growth },
        },
      ),
      main(type, fast),
      entry("docProps/thumbnail.jpeg", noise(2000), { method: 0 }),
      entry("docProps/app.xml", properties("Microsoft Office", "16.0000"), fast),
    ],
  ]),
  [
    "Microsoft Word that saved in place: a trash folder, a byte order mark, custom XML",
    "docx",
    [
      entry("customXml/item1.xml", "<a/>"),
      entry(
        "customXml/_rels/item1.xml.rels",
        `\ufeff<?xml version="1.0" encoding="utf-8"?><Relationships xmlns="${PACKAGE}/relationships"><Relationship Type="${OFFICE}/customXmlProps" Target="itemProps1.xml" Id="rId1" /></Relationships>`,
        fast,
      ),
      entry("customXml/itemProps1.xml", "<a/>"),
      entry("[trash]/0000.dat", new Uint8Array(600).fill(0xff), { method: 0 }),
      main("docx", fast),
      entry("_rels/.rels", rels("docx"), fast),
      entry("[Content_Types].xml", `\ufeff${types("docx").replace("UTF-8", "utf-8").replace(' standalone="yes"', "")}`, {
        ...fast,
        local: { extra: growth },
      }),
    ],
  ],
  [
    "Microsoft Excel for the web: data descriptors and room to grow at once",
    "xlsx",
    [
      entry("[Content_Types].xml", types("xlsx"), { ...streamed, local: { extra: growth }, central: { extra: growth } }),
      entry("_rels/.rels", rels("xlsx"), streamed),
      main("xlsx", streamed),
    ],
  ],
  [
    "Microsoft Office for Mac, packed anew by the Finder's own archiver: Unix times",
    "docx",
    [
      entry("[Content_Types].xml", types("docx"), unixTimes),
      folder("_rels/"),
      entry("_rels/.rels", rels("docx"), unixTimes),
      main("docx", unixTimes),
      entry("__MACOSX/word/._document.xml", noise(120)),
    ],
  ],
  [
    "Google Docs: content types last, attributes the other way round, no properties",
    "docx",
    [
      entry("word/settings.xml", "<a/>", streamed),
      main("docx", streamed),
      entry("_rels/.rels", rels("docx"), streamed),
      entry(
        "[Content_Types].xml",
        `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="${PACKAGE}/content-types"><Default ContentType="application/xml" Extension="xml"/><Default ContentType="${RELATIONSHIPS_TYPE}" Extension="rels"/><Override ContentType="${MAIN_TYPES.docx}" PartName="/word/document.xml"/></Types>`,
        streamed,
      ),
    ],
  ],
  [
    "Google Sheets: drawings first",
    "xlsx",
    [
      entry("xl/drawings/drawing1.xml", "<a/>", streamed),
      main("xlsx", streamed),
      entry("_rels/.rels", rels("xlsx"), streamed),
      entry(
        "[Content_Types].xml",
        types("xlsx", `<Override ContentType="${OPEN_XML}.drawing+xml" PartName="/xl/drawings/drawing1.xml"/>`),
        streamed,
      ),
    ],
  ],
  [
    "Google Slides: every part overridden, relationships too, no defaults",
    "pptx",
    [
      entry("_rels/.rels", rels("pptx"), streamed),
      entry("ppt/media/image3.png", noise(500), streamed),
      main("pptx", streamed),
      entry(
        "[Content_Types].xml",
        types(
          "pptx",
          `<Override PartName="/_rels/.rels" ContentType="${RELATIONSHIPS_TYPE}"/><Override PartName="/ppt/media/image3.png" ContentType="image/png"/>`,
          "",
        ),
        streamed,
      ),
    ],
  ],
  ...(["docx", "xlsx"] as const).map((type): Habit => [
    "Apple Pages and Numbers: properties of nothing, defaults for all that there may be, content types last",
    type,
    [
      entry("_rels/.rels", rels(type).replace("\r\n", "")),
      entry(
        "docProps/app.xml",
        `${DECLARATION.trim()}<Properties xmlns="${OFFICE.replace("relationships", "extended-properties")}"/>`,
      ),
      main(type),
      // The first sheet has no number.
      entry(`${MAIN[type].slice(0, MAIN[type].indexOf("/"))}/worksheets/sheet.xml`, "<a/>"),
      entry(
        "[Content_Types].xml",
        types(
          type,
          appType,
          `${defaults}<Default Extension="jpg" ContentType="image/jpg"/><Default Extension="mov" ContentType="application/movie"/><Default Extension="bin" ContentType="${OPEN_XML}.wordprocessingml.printerSettings"/><Default Extension="vml" ContentType="${OPEN_XML}.vmlDrawing"/><Default Extension="xlsx" ContentType="${OPEN_XML}.spreadsheetml.sheet"/>`,
        ),
      ),
    ],
  ]),
  ...(["docx", "pptx"] as const).map((type): Habit => [
    "WPS Office: folders, custom properties",
    type,
    [
      entry(
        "[Content_Types].xml",
        types(type, `${appType}<Override PartName="/docProps/custom.xml" ContentType="${OPEN_XML}.custom-properties+xml"/>`),
      ),
      folder("_rels/"),
      entry(
        "_rels/.rels",
        rels(type, `<Relationship Id="rId4" Type="${OFFICE}/custom-properties" Target="docProps/custom.xml"/>`),
      ),
      folder("docProps/"),
      entry("docProps/app.xml", properties("WPS Office_11.1.0.11664_F1E327BC-269C-435d-A152-05C5408002CA", "0")),
      entry("docProps/custom.xml", "<Properties/>"),
      folder(MAIN[type].slice(0, MAIN[type].indexOf("/") + 1)),
      main(type),
    ],
  ]),
  [
    "ONLYOFFICE: spaces in tags, a picture that is not declared, one with a space behind its name",
    "pptx",
    [
      entry("[Content_Types].xml", types("pptx", appType).replaceAll("<Default ", "<Default  ").replaceAll('"/>', '" />')),
      entry("docProps/app.xml", properties("ONLYOFFICE/7.2.0.204", "0")),
      main("pptx"),
      entry("ppt/media/image1.jpg", noise(300)),
      entry("ppt/media/image7.jpg ", noise(300)),
      entry("_rels/.rels", rels("pptx")),
    ],
  ],
  [
    "ONLYOFFICE: a chart whose workbook is nothing but a theme",
    "xlsx",
    [
      entry(
        "[Content_Types].xml",
        types("xlsx", "", `${defaults}<Default Extension="xlsx" ContentType="${OPEN_XML}.spreadsheetml.sheet"/>`),
      ),
      main("xlsx"),
      entry("_rels/.rels", rels("xlsx")),
      entry(
        "xl/charts/_rels/chart1.xml.rels",
        `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/package" Target="../embeddings/Microsoft_Excel_Worksheet1.xlsx"/></Relationships>`,
      ),
      entry("xl/embeddings/Microsoft_Excel_Worksheet1.xlsx", zipOf({ "xl/theme/theme.xml": "<a/>" })),
    ],
  ],
  [
    "LibreOffice of some years ago: relationships that no content type names",
    "xlsx",
    [
      entry("[Content_Types].xml", types("xlsx", "", `<Default Extension="xml" ContentType="application/xml"/>`)),
      entry("_rels/.rels", rels("xlsx")),
      main("xlsx"),
    ],
  ],
  [
    "Apache POI: relationships first, data descriptors",
    "xlsx",
    [
      entry("_rels/.rels", rels("xlsx"), streamed),
      entry("[Content_Types].xml", types("xlsx", appType), streamed),
      entry("docProps/app.xml", properties("Apache POI", "0"), streamed),
      main("xlsx", streamed),
    ],
  ],
  [
    "Apache POI: Zip64 in data descriptors",
    "xlsx",
    [
      entry("[Content_Types].xml", types("xlsx"), { flags: 0x800, descriptor: "signed64" }),
      entry("_rels/.rels", rels("xlsx"), { flags: 0x800, descriptor: "signed64" }),
      main("xlsx", { flags: 0x800, descriptor: "signed64" }),
    ],
  ],
  [
    "the Open XML SDK and docx4j: absolute targets",
    "docx",
    [main("docx"), entry("_rels/.rels", rels("docx", "", "/")), entry("[Content_Types].xml", types("docx"))],
  ],
  [
    "reporting services: room for Zip64 in local headers, all zeros",
    "xlsx",
    ["_rels/.rels", "[Content_Types].xml", MAIN.xlsx].map((name) =>
      entry(name, name === "_rels/.rels" ? rels("xlsx") : name === MAIN.xlsx ? MAIN_PARTS.xlsx : types("xlsx"), {
        local: { extra: zip64Field(0, 0) },
      }),
    ),
  ],
  [
    "a signed document: signatures, their origin empty",
    "docx",
    [
      entry(
        "[Content_Types].xml",
        types(
          "docx",
          '<Override PartName="/_xmlsignatures/sig1.xml" ContentType="application/vnd.openxmlformats-package.digital-signature-xmlsignature+xml"/>',
          `${defaults}<Default Extension="sigs" ContentType="application/vnd.openxmlformats-package.digital-signature-origin"/>`,
        ),
        fast,
      ),
      entry(
        "_rels/.rels",
        rels(
          "docx",
          `<Relationship Id="rId9" Type="${PACKAGE}/relationships/digital-signature/origin" Target="_xmlsignatures/origin.sigs"/>`,
        ),
      ),
      main("docx", fast),
      entry("_xmlsignatures/origin.sigs", "", { method: 0 }),
      entry(
        "_xmlsignatures/_rels/origin.sigs.rels",
        `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${PACKAGE}/relationships/digital-signature/signature" Target="sig1.xml"/></Relationships>`,
      ),
      entry("_xmlsignatures/sig1.xml", "<Signature/>"),
    ],
  ],
  ...["Ελληνικά", "русский", "עברית", "العربية", "हिन्दी", "ไทย", "日本語", "中文", "한국어", "Tiếng Việt"].map(
    (language): Habit => [
      `a program in ${language}: names of parts and properties in it`,
      "docx",
      [
        entry("[Content_Types].xml", types("docx", appType, `${defaults}<Default Extension="png" ContentType="image/png"/>`), {
          flags: 0x800,
        }),
        entry("_rels/.rels", rels("docx"), { flags: 0x800 }),
        entry("docProps/app.xml", properties(language, "16.0"), { flags: 0x800 }),
        entry(`word/media/${language}.png`, noise(50), { flags: 0x800 }),
        main("docx"),
      ],
    ],
  ),
  [
    "7-Zip and WinRAR, packed anew: folders, times of Windows",
    "pptx",
    [
      folder("docProps/"),
      folder("ppt/"),
      main("pptx", ntfs),
      folder("_rels/"),
      entry("_rels/.rels", rels("pptx"), ntfs),
      entry("[Content_Types].xml", types("pptx"), ntfs),
    ],
  ],
]

describe("G17: documents in the habits of", () => {
  it.each(habits)("%s (.%s) are accepted", async (_, type, entries, options) => {
    const bytes = buildZip(entries, options)
    expect(await checkDocument(memorySource(bytes), type)).toEqual({ fault: null })
    // The same habits do not hide a macro project.
    const hidden = buildZip([...entries, entry("word/vbaProject.bin", "x")], options)
    expect(await checkDocument(memorySource(hidden), type)).toMatchObject({ fault: "macro_enabled" })
  })
})

describe("G17: what ONLYOFFICE leaves undeclared", () => {
  const base = minimalParts()
  it.each([
    ["a program", "word/media/image1.exe", "undeclared_part"],
    ["a picture's name before another", "word/media/image1.png.exe", "undeclared_part"],
  ])("may be a picture and not %s", async (_, name, reason) => {
    expect(await checkDocument(memorySource(zipOf({ ...base, "word/media/image1.png": "x" })), "docx")).toEqual({ fault: null })
    expect(await checkDocument(memorySource(zipOf({ ...base, [name]: "x" })), "docx")).toEqual({ fault: reason, part: name })
  })

  it("may be the content types of an embedded package of XML, not those of one with anything else", async () => {
    const outer = (inner: Uint8Array) => ({
      ...base,
      "[Content_Types].xml": String(base["[Content_Types].xml"]).replace(
        "</Types>",
        `<Default Extension="xlsx" ContentType="${OPEN_XML}.spreadsheetml.sheet"/></Types>`,
      ),
      "a.xlsx": inner,
    })
    const check = (inner: Uint8Array) => checkDocument(memorySource(zipOf(outer(inner))), "docx")
    expect(await check(zipOf({ "xl/theme/theme.xml": "<a/>" }))).toEqual({ fault: null })
    expect(await check(realDocument("openpyxl.xlsx"))).toEqual({ fault: null })
    expect(await check(zipOf({ "xl/theme/theme.xml": "<a/>", "a.exe": "x" }))).toEqual({
      fault: "bad_embedded_document",
      part: "a.xlsx",
    })
  })
})
