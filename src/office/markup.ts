// Tags out of a large part without building anything of the rest: one pass over its text for the few names that are
// asked for. Not a parser: it finds what any reader could take for such a tag, whatever is around it.
import { DocumentFault } from "./fault.ts"
import { expandReferences } from "./xml.ts"

/** A tag and the text up to the next one; of tags that hold nothing but text, all of it. */
export type Tag = { localName: string; isEnd: boolean; isEmpty: boolean; attributes: string; text: string }

/** White space of XML (section 2.3), which is less than that of patterns: other blanks may stand in names. */
const S = "[ \\t\\r\\n]"
/** Names as they may be, and more: which letters are allowed differs between editions of XML. */
const ANY_NAME = "[^ \\t\\r\\n=<>\"'/]+"
/** All attributes of a tag, as a pattern. */
export const ATTRIBUTES = String.raw`(?:${S}+${ANY_NAME}${S}*=${S}*(?:"[^"<]*"|'[^'<]*'))*`
const PREFIX = "(?:[^ \\t\\r\\n<>/:]+:)?"
const ATTRIBUTE = new RegExp(String.raw`${S}(${ANY_NAME})${S}*=${S}*(?:"([^"]*)"|'([^']*)')`, "g")

/** A pattern for the start tags of these local names, with any prefix, and for the end tags of those. */
export function tagPattern(localNames: readonly string[], ended: readonly string[] = []): RegExp {
  const start = String.raw`<${PREFIX}(${localNames.join("|")})(${ATTRIBUTES})${S}*(/?)>([^<]*)(?=(<[^/])?)`
  const end = String.raw`</${PREFIX}(${ended.join("|")})${S}*>`
  return new RegExp(ended.length === 0 ? start : `${start}|${end}`, "g")
}

/** Elements of nothing but text. Others within them are ignored or not, as a reader knows them or not. */
const TEXT =
  /^(?:instrText|delInstrText|delText|t|f|formula[12]?|definedName|calculatedColumnFormula|totalsRowFormula|connectString)$/
const ANY_TAG = /<(?:[^<>"']|"[^"]*"|'[^']*')*>/g

export function* findTags(text: string, pattern: RegExp): Generator<Tag, void> {
  let open: { tag: Tag; from: number } | null = null
  for (const { 0: all, 1: localName, 2: attributes = "", 3: slash, 4: content = "", 5: child, 6: ended, index } of text.matchAll(
    pattern,
  )) {
    if (open !== null) yield withAllText(open.tag, text.slice(open.from, index))
    open = null
    const tag = {
      localName: localName ?? ended ?? "",
      isEnd: localName === undefined,
      isEmpty: slash === "/",
      attributes,
      text: content,
    }
    if (child !== undefined && !tag.isEmpty && TEXT.test(tag.localName)) open = { tag, from: index + all.length }
    else yield tag
  }
  if (open !== null) yield withAllText(open.tag, text.slice(open.from))
}

const ends = new Map<string, RegExp>()
function endOf(localName: string): RegExp {
  const known = ends.get(localName) ?? new RegExp(`</${PREFIX}${localName}${S}*>`)
  ends.set(localName, known)
  return known
}

/** With what stands behind other elements, up to its own end; they are not to divide a word. */
function withAllText(tag: Tag, rest: string): Tag {
  const end = rest.search(endOf(tag.localName))
  return { ...tag, text: tag.text + (end < 0 ? rest : rest.slice(0, end)).replaceAll(ANY_TAG, "") }
}

/**
 * The value of an attribute, whatever its prefix; "" where there is none.
 * @throws DocumentFault `bad_xml` when there are several that differ: readers would choose by their namespaces
 */
export function attributeOf({ attributes }: Tag, localName: string): string {
  let value: string | undefined
  for (const [, name = "", double, single] of attributes.matchAll(ATTRIBUTE)) {
    if (name.slice(name.lastIndexOf(":") + 1) !== localName) continue
    const found = expandReferences(double ?? single ?? "")
    if (value !== undefined && value !== found) throw new DocumentFault("bad_xml")
    value = found
  }
  return value ?? ""
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
