// A strict reader of small XML parts: elements and attributes, nothing else. It has no DTDs, so no entities
// to expand or fetch: a DOCTYPE is refused (ASVS 5.0 V1.5.1). Text is skipped: the parts that we read have none.
import { DocumentFault } from "./fault.ts"

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
 */
export function decodeXml(bytes: Uint8Array, isWhole = true): string {
  const [a, b] = bytes
  const isLittle = (a === 0xff && b === 0xfe) || (a === 0x3c && b === 0)
  const isBig = (a === 0xfe && b === 0xff) || (a === 0 && b === 0x3c)
  const isWide = isLittle || isBig
  const isMarked = a === 0xef && b === 0xbb && bytes[2] === 0xbf
  const start = new TextDecoder(isLittle ? "utf-16le" : isBig ? "utf-16be" : "windows-1252").decode(
    bytes.subarray(0, MAX_DECLARATION_BYTES * (isWide ? 2 : 1)),
  )
  const declared = declaredEncoding(start.replace(/^\u00ef\u00bb\u00bf/, ""))
  const encoding = isLittle ? "utf-16le" : isBig ? "utf-16be" : WESTERN.test(declared) && !isMarked ? "windows-1252" : "utf-8"
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

const NAME = String.raw`[\p{L}_][\p{L}\p{N}_.\-]*(?::[\p{L}_][\p{L}\p{N}_.\-]*)?`
const ATTRIBUTES = String.raw`(?:\s+${NAME}\s*=\s*(?:"[^"<]*"|'[^'<]*'))*`
const START_TAG = new RegExp(String.raw`<(${NAME})(${ATTRIBUTES})\s*(/?)>`, "uy")
const END_TAG = new RegExp(String.raw`</(${NAME})\s*>`, "uy")
const ATTRIBUTE = new RegExp(String.raw`(${NAME})\s*=\s*(?:"([^"]*)"|'([^']*)')`, "gu")
const SKIPPED = [/<\?[^]*?\?>/y, /<!--[^]*?-->/y, /<!\[CDATA\[[^]*?\]\]>/y, /[^<]+/y]

/** A DOCTYPE anywhere outside comments: no document needs one (ASVS 5.0 V1.5.1). */
const DOCTYPE = /<!DOCTYPE/iy
/** Deeper than any part that we read. */
const MAX_DEPTH = 64
const MAX_PREFIXES = 256

/**
 * All elements of a part in order, one at a time: a hostile part of a million elements takes no memory.
 * Only who takes all of them knows that the part is well-formed.
 * @param isWhole - false for the beginning of a part: who takes only its first elements never sees the cut
 * @throws DocumentFault `bad_xml` for anything that is not well-formed in this subset, `xml_doctype` for any DOCTYPE
 */
export function* parseXml(bytes: Uint8Array, isWhole = true): Generator<XmlElement, void> {
  const text = decodeXml(bytes, isWhole)
  let count = 0
  const open: string[] = []
  const scopes: Scope[] = []
  for (let at = 0; at < text.length;) {
    const start = matchAt(START_TAG, text, at)
    if (start !== null) {
      const [tag, name = "", attributeText = "", selfClosing] = start
      if ((open.length === 0 && count > 0) || open.length > MAX_DEPTH) throw new DocumentFault("bad_xml")
      count++
      const attributes = parseAttributes(attributeText)
      const scope = attributeText.includes("xmlns") ? innerScope(scopes.at(-1), attributes) : (scopes.at(-1) ?? NO_SCOPE)
      const colon = name.indexOf(":")
      const namespace = scope.get(name.slice(0, Math.max(0, colon)))
      yield { localName: name.slice(colon + 1), depth: open.length, namespace, attributes }
      if (selfClosing !== "/") {
        open.push(name)
        scopes.push(scope)
      }
      at += tag.length
      continue
    }
    const end = matchAt(END_TAG, text, at)
    if (end !== null) {
      if (open.pop() !== end[1]) throw new DocumentFault("bad_xml")
      scopes.pop()
      at += end[0].length
      continue
    }
    const skipped = SKIPPED.map((pattern) => matchAt(pattern, text, at)).find((match) => match !== null)
    if (skipped === undefined) throw new DocumentFault(matchAt(DOCTYPE, text, at) === null ? "bad_xml" : "xml_doctype")
    at += skipped[0].length
  }
  if (count === 0 || open.length > 0) throw new DocumentFault("bad_xml")
}

/** Prefix → namespace; the default namespace is that of the prefix "". */
type Scope = ReadonlyMap<string, string>
const NO_SCOPE: Scope = new Map()

function innerScope(outer: Scope | undefined, attributes: ReadonlyMap<string, string>): Scope {
  const declared = [...attributes].filter(([name]) => name === "xmlns" || name.startsWith("xmlns:"))
  if (declared.length === 0) return outer ?? NO_SCOPE
  if (declared.length + (outer?.size ?? 0) > MAX_PREFIXES) throw new DocumentFault("bad_xml")
  return new Map([...(outer ?? []), ...declared.map(([name, value]): [string, string] => [name.slice("xmlns:".length), value])])
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** @param text - attributes that ATTRIBUTES has matched */
function parseAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const [, name = "", double, single] of text.matchAll(ATTRIBUTE)) {
    if (attributes.has(name)) throw new DocumentFault("bad_xml")
    attributes.set(name, expandReferences(double ?? single ?? ""))
  }
  return attributes
}

const PREDEFINED = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
])

/** @throws DocumentFault `bad_xml` for an entity that XML does not predefine */
export function expandReferences(value: string): string {
  if (!value.includes("&")) return value
  return value.replaceAll(/&([^;&]*);?/g, (_, name: string) => {
    const number = /^#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}))$/.exec(name)
    const codePoint =
      number === null ? Number.NaN : Number.parseInt(number[1] ?? number[2] ?? "", number[1] === undefined ? 10 : 16)
    if (codePoint <= 0x10ffff) return String.fromCodePoint(codePoint)
    const char = PREDEFINED.get(name)
    if (char === undefined) throw new DocumentFault("bad_xml")
    return char
  })
}
