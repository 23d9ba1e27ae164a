// References to characters and to the five entities that XML predefines (XML 1.0 sections 4.1 and 4.6). There are no
// others: a DOCTYPE, which alone could declare them, is refused.
import { DocumentFault } from "./fault.ts"

const PREDEFINED = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
])
const HEXADECIMAL = /^#x[0-9A-Fa-f]{1,6}$/
const DECIMAL = /^#[0-9]{1,7}$/
/** `&#x10FFFF;`, the longest that there is. */
const MAX_CHARS = 10
const [AMPERSAND, SEMICOLON] = [0x26, 0x3b]
/** Put together in between, as each letter by itself takes more memory than all of them in one text. */
const MAX_PIECES = 8192

const LINE_OR_TAB = /[\t\r\n]/
/**
 * The value of an attribute as readers pass it on: line ends and tabs have become blanks, but not those that references
 * spell (XML 1.0 sections 2.11 and 3.3.3).
 * @param written - what stands between the quotes
 * @throws DocumentFault `bad_xml` as below
 */
export const attributeValue = (written: string): string =>
  expandReferences(LINE_OR_TAB.test(written) ? written.replaceAll(/\r\n|[\t\r\n]/g, " ") : written)

/** @throws DocumentFault `bad_xml` for an entity that XML does not predefine, and for what is no letter of XML */
export function expandReferences(value: string): string {
  let start = value.indexOf("&")
  if (start < 0) return value
  let expanded = ""
  let pieces: string[] = []
  let at = 0
  for (; start >= 0; start = value.indexOf("&", at)) {
    const end = endOfReference(value, start)
    if (start > at) pieces.push(value.slice(at, start))
    pieces.push(character(value.slice(start + 1, end)))
    at = value.charCodeAt(end) === SEMICOLON ? end + 1 : end
    if (pieces.length < MAX_PIECES) continue
    expanded += pieces.join("")
    pieces = []
  }
  return expanded + pieces.join("") + value.slice(at)
}

/** At its semicolon, the next reference or the end; no further on than it could be, or each would be looked for to the end. */
function endOfReference(value: string, start: number): number {
  const limit = Math.min(value.length, start + MAX_CHARS)
  for (let at = start + 1; at < limit; at++) {
    const char = value.charCodeAt(at)
    if (char === SEMICOLON || char === AMPERSAND) return at
  }
  return limit
}

function character(name: string): string {
  const known = PREDEFINED.get(name)
  if (known !== undefined) return known
  const codePoint = HEXADECIMAL.test(name)
    ? Number.parseInt(name.slice(2), 16)
    : DECIMAL.test(name)
      ? Number(name.slice(1))
      : Number.NaN
  // Halves of letters are none (section 2.2).
  const isChar = codePoint <= 0x10ffff && (codePoint < 0xd800 || codePoint > 0xdfff)
  if (!isChar) throw new DocumentFault("bad_xml")
  return String.fromCodePoint(codePoint)
}
