// What a file is that is no package: told apart so that people hear what to do, never to accept anything.
import type { Archive } from "./archive.ts"
import { view } from "./binary.ts"
import type { ByteSource } from "./byte-source.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"

const LOCAL_HEADER = 0x04034b50
const EMPTY_ZIP = 0x06054b50
/** Compound File Binary: legacy documents, and the wrapper of password-protected ones (MS-CFB 2.2, MS-OFFCRYPTO 2.1). */
const CFB_SIGNATURE = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]
const CFB_HEADER_BYTES = 512
const CFB_DIRECTORY_BYTES = 4096
const UTF8_BOM = "\u00ef\u00bb\u00bf"
const START_BYTES = 512

/**
 * Do the first bytes already rule out a package? Saves taking the rest.
 * @param source - the file, or as much of it as has come so far
 */
export async function faultOfStart(source: ByteSource): Promise<FaultReason | null> {
  if (source.sizeBytes === 0) return "empty_file"
  const start = await source.read(0, Math.min(START_BYTES, source.sizeBytes))
  if (CFB_SIGNATURE.every((byte, i) => start[i] === byte)) return compoundFileKind(source, start)
  const signature = start.length < 4 ? 0 : view(start).getUint32(0, true)
  if (signature === LOCAL_HEADER) return null
  if (signature === EMPTY_ZIP) return "zip_archive"
  const text = new TextDecoder("windows-1252").decode(start).replace(new RegExp(`^${UTF8_BOM}`), "")
  if (/^\s*%PDF-/.test(text)) return "pdf"
  return text.startsWith("{\\rtf") ? "rich_text" : "not_a_zip"
}

/** The names of a compound file's streams stand in its directory, whose first sector the header names. */
async function compoundFileKind(source: ByteSource, header: Uint8Array): Promise<FaultReason> {
  if (header.length < CFB_HEADER_BYTES) return "compound_file"
  const data = view(header)
  const sectorBytes = 2 ** Math.min(16, data.getUint16(30, true))
  const offset = (data.getUint32(48, true) + 1) * sectorBytes
  if (offset >= source.sizeBytes) return "compound_file"
  const directory = await source.read(offset, Math.min(CFB_DIRECTORY_BYTES, source.sizeBytes - offset))
  const names = new TextDecoder("utf-16le").decode(directory)
  if (names.includes("EncryptedPackage") || names.includes("EncryptionInfo")) return "password_protected"
  return /WordDocument|Workbook|Book\0|PowerPoint Document/.test(names) ? "legacy_format" : "compound_file"
}

const MAX_MIMETYPE_BYTES = 256

/** What an archive is that has no content types. */
export async function kindOfArchive(archive: Archive): Promise<DocumentFault> {
  const has = (name: string): boolean => archive.find(name)?.name === name
  const mimetype = archive.find("mimetype")
  if (mimetype !== undefined && mimetype.plainBytes <= MAX_MIMETYPE_BYTES) {
    const type = new TextDecoder().decode(await archive.read(mimetype, 2 * MAX_MIMETYPE_BYTES))
    if (type.startsWith("application/epub+zip")) return new DocumentFault("epub", mimetype.name)
    if (type.startsWith("application/vnd.oasis.opendocument.")) return new DocumentFault("open_document", mimetype.name)
  }
  if (has("AndroidManifest.xml")) return new DocumentFault("android_package", "AndroidManifest.xml")
  if (has("META-INF/MANIFEST.MF")) return new DocumentFault("java_archive", "META-INF/MANIFEST.MF")
  const iwork = archive.entries.find(({ name }) => /^Index(?:\.zip$|\/.*\.iwa$)/.test(name))
  return iwork === undefined ? new DocumentFault("zip_archive") : new DocumentFault("iwork", iwork.name)
}
