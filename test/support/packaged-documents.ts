// Documents of programs that cannot be run here, read in place from published packages (test/corpus/README.md). The
// packages are installed for these files alone: none of their code ever runs.
import type { DocumentType } from "../../src/office/document-type.ts"
import type { FaultReason } from "../../src/office/fault.ts"

export type PackagedDocument = {
  /** Below node_modules. */
  path: string
  /** The program that wrote it, as its properties and its ZIP tell. */
  by: string
  /** What it is called here: some are of types that are refused. */
  type: DocumentType
  fault: FaultReason | null
}

const taken = (folder: string, files: Record<string, string>): PackagedDocument[] =>
  Object.entries(files).map(([file, by]) => ({ path: `${folder}/${file}`, by, type: extension(file), fault: null }))

const refused = (folder: string, type: DocumentType, files: Record<string, FaultReason>): PackagedDocument[] =>
  Object.entries(files).map(([file, fault]) => ({ path: `${folder}/${file}`, by: "Microsoft Office 2010", type, fault }))

const extension = (file: string): DocumentType => file.slice(file.lastIndexOf(".") + 1) as DocumentType

const PROPERTIES = "custom-office-document-properties/test/files"
const TEMPLATES = "xlsx-template/test/templates"
const LETTERS = "document-templates/templates"
const OFFICE_2010 = "officeprops/src/test/files"

export const packagedDocuments: readonly PackagedDocument[] = [
  ...taken(PROPERTIES, {
    "google.docx": "Google Docs, 2020",
    "google.xlsx": "Google Sheets, 2020",
    "google.pptx": "Google Slides, 2020",
    "customprops.pptx": "PowerPoint 16",
    "test.docx": "Word for Mac 15",
    "test.xlsx": "Excel for Mac 15",
    "test.pptx": "PowerPoint for Mac 15",
  }),
  ...taken(TEMPLATES, {
    "template.xlsx": "Excel 16",
    "t3.xlsx": "Excel 16",
    "test-formula.xlsx": "Excel 16",
    "test-hyperlinks.xlsx": "Excel for Mac 16",
    "t1.xlsx": "Excel for Mac 2011",
    "test-tables.xlsx": "Excel for Mac 2011",
    "test-named-tables.xlsx": "Excel for Mac 2011",
    "multple-sheets-arrays.xlsx": "Excel 2008 for Mac",
    "gdocs.xlsx": "Google Sheets, 2017",
    "t2.xlsx": "LibreOffice 4.3",
  }),
  ...taken("ejsexcel/test", { "test.xlsx": "Excel 2007", "report.xlsx": "Excel 2007", "forRBegin.xlsx": "Excel 2007" }),
  ...taken(LETTERS, {
    "minelev/foresatte.docx": "Word 2013",
    "minelev/fag.docx": "Word 16",
    "tilskudd/mottatt.kultur.docx": "Word 16",
    "minelev/samtale.docx": "Word for Mac 2011",
    "tilskudd/soknad.docx": "Word for Mac 2011",
    "avtaler/byod.docx": "Google Docs, 2018",
  }),
  ...taken(OFFICE_2010, { "Doc1.docx": "Word 2010", "Book1.xlsx": "Excel 2010", "1test.pptx": "PowerPoint 2010" }),
  ...taken("xlsx-stream-reader", {
    "test/predefined_formats.xlsx": "Apple Numbers",
    "example/F1_with_Save.xlsx": "Excel 2007",
    "test/file_with_2_sheets.xlsx": "Excel for Mac 16",
    "example/example4.xlsx": "Google Sheets",
  }),
  ...taken("sy-excel2json/demo", { "test.xlsx": "WPS Spreadsheets 11" }),
  ...refused(OFFICE_2010, "docx", {
    "Doc1.docm": "macro_enabled",
    "Doc1.dotm": "macro_enabled",
    "Doc1.dotx": "template",
    "Doc1.odt": "open_document",
    "Doc1.xps": "no_main_part",
    "Doc1.xml": "not_a_zip",
  }),
  ...refused(OFFICE_2010, "xlsx", {
    "Book1.xlsm": "macro_enabled",
    "Book1.xltm": "macro_enabled",
    "Book1.xltx": "template",
    "Book1.xlsb": "binary_workbook",
    "Book1.ods": "open_document",
  }),
  ...refused(OFFICE_2010, "pptx", {
    "pp.pptm": "macro_enabled",
    "pp.potm": "macro_enabled",
    "pp.ppsm": "macro_enabled",
    "pp.potx": "template",
    "pp.ppsx": "slide_show",
    "pp.odp": "open_document",
  }),
  // Word keeps where the template lies that a letter was begun from.
  ...["minelev/kontrakt-signert.docx", "minelev/notat.docx", "avtaler/images.docx"].map((file): PackagedDocument => ({
    path: `${LETTERS}/${file}`,
    by: "Word 16",
    type: "docx",
    fault: "external_relationship",
  })),
]

/** Too large for every test to carry along; tests that drive a whole service upload them. */
export const LARGE_PACKAGED_DOCUMENTS: readonly PackagedDocument[] = [
  ...taken(OFFICE_2010, { "1testppt.pptx": "PowerPoint 2008 for Mac" }),
  ...taken("zl-docx2html/testdoc", { "nginx基本使用.docx": "WPS Writer 11" }),
  ...taken("xlsx-stream-reader/test", { "big.xlsx": "Excel for Mac, with 45 000 hyperlinks" }),
]
