// Is this package the document that its name says? Decided by the package's own content-types part
// (ECMA-376 Part 2 section 10.1.2), read from the ZIP directory, never by the first bytes or the extension.
import type { ByteSource } from "./byte-source.ts"
import { type DocumentType, mainPartTypes } from "./document-type.ts"
import { XmlFault, parseXml } from "./xml.ts"
import { ZipFault, readZipDirectory, readZipEntry } from "./zip.ts"

export type DocumentFault =
  | "not_a_package"
  | "encrypted_or_legacy"
  | "no_content_types"
  | "bad_content_types"
  | "not_a_document"
  | "macro_enabled"
  | "other_type"

export type DocumentVerdict = { fault: null } | { fault: DocumentFault; found?: DocumentType; reason?: string }

const CONTENT_TYPES_PART = "[Content_Types].xml"
/** Ten thousand slides need about this much. */
const MAX_CONTENT_TYPES_BYTES = 1024 * 1024
const MACRO = /macroEnabled|vbaProject/i
/** Compound File Binary: legacy .doc/.xls/.ppt, and the wrapper of password-protected documents (MS-CFB 2.2). */
const CFB_SIGNATURE = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]

/** Do the first bytes already rule out a package? Saves taking the rest. */
export function refuseByStart(start: Uint8Array): DocumentVerdict {
  if (CFB_SIGNATURE.every((byte, i) => start[i] === byte)) return { fault: "encrypted_or_legacy" }
  const isZip = start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4
  return isZip ? { fault: null } : { fault: "not_a_package", reason: "first bytes" }
}

/** Checks a whole document against the type that its name claims. */
export async function checkDocument(source: ByteSource, expected: DocumentType): Promise<DocumentVerdict> {
  try {
    const byStart = refuseByStart(await source.read(0, Math.min(8, source.sizeBytes)))
    if (byStart.fault !== null) return byStart
    return await checkPackage(source, expected)
  } catch (error) {
    if (error instanceof ZipFault) return { fault: "not_a_package", reason: error.message }
    if (error instanceof XmlFault) return { fault: "bad_content_types", reason: error.message }
    throw error
  }
}

async function checkPackage(source: ByteSource, expected: DocumentType): Promise<DocumentVerdict> {
  const entries = await readZipDirectory(source)
  // Part names are equivalent without regard to ASCII case (Part 2 section 6.2.2.3).
  const candidates = entries.filter((entry) => entry.name.toLowerCase() === CONTENT_TYPES_PART.toLowerCase())
  const [entry] = candidates
  if (entry === undefined) return { fault: "no_content_types" }
  if (candidates.length > 1) return { fault: "bad_content_types", reason: "two content-types parts" }
  const found = new Set<DocumentType>()
  let hasMacros = false
  for (const element of parseXml(await readZipEntry(source, entry, MAX_CONTENT_TYPES_BYTES))) {
    if (element.localName !== "Override" && element.localName !== "Default") continue
    const declared = element.attributes.get("ContentType") ?? ""
    hasMacros ||= MACRO.test(declared)
    const main = mainPartTypes.get(declared.toLowerCase())
    if (main !== undefined) found.add(main)
  }
  if (hasMacros) return { fault: "macro_enabled" }
  const [type] = found
  if (type === undefined || found.size > 1) return { fault: "not_a_document" }
  return type === expected ? { fault: null } : { fault: "other_type", found: type }
}
