// What the text of parts would do when it is opened: fields, formulas, data connections, buttons, ribbons. All of it is a
// deployment's own decision (policy.ts). Nothing that is there for nothing else can push out what counts: the main part is
// looked at first, then the others from the smallest on. docs/documents.md has the limits.
import type { Archive } from "./archive.ts"
import type { ContentTypes } from "./content-types.ts"
import { DocumentFault } from "./fault.ts"
import { misusedLinkFaults } from "./hyperlinks.ts"
import { createLinkGist } from "./link-gist.ts"
import { looksFor, ribbonFaults } from "./looks.ts"
import type { DocumentPolicy } from "./policy.ts"
import { type TextLook, lookThrough } from "./text-looks.ts"
import { WORK_PER_STREAM, type Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

/** What relationships say of parts: how they lead to them, and which of theirs are hyperlinks outside. */
export type Related = { kinds: Map<ZipEntry, Set<string>>; hyperlinks: Map<ZipEntry, Set<string>> }

/**
 * No document of the size that is checked through and through has so many parts that those up to this size use up the
 * work; where they do, something is to be hidden behind them.
 */
const SMALL_PART_BYTES = 64 * 1024
/** Nor is work used up before so much text has been looked at, unless by something that is there for nothing else. */
const MUCH_TEXT_BYTES = 32 * 1024 * 1024
/** Of what may be read of a large document, its main part leaves so much to the other parts. */
const OTHERS_BYTES = 160 * 1024

const isOwnXml = (type: string): boolean => type.endsWith("+xml")

/**
 * Looks through all parts that can bring something along by their text.
 * @throws DocumentFault `dde`, `program_action`, `external_data`, `external_relationship`, `add_in`, `too_complex`
 */
export async function refuseActiveParts(
  archive: Archive,
  { types, mainPart, related }: { types: ContentTypes; mainPart: ZipEntry; related: Related },
  policy: DocumentPolicy,
  work: Work,
): Promise<void> {
  if (policy.dde && policy.externalRelationships) return
  const looksAt = new Map<ZipEntry, TextLook[]>()
  for (const entry of archive.entries) {
    const looks: TextLook[] = looksFor(types.typeOf(entry.name) ?? "", related.kinds.get(entry))
    const hyperlinks = related.hyperlinks.get(entry)
    if (hyperlinks !== undefined && !policy.externalRelationships)
      looks.push({
        faults: (text) => misusedLinkFaults(text, hyperlinks, work),
        gist: { make: createLinkGist, isLocal: false, isCharged: true },
      })
    if (looks.length > 0 && !entry.isDirectory) looksAt.set(entry, looks)
  }
  let lookedBytes = 0
  const leaveOut = (entry: ZipEntry): void => {
    const isGenuine = entry.plainBytes > SMALL_PART_BYTES && lookedBytes >= MUCH_TEXT_BYTES
    if (archive.isSmall && !isGenuine) throw new DocumentFault("too_complex", entry.name)
  }
  for (const entry of inOrder([...looksAt.keys()], mainPart)) {
    const room = archive.remainingBytes()
    // The main part leaves something for the others.
    const rawBytes = entry === mainPart ? Math.max(room / 2, room - OTHERS_BYTES) : room
    if (rawBytes === 0) return
    if (work.remaining() < WORK_PER_STREAM) {
      leaveOut(entry)
      return
    }
    const isOwn = isOwnXml(types.typeOf(entry.name) ?? "")
    const looked = await lookThrough(archive, { entry, isOwn, rawBytes }, looksAt.get(entry) ?? [], policy, work)
    lookedBytes += looked.lookedBytes
    if (looked.isWhole) continue
    leaveOut(entry)
    if (entry !== mainPart) return
  }
}

function inOrder(entries: readonly ZipEntry[], mainPart: ZipEntry): ZipEntry[] {
  const sizeOf = (entry: ZipEntry): number => (entry === mainPart ? -1 : Math.max(entry.plainBytes, entry.compressedBytes))
  return entries.toSorted((a, b) => sizeOf(a) - sizeOf(b))
}

/** Looks at one part that a relationship has found, whatever it is declared as. */
export async function refuseRibbon(archive: Archive, entry: ZipEntry, policy: DocumentPolicy, work: Work): Promise<void> {
  const part = { entry, isOwn: false, rawBytes: entry.compressedBytes }
  const { isWhole } = await lookThrough(archive, part, [{ faults: ribbonFaults }], policy, work)
  if (!isWhole) throw new DocumentFault("too_complex", entry.name)
}
