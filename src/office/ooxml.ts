// Is this package the genuine document that its name says? Decided by the package itself (ECMA-376 Part 2): its
// content types, its relationships, its main part; never by the first bytes or the extension.
import { refuseActiveParts } from "./active-parts.ts"
import { type Archive, openArchive } from "./archive.ts"
import type { ByteSource } from "./byte-source.ts"
import { type DocumentType, mainRoots } from "./document-type.ts"
import { checkEmbeddedPackages } from "./embedded.ts"
import { DocumentFault, type FaultReason, inPart } from "./fault.ts"
import { looksFor } from "./looks.ts"
import { faultOfStart } from "./other-formats.ts"
import { checkParts, findMainPart, readContentTypes } from "./package.ts"
import { type DocumentPolicy, STRICTEST_POLICY } from "./policy.ts"
import { refuseDoctype } from "./prolog.ts"
import { checkRelationships } from "./related.ts"
import { type Work, createWork } from "./work.ts"
import { parseXml } from "./xml.ts"
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

const MAIN_START_BYTES = 4096
/** All XML but pictures (SVG), which editors write with one, and imported web pages. */
const MAY_HAVE_DOCTYPE = /^(?!image\/|application\/xhtml).*[+/]xml$|vmldrawing$/

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
  await refuseActiveParts(archive, { types, mainPart, related }, policy, work)
  await archive.prove((entry) => {
    const partType = types.typeOf(entry.name) ?? ""
    const isXml = MAY_HAVE_DOCTYPE.test(partType) || looksFor(partType, related.kinds.get(entry)).length > 0
    return isXml ? refuseDoctype : null
  })
  return type
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
