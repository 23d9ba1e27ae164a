// Fields of texts that reach outside the document (ECMA-376 Part 1 section 17.16): DDE and DDEAUTO start programs,
// others fetch texts, pictures and tables from elsewhere. Judged by their first word only; nothing is evaluated.
import { attributeAt, valuesOf } from "./attributes.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"
import { type Tag, findTags, tagPattern } from "./markup.ts"
import { expandReferences } from "./references.ts"
import { WORK_PER_BYTE_OF_LOOK, WORK_PER_CHAR_OF_PICTURE, type Work } from "./work.ts"

const DDE = /^dde(?:auto)?(?![\p{L}\p{N}])/iu
const FETCH = /^(?:includetext|include|import|link|database|rd)(?![\p{L}\p{N}])/iu
/**
 * Word makes such a field of every picture pasted from a web page or an e-mail, and keeps the picture: nothing is fetched
 * then when the document is opened. It is when the picture is not kept (`\d`), when the field is marked as out of date, and
 * from a share nothing at all should be.
 */
const PICTURE = /^includepicture(?![\p{L}\p{N}])/iu
/** What could push a switch out of what is kept of an instruction: addresses, even with a whole picture in them, have no blanks. */
const PADDED = /\s{64}/u
/** A backslash that another one does not escape; blanks before it are not needed. */
const NOT_KEPT = /(?<!\\)(?:\\\\)*\\d(?![\p{L}\p{N}])/iu
const SHARE = /(?:^includepicture|[\s"“”„])(?:[\\/]{2}|file:)/iu

function fetches({ code, isDirty }: Instruction, work: Work): boolean {
  if (FETCH.test(code)) return true
  if (!PICTURE.test(code)) return false
  // Gone through to its end, and again for each field within it.
  work.spend(code.length * WORK_PER_CHAR_OF_PICTURE)
  return isDirty || (code.length === MAX_CODE_CHARS && PADDED.test(code)) || NOT_KEPT.test(code) || SHARE.test(code)
}
const DANGEROUS = ["DDEAUTO", "INCLUDETEXT", "INCLUDEPICTURE", "IMPORT", "LINK", "DATABASE", "RD"]

/** The first word of a field whose instruction another field goes on with. */
const BEGUN = /^[a-z]*$/i
const mayBecomeDangerous = (begun: string): boolean =>
  BEGUN.test(begun) && DANGEROUS.some((word) => word.length > begun.length && word.startsWith(begun.toUpperCase()))

const FIELD = /fldChar|fldSimple|instrText|InstrText/
const TAG = tagPattern(
  [
    "instrText",
    "delInstrText",
    "delText",
    "t",
    "fldSimple",
    "fldChar",
    "p",
    "tab",
    "br",
    "cr",
    "del",
    "moveFrom",
    "Choice",
    "Fallback",
  ],
  ["del", "moveFrom", "Choice", "Fallback"],
)
const BREAKS = new Set(["p", "tab", "br", "cr"])
/** What a reader shows as text that is gone, and what it takes only one of. */
const DELETED = new Set(["del", "moveFrom"])
const BRANCHES = new Set(["Choice", "Fallback"])

/** Enough for a first word, an address and a switch; nothing is known of the rest. */
const MAX_CODE_CHARS = 2048
/** Word nests no more than twenty fields, and hardly ever alternatives. */
const MAX_NESTED = 32

/**
 * What readers differ about in a piece of an instruction: is it there when it is deleted, by what is around it or by its
 * name; when its prefix is another than that of the field, and may be ignored; are other elements within it there, and do
 * they divide it; and are the blanks around it there?
 */
const TRAITS = { deleted: 1, deletedByName: 2, foreign: 4, holdsText: 8, isDivided: 16, blanks: 32 }
/** One way to read an instruction: without the pieces, or the parts of them, that have these traits. */
type Reading = { without: number; code: string }
/** For going on with one more reading, or judging it, and for each of its letters. */
const WORK_PER_READING = 4
const WORK_PER_CHAR_OF_READING = 0.02

/** A field that is open: first its instruction, then, behind its separator, its result. `mark` is how its begin is spelled. */
type Field = {
  readings: Reading[]
  traits: number
  prefix: string
  mark: string
  isInstruction: boolean
  isDirty: boolean
}

/** What a part with text does that a policy may forbid; null for nothing. */
export function* fieldFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (!FIELD.test(text) || !work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  for (const instruction of instructions(text, work)) {
    const { code, isAssembled } = instruction
    if (DDE.test(code) || (isAssembled && mayBecomeDangerous(code))) yield "dde"
    else if (fetches(instruction, work)) yield "external_data"
  }
}

/** A field's instruction as far as it is known; `isAssembled` where another field goes on with it. */
type Instruction = { code: string; isAssembled: boolean; isDirty: boolean }

/** How fields stood before one of several alternatives. */
type Before = { fields: number; receiver: Field | undefined; code: string }

/**
 * The instructions of all fields, each put together from the runs that it is spread over (section 17.16.18). The result
 * of a field within an instruction is part of that instruction, as it stands there; that it may be another one the next
 * time is why a first word must not come from a field. Nor from alternatives (Part 3 section 7.6), of which a reader takes one.
 */
function* instructions(text: string, work: Work): Generator<Instruction, void> {
  const open: Field[] = []
  const branches: Before[] = []
  let deletions = 0
  for (const tag of findTags(text, TAG, work)) {
    const { localName } = tag
    const receiver = receiverOf(open)
    if (DELETED.has(localName)) {
      if (!tag.isEmpty) deletions = Math.max(0, deletions + (tag.isEnd ? -1 : 1))
    } else if (BRANCHES.has(localName)) {
      if (tag.isEmpty) continue
      if (tag.isEnd) yield* chosen(branches.pop(), open)
      else if (branches.length === MAX_NESTED) throw new DocumentFault("bad_xml")
      else branches.push({ fields: open.length, receiver, code: codeOf(receiver) })
    } else if (localName === "fldSimple") {
      const [code = "", dirty = ""] = valuesOf(tag.attributes, ["instr", "dirty"])
      if (receiver !== undefined) yield* finished(receiver, work, true)
      yield { code: begin(code), isAssembled: false, isDirty: isTrue(dirty) }
    } else if (localName === "fldChar") {
      yield* stepField(open, tag, work)
    } else if (receiver !== undefined) addTo(receiver, tag, deletions > 0, work)
    else if (isCode(tag)) yield { code: begin(expandReferences(tag.text)), isAssembled: false, isDirty: false }
  }
  for (const field of open) yield* finished(field, work)
}

/** How the type of a `fldChar` is spelled: the prefixes of the tag and of the attributes. Readers may ignore some of them. */
export function markOf(prefix: string, attributes: string): { mark: string; value: string } {
  let mark = prefix
  let value = ""
  let attribute = attributeAt(attributes, 0)
  for (let at = 0; attribute !== null; attribute = attributeAt(attributes, at)) {
    const [all, name = "", double, single] = attribute
    at += all.length
    if (!/^(?:.*:)?fldCharType$/s.test(name)) continue
    mark += ` ${name}`
    value = (double ?? single ?? "").trim()
  }
  return { mark, value }
}

/** What is none of the three types changes nothing; what is spelled otherwise than the begin may change nothing. */
function* stepField(open: Field[], { prefix, attributes }: Tag, work: Work): Generator<Instruction, void> {
  const [spelled = "", dirty = ""] = valuesOf(attributes, ["fldCharType", "dirty"])
  const type = spelled.trim()
  const { mark } = markOf(prefix, attributes)
  if (type === "begin") {
    const outer = receiverOf(open)
    if (outer !== undefined) yield* finished(outer, work, true)
    const readings = [{ without: 0, code: "" }]
    open.push({ readings, traits: 0, prefix, mark, isInstruction: true, isDirty: isTrue(dirty) })
    return
  }
  const field = open.at(-1)
  if (field === undefined || (type !== "separate" && type !== "end")) return
  if (field.isInstruction) yield* finished(field, work)
  if (field.mark !== mark) return
  field.isInstruction = false
  if (type === "end") open.pop()
}

/** Goes on with all readings; there are twice as many as soon as a piece comes that readers differ about. */
function addTo(field: Field, tag: Tag, isDeleted: boolean, work: Work): void {
  const isBreak = BREAKS.has(tag.localName)
  const text = isBreak ? " " : expandReferences(tag.text)
  const isWhole = isBreak || tag.dividedText === tag.text
  const own = isWhole ? text : expandReferences(tag.ownText)
  const divided = isWhole ? text : expandReferences(tag.dividedText)
  const gone =
    (isDeleted ? TRAITS.deleted : 0) |
    (tag.localName.startsWith("del") ? TRAITS.deletedByName : 0) |
    (tag.prefix === field.prefix ? 0 : TRAITS.foreign)
  const hasBlanks = !isBreak && [text, own, divided].some((each) => each.trim() !== each)
  const traits =
    gone | (own === text ? 0 : TRAITS.holdsText) | (divided === text ? 0 : TRAITS.isDivided) | (hasBlanks ? TRAITS.blanks : 0)
  for (const trait of Object.values(TRAITS)) {
    if ((traits & trait & ~field.traits) === 0) continue
    field.traits |= trait
    field.readings.push(...field.readings.map(({ without, code }) => ({ without: without | trait, code })))
  }
  work.spend((field.readings.length - 1) * WORK_PER_READING)
  for (const reading of field.readings) {
    const { without } = reading
    if ((without & gone) !== 0) continue
    const added = (without & TRAITS.holdsText) !== 0 ? own : (without & TRAITS.isDivided) === 0 ? text : divided
    reading.code = goOn(reading.code, (without & TRAITS.blanks) === 0 || isBreak ? added : added.trim())
  }
}

/** An instruction in all the ways to read it. */
function* finished({ readings, isDirty }: Field, work: Work, isAssembled = false): Generator<Instruction, void> {
  for (const { code } of readings.slice(1)) work.spend(WORK_PER_READING + code.length * WORK_PER_CHAR_OF_READING)
  for (const code of new Set(readings.map((reading) => reading.code))) yield { code, isAssembled, isDirty }
}

const codeOf = (field: Field | undefined): string => field?.readings[0]?.code ?? ""

/** Behind one of several alternatives: where fields stand otherwise than before, a reader that takes another sees other fields. */
function* chosen(before: Before | undefined, open: readonly Field[]): Generator<Instruction, void> {
  if (before === undefined) return
  const receiver = receiverOf(open)
  const isBalanced = open.length === before.fields && receiver === before.receiver
  if (isBalanced && codeOf(receiver) === before.code) return
  yield { code: isBalanced ? before.code : "", isAssembled: true, isDirty: false }
}

/** The field whose instruction the text here belongs to: that of the innermost, unless that is already showing its result. */
function receiverOf(open: readonly Field[]): Field | undefined {
  for (let i = open.length - 1; i >= Math.max(0, open.length - MAX_NESTED); i--) {
    const field = open[i]
    if (field?.isInstruction === true) return field
  }
  return undefined
}

const isTrue = (value: string): boolean => /^(?:1|on|true)$/.test(value)
const isCode = ({ localName }: Tag): boolean => localName === "instrText" || localName === "delInstrText"
function goOn(code: string, added: string): string {
  if (code === "") return begin(added)
  return code.length === MAX_CODE_CHARS ? code : code + added.slice(0, MAX_CODE_CHARS - code.length)
}
const begin = (code: string): string => code.replace(/^[\s"“”„]+/, "").slice(0, MAX_CODE_CHARS)
