// What the text of parts would do when it is opened: fields, formulas, data connections, buttons, ribbons. All of it is a
// deployment's own decision (policy.ts). Looked for as far as reading costs little; docs/documents.md has the limits.
import type { Archive } from "./archive.ts"
import type { ContentTypes } from "./content-types.ts"
import { DocumentFault, inPart } from "./fault.ts"
import { linkFaults } from "./formulas.ts"
import { misusedLinkFaults } from "./hyperlinks.ts"
import { type Faults, looksFor, ribbonFaults } from "./looks.ts"
import { withoutInterruptions } from "./markup.ts"
import { type DocumentPolicy, isForbidden } from "./policy.ts"
import { decodeLoosely, refuseDoctype } from "./prolog.ts"
import { decodeXml } from "./xml.ts"
import { WORK_PER_BYTE_OF_TEXT, WORK_PER_PART, type Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

const MAX_TEXT_BYTES = 8 * 1024 * 1024

/** What relationships say of parts: how they lead to them, and which of theirs are hyperlinks outside. */
export type Related = { kinds: Map<ZipEntry, Set<string>>; hyperlinks: Map<ZipEntry, Set<string>> }

/** Types of OOXML itself; what else is there may be in any encoding, or no XML at all. */
const isOwnXml = (type: string): boolean => type.endsWith("+xml")

/**
 * Looks through all parts that can bring something along by their text.
 * @throws DocumentFault `dde`, `program_action`, `external_data`, `external_relationship`, `add_in`
 */
export async function refuseActiveParts(
  archive: Archive,
  types: ContentTypes,
  related: Related,
  policy: DocumentPolicy,
  work: Work,
): Promise<void> {
  if (policy.dde && policy.externalRelationships) return
  for (const entry of archive.entries) {
    const type = types.typeOf(entry.name) ?? ""
    const faults = looksFor(type, related.kinds.get(entry)).map((look): Faults => look.faults)
    const hyperlinks = related.hyperlinks.get(entry)
    if (hyperlinks !== undefined && !policy.externalRelationships)
      faults.push((text) => misusedLinkFaults(text, hyperlinks, work))
    if (faults.length === 0 || entry.isDirectory || !archive.canAfford(entry, MAX_TEXT_BYTES)) continue
    if (work.remaining() < entry.plainBytes * WORK_PER_BYTE_OF_TEXT + WORK_PER_PART) continue
    await refuseText(archive, entry, faults, isOwnXml(type), policy, work)
  }
}

/** Looks at one part that a relationship has found, whatever it is declared as. */
export const refuseRibbon = (archive: Archive, entry: ZipEntry, policy: DocumentPolicy, work: Work): Promise<void> =>
  refuseText(archive, entry, [ribbonFaults], false, policy, work)

/** The same for an external link of a workbook. */
export const refuseProgramLink = (archive: Archive, entry: ZipEntry, policy: DocumentPolicy, work: Work): Promise<void> =>
  refuseText(archive, entry, [linkFaults], true, policy, work)

function readText(bytes: Uint8Array, isOwn: boolean): string {
  if (isOwn) return withoutInterruptions(decodeXml(bytes))
  let text: string
  try {
    text = decodeXml(bytes)
  } catch {
    text = decodeLoosely(bytes)
  }
  try {
    return withoutInterruptions(text)
  } catch {
    return text
  }
}

async function refuseText(
  archive: Archive,
  entry: ZipEntry,
  looksAt: readonly Faults[],
  isOwn: boolean,
  policy: DocumentPolicy,
  work: Work,
): Promise<void> {
  work.spend(entry.plainBytes * WORK_PER_BYTE_OF_TEXT)
  await inPart(entry.name, async () => {
    const bytes = await archive.read(entry, MAX_TEXT_BYTES)
    refuseDoctype(bytes)
    const text = readText(bytes, isOwn)
    for (const faults of looksAt) {
      for (const fault of faults(text, work)) if (isForbidden(policy, fault)) throw new DocumentFault(fault)
    }
  })
}
