// Is this package the genuine document that its name says? Decided by the package itself (ECMA-376 Part 2): its
// content types, its relationships, its main part; never by the first bytes or the extension.
import { type Archive, openArchive } from "./archive.ts"
import { type ByteSource, memorySource } from "./byte-source.ts"
import { CONTENT_TYPES_PART, type ContentTypes, parseContentTypes } from "./content-types.ts"
import {
  type DocumentType,
  isDocumentMediaType,
  isMacroName,
  isMacroRelationship,
  isMacroType,
  mainPartKind,
  mainRoots,
} from "./document-type.ts"
import { DocumentFault, type FaultReason, eachInPart, inPart } from "./fault.ts"
import { type Related, refuseActiveParts, refuseProgramLink, refuseRibbon } from "./active-parts.ts"
import { isLookedFor, looksFor } from "./looks.ts"
import { faultOfStart, kindOfArchive } from "./other-formats.ts"
import { type DocumentPolicy, EVERYTHING_ALLOWED, STRICTEST_POLICY, partFault, refuseFault, relationshipFault } from "./policy.ts"
import {
  PACKAGE_RELATIONSHIPS,
  type Relationship,
  isRelationshipPart,
  parseRelationships,
  relationshipsOf,
  sourceOf,
} from "./relationships.ts"
import { partKey } from "./part-name.ts"
import { refuseDoctype } from "./prolog.ts"
import { parseXml } from "./xml.ts"
import { WORK_PER_BYTE_OF_XML, type Work, createWork } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

export type DocumentVerdict =
  | { fault: null }
  | {
      fault: FaultReason
      /** The offending part, as the archive names it; may hold any characters. */
      part?: string
      /** What the document is instead. */
      found?: DocumentType
    }

/** Thirty thousand parts need about this much. */
const MAX_CONTENT_TYPES_BYTES = 8 * 1024 * 1024
/** Of a worksheet with as many hyperlinks as Excel takes (65 530). */
const MAX_RELATIONSHIPS_BYTES = 16 * 1024 * 1024
const MAIN_START_BYTES = 4096
/** All XML but pictures (SVG), which editors write with one, and imported web pages. */
const MAY_HAVE_DOCTYPE = /^(?!image\/|application\/xhtml).*[+/]xml$|vmldrawing$/
/** Items that are no parts: what Office leaves behind when it saves in place, and what macOS adds to archives. */
const NO_PART = /^(?:\[trash\]\/|__MACOSX\/)|(?:^|\/)\.DS_Store$/
/** Pictures, which OnlyOffice does not always declare, and relationships, which are known by their name alone. */
const NEEDS_NO_TYPE = /\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg) ?$|(?:^|\/)_rels\/[^/]*\.rels$/i

/** Checks a whole document against the type that its name claims. */
export async function checkDocument(
  source: ByteSource,
  expected: DocumentType,
  policy: DocumentPolicy = STRICTEST_POLICY,
): Promise<DocumentVerdict> {
  const start = await checkStart(source)
  if (start.fault !== null) return start
  try {
    const work = createWork()
    const found = await checkPackage(await openArchive(source, work), policy, work)
    return found === expected ? { fault: null } : { fault: "other_type", found }
  } catch (error) {
    if (hasExhaustedStack(error)) return { fault: "too_complex" }
    if (!(error instanceof DocumentFault)) throw error
    return error.part === undefined ? { fault: error.reason } : { fault: error.reason, part: error.part }
  }
}

/**
 * A document that fills the stack, or the memory that V8 has for going back in a pattern, would do so each time it is
 * checked: an upload would lie there that nobody can finish. No pattern here should let it (test/office/parsers.test.ts);
 * all other errors are defects and stay what they are.
 */
const hasExhaustedStack = (error: unknown): boolean =>
  error instanceof RangeError && error.message === "Maximum call stack size exceeded"

/** Do the first bytes already rule out a document? */
export async function checkStart(source: ByteSource): Promise<DocumentVerdict> {
  const fault = await faultOfStart(source)
  return fault === null ? { fault: null } : { fault }
}

async function checkPackage(archive: Archive, policy: DocumentPolicy, work: Work): Promise<DocumentType> {
  const types = await readContentTypes(archive, work)
  const { type, mainPart } = await findMainPart(archive, types, work)
  // Everything that says what it is wins over everything that says what is inside: a macro document is told so.
  checkParts(archive, types, policy, mainPart)
  const related = await checkRelationships(archive, types, policy, work)
  await checkMainRoot(archive, mainPart, type)
  await checkEmbeddedPackages(archive, types, work)
  await refuseActiveParts(archive, types, related, policy, work)
  await archive.prove((entry) => {
    const partType = types.typeOf(entry.name) ?? ""
    const isXml = MAY_HAVE_DOCTYPE.test(partType) || looksFor(partType, related.kinds.get(entry)).length > 0
    return isXml ? refuseDoctype : null
  })
  return type
}

async function readContentTypes(archive: Archive, work: Work): Promise<ContentTypes> {
  const entry = archive.find(CONTENT_TYPES_PART)
  // Percent-encoded it is a part like any other (ECMA-376 Part 2 section 7.2.3.3).
  if (entry?.name.length !== CONTENT_TYPES_PART.length) throw await kindOfArchive(archive)
  work.spend(entry.plainBytes * WORK_PER_BYTE_OF_XML)
  return inPart(entry.name, async () => parseContentTypes(await archive.read(entry, MAX_CONTENT_TYPES_BYTES), work))
}

async function readRelationships(archive: Archive, entry: ZipEntry, work: Work): Promise<Iterable<Relationship>> {
  work.spend(entry.plainBytes * WORK_PER_BYTE_OF_XML)
  return eachInPart(
    entry.name,
    parseRelationships(await archive.read(entry, MAX_RELATIONSHIPS_BYTES), sourceOf(entry.name), work),
  )
}

/** The part that the package's own relationships name as its document decides what the package is. */
async function findMainPart(
  archive: Archive,
  types: ContentTypes,
  work: Work,
): Promise<{ type: DocumentType; mainPart: ZipEntry }> {
  const entry = archive.find(PACKAGE_RELATIONSHIPS)
  if (entry === undefined) throw new DocumentFault("no_relationships")
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
function checkParts(archive: Archive, types: ContentTypes, policy: DocumentPolicy, mainPart: ZipEntry): void {
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

/** Holds all relationships against the policy. */
async function checkRelationships(archive: Archive, types: ContentTypes, policy: DocumentPolicy, work: Work): Promise<Related> {
  const related: Related = { kinds: new Map(), hyperlinks: new Map() }
  for (const entry of archive.entries) {
    if (!isRelationshipPart(entry.name)) continue
    const sourcePart = archive.find(sourceOf(entry.name))
    for (const relationship of await readRelationships(archive, entry, work)) {
      const part = relationship.path === null ? undefined : archive.find(relationship.path)
      const targetType = part === undefined ? undefined : types.typeOf(part.name)
      if (isMacroRelationship(relationship.kind)) throw new DocumentFault("macro_enabled", entry.name)
      // What claims to be inside and leads outside is taken at its target.
      const isExternal = relationship.isExternal || relationship.path === null
      refuseFault(policy, relationshipFault({ ...relationship, isExternal }, targetType), entry.name)
      if (isExternal && sourcePart !== undefined) addTo(related.hyperlinks, sourcePart, relationship.id)
      if (part === undefined) continue
      if (isLookedFor(relationship.kind)) addTo(related.kinds, part, relationship.kind)
      if (relationship.kind === "externallink" && !policy.dde) await refuseProgramLink(archive, part, policy, work)
      if (RIBBON_KINDS.includes(relationship.kind)) await refuseRibbon(archive, part, policy, work)
      if (relationship.kind === "afchunk" && targetType === "text/plain") await refuseOtherText(archive, part, policy)
    }
  }
  return related
}

function addTo(all: Map<ZipEntry, Set<string>>, entry: ZipEntry, value: string): void {
  const known = all.get(entry)
  if (known === undefined) all.set(entry, new Set([value]))
  else known.add(value)
}

/** Ribbons, and what people have added to theirs (MS-CUSTOMUI 2.1). */
const RIBBON_KINDS = ["extensibility", "usercustomization"]

/** What is imported as plain text must be that: programs look at the content, too. */
async function refuseOtherText(archive: Archive, part: ZipEntry, policy: DocumentPolicy): Promise<void> {
  const start = await archive.readStart(part, CHUNK_START_BYTES)
  const fault = await faultOfStart(memorySource(start))
  const isText = fault === "empty_file" || (fault === "not_a_zip" && !OTHER_TEXT.test(new TextDecoder().decode(start)))
  if (!isText) refuseFault(policy, "embedded_object", part.name)
}

const CHUNK_START_BYTES = 512
/** A web page, one with its pictures in one file, or rich text behind blanks. */
const OTHER_TEXT = /^\s*(?:<|\{\\rtf|mime-version:|content-type:|from:)/i

const MAX_EMBEDDED_BYTES = 4 * 1024 * 1024
const MAX_ALL_EMBEDDED_BYTES = 16 * 1024 * 1024

/**
 * Documents within the document (the workbooks of charts, inserted sheets) must be sound and without macros too:
 * one level deep, and as far as reading them stays within the budget.
 */
async function checkEmbeddedPackages(archive: Archive, types: ContentTypes, work: Work): Promise<void> {
  let readBytes = 0
  for (const entry of archive.entries) {
    const type = types.typeOf(entry.name)
    if (type === undefined || !isDocumentMediaType(type) || !archive.canAfford(entry, MAX_EMBEDDED_BYTES)) continue
    readBytes += entry.plainBytes
    if (readBytes > MAX_ALL_EMBEDDED_BYTES) return
    const inner = memorySource(await archive.read(entry, MAX_EMBEDDED_BYTES))
    const fault = await faultOfStart(inner).then((start) => start ?? faultOfPackage(inner, work))
    if (fault === "macro_enabled" || fault === "too_complex") throw new DocumentFault(fault, entry.name)
    if (fault !== null) throw new DocumentFault("bad_embedded_document", entry.name)
  }
}

async function faultOfPackage(source: ByteSource, work: Work): Promise<FaultReason | null> {
  try {
    // Directory, content types and main part tell; going through all its bytes would multiply what a check costs.
    const archive = await openArchive(source, work, 0)
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
    return isMacro ? "macro_enabled" : null
  } catch (error) {
    if (error instanceof DocumentFault) return error.reason
    throw error
  }
}

/** The main part must begin as its type does; of a large one no more is read. */
async function checkMainRoot(archive: Archive, mainPart: ZipEntry, type: DocumentType): Promise<void> {
  await inPart(mainPart.name, async () => {
    const { value: root } = parseXml(await archive.readStart(mainPart, MAIN_START_BYTES), false).next()
    const { localName, namespaces } = mainRoots[type]
    const isRight = root?.localName === localName && namespaces.includes(root.namespace ?? "")
    if (!isRight) throw new DocumentFault("bad_main_part")
  })
}
