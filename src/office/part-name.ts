// Names inside a package (ECMA-376 Part 2 section 6.2.2): how they are decoded, compared, and which ones could
// lead a reader astray. Names are only ever keys of a Map, never of an object.
import { DocumentFault } from "./fault.ts"
import {
  WORK_PER_ESCAPED_LETTER,
  WORK_PER_LETTER,
  WORK_PER_LETTER_BEYOND_ASCII,
  WORK_PER_LETTER_GROWN,
  WORK_PER_MARK,
  type Work,
} from "./work.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const latin1 = new TextDecoder("windows-1252")

/** As flagged; without the flag some programs write UTF-8 all the same, and others their own code page. */
export function decodeEntryName(bytes: Uint8Array, isFlaggedUtf8: boolean): string {
  try {
    return utf8.decode(bytes)
  } catch {
    const name = latin1.decode(bytes)
    if (isFlaggedUtf8) throw new DocumentFault("unsafe_name", name)
    return name
  }
}

const SPELLED_OTHERWISE = /[%\\A-Z]/
const ESCAPE = /[%\\]/
const BEYOND_ASCII = /[^ -~]/

/**
 * What makes two names the same part: without regard to ASCII case, percent-encoded or not (section 6.2.2.3);
 * some old writers put backslashes.
 */
export function partKey(name: string): string {
  if (!SPELLED_OTHERWISE.test(name)) return name
  const decoded = decodeOctets(name).replaceAll(/\\/g, "/")
  return BEYOND_ASCII.test(decoded) ? decoded.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase()) : decoded.toLowerCase()
}

const NO_OCTET = /%(?![0-9A-Fa-f]{2})/

function decodeOctets(name: string): string {
  // Most of what is no encoding is told without an exception, which costs more than the name.
  if (!name.includes("%") || NO_OCTET.test(name)) return name
  try {
    return decodeURIComponent(name)
  } catch {
    // Not an encoding: then the name means itself.
    return name
  }
}

/** Percent-encoded slashes and dots are forbidden in part names (section 6.2.2.2): they hide where a name leads. */
const ENCODED_SEPARATOR = /%(?:2e|2f|5c|00)/i
const DRIVE = /^[a-z]:/i
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u
const MAX_NAME_CHARS = 1024
/** Never names of parts, and dangerous for whoever keeps names as keys of objects. */
const OBJECT_KEY = /(?:^|\/)(?:__proto__|constructor|prototype|tostring|valueof|hasownproperty)(?:\/|$)/
/** Of blanks or nothing, or with a dot at its end. */
const UNSAFE_SEGMENT = /(?:^|\/) *(?:\/|$)|\.(?:\/|$)/
/** More marks on a letter than any language puts there (UAX #15 section 13); to put them in order takes their number squared. */
const MARK = /\p{M}/gu
const TOO_MANY_MARKS = /\p{M}{31}/u
/** Nearly all names: nothing in them could lead astray, or be spelled otherwise. */
const PLAIN_NAME = /^[a-z0-9_-]{1,60}(?:\/[a-z0-9_-]{1,60}){0,9}(?:\.[a-z0-9_-]{1,60}){0,3}$/
/** A part cut into interleaved pieces (section 7.2.4), which Office does not read. */
const PIECE = /\/\[\d+\](?:\.last)?\.piece$/

/**
 * Every name may stand once, none may lead out of the package, and none may end with a dot, which Windows drops
 * (section 6.2.2.2).
 * @throws DocumentFault `unsafe_name`, `interleaved_part`, `duplicate_name`; `too_complex` when comparing them is too much work
 */
export function requireSafeNames(names: Iterable<string>, work: Work): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (PLAIN_NAME.test(name) && !OBJECT_KEY.test(name)) {
      if (seen.has(name)) throw new DocumentFault("duplicate_name", name)
      seen.add(name)
      continue
    }
    if (name.length > MAX_NAME_CHARS) throw new DocumentFault("unsafe_name", name)
    work.spend(name.length * (ESCAPE.test(name) ? WORK_PER_ESCAPED_LETTER : WORK_PER_LETTER))
    const key = partKey(name)
    const own = key.replace(/\/$/, "")
    const isUnsafe =
      CONTROL.test(key) || ENCODED_SEPARATOR.test(name) || DRIVE.test(key) || UNSAFE_SEGMENT.test(own) || OBJECT_KEY.test(own)
    if (isUnsafe) throw new DocumentFault("unsafe_name", name)
    if (PIECE.test(key)) throw new DocumentFault("interleaved_part", name)
    // A file and a folder of one name cannot both be unpacked, and other readers fold more letters than ASCII ones.
    const path = BEYOND_ASCII.test(own) ? folded(own, work) : own
    if (seen.has(path)) throw new DocumentFault("duplicate_name", name)
    seen.add(path)
  }
}

/** One letter may become eighteen, which are held as long as the names are compared. */
function folded(name: string, work: Work): string {
  if (TOO_MANY_MARKS.test(name)) throw new DocumentFault("unsafe_name", name)
  work.spend(name.length * WORK_PER_LETTER_BEYOND_ASCII + (name.match(MARK)?.length ?? 0) * WORK_PER_MARK)
  const path = name.normalize("NFKC").toLowerCase()
  work.spend(Math.max(0, path.length - name.length) * WORK_PER_LETTER_GROWN)
  return path
}
