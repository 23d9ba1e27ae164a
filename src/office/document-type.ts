// The three document types that Sealpost takes: names, media types, and how the parts of a package tell them
// and their relatives apart (ECMA-376 Part 1 sections 11 to 13; MS-OFFMACRO2 and MS-XLSB for macros and binaries).
import type { FaultReason } from "./fault.ts"

export const DOCUMENT_TYPES = ["docx", "xlsx", "pptx"] as const
export type DocumentType = (typeof DOCUMENT_TYPES)[number]

export const mediaTypes: Record<DocumentType, string> = {
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

const documentMediaTypes = new Set<string>(DOCUMENT_TYPES.map((type) => mediaTypes[type]))
/** Is that what a document of the three types is called as a whole, e.g. within another one? */
export const isDocumentMediaType = (contentType: string): boolean => documentMediaTypes.has(contentType)

/** Root element of the main part, and its namespaces: transitional and strict (ISO/IEC 29500). */
export const mainRoots: Record<DocumentType, { localName: string; namespaces: readonly string[] }> = {
  docx: {
    localName: "document",
    namespaces: [
      "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
      "http://purl.oclc.org/ooxml/wordprocessingml/main",
    ],
  },
  xlsx: {
    localName: "workbook",
    namespaces: ["http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://purl.oclc.org/ooxml/spreadsheetml/main"],
  },
  pptx: {
    localName: "presentation",
    namespaces: ["http://schemas.openxmlformats.org/presentationml/2006/main", "http://purl.oclc.org/ooxml/presentationml/main"],
  },
}

const OPEN_XML = "application/vnd.openxmlformats-officedocument."
const mainTypes = new Map<string, DocumentType>(DOCUMENT_TYPES.map((type) => [`${mediaTypes[type]}.main+xml`, type]))
const relatives = new Map<string, FaultReason>([
  [`${OPEN_XML}wordprocessingml.template.main+xml`, "template"],
  [`${OPEN_XML}spreadsheetml.template.main+xml`, "template"],
  [`${OPEN_XML}presentationml.template.main+xml`, "template"],
  [`${OPEN_XML}presentationml.slideshow.main+xml`, "slide_show"],
  ["application/vnd.ms-excel.sheet.binary.macroenabled.main", "binary_workbook"],
])

/** What a content type makes of the package whose main part has it; null where it is no main part's. */
export function mainPartKind(contentType: string): { type: DocumentType } | { fault: FaultReason } | null {
  const type = mainTypes.get(contentType)
  if (type !== undefined) return { type }
  const fault = relatives.get(contentType)
  if (fault !== undefined) return { fault }
  return contentType.includes("macroenabled") ? { fault: "macro_enabled" } : null
}

/** A part that holds macros or belongs to them, by what it is declared as (lower case). */
const MACRO_TYPE = /macroenabled|vbaproject|vbadata|macrosheet/
export const isMacroType = (contentType: string): boolean => MACRO_TYPE.test(contentType)

/** … by its usual name, whatever it is declared as. */
const MACRO_NAME = /(?:^|[\\/])(?:vbaproject[^\\/]*\.bin|vbadata\.xml)$|(?:^|[\\/])macrosheets[\\/]/i
export const isMacroName = (partName: string): boolean => MACRO_NAME.test(partName)

/** … by how another part points to it (last segment of the relationship type, lower case). */
const MACRO_RELATIONSHIP = /^(?:vbaproject\w*|wordvbadata|xl(?:intl)?macrosheet)$/
export const isMacroRelationship = (kind: string): boolean => MACRO_RELATIONSHIP.test(kind)
