// What every package has, a document as well as one within it: its content types, its main part, and what its parts are
// declared as (ECMA-376 Part 2).
import type { Archive } from "./archive.ts"
import { CONTENT_TYPES_PART, type ContentTypes, parseContentTypes } from "./content-types.ts"
import { type DocumentType, isMacroName, isMacroType, mainPartKind } from "./document-type.ts"
import { DocumentFault, eachInPart, inPart } from "./fault.ts"
import { kindOfArchive } from "./other-formats.ts"
import { partKey } from "./part-name.ts"
import { type DocumentPolicy, partFault, refuseFault } from "./policy.ts"
import { PACKAGE_RELATIONSHIPS, type Relationship, parseRelationships, sourceOf } from "./relationships.ts"
import { WORK_PER_BYTE_OF_XML, type Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

/** Thirty thousand parts need about this much. */
const MAX_CONTENT_TYPES_BYTES = 8 * 1024 * 1024
/** Of a worksheet with as many hyperlinks as Excel takes (65 530). */
const MAX_RELATIONSHIPS_BYTES = 16 * 1024 * 1024
/** Items that are no parts: what Office leaves behind when it saves in place, and what macOS adds to archives. */
const NO_PART = /^(?:\[trash\]\/|__MACOSX\/)|(?:^|\/)\.DS_Store$/
/** Pictures, which OnlyOffice does not always declare, and relationships, which are known by their name alone. */
const NEEDS_NO_TYPE = /\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg) ?$|(?:^|\/)_rels\/[^/]*\.rels$/i

export async function readContentTypes(archive: Archive, work: Work): Promise<ContentTypes> {
  const entry = archive.find(CONTENT_TYPES_PART)
  // Percent-encoded it is a part like any other (ECMA-376 Part 2 section 7.2.3.3).
  if (entry?.name.length !== CONTENT_TYPES_PART.length) throw await kindOfArchive(archive)
  return inPart(entry.name, async () => {
    work.spend(entry.plainBytes * WORK_PER_BYTE_OF_XML)
    return parseContentTypes(await archive.read(entry, MAX_CONTENT_TYPES_BYTES), work)
  })
}

export async function readRelationships(archive: Archive, entry: ZipEntry, work: Work): Promise<Iterable<Relationship>> {
  const bytes = await inPart(entry.name, () => {
    work.spend(entry.plainBytes * WORK_PER_BYTE_OF_XML)
    return archive.read(entry, MAX_RELATIONSHIPS_BYTES)
  })
  return eachInPart(entry.name, parseRelationships(bytes, sourceOf(entry.name), work))
}

/** The part that the package's own relationships name as its document decides what the package is. */
export async function findMainPart(
  archive: Archive,
  types: ContentTypes,
  work: Work,
): Promise<{ type: DocumentType; mainPart: ZipEntry }> {
  const entry = archive.find(PACKAGE_RELATIONSHIPS)
  if (entry === undefined) throw new DocumentFault("no_relationships", PACKAGE_RELATIONSHIPS)
  const targets = new Set<string | null>()
  for (const { kind, isExternal, path } of await readRelationships(archive, entry, work))
    if (kind === "officedocument" && !isExternal) targets.add(path)
  if (targets.size > 1) throw new DocumentFault("two_main_parts", entry.name)
  const [target] = targets
  if (target === undefined || target === null) throw new DocumentFault("no_main_part", entry.name)
  const mainPart = archive.find(target)
  if (mainPart === undefined) throw new DocumentFault("no_main_part", target)
  const kind = mainPartKind(types.typeOf(mainPart.name) ?? "")
  if (kind === null) throw new DocumentFault("not_a_document", mainPart.name)
  if ("fault" in kind) throw new DocumentFault(kind.fault, mainPart.name)
  return { type: kind.type, mainPart }
}

/** Only parts that are there count: some programs declare types for parts that they then do not write. */
export function checkParts(archive: Archive, types: ContentTypes, policy: DocumentPolicy, mainPart: ZipEntry): void {
  for (const entry of archive.entries) {
    if (entry.isDirectory || entry === archive.find(CONTENT_TYPES_PART)) continue
    const type = types.typeOf(entry.name)
    if (isMacroName(partKey(entry.name)) || (type !== undefined && isMacroType(type)))
      throw new DocumentFault("macro_enabled", entry.name)
    if (NO_PART.test(entry.name)) continue
    if (type === undefined) {
      if (NEEDS_NO_TYPE.test(entry.name)) continue
      throw new DocumentFault("undeclared_part", entry.name)
    }
    if (entry !== mainPart && mainPartKind(type) !== null) throw new DocumentFault("two_main_parts", entry.name)
    refuseFault(policy, partFault(type), entry.name)
  }
}
