// What a document may be called. Names are for people: they never become a storage key or a path.
import { AppError, fieldError } from "../errors.ts"
import { DOCUMENT_TYPES, type DocumentType } from "../office/document-type.ts"

export { DOCUMENT_TYPES, mediaTypes } from "../office/document-type.ts"

export type DocumentName = { name: string; type: DocumentType }

/** What common file systems hold, so that every recipient can save the file under its name. */
const MAX_NAME_BYTES = 255
export const ALLOWED_TYPES_TEXT = "Allowed are .docx, .xlsx and .pptx."

/** Controls, and characters that reorder or hide text (UAX #9, Unicode TR36): they fake extensions. */
const DECEPTIVE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/u
const COMBINING_RUN = /\p{Mn}{9}/u

/**
 * Turns a name as sent into the name that is stored: no directories, Unicode NFC, one clean final extension.
 * @throws AppError `validation_failed` for a name nobody should be shown, `unsupported_document` for another type
 */
export function parseDocumentName(sent: string): DocumentName {
  // Some browsers send the whole path (RFC 7578 section 4.2); only the last segment was ever a name.
  const base = sent.slice(Math.max(sent.lastIndexOf("/"), sent.lastIndexOf("\\")) + 1)
  const name = base.normalize("NFC").trimStart()
  // Before trimming: a byte order mark counts as white space there.
  if (!base.isWellFormed() || DECEPTIVE.test(base)) {
    throw fieldError("file", "name_characters", "The file name contains control or invisible characters.")
  }
  if (COMBINING_RUN.test(name)) throw fieldError("file", "name_characters", "The file name stacks too many accents.")
  if (new TextEncoder().encode(name).length > MAX_NAME_BYTES) {
    throw fieldError("file", "name_length", `The file name is longer than ${String(MAX_NAME_BYTES)} bytes.`)
  }
  const dot = name.lastIndexOf(".")
  const extension = name.slice(dot + 1).toLowerCase()
  const type = DOCUMENT_TYPES.find((known) => known === extension)
  if (dot < 0 || type === undefined) {
    throw new AppError("unsupported_document", {
      detail: `The file name does not end in an allowed extension. ${ALLOWED_TYPES_TEXT}`,
    })
  }
  if (name.slice(0, dot).trim() === "")
    throw fieldError("file", "name_missing", "The file name has nothing before its extension.")
  return { name, type }
}
