// The name of a document as its uploader gave it, and what may be shown of it to others.
import { AppError, fieldError } from "../errors.ts"
import { DOCUMENT_TYPES, type DocumentType } from "../office/document-type.ts"
import { deceptiveCharacter } from "./visible-text.ts"

export { DOCUMENT_TYPES, mediaTypes } from "../office/document-type.ts"

export type DocumentName = { name: string; type: DocumentType }

/** What common file systems hold, so that every recipient can save the file under its name. */
const MAX_NAME_BYTES = 255
export const ALLOWED_TYPES_TEXT = "Allowed are .docx, .xlsx and .pptx."

const COMBINING_RUN = /\p{M}{9}/u
/** A NUL for whoever decodes the name once more, who then sees another extension: nobody's document is called so. */
const ENCODED_NUL = "%00"
/**
 * Devices of Windows, whatever extension follows (Microsoft, "Naming Files, Paths, and Namespaces"): a program that takes
 * the name as it is writes to the device. `? * : " < > |` are ordinary on macOS and Linux, and harmless: a browser writes
 * another character for them, and Windows refuses them to everybody else. CLOCK$ is a device of DOS alone.
 */
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)$/i

/** Extensions of relatives, and what to do with them. */
const relatives: readonly { extensions: readonly string[]; reason: string; sentence: string; remedy: string }[] = [
  {
    extensions: ["docm", "xlsm", "pptm", "ppsm", "potm", "dotm", "xltm", "xlam", "ppam", "sldm"],
    reason: "macro_extension",
    sentence: "is that of a document with macros.",
    remedy: "Save it as a document without macros: .docx, .xlsx or .pptx. Renaming it is not enough.",
  },
  {
    extensions: ["dotx", "xltx", "potx"],
    reason: "template_extension",
    sentence: "is that of a template.",
    remedy: "Open it and save it as a document: .docx, .xlsx or .pptx.",
  },
  {
    extensions: ["ppsx"],
    reason: "slide_show_extension",
    sentence: "is that of a slide show.",
    remedy: "Open it and save it as a presentation (.pptx).",
  },
  {
    extensions: ["xlsb"],
    reason: "binary_workbook_extension",
    sentence: "is that of a binary workbook.",
    remedy: "Save it as an Excel workbook (.xlsx).",
  },
  {
    extensions: ["doc", "xls", "ppt", "pps", "dot", "xlt", "pot", "rtf"],
    reason: "legacy_extension",
    sentence: "is that of an old format.",
    remedy: "Open it and save it in the current format: .docx, .xlsx or .pptx.",
  },
]

function otherExtension(extension: string): AppError {
  const relative = relatives.find(({ extensions }) => extensions.includes(extension))
  const { reason, remedy } = relative ?? {
    reason: "other_extension",
    remedy: "Save the document as .docx, .xlsx or .pptx and upload that.",
  }
  const sentence =
    relative === undefined
      ? "The file name does not end in an allowed extension."
      : `The extension .${extension} ${relative.sentence}`
  return new AppError("unsupported_document", {
    detail: `${sentence} ${remedy} ${ALLOWED_TYPES_TEXT}`,
    refusal: { reason, remedy },
  })
}

/**
 * Turns a name as sent into the name that is stored: no directories, Unicode NFC, one clean final extension.
 * @param field - where the name was sent, for what is said of a wrong one
 * @throws AppError `validation_failed` for a name nobody should be shown, `unsupported_document` for another type
 */
export function parseDocumentName(sent: string, field: "file" | "name" = "file"): DocumentName {
  // Some browsers send the whole path (RFC 7578 section 4.2); only the last segment was ever a name.
  const base = sent.slice(Math.max(sent.lastIndexOf("/"), sent.lastIndexOf("\\")) + 1)
  const composed = base.normalize("NFC")
  // Before trimming: a byte order mark counts as white space there.
  const deceptive = composed.isWellFormed() ? deceptiveCharacter(composed) : "a lone surrogate"
  if (deceptive !== null) {
    throw fieldError(field, "name_characters", `The file name contains a control or invisible character (${deceptive}).`)
  }
  const name = composed.trimStart()
  if (name.includes(ENCODED_NUL)) {
    throw fieldError(field, "name_characters", `The file name contains ${ENCODED_NUL}, which programs read as its end.`)
  }
  if (COMBINING_RUN.test(name)) throw fieldError(field, "name_characters", "The file name stacks too many accents.")
  if (new TextEncoder().encode(name).length > MAX_NAME_BYTES) {
    throw fieldError(field, "name_length", `The file name is longer than ${String(MAX_NAME_BYTES)} bytes.`)
  }
  const dot = name.lastIndexOf(".")
  const extension = name.slice(dot + 1).toLowerCase()
  const type = DOCUMENT_TYPES.find((known) => known === extension)
  if (dot < 0 || type === undefined) throw otherExtension(dot < 0 ? "" : extension)
  const stem = name.slice(0, dot)
  if (stem.trim() === "") throw fieldError(field, "name_missing", "The file name has nothing before its extension.")
  if (RESERVED.test(stem.replace(/\..*$/, "").trim())) {
    throw fieldError(field, "name_reserved", "Windows keeps this name for a device. Give the file another.")
  }
  return { name, type }
}

/**
 * The name that the next version of a file was sent under only matters for its type.
 * @throws AppError `validation_failed`, or as for every name
 */
export function requireTypeOf({ type }: { type: DocumentType }, sentName: string | null): void {
  if (sentName !== null && parseDocumentName(sentName).type !== type)
    throw fieldError("file", "type_changed", `This file is a .${type}, and so must its next version be.`)
}
