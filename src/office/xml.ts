// A strict reader of small XML parts: elements and attributes, nothing else. It has no DTDs, so no entities
// to expand or fetch: a DOCTYPE is refused (ASVS 5.0 V1.5.1). Text is skipped: the parts that we read have none.
import { MAX_ATTRIBUTES, attributeAt } from "./attributes.ts"
import { DocumentFault } from "./fault.ts"
import { attributeValue } from "./references.ts"
import { WORK_PER_ATTRIBUTE, WORK_PER_ELEMENT, type Work } from "./work.ts"

export type XmlElement = {
  /** Without its prefix. */
  localName: string
  /** 0 for the root. */
  depth: number
  /** What its prefix stands for; undefined when nothing says so. */
  namespace: string | undefined
  /** By name as written; without namespaces, which no attribute that we read has. */
  attributes: ReadonlyMap<string, string>
}

/** Encodings that a declaration may name: the bytes decide between UTF-8 and UTF-16, so no others can hide a tag. */
const UNICODE = /^utf-?(?:8|16(?:le|be)?)$|^(?:us-)?ascii$/i
const WESTERN = /^(?:iso-8859-1|windows-1252)$/i
const Q = (pattern: string): string => `(?:"${pattern}"|'${pattern}')`
/** The whole declaration (XML 1.0 section 2.8): a reader that finds another encoding in it would read another text. */
const DECLARATION = new RegExp(
  String.raw`^<\?xml\s+version\s*=\s*${Q(String.raw`1\.0`)}(?:\s+encoding\s*=\s*(${Q("[^\"'<>]*")}))?(?:\s+standalone\s*=\s*${Q("(?:yes|no)")})?\s*\?>`,
)
const DECLARATION_START = /^<\?xml\s/
/** A declaration is read from so many bytes; one that is longer is refused. */
const MAX_DECLARATION_BYTES = 400

/**
 * UTF-8 or UTF-16 by byte order mark, or by its first tag (XML 1.0 section 4.3.3 and appendix F), as Office programs
 * write them; Western code pages as some libraries do.
 * @param bytes - a part, or its beginning
 * @throws DocumentFault `bad_xml` when it declares another
 */
export function encodingOf(bytes: Uint8Array): "utf-8" | "utf-16le" | "utf-16be" | "windows-1252" {
  const [a, b] = bytes
  const isLittle = (a === 0xff && b === 0xfe) || (a === 0x3c && b === 0)
  const isBig = (a === 0xfe && b === 0xff) || (a === 0 && b === 0x3c)
  const isWide = isLittle || isBig
  const isMarked = a === 0xef && b === 0xbb && bytes[2] === 0xbf
  const start = new TextDecoder(isLittle ? "utf-16le" : isBig ? "utf-16be" : "windows-1252").decode(
    bytes.subarray(0, MAX_DECLARATION_BYTES * (isWide ? 2 : 1)),
  )
  const declared = declaredEncoding(start.replace(/^\u00ef\u00bb\u00bf/, ""))
  return isLittle ? "utf-16le" : isBig ? "utf-16be" : WESTERN.test(declared) && !isMarked ? "windows-1252" : "utf-8"
}

/** @throws DocumentFault `bad_xml` when it is not in the encoding that it says */
export function decodeXml(bytes: Uint8Array, isWhole = true): string {
  const encoding = encodingOf(bytes)
  try {
    const text = new TextDecoder(encoding, { fatal: true, ignoreBOM: false }).decode(bytes, { stream: !isWhole })
    // In no XML (section 2.2), but in UTF-32, where it divides all words.
    if (!text.includes("\0")) return text
  } catch {
    // Not in the encoding that it says.
  }
  throw new DocumentFault("bad_xml")
}

function declaredEncoding(start: string): string {
  if (!DECLARATION_START.test(start)) return "utf-8"
  const declaration = DECLARATION.exec(start)
  const encoding = declaration?.[1]?.slice(1, -1) ?? "utf-8"
  if (declaration === null || (!UNICODE.test(encoding) && !WESTERN.test(encoding))) throw new DocumentFault("bad_xml")
  return encoding
}

/** Most names; the others are held against the longer pattern, and neither is ever gone through for a name of megabytes. */
const PLAIN_NAME = /^[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?$/
const NAME = /^[\p{L}_][\p{L}\p{N}_.-]*(?::[\p{L}_][\p{L}\p{N}_.-]*)?$/u
const MAX_NAME_CHARS = 256
const TAG_NAME = /[^ \t\r\n=<>"'/]+/y
const TAG_END = /[ \t\r\n]*(\/?)>/y
const END_TAG = /<\/([^ \t\r\n=<>"'/]+)[ \t\r\n]*>/y
/** What is skipped, by how it begins and ends. */
const SKIPPED = [
  ["<?", "?>"],
  ["<!--", "-->"],
  ["<![CDATA[", "]]>"],
] as const

/** A DOCTYPE anywhere outside comments: no document needs one (ASVS 5.0 V1.5.1). */
const DOCTYPE = /<!DOCTYPE/iy
/** Deeper than any part that we read. */
const MAX_DEPTH = 64
const MAX_PREFIXES = 256

/**
 * All elements of a part in order, one at a time: a hostile part of a million elements takes no memory.
 * Only who takes all of them knows that the part is well-formed.
 * @param isWhole - false for the beginning of a part: who takes only its first elements never sees the cut
 * @param work - spent for each element, as a part may be nothing but short ones; its bytes are the caller's to spend
 * @throws DocumentFault `bad_xml` for anything that is not well-formed in this subset, `xml_doctype` for any DOCTYPE,
 * `too_complex` when there is too much of it
 */
export function* parseXml(bytes: Uint8Array, isWhole = true, work?: Work): Generator<XmlElement, void> {
  const text = decodeXml(bytes, isWhole)
  let count = 0
  const open: string[] = []
  const scopes: (Scope | undefined)[] = []
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at)) {
    const next = text[at + 1]
    if (next === "!" || next === "?") {
      at = endOfSkipped(text, at)
    } else if (next === "/") {
      const end = matchAt(END_TAG, text, at)
      if (end === null || open.pop() !== end[1]) throw new DocumentFault("bad_xml")
      scopes.pop()
      at += end[0].length
    } else {
      if ((open.length === 0 && count > 0) || open.length > MAX_DEPTH) throw new DocumentFault("bad_xml")
      count++
      const { name, attributes, expandedChars, isEmpty, end } = startTagAt(text, at)
      work?.spend(WORK_PER_ELEMENT + WORK_PER_ATTRIBUTE * attributes.size + expandedChars)
      const scope = innerScope(scopes.at(-1), attributes)
      const colon = name.indexOf(":")
      const namespace = namespaceOf(name.slice(0, Math.max(0, colon)), scope)
      yield { localName: name.slice(colon + 1), depth: open.length, namespace, attributes }
      if (!isEmpty) {
        open.push(name)
        scopes.push(scope)
      }
      at = end
    }
  }
  if (count === 0 || open.length > 0) throw new DocumentFault("bad_xml")
}

function endOfSkipped(text: string, at: number): number {
  for (const [start, end] of SKIPPED) {
    if (!text.startsWith(start, at)) continue
    const endsAt = text.indexOf(end, at + start.length)
    if (endsAt >= 0) return endsAt + end.length
  }
  throw new DocumentFault(matchAt(DOCTYPE, text, at) === null ? "bad_xml" : "xml_doctype")
}

function startTagAt(text: string, at: number) {
  const name = requireName(matchAt(TAG_NAME, text, at + 1)?.[0] ?? "")
  let end = at + 1 + name.length
  let expandedChars = 0
  const attributes = new Map<string, string>()
  for (let attribute = attributeAt(text, end); attribute !== null; attribute = attributeAt(text, end)) {
    const [all, attributeName = "", double, single] = attribute
    if (attributes.has(requireName(attributeName)) || attributes.size === MAX_ATTRIBUTES) throw new DocumentFault("bad_xml")
    const value = double ?? single ?? ""
    if (/[&\t\r\n]/.test(value)) expandedChars += value.length
    attributes.set(attributeName, attributeValue(value))
    end += all.length
  }
  const close = matchAt(TAG_END, text, end)
  if (close === null) throw new DocumentFault("bad_xml")
  return { name, attributes, expandedChars, isEmpty: close[1] === "/", end: end + close[0].length }
}

function requireName(name: string): string {
  const isName = name.length <= MAX_NAME_CHARS && (PLAIN_NAME.test(name) || NAME.test(name))
  if (!isName) throw new DocumentFault("bad_xml")
  return name
}

/** Prefix → namespace, as far as an element says so itself; the default namespace is that of the prefix "". */
type Scope = { declared: ReadonlyMap<string, string>; outer: Scope | undefined; prefixes: number }

/** Points to what is outside of it: a copy for each element would multiply all prefixes by all elements. */
function innerScope(outer: Scope | undefined, attributes: ReadonlyMap<string, string>): Scope | undefined {
  let declared: Map<string, string> | undefined
  for (const [name, value] of attributes) {
    if (name !== "xmlns" && !name.startsWith("xmlns:")) continue
    declared ??= new Map()
    declared.set(name.slice("xmlns:".length), value)
  }
  if (declared === undefined) return outer
  const prefixes = declared.size + (outer?.prefixes ?? 0)
  if (prefixes > MAX_PREFIXES) throw new DocumentFault("bad_xml")
  return { declared, outer, prefixes }
}

function namespaceOf(prefix: string, innermost: Scope | undefined): string | undefined {
  for (let scope = innermost; scope !== undefined; scope = scope.outer) {
    const namespace = scope.declared.get(prefix)
    if (namespace !== undefined) return namespace
  }
  return undefined
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}
