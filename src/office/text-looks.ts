// One part of any length, gone through once for all that is looked for in it: piece by piece its gists are taken, and the
// looks go over those. What genuine documents hold is cheap to go through; what is dear no genuine one holds much of.
import type { Archive } from "./archive.ts"
import { DocumentFault, inPart } from "./fault.ts"
import type { Gist } from "./gist.ts"
import { isSmallPart } from "./inflate.ts"
import { type GistOfLook, gistOf } from "./look-gists.ts"
import type { Faults } from "./looks.ts"
import { textPieces, wholeText } from "./long-text.ts"
import { type DocumentPolicy, isForbidden } from "./policy.ts"
import {
  WORK_PER_BYTE_OF_LOOK,
  WORK_PER_BYTE_OF_SEARCH,
  WORK_PER_BYTE_OF_TEXT,
  WORK_PER_SHAPE,
  WORK_PER_WORD,
  type Work,
} from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

/** More instructions of fields, more settings, than any program writes. */
const MAX_KEPT_CHARS = 12 * 1024 * 1024
/** What can be looked at bit by bit is, as soon as there is so much of it. */
const BIT_CHARS = 256 * 1024

/** @param gist - of a look that is made for one part, and so has none of its own */
export type TextLook = { faults: Faults; gist?: GistOfLook }

export type TextPart = {
  entry: ZipEntry
  /** Is it XML of OOXML itself? What else is there may be in any encoding, or no XML at all. */
  isOwn: boolean
  /** How much of it may be read, as it lies in the archive. */
  rawBytes: number
}

export type Looked = {
  /** Was all of the part looked at? Work may have run out before. */
  isWhole: boolean
  lookedBytes: number
}

/** @throws DocumentFault of what the policy forbids; `too_complex` where there is more to look at closely than any program writes */
export async function lookThrough(
  archive: Archive,
  { entry, isOwn, rawBytes }: TextPart,
  looks: readonly TextLook[],
  policy: DocumentPolicy,
  work: Work,
): Promise<Looked> {
  const started = looks.map(({ faults, gist = gistOf(faults) }) => startLook(faults, gist, policy, work))
  let isWhole = rawBytes >= entry.compressedBytes
  let lookedBytes = 0
  const unitsPerByte = WORK_PER_BYTE_OF_TEXT + looks.length * WORK_PER_BYTE_OF_SEARCH
  const isAffordable = (bytes: number): boolean => {
    const isEnough = work.trySpend(bytes * unitsPerByte)
    if (isEnough) lookedBytes += bytes
    else isWhole = false
    return isEnough
  }
  /** @returns false when work has run out for what is there */
  const take = (text: string | null): boolean => {
    const areAfforded = started.map((takeText) => takeText(text))
    isWhole &&= areAfforded.every(Boolean)
    return areAfforded.every(Boolean)
  }
  if (isWhole && isSmallPart(entry)) {
    if (isAffordable(entry.plainBytes))
      await inPart(entry.name, async () => {
        const text = wholeText(await archive.read(entry, entry.plainBytes + entry.compressedBytes), isOwn, work)
        if (take(text)) take(null)
      })
    return { isWhole, lookedBytes }
  }
  async function* affordable(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for await (const piece of archive.pieces(entry, rawBytes)) {
      if (!isAffordable(piece.length)) return
      yield piece
    }
  }
  await inPart(entry.name, async () => {
    for await (const text of textPieces(affordable(), { isOwn, isWhole: () => isWhole }, work)) if (!take(text)) break
    take(null)
  })
  return { isWhole, lookedBytes }
}

/** Takes the pieces of the text, and null behind the last one; false when there is no work left to go through one. */
function startLook(faults: Faults, look: GistOfLook, policy: DocumentPolicy, work: Work): (text: string | null) => boolean {
  const gist: Gist = look.make()
  let kept: string[] = []
  let chars = 0
  const settle = (): void => {
    const text = kept.join("")
    kept = []
    chars = 0
    if (text === "") return
    // A look stops where work runs out, and nobody would know what it has not seen.
    if (work.remaining() < text.length * WORK_PER_BYTE_OF_LOOK) throw new DocumentFault("too_complex")
    if (!look.isCharged) work.spend(text.length)
    for (const fault of faults(text, work)) if (isForbidden(policy, fault)) throw new DocumentFault(fault)
    if (work.remaining() < WORK_PER_SHAPE) throw new DocumentFault("too_complex")
  }
  return (text) => {
    const part = gist(text ?? "", text === null)
    const isAfforded = work.trySpend(part.words * WORK_PER_WORD)
    if (part.kept !== "") kept.push(part.kept.length * 2 < (text ?? "").length ? detached(part.kept) : part.kept)
    chars += part.kept.length
    if (chars > MAX_KEPT_CHARS) throw new DocumentFault("too_complex")
    if (text === null || (look.isLocal && chars > BIT_CHARS)) settle()
    return isAfforded
  }
}

/** The same without the text that it was cut out of, which V8 would keep as long as this. */
const detached = (text: string): string => ` ${text}`.slice(1)
