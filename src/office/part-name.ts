// Names inside a package (ECMA-376 Part 2 section 6.2.2): how they are decoded, compared, and which ones could
// lead a reader astray. Names are only ever keys of a Map, never of an object.
import { DocumentFault } from "./fault.ts"

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

/**
 * What makes two names the same part: without regard to ASCII case, percent-encoded or not (section 6.2.2.3);
 * some old writers put backslashes.
 */
export function partKey(name: string): string {
  if (!SPELLED_OTHERWISE.test(name)) return name
  let decoded = name
  try {
    decoded = name.includes("%") ? decodeURIComponent(name) : name
  } catch {
    // Not an encoding: then the name means itself.
  }
  return decoded.replaceAll("\\", "/").replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** Percent-encoded slashes and dots are forbidden in part names (section 6.2.2.2): they hide where a name leads. */
const ENCODED_SEPARATOR = /%(?:2e|2f|5c|00)/i
const DRIVE = /^[a-z]:/i
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u
const BEYOND_ASCII = /[^ -~]/
const MAX_NAME_CHARS = 1024
/** Never names of parts, and dangerous for whoever keeps names as keys of objects. */
const OBJECT_KEYS = new Set(["__proto__", "constructor", "prototype", "tostring", "valueof", "hasownproperty"])
const OBJECT_KEY = new RegExp(`(?:^|/)(?:${[...OBJECT_KEYS].join("|")})(?:/|$)`)
/** Nearly all names: nothing in them could lead astray, or be spelled otherwise. */
const PLAIN_NAME = /^[a-z0-9_-]{1,60}(?:\/[a-z0-9_-]{1,60}){0,9}(?:\.[a-z0-9_-]{1,60}){0,3}$/
/** A part cut into interleaved pieces (section 7.2.4), which Office does not read. */
const PIECE = /\/\[\d+\](?:\.last)?\.piece$/

/**
 * Every name may stand once, none may lead out of the package, and none may end with a dot, which Windows drops
 * (section 6.2.2.2).
 * @throws DocumentFault `unsafe_name`, `interleaved_part`, `duplicate_name`
 */
export function requireSafeNames(names: Iterable<string>): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (PLAIN_NAME.test(name) && !OBJECT_KEY.test(name)) {
      if (seen.has(name)) throw new DocumentFault("duplicate_name", name)
      seen.add(name)
      continue
    }
    const key = partKey(name)
    const segments = key.replace(/\/$/, "").split("/")
    const isUnsafe =
      name.length > MAX_NAME_CHARS ||
      CONTROL.test(key) ||
      ENCODED_SEPARATOR.test(name) ||
      DRIVE.test(key) ||
      segments.some((segment) => segment.endsWith(".") || /^ *$/.test(segment) || OBJECT_KEYS.has(segment))
    if (isUnsafe) throw new DocumentFault("unsafe_name", name)
    if (PIECE.test(key)) throw new DocumentFault("interleaved_part", name)
    // A file and a folder of one name cannot both be unpacked, and other readers fold more letters than ASCII ones.
    const own = segments.join("/")
    const path = BEYOND_ASCII.test(own) ? own.normalize("NFKC").toLowerCase() : own
    if (seen.has(path)) throw new DocumentFault("duplicate_name", name)
    seen.add(path)
  }
}
