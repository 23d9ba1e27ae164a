// The relationships of all parts, held against the policy: what they lead to, inside the package and outside.
import { type Related, refuseRibbon } from "./active-parts.ts"
import type { Archive } from "./archive.ts"
import { memorySource } from "./byte-source.ts"
import type { ContentTypes } from "./content-types.ts"
import { isMacroRelationship } from "./document-type.ts"
import { DocumentFault } from "./fault.ts"
import { looksFor } from "./looks.ts"
import { faultOfStart } from "./other-formats.ts"
import { readRelationships } from "./package.ts"
import { type DocumentPolicy, refuseFault, relationshipFault } from "./policy.ts"
import { isRelationshipPart, resolveTarget, sourceOf } from "./relationships.ts"
import type { Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

/** Ribbons, and what people have added to theirs (MS-CUSTOMUI 2.1). */
const RIBBON_KINDS = ["extensibility", "usercustomization"]
/** Of each kind it is asked only once whether anything is looked for behind it; there are some fifty. */
const MAX_KNOWN_KINDS = 256

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
  const isLookedAt = createKindFilter()
  for (const entry of archive.entries) {
    if (!isRelationshipPart(entry.name)) continue
    const source = sourceOf(entry.name)
    const sourcePart = archive.find(source)
    for (const relationship of await readRelationships(archive, entry, work)) {
      const { kind } = relationship
      const target = relationship.isExternal ? null : resolveTarget(source, relationship.target)
      const part = target === null ? undefined : archive.find(target)
      const targetType = part === undefined ? undefined : types.typeOf(part.name)
      if (isMacroRelationship(kind)) throw new DocumentFault("macro_enabled", entry.name)
      // What claims to be inside and leads outside is taken at its target.
      const isExternal = relationship.isExternal || target === null
      refuseFault(policy, relationshipFault({ ...relationship, isExternal }, targetType), entry.name)
      if (isExternal && sourcePart !== undefined) addTo(related.hyperlinks, sourcePart, relationship.id)
      if (part === undefined) continue
      if (isLookedAt(kind)) addTo(related.kinds, part, kind)
      if (RIBBON_KINDS.includes(kind)) ribbons.add(part)
      if (kind === "afchunk" && targetType === "text/plain") texts.add(part)
    }
  }
  for (const part of ribbons) await refuseRibbon(archive, part, policy, work)
  for (const part of texts) await refuseOtherText(archive, part, policy)
  return related
}

/** Is anything looked for in parts that relationships of this kind lead to? */
function createKindFilter(): (kind: string) => boolean {
  const known = new Map<string, boolean>()
  return (kind) => {
    const answer = known.get(kind) ?? looksFor("", [kind]).length > 0
    if (known.size < MAX_KNOWN_KINDS) known.set(kind, answer)
    return answer
  }
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
