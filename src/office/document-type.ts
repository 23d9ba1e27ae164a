// The three document types that Sealpost takes: names, media types, and what the package's own
// content-types part calls them (ECMA-376 Part 1 section 11 to 13; the strict variants use the same).

export const DOCUMENT_TYPES = ["docx", "xlsx", "pptx"] as const
export type DocumentType = (typeof DOCUMENT_TYPES)[number]

export const mediaTypes: Record<DocumentType, string> = {
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

/** Content type of the part that makes a package this type of document. */
export const mainPartTypes = new Map<string, DocumentType>(DOCUMENT_TYPES.map((type) => [`${mediaTypes[type]}.main+xml`, type]))
