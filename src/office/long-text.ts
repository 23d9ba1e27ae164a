// The text of a part of any length, piece by piece: each ends before a tag, and none holds comments or instructions. What
// is held is one piece and what the next one begins with.
import { DocumentFault } from "./fault.ts"
import { INTERRUPTION, INTERRUPTION_ENDS, withoutInterruptions } from "./markup.ts"
import { decodeLoosely, refuseDoctype } from "./prolog.ts"
import { WORK_PER_INTERRUPTION, type Work } from "./work.ts"
import { decodeXml, encodingOf } from "./xml.ts"

/** No tag, comment or text of one element is longer than this in what programs write: what is random is packed as it is. */
const MAX_REST_CHARS = 8 * 1024 * 1024
/** So much more comes before what could not be cut is gone through again. */
const MAX_STEP_CHARS = 2 * 1024 * 1024
/** Of what is looked for nothing can be told where it cannot be cleaned. */
const LOOKED_FOR = /instrText|fldSimple|fldChar|ddeLink|Fmla|[<:]f[ \t\r\n>]/i

type Decode = (bytes: Uint8Array, isLast: boolean) => string

/**
 * The same of a short part, all at once: of the thousands that a presentation has, each would cost more in waiting than in
 * being looked at.
 */
export function wholeText(bytes: Uint8Array, isOwn: boolean, work: Work): string {
  refuseDoctype(bytes)
  const text = decoderOf(bytes, isOwn, true)(bytes, true)
  const { interruptions } = completeUntil(text)
  work.spend(interruptions * WORK_PER_INTERRUPTION)
  return interruptions === 0 ? text : clean(text, isOwn)
}

/**
 * @param pieces - of one part, the first of at least 64 KiB unless it is the only one
 * @param part - `isOwn`: XML of OOXML itself; anything else may be in any encoding, or no XML at all. `isWhole`: false where
 *   only its beginning is read
 * @throws DocumentFault `xml_doctype`, `bad_xml`; `too_complex` for a tag or comment longer than any
 */
export async function* textPieces(
  pieces: AsyncIterable<Uint8Array>,
  { isOwn, isWhole }: { isOwn: boolean; isWhole: () => boolean },
  work: Work,
): AsyncGenerator<string, void> {
  let decode: Decode | null = null
  // What could not be cut off yet, and what has come since.
  let held: string[] = []
  let heldChars = 0
  let enoughChars = 0
  const next = (bytes: Uint8Array, isLast: boolean): string => {
    if (decode === null) {
      refuseDoctype(bytes)
      decode = decoderOf(bytes, isOwn, isLast)
    }
    const come = decode(bytes, isLast)
    held.push(come)
    heldChars += come.length
    if (!isLast && heldChars < enoughChars) return ""
    const text = held.join("")
    const { end, interruptions } = completeUntil(text)
    work.spend(interruptions * WORK_PER_INTERRUPTION)
    const complete = isLast ? text : text.slice(0, end)
    held = [text.slice(complete.length)]
    heldChars = text.length - complete.length
    enoughChars = heldChars + Math.min(heldChars, MAX_STEP_CHARS)
    if (heldChars > MAX_REST_CHARS) throw new DocumentFault("too_complex")
    return interruptions === 0 ? complete : clean(complete, isOwn)
  }
  let last: Uint8Array | null = null
  for await (const piece of pieces) {
    if (last !== null) yield next(last, false)
    last = piece
  }
  if (last !== null) yield next(last, isWhole())
}

/** Up to the last tag that stands in no comment: what is open from there on belongs together. */
function completeUntil(text: string): { end: number; interruptions: number } {
  let at = 0
  let end = 0
  let interruptions = 0
  const lookForTag = (until: number): void => {
    const last = text.slice(at, until).lastIndexOf("<")
    if (last >= 0) end = at + last
  }
  for (const { 0: start, index } of text.matchAll(INTERRUPTION)) {
    if (index < at) continue
    interruptions++
    lookForTag(index)
    const close = INTERRUPTION_ENDS.get(start) ?? ""
    const found = text.indexOf(close, index + start.length)
    if (found < 0) return { end, interruptions }
    at = found + close.length
  }
  lookForTag(text.length)
  return { end, interruptions }
}

function clean(text: string, isOwn: boolean): string {
  try {
    return withoutInterruptions(text)
  } catch (error) {
    if (isOwn || LOOKED_FOR.test(text)) throw error
    return text
  }
}

/** By the first piece: what decodeXml makes of it decides for all. */
function decoderOf(first: Uint8Array, isOwn: boolean, isWhole: boolean): Decode {
  let start: string | null = null
  try {
    start = decodeXml(first, isWhole)
  } catch (error) {
    if (isOwn) throw error
  }
  // The first piece is decoded, or else in no encoding: then its ASCII must do, of all the others as well.
  if (start === null) {
    decodeLoosely(first)
    return decodeLoosely
  }
  if (isWhole) return () => start
  const decoder = new TextDecoder(encodingOf(first), { fatal: true, ignoreBOM: false })
  let isWrong = false
  return (bytes, isLast) => {
    try {
      const text = isWrong ? "\0" : decoder.decode(bytes, { stream: !isLast })
      if (!text.includes("\0")) return text
    } catch {
      // Not in the encoding that it says.
    }
    if (isOwn) throw new DocumentFault("bad_xml")
    isWrong = true
    return decodeLoosely(bytes)
  }
}
