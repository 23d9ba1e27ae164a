// How much work one check may be, so that no file costs more than about a second of CPU, however its parts share it
// out. One unit is about what parsing a byte of XML takes (some 35 ns); npm run bench:documents shows the seconds.
import { DocumentFault } from "./fault.ts"

const LIMIT = 20 * 1024 * 1024
/** An entry of the directory with its local header. */
export const WORK_PER_ENTRY = 200
/** Reading a part, however short. */
export const WORK_PER_PART = 500
/** The same of one that is inflated as a stream. */
export const WORK_PER_STREAM = 4000
/** Unpacking the beginning of one, which may be a thousand times as long as what is read of it. */
export const WORK_PER_START = 10_000
/** Unpacking a byte of text and going through it for words. */
export const WORK_PER_BYTE_OF_TEXT = 0.1
/** The same for the words of one more look. */
export const WORK_PER_BYTE_OF_LOOK = 0.03
/** Finding one of the words, or an element that could hold one. */
export const WORK_PER_WORD = 12
/** A comment or an instruction in the middle of a text. */
export const WORK_PER_INTERRUPTION = 6
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
