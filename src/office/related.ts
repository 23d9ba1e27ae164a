// The relationships of all parts, held against the policy: what they lead to, inside the package and outside.
import { type Related, refuseRibbon } from "./active-parts.ts"
import type { Archive } from "./archive.ts"
import { memorySource } from "./byte-source.ts"
import type { ContentTypes } from "./content-types.ts"
import { isMacroRelationship } from "./document-type.ts"
import { DocumentFault } from "./fault.ts"
import { isLookedFor } from "./looks.ts"
import { faultOfStart } from "./other-formats.ts"
import { readRelationships } from "./package.ts"
import { type DocumentPolicy, refuseFault, relationshipFault } from "./policy.ts"
import { isRelationshipPart, sourceOf } from "./relationships.ts"
import type { Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

/** Ribbons, and what people have added to theirs (MS-CUSTOMUI 2.1). */
const RIBBON_KINDS = ["extensibility", "usercustomization"]

/**
 * Holds all relationships against the policy. What they lead to is looked at once, however many lead there.
 * @throws DocumentFault
 */
export async function checkRelationships(
  archive: Archive,
  types: ContentTypes,
  policy: DocumentPolicy,
  work: Work,
): Promise<Related> {
  const related: Related = { kinds: new Map(), hyperlinks: new Map() }
  const ribbons = new Set<ZipEntry>()
  const texts = new Set<ZipEntry>()
  for (const entry of archive.entries) {
    if (!isRelationshipPart(entry.name)) continue
    const sourcePart = archive.find(sourceOf(entry.name))
    for (const relationship of await readRelationships(archive, entry, work)) {
      const { kind, path } = relationship
      const part = path === null ? undefined : archive.find(path)
      const targetType = part === undefined ? undefined : types.typeOf(part.name)
      if (isMacroRelationship(kind)) throw new DocumentFault("macro_enabled", entry.name)
      // What claims to be inside and leads outside is taken at its target.
      const isExternal = relationship.isExternal || path === null
      refuseFault(policy, relationshipFault({ ...relationship, isExternal }, targetType), entry.name)
      if (isExternal && sourcePart !== undefined) addTo(related.hyperlinks, sourcePart, relationship.id)
      if (part === undefined) continue
      if (isLookedFor(kind)) addTo(related.kinds, part, kind)
      if (RIBBON_KINDS.includes(kind)) ribbons.add(part)
      if (kind === "afchunk" && targetType === "text/plain") texts.add(part)
    }
  }
  for (const part of ribbons) await refuseRibbon(archive, part, policy, work)
  for (const part of texts) await refuseOtherText(archive, part, policy)
  return related
}

function addTo(all: Map<ZipEntry, Set<string>>, entry: ZipEntry, value: string): void {
  const known = all.get(entry)
  if (known === undefined) all.set(entry, new Set([value]))
  else known.add(value)
}

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
