// Documents within the document (the workbooks of charts, inserted sheets), and within those: they must be sound and
// without macros, too.
import { type Archive, openArchive } from "./archive.ts"
import { type ByteSource, memorySource } from "./byte-source.ts"
import { CONTENT_TYPES_PART, type ContentTypes } from "./content-types.ts"
import { isDocumentMediaType, isMacroName, isMacroRelationship } from "./document-type.ts"
import { DocumentFault, type FaultReason, inPart } from "./fault.ts"
import { faultOfStart } from "./other-formats.ts"
import { checkParts, findMainPart, readContentTypes, readRelationships } from "./package.ts"
import { EVERYTHING_ALLOWED } from "./policy.ts"
import { relationshipsOf } from "./relationships.ts"
import { WORK_PER_BYTE_OF_TEXT, type Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

/** A chart within a workbook within a text within a presentation; nobody goes deeper. */
const MAX_DEPTH = 4
/** All that are in memory at once, whichever lies in which: packages are packed already, so no genuine ones become so much. */
const MAX_BYTES = 16 * 1024 * 1024
/** Of a large document, what its own text needs is not spent on these. */
const TEXT_BYTES = 512 * 1024

/**
 * Looks into all of them in an archive that is checked through and through; in a large one as far as reading costs little.
 * @throws DocumentFault `macro_enabled`, `bad_embedded_document`; `too_complex` for more, or more of them within each other,
 *   than any program writes
 */
export const checkEmbeddedPackages = (archive: Archive, types: ContentTypes, work: Work): Promise<void> =>
  checkWithin(archive, types, { work, depth: 1, heldBytes: 0 })

type Place = { work: Work; depth: number; heldBytes: number }

async function checkWithin(archive: Archive, types: ContentTypes, { work, depth, heldBytes }: Place): Promise<void> {
  for (const entry of archive.entries) {
    const type = types.typeOf(entry.name)
    if (type === undefined || !isDocumentMediaType(type) || entry.isDirectory) continue
    if (entry.compressedBytes > archive.remainingBytes() - TEXT_BYTES) continue
    const innerHeldBytes = heldBytes + entry.plainBytes
    if (depth > MAX_DEPTH || innerHeldBytes > MAX_BYTES) throw new DocumentFault("too_complex", entry.name)
    work.spend(entry.plainBytes * WORK_PER_BYTE_OF_TEXT)
    const inner = memorySource(await readWhole(archive, entry))
    const fault = (await faultOfStart(inner)) ?? (await faultOfPackage(inner, { work, depth, heldBytes: innerHeldBytes }))
    if (fault === "macro_enabled" || fault === "too_complex") throw new DocumentFault(fault, entry.name)
    if (fault !== null) throw new DocumentFault("bad_embedded_document", entry.name)
  }
}

/** In pieces, as inflating it at once would take its room twice. */
function readWhole(archive: Archive, entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> {
  return inPart(entry.name, async () => {
    const bytes = new Uint8Array(entry.plainBytes)
    let at = 0
    for await (const piece of archive.pieces(entry, entry.compressedBytes)) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  })
}

async function faultOfPackage(source: ByteSource, place: Place): Promise<FaultReason | null> {
  const { work, depth } = place
  try {
    // Directory, content types and main part tell; going through all its bytes would multiply what a check costs.
    const archive = await openArchive(source, work, true)
    // OnlyOffice puts a package of nothing but a theme beside some charts.
    const isBare = archive.entries.every(({ name }) => /\.(?:xml|rels)$/.test(name) && !isMacroName(name))
    if (isBare && archive.find(CONTENT_TYPES_PART) === undefined) return null
    const types = await readContentTypes(archive, work)
    const { mainPart } = await findMainPart(archive, types, work)
    checkParts(archive, types, EVERYTHING_ALLOWED, mainPart)
    const entry = archive.find(relationshipsOf(mainPart.name))
    let isMacro = false
    // All of them, or nobody knew whether the part is sound.
    if (entry !== undefined)
      for (const { kind } of await readRelationships(archive, entry, work)) isMacro ||= isMacroRelationship(kind)
    if (isMacro) return "macro_enabled"
    await checkWithin(archive, types, { ...place, depth: depth + 1 })
    return null
  } catch (error) {
    if (error instanceof DocumentFault) return error.reason
    throw error
  }
}
