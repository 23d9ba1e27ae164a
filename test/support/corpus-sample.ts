// Some of the real documents, for tests that carry each through a running service; all of them are checked in test/office.
import { join } from "node:path"
import { PROJECT_DIR } from "../e2e/service.ts"

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

export const corpusPath = (name: string): string => join(PROJECT_DIR, "test/corpus", name)
