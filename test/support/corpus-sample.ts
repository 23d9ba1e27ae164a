// Some of the real documents, for tests that carry each through a running service; all of them are checked in test/office.
import { join } from "node:path"
import { PROJECT_DIR } from "../e2e/service.ts"
import { LARGE_PACKAGED_DOCUMENTS } from "./packaged-documents.ts"

export const CORPUS_SAMPLE = [
  "libreoffice.docx",
  "libreoffice.pptx",
  "libreoffice.xlsx",
  "npm-docx.docx",
  "npm-exceljs.xlsx",
  "npm-pptxgenjs.pptx",
  "openpyxl.xlsx",
  "python-docx.docx",
]
/** Of those in packages, with their folders. */
export const PACKAGED_SAMPLE: readonly string[] = [
  "custom-office-document-properties/test/files/google.docx",
  "officeprops/src/test/files/1test.pptx",
  ...LARGE_PACKAGED_DOCUMENTS.map(({ path }) => path),
]

export const corpusPath = (name: string): string => join(PROJECT_DIR, name.includes("/") ? "node_modules" : "test/corpus", name)
