// How much work one check may be, so that no file costs more than about a second of CPU, however its parts share it
// out. One unit is about what parsing a byte of XML takes (some 35 ns); npm run bench:documents shows the seconds.
import { DocumentFault } from "./fault.ts"

const LIMIT = 15 * 1024 * 1024
/** An entry of the directory with its local header. */
export const WORK_PER_ENTRY = 200
/** Reading a part, however short. */
export const WORK_PER_PART = 500
/** The same of one that is inflated as a stream. */
export const WORK_PER_STREAM = 4000
/** Unpacking the beginning of one, which may be a thousand times as long as what is read of it. */
export const WORK_PER_START = 10_000
/** Unpacking and parsing a byte of relationships or content types. */
export const WORK_PER_BYTE_OF_XML = 0.2
/** An element of relationships or content types, however short, with what is done for each of them. */
export const WORK_PER_ELEMENT = 25
export const WORK_PER_ATTRIBUTE = 5
/** Going to where a target leads that is not spelled as nearly all are, and its length and that of its source. */
export const WORK_PER_ODD_TARGET = 300
/** Copying a name out of a part, so that it does not keep the whole text of it. */
export const WORK_PER_COPY = 20
/** Comparing a letter of a part's name; of one with escapes; one beyond ASCII, and each to which it is taken apart. */
export const WORK_PER_LETTER = 0.25
export const WORK_PER_ESCAPED_LETTER = 4
export const WORK_PER_LETTER_BEYOND_ASCII = 1.5
export const WORK_PER_LETTER_GROWN = 4
/** Putting marks in order, of which there may be thirty on each letter. */
export const WORK_PER_MARK = 24
/** Unpacking a byte of text and going through it for words. */
export const WORK_PER_BYTE_OF_TEXT = 0.1
/** The same for the words of one more look. */
export const WORK_PER_BYTE_OF_SEARCH = 0.03
/** Finding one of the words, or an element that could hold one. */
export const WORK_PER_WORD = 16
/** A comment or an instruction in the middle of a text. */
export const WORK_PER_INTERRUPTION = 12
/** Going through it once more for one kind of thing. */
export const WORK_PER_BYTE_OF_LOOK = 0.3
/** A tag that is found there; its attributes are spent byte by byte, as is text that references have to be expanded in. */
export const WORK_PER_TAG = 15
/** An attribute that could name a relationship. */
export const WORK_PER_REFERENCE = 6
/** Looking for a switch in the instruction of a field. */
export const WORK_PER_CHAR_OF_PICTURE = 0.1
/** Looking at a formula that could be one of those that reach outside. */
export const WORK_PER_FORMULA = 30
/** Looking at one shape, which has several. */
export const WORK_PER_SHAPE = 150

export type Work = {
  /** @throws DocumentFault `too_complex` when it is more than is left */
  spend(units: number): void
  /** The same, where that much is left; else nothing is spent. */
  trySpend(units: number): boolean
  remaining(): number
}

export function createWork(): Work {
  let spent = 0
  return {
    trySpend(units) {
      const isEnough = spent + units <= LIMIT
      if (isEnough) spent += units
      return isEnough
    },
    spend(units) {
      spent += units
      if (spent > LIMIT) throw new DocumentFault("too_complex")
    },
    remaining: () => LIMIT - spent,
  }
}
