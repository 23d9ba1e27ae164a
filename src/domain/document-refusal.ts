// From a verdict on a document to what its uploader is told: what is wrong with it and what is allowed.
import { AppError } from "../errors.ts"
import type { ByteSource } from "../office/byte-source.ts"
import type { DocumentType } from "../office/document-type.ts"
import { type DocumentFault, type DocumentVerdict, checkDocument } from "../office/ooxml.ts"
import { ALLOWED_TYPES_TEXT } from "./document-name.ts"

const sentences: Record<DocumentFault, string> = {
  not_a_package: "The file is not an Office document.",
  encrypted_or_legacy:
    "The file is password-protected or in an old binary format. Remove the password, or save it in the current format.",
  no_content_types: "The file is not an Office document.",
  bad_content_types: "The document's list of content types is damaged.",
  not_a_document: "The file is not a Word document, Excel workbook or PowerPoint presentation.",
  macro_enabled: "The document can contain macros. Save it without them.",
  other_type: "The file's extension and its content disagree.",
}

/** @throws AppError `unsupported_document` unless the verdict is good */
export function refuseDocument(verdict: DocumentVerdict, expected: DocumentType): void {
  if (verdict.fault === null) return
  const found = verdict.found === undefined ? "" : ` The name says .${expected}, the content is a .${verdict.found}.`
  throw new AppError("unsupported_document", {
    detail: `${sentences[verdict.fault]}${found} ${ALLOWED_TYPES_TEXT}`,
    reason: verdict.reason ?? verdict.fault,
  })
}

/**
 * Checks a whole document against the type that its name claims.
 * @throws AppError `unsupported_document`
 */
export async function requireDocument(source: ByteSource, expected: DocumentType): Promise<void> {
  refuseDocument(await checkDocument(source, expected), expected)
}
