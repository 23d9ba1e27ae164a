// Tags out of a large part without building anything of the rest: one pass over its text for the few names that are
// asked for. Not a parser: it finds what a lenient reader could take for such a tag, whatever is around it.
import { DocumentFault } from "./fault.ts"
import { ATTRIBUTES, expandReferences, parseAttributes } from "./xml.ts"

/** A start tag, or a tag without content, and the text up to the next tag. */
export type Tag = { localName: string; attributes: string; text: string }

/** A pattern for the tags of these local names, with any prefix. */
export const tagPattern = (...localNames: string[]): RegExp =>
  new RegExp(String.raw`<(?:[^\s<>/:]+:)?(${localNames.join("|")})(${ATTRIBUTES})\s*/?>([^<]*)`, "gu")

export function* findTags(text: string, pattern: RegExp): Generator<Tag, void> {
  for (const [, localName = "", attributes = "", content = ""] of text.matchAll(pattern)) {
    yield { localName, attributes, text: content }
  }
}

/** The value of an attribute, whatever its prefix; "" where there is none. */
export function attributeOf({ attributes }: Tag, localName: string): string {
  const found = [...parseAttributes(attributes)].find(([name]) => name.slice(name.indexOf(":") + 1) === localName)
  return found?.[1] ?? ""
}

/** The text behind a tag as it is meant. */
export const textOf = ({ text }: Tag): string => expandReferences(text)

const INTERRUPTIONS = new Map([
  ["<!--", "-->"],
  ["<?", "?>"],
  ["<![CDATA[", "]]>"],
])

/** Text without comments and instructions, which may stand in the middle of a word, and with CDATA as text. */
export function withoutInterruptions(text: string): string {
  const pieces: string[] = []
  let at = 0
  for (const { 0: start, index } of text.matchAll(/<!--|<\?|<!\[CDATA\[/g)) {
    if (index < at) continue
    const end = INTERRUPTIONS.get(start) ?? ""
    const endsAt = text.indexOf(end, index + start.length)
    if (endsAt < 0) throw new DocumentFault("bad_xml")
    pieces.push(text.slice(at, index))
    if (start === "<![CDATA[") {
      const literal = text.slice(index + start.length, endsAt)
      pieces.push(literal.replaceAll("&", "&amp;").replaceAll("<", "&lt;"))
    }
    at = endsAt + end.length
  }
  return pieces.join("") + text.slice(at)
}
