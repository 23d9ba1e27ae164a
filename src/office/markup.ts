// Tags out of a large part without building anything of the rest: one pass over its text for the few names that are
// asked for. Not a parser: it finds what any reader could take for such a tag, whatever is around it.
import { S, endOfAttributes, valuesOf } from "./attributes.ts"
import { DocumentFault } from "./fault.ts"
import { expandReferences } from "./references.ts"
import { WORK_PER_TAG, type Work } from "./work.ts"

/**
 * A tag and the text up to the next one; of tags that hold nothing but text, all of it. `ownText` is that without the text
 * of other elements within, and `dividedText` that with a blank for each of their tags.
 */
export type Tag = {
  localName: string
  /** With its colon; "" for none, and for end tags. */
  prefix: string
  isEnd: boolean
  isEmpty: boolean
  attributes: string
  text: string
  ownText: string
  dividedText: string
}

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
  let open: OpenText | null = null
  for (const { 0: all, 1: localName, 2: ended = "", index } of text.matchAll(pattern)) {
    const found =
      localName === undefined
        ? { tag: { ...NO_TAG, localName: ended, isEnd: true }, from: null }
        : startTagAt(text, index + all.length, all.slice(1))
    work.spend(WORK_PER_TAG)
    if (found === null) continue
    if (open !== null) yield withAllText(open, text, index, work)
    open = null
    const { tag, from } = found
    work.spend(tag.attributes.length + (tag.text.includes("&") ? tag.text.length : 0))
    if (from !== null && !tag.isEmpty && TEXT.test(tag.localName)) open = { tag, from }
    else yield tag
  }
  if (open !== null) yield withAllText(open, text, text.length, work)
}

const NO_TAG: Tag = {
  localName: "",
  prefix: "",
  isEnd: false,
  isEmpty: false,
  attributes: "",
  text: "",
  ownText: "",
  dividedText: "",
}
/** One of nothing but text that holds another element, from there. */
type OpenText = { tag: Tag; from: number }

/** A start tag from behind its name, and where the first element begins that it holds; null where it is none. */
function startTagAt(text: string, at: number, name: string): { tag: Tag; from: number | null } | null {
  const attributesEnd = endOfAttributes(text, at)
  TAG_END.lastIndex = attributesEnd
  const close = TAG_END.exec(text)
  if (close === null) return null
  const start = attributesEnd + close[0].length
  const next = text.indexOf("<", start)
  const end = next < 0 ? text.length : next
  const behindPrefix = name.indexOf(":") + 1
  const held = text.slice(start, end)
  const tag = {
    localName: name.slice(behindPrefix),
    prefix: name.slice(0, behindPrefix),
    isEnd: false,
    isEmpty: close[1] === "/",
    attributes: text.slice(at, attributesEnd),
    text: held,
    ownText: held,
    dividedText: held,
  }
  const holdsElement = next >= 0 && next + 1 < text.length && text[next + 1] !== "/"
  return { tag, from: holdsElement ? end : null }
}

/**
 * With what stands behind other elements, up to its own end; they are not to divide a word, whatever their names are.
 * @param next - where another tag is that was asked for; all there is of one that never ends
 */
function withAllText({ tag, from }: OpenText, text: string, next: number, work: Work): Tag {
  const end = ownEnd(text, from, tag.prefix + tag.localName)
  const rest = text.slice(from, end < 0 ? next : end)
  work.spend(end < 0 ? text.length - from : rest.length)
  const within = withoutTags(rest)
  return {
    ...tag,
    text: tag.text + within.text,
    ownText: tag.ownText + within.ownText,
    dividedText: tag.text + within.dividedText,
  }
}

/**
 * Where the end tag of this very element is, as others of its name may stand within; negative for nowhere. Without a
 * pattern of the name, which may be of megabytes.
 */
function ownEnd(text: string, from: number, name: string): number {
  let depth = 1
  for (let at = text.indexOf("<", from); at >= 0; at = text.indexOf("<", at + 1)) {
    const isEnd = text[at + 1] === "/"
    const nameAt = at + (isEnd ? 2 : 1)
    if (!text.startsWith(name, nameAt) || !BEHIND_NAME.has(text[nameAt + name.length] ?? "")) continue
    if (isEnd) depth--
    else if (!isEmptyTag(pieceAt(text, at))) depth++
    if (depth === 0) return at
  }
  return -1
}
const BEHIND_NAME = new Set([" ", "\t", "\r", "\n", "/", ">"])

/** A tag and the text behind it. */
function pieceAt(text: string, start: number): string {
  const next = text.indexOf("<", start + 1)
  return text.slice(start, next < 0 ? text.length : next)
}
const isEmptyTag = (piece: string): boolean => piece[endOfTag(piece) - 2] === "/"

/** @param text - begins with a tag */
function withoutTags(text: string): { text: string; ownText: string; dividedText: string } {
  const pieces: string[] = []
  const own: string[] = []
  let depth = 0
  for (let start = 0; start < text.length;) {
    const piece = pieceAt(text, start)
    const end = endOfTag(piece)
    if (piece[1] === "/") depth--
    else if (piece[end - 2] !== "/" && piece[1] !== "!" && piece[1] !== "?") depth++
    if (end < piece.length) {
      pieces.push(piece.slice(end))
      if (depth <= 0) own.push(piece.slice(end))
    }
    start += piece.length
  }
  return { text: pieces.join(""), ownText: own.join(""), dividedText: ` ${pieces.join(" ")}` }
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

/** Where comments, instructions and CDATA begin. */
export const INTERRUPTION = /<!--|<\?|<!\[CDATA\[/g
/** How they end, by how they begin. */
export const INTERRUPTION_ENDS: ReadonlyMap<string, string> = new Map([
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
  const pattern = new RegExp(INTERRUPTION)
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const { 0: start, index } = found
    const end = INTERRUPTION_ENDS.get(start) ?? ""
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
