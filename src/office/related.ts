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
import { isRelationshipPart, literalTarget, sourceOf } from "./relationships.ts"
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
    const source = sourceOf(entry.name)
    const sourcePart = archive.find(source)
    for (const relationship of await readRelationships(archive, entry, work)) {
      const { kind, path } = relationship
      if (isMacroRelationship(kind)) throw new DocumentFault("macro_enabled", entry.name)
      // What claims to be inside and leads outside is taken at its target.
      const isExternal = relationship.isExternal || path === null
      if (isExternal && sourcePart !== undefined) addTo(related.hyperlinks, sourcePart, relationship.id)
      const named = relationship.isExternal ? null : literalTarget(source, relationship.target, work)
      const part = path === null ? undefined : archive.find(path)
      const namedPart = named === null ? undefined : archive.find(named)
      for (const found of namedPart === undefined || namedPart === part ? [part] : [part, namedPart]) {
        const targetType = found === undefined ? undefined : types.typeOf(found.name)
        refuseFault(policy, relationshipFault({ ...relationship, isExternal }, targetType), entry.name)
        if (found === undefined) continue
        if (isLookedFor(kind)) addTo(related.kinds, found, kind)
        if (RIBBON_KINDS.includes(kind)) ribbons.add(found)
        if (kind === "afchunk" && targetType === "text/plain") texts.add(found)
      }
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
  const text = startOfText(start)
  // Whatever stands behind a beginning of blanks was not seen.
  const isSeen = text.length >= MIN_SEEN_CHARS || part.plainBytes <= start.length
  const isText = isSeen && (fault === "empty_file" || (fault === "not_a_zip" && !OTHER_TEXT.test(text)))
  if (!isText) refuseFault(policy, "embedded_object", part.name)
}

const CHUNK_START_BYTES = 512
/** As many as it takes to know one of those below. */
const MIN_SEEN_CHARS = 16
/** A web page, one with its pictures in one file, or rich text. */
const OTHER_TEXT = /^(?:<|\{\\rtf|mime-version:|content-type:|from:)/i

/** In any encoding of Unicode, with its mark or without: then zeros stand between the letters. Without blanks before it. */
function startOfText(start: Uint8Array): string {
  const [a, b] = start
  const encoding = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : "utf-8"
  return new TextDecoder(encoding)
    .decode(start)
    .replaceAll("\0", "")
    .replace(/^[\s\ufeff\ufffd]+/, "")
}
