// Tags out of a large part without building anything of the rest: one pass over its text for the few names that are
// asked for. Not a parser: it finds what any reader could take for such a tag, whatever is around it.
import { S, endOfAttributes, valuesOf } from "./attributes.ts"
import { DocumentFault } from "./fault.ts"
import { expandReferences } from "./references.ts"
import { WORK_PER_TAG, type Work } from "./work.ts"

/** A tag and the text up to the next one; of tags that hold nothing but text, all of it. */
export type Tag = { localName: string; isEnd: boolean; isEmpty: boolean; attributes: string; text: string }

const PREFIX = "(?:[^ \\t\\r\\n<>/:]+:)?"

/** A pattern for the start tags of these local names, with any prefix, and for the end tags of those. */
export function tagPattern(localNames: readonly string[], ended: readonly string[] = []): RegExp {
  const start = String.raw`<${PREFIX}(${localNames.join("|")})(?=[ \t\r\n/>])`
  const end = String.raw`</${PREFIX}(${ended.join("|")})${S}*>`
  return new RegExp(ended.length === 0 ? start : `${start}|${end}`, "g")
}

/** Elements of nothing but text. Others within them are ignored or not, as a reader knows them or not. */
const TEXT =
  /^(?:instrText|delInstrText|delText|t|f|formula[12]?|definedName|calculatedColumnFormula|totalsRowFormula|connectString)$/
const TAG_END = /[ \t\r\n]*(\/?)>/y

/**
 * @param work - spent for each tag, as a part may be nothing but short ones; its bytes are the caller's to spend
 * @throws DocumentFault `bad_xml` for a tag of more attributes than any program writes, `too_complex`
 */
export function* findTags(text: string, pattern: RegExp, work: Work): Generator<Tag, void> {
  let open: { tag: Tag; from: number } | null = null
  for (const { 0: all, 1: localName, 2: ended = "", index } of text.matchAll(pattern)) {
    const found =
      localName === undefined
        ? { tag: { localName: ended, isEnd: true, isEmpty: false, attributes: "", text: "" }, from: null }
        : startTagAt(text, index + all.length, localName)
    work.spend(WORK_PER_TAG)
    if (found === null) continue
    if (open !== null) yield withAllText(open.tag, text.slice(open.from, index), work)
    open = null
    const { tag, from } = found
    work.spend(tag.attributes.length + (tag.text.includes("&") ? tag.text.length : 0))
    if (from !== null && !tag.isEmpty && TEXT.test(tag.localName)) open = { tag, from }
    else yield tag
  }
  if (open !== null) yield withAllText(open.tag, text.slice(open.from), work)
}

/** A start tag from behind its name, and where the first element begins that it holds; null where it is none. */
function startTagAt(text: string, at: number, localName: string): { tag: Tag; from: number | null } | null {
  const attributesEnd = endOfAttributes(text, at)
  TAG_END.lastIndex = attributesEnd
  const close = TAG_END.exec(text)
  if (close === null) return null
  const start = attributesEnd + close[0].length
  const next = text.indexOf("<", start)
  const end = next < 0 ? text.length : next
  const tag = {
    localName,
    isEnd: false,
    isEmpty: close[1] === "/",
    attributes: text.slice(at, attributesEnd),
    text: text.slice(start, end),
  }
  const holdsElement = next >= 0 && next + 1 < text.length && text[next + 1] !== "/"
  return { tag, from: holdsElement ? end : null }
}

const ends = new Map<string, RegExp>()
function endOf(localName: string): RegExp {
  const known = ends.get(localName) ?? new RegExp(`</${PREFIX}${localName}${S}*>`)
  ends.set(localName, known)
  return known
}

/** With what stands behind other elements, up to its own end; they are not to divide a word. */
function withAllText(tag: Tag, rest: string, work: Work): Tag {
  work.spend(rest.length)
  const end = rest.search(endOf(tag.localName))
  return { ...tag, text: tag.text + withoutTags(end < 0 ? rest : rest.slice(0, end)) }
}

/** @param text - begins with a tag */
function withoutTags(text: string): string {
  const pieces: string[] = []
  for (let start = 0; start < text.length;) {
    const next = text.indexOf("<", start + 1)
    const piece = text.slice(start, next < 0 ? text.length : next)
    const end = endOfTag(piece)
    if (end < piece.length) pieces.push(piece.slice(end))
    start += piece.length
  }
  return pieces.join("")
}

/** Where this tag ends, be it a right one or not; values hold no `<`, but may hold `>`. */
function endOfTag(piece: string): number {
  let quote = 0
  for (let i = 1; i < piece.length; i++) {
    const char = piece.charCodeAt(i)
    if (quote === 0 && char === GREATER) return i + 1
    if (quote === char) quote = 0
    else if (quote === 0 && (char === DOUBLE || char === SINGLE)) quote = char
  }
  const end = piece.indexOf(">")
  return end < 0 ? piece.length : end + 1
}
const [DOUBLE, SINGLE, GREATER] = [0x22, 0x27, 0x3e]

/**
 * The value of an attribute, whatever its prefix; "" where there is none.
 * @throws DocumentFault `bad_xml` when there are several that differ
 */
export const attributeOf = ({ attributes }: Tag, localName: string): string => valuesOf(attributes, [localName])[0] ?? ""

/** The text behind a tag as it is meant. */
export const textOf = ({ text }: Tag): string => expandReferences(text)

const INTERRUPTIONS = new Map([
  ["<!--", "-->"],
  ["<?", "?>"],
  ["<![CDATA[", "]]>"],
])

/** Stands for what would be markup, if CDATA did not hide it: as long, so that no text becomes longer; in no word, and no blank. */
const HIDDEN = "\u0001"
/** More than are in the CDATA of any program, and each of them takes memory while they are replaced. */
const MAX_HIDDEN = 65_536

/** Text without comments and instructions, which may stand in the middle of a word, and with CDATA as text. */
export function withoutInterruptions(text: string): string {
  const pieces: string[] = []
  let hidden = 0
  let at = 0
  const pattern = /<!--|<\?|<!\[CDATA\[/g
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const { 0: start, index } = found
    const end = INTERRUPTIONS.get(start) ?? ""
    const endsAt = text.indexOf(end, index + start.length)
    if (endsAt < 0) throw new DocumentFault("bad_xml")
    if (index > at) pieces.push(text.slice(at, index))
    if (start === "<![CDATA[") {
      const literal = text.slice(index + start.length, endsAt)
      for (const char of ["&", "<"]) hidden += countOf(char, literal)
      if (hidden > MAX_HIDDEN) throw new DocumentFault("bad_xml")
      if (literal !== "") pieces.push(literal.replaceAll(/[&<]/g, HIDDEN))
    }
    at = pattern.lastIndex = endsAt + end.length
  }
  return at === 0 ? text : pieces.join("") + text.slice(at)
}

function countOf(char: string, text: string): number {
  let count = 0
  for (let at = text.indexOf(char); at >= 0 && count <= MAX_HIDDEN; at = text.indexOf(char, at + 1)) count++
  return count
}
