// A strict reader of small XML parts: elements and attributes, nothing else. It has no DTDs, so no entities
// to expand or fetch: a DOCTYPE is refused (ASVS 5.0 V1.5.1). Text is skipped: the parts that we read have none.

export class XmlFault extends Error {
  override readonly name = "XmlFault"
}

export type XmlElement = {
  /** Without its prefix. */
  localName: string
  /** By name as written; without namespaces, which no attribute that we read has. */
  attributes: ReadonlyMap<string, string>
}

/** UTF-8 or UTF-16 by byte order mark (XML 1.0 section 4.3.3), as Office programs write them. */
function decode(bytes: Uint8Array): string {
  const [a, b] = bytes
  const encoding = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : "utf-8"
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    throw new XmlFault("not decodable")
  }
}

const NAME = String.raw`[\p{L}_][\p{L}\p{N}_.\-]*(?::[\p{L}_][\p{L}\p{N}_.\-]*)?`
const START_TAG = new RegExp(String.raw`<(${NAME})((?:\s+${NAME}\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(/?)>`, "uy")
const END_TAG = new RegExp(String.raw`</(${NAME})\s*>`, "uy")
const ATTRIBUTE = new RegExp(String.raw`(${NAME})\s*=\s*(?:"([^"]*)"|'([^']*)')`, "gu")
const SKIPPED = [/<\?[^]*?\?>/y, /<!--[^]*?-->/y, /<!\[CDATA\[[^]*?\]\]>/y, /[^<]+/y]

/**
 * All elements of a document in order, one at a time: a hostile part of a million elements takes no memory.
 * Only who takes all of them knows that the document is well-formed.
 * @throws XmlFault for anything that is not well-formed in this subset, and for any DOCTYPE
 */
export function* parseXml(bytes: Uint8Array): Generator<XmlElement, void> {
  const text = decode(bytes)
  let count = 0
  const open: string[] = []
  for (let at = 0; at < text.length;) {
    const start = matchAt(START_TAG, text, at)
    if (start !== null) {
      const [tag, name = "", attributes = "", selfClosing] = start
      if (open.length === 0 && count > 0) throw new XmlFault("two root elements")
      count++
      yield { localName: name.slice(name.indexOf(":") + 1), attributes: parseAttributes(attributes) }
      if (selfClosing !== "/") open.push(name)
      at += tag.length
      continue
    }
    const end = matchAt(END_TAG, text, at)
    if (end !== null) {
      if (open.pop() !== end[1]) throw new XmlFault("tags do not match")
      at += end[0].length
      continue
    }
    const skipped = SKIPPED.map((pattern) => matchAt(pattern, text, at)).find((match) => match !== null)
    if (skipped === undefined) throw new XmlFault("not well-formed")
    at += skipped[0].length
  }
  if (count === 0 || open.length > 0) throw new XmlFault("not well-formed")
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

function parseAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const [, name = "", double, single] of text.matchAll(ATTRIBUTE)) {
    if (attributes.has(name)) throw new XmlFault("an attribute twice")
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

function expandReferences(value: string): string {
  return value.replaceAll(/&([^;&]*);?/g, (_, name: string) => {
    const number = /^#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}))$/.exec(name)
    const codePoint =
      number === null ? Number.NaN : Number.parseInt(number[1] ?? number[2] ?? "", number[1] === undefined ? 10 : 16)
    if (codePoint <= 0x10ffff) return String.fromCodePoint(codePoint)
    const char = PREDEFINED.get(name)
    if (char === undefined) throw new XmlFault("unknown entity")
    return char
  })
}
