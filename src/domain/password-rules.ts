// Which new passwords are too easy to guess: those that, as a whole, are put together from fewer than four different
// pieces, where a common password, a word of the context, a run, a sequence or a single character is one piece. A
// password that merely holds a common word is as good as what is around it (docs/decisions/0013).
import { dictionary } from "@zxcvbn-ts/language-common"
import { fieldError } from "../errors.ts"

export { PASSWORD_MAX_CHARS, passwordFault } from "../crypto/password.ts"

/** The product, and what people make of the box that they are typing into. */
const CONTEXT_WORDS: ReadonlySet<string> = new Set([
  "sealpost",
  "sealed",
  "seal",
  "post",
  "password",
  "passwort",
  "passphrase",
  "document",
  "download",
  "upload",
])
const MIN_PIECES = 4
/** Shorter ones are in every random text. */
const MIN_WORD_CHARS = 4
const MIN_RUN_CHARS = 3
const MAX_WORD_CHARS = 32
/** Neighbours on the common keyboards, in the alphabet and among the digits; also backwards. */
const SEQUENCES = [
  "abcdefghijklmnopqrstuvwxyz",
  "01234567890",
  "qwertyuiop",
  "asdfghjkl",
  "zxcvbnm",
  "qwertzuiop",
  "yxcvbnm",
  "azertyuiop",
  "qsdfghjklm",
  "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
  "!@#$%^&*()",
].flatMap((row) => [row, Array.from(row).reverse().join("")])

/** What people put behind a word. */
const YEAR = /^(?:19|20)\d\d$/

const LEET: Record<string, string> = { "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", $: "s", "!": "i" }
const readLeet = (text: string): string => Array.from(text, (char) => LEET[char] ?? char).join("")

let commonWords: ReadonlySet<string> | undefined

/** Built when the first password is chosen. */
function common(): ReadonlySet<string> {
  commonWords ??= new Set(dictionary["passwords-common"].map((word) => word.toLowerCase()))
  return commonWords
}

/** The words that somebody who knows the address would try. */
const wordsOf = (emailKey: string): string[] => emailKey.split(/[@.+_-]/).filter((word) => word.length >= MIN_RUN_CHARS)

const joinSeparators = (text: string): string => text.replaceAll(/[\s._-]+/g, " ")

/** A private-use character in place of the whole address, its local part and its domain: one piece, however many they would make. */
function foldAddress(text: string, emailKey: string): string {
  const parts = [emailKey, ...emailKey.split("@")].map(joinSeparators).filter((part) => part.length >= MIN_RUN_CHARS)
  return parts.reduce((folded, part) => folded.replaceAll(part, "\ue000"), text)
}

function isRunOrSequence(text: string): boolean {
  if (text.length < MIN_RUN_CHARS) return false
  return text === (text[0] ?? "").repeat(text.length) || SEQUENCES.some((row) => row.includes(text))
}

/** What a stretch counts as, in small letters and with its disguises read; null where it is no piece. */
function pieceOf(plain: string, read: string, ownWords: ReadonlySet<string>): string | null {
  if (ownWords.has(plain) || ownWords.has(read)) return "(own address)"
  if (plain.length === 1 || isRunOrSequence(plain) || YEAR.test(plain)) return plain
  if (CONTEXT_WORDS.has(plain) || CONTEXT_WORDS.has(read)) return read
  if (plain.length < MIN_WORD_CHARS) return null
  return common().has(plain) || common().has(read) ? read : null
}

/** How many different pieces the text falls into, taking them as large as they come. */
function countPieces(text: string, ownWords: ReadonlySet<string>): number {
  const leet = readLeet(text)
  // best[i]: the fewest different pieces for the first i characters.
  const best: ReadonlySet<string>[] = [new Set()]
  for (let end = 1; end <= text.length; end++) {
    let fewest: ReadonlySet<string> | undefined
    for (let start = Math.max(0, end - MAX_WORD_CHARS); start < end; start++) {
      const piece = pieceOf(text.slice(start, end), leet.slice(start, end), ownWords)
      if (piece === null) continue
      const pieces = new Set(best[start]).add(piece)
      if (fewest === undefined || pieces.size < fewest.size) fewest = pieces
    }
    best.push(fewest ?? new Set())
  }
  return best.at(-1)?.size ?? 0
}

/** Is it one short thing over and over? */
function repeatsShortThing(text: string): boolean {
  for (let period = 1; period <= Math.min(8, text.length / 2); period++) {
    if (text.slice(0, -period) === text.slice(period)) return true
  }
  return false
}

/** Would somebody who knows the product and the address guess this soon? */
export function isEasyToGuess(password: string, emailKey: string): boolean {
  const text = password.normalize("NFKC").toLowerCase()
  const folded = foldAddress(joinSeparators(text), emailKey)
  return common().has(text) || repeatsShortThing(text) || countPieces(folded, new Set(wordsOf(emailKey))) < MIN_PIECES
}

/**
 * @param field - what the caller calls it
 * @throws AppError `validation_failed` with the rule `too_common`
 */
export function requireGoodPassword(field: string, password: string, emailKey: string): void {
  if (!isEasyToGuess(password, emailKey)) return
  throw fieldError(
    field,
    "too_common",
    "This password is easy to guess: it is a common one, or made of few common words, sequences, your address or our name. Take four or more unrelated words.",
  )
}
