// Fields of texts that reach outside the document (ECMA-376 Part 1 section 17.16): DDE and DDEAUTO start programs,
// others fetch texts, pictures and tables from elsewhere. Judged by their first word only; nothing is evaluated.
import { valuesOf } from "./attributes.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"
import { type Tag, findTags, tagPattern, textOf } from "./markup.ts"
import { WORK_PER_BYTE_OF_LOOK, WORK_PER_CHAR_OF_PICTURE, type Work } from "./work.ts"

const DDE = /^dde(?:auto)?(?![\p{L}\p{N}])/iu
const FETCH = /^(?:includetext|include|import|link|database|rd)(?![\p{L}\p{N}])/iu
/**
 * Word makes such a field of every picture pasted from a web page or an e-mail, and keeps the picture: nothing is fetched
 * then when the document is opened. It is when the picture is not kept (`\d`), when the field is marked as out of date, and
 * from a share nothing at all should be.
 */
const PICTURE = /^includepicture(?![\p{L}\p{N}])/iu
const NOT_KEPT = /\s\\d(?![\p{L}\p{N}])/iu
const SHARE = /^includepicture\s+(?:"\s*)?(?:\\{2}|\/\/|file:)/iu

function fetches({ code, isDirty }: Instruction, work: Work): boolean {
  if (FETCH.test(code)) return true
  if (!PICTURE.test(code)) return false
  // Gone through to its end, and again for each field within it.
  work.spend(code.length * WORK_PER_CHAR_OF_PICTURE)
  return isDirty || NOT_KEPT.test(code) || SHARE.test(code)
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

/** A field that is open: first its instruction, then, behind its separator, its result. `kept` leaves out what is deleted. */
type Field = { code: string; kept: string; isInstruction: boolean; isDirty: boolean }

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
      else branches.push({ fields: open.length, receiver, code: receiver?.code ?? "" })
    } else if (localName === "fldSimple") {
      const [code = "", dirty = ""] = valuesOf(tag.attributes, ["instr", "dirty"])
      yield { code: begin(code), isAssembled: false, isDirty: isTrue(dirty) }
    } else if (localName === "fldChar") {
      const [type = "", dirty = ""] = valuesOf(tag.attributes, ["fldCharType", "dirty"])
      yield* stepField(open, type.trim(), isTrue(dirty))
    } else {
      const added = BREAKS.has(localName) ? " " : textOf(tag)
      if (receiver !== undefined) {
        receiver.code = goOn(receiver.code, added)
        if (deletions === 0 && !localName.startsWith("del")) receiver.kept = goOn(receiver.kept, added)
      } else if (isCode(tag)) yield { code: begin(added), isAssembled: false, isDirty: false }
    }
  }
  for (const field of open) yield* finished(field)
}

function* stepField(open: Field[], type: string, isDirty: boolean): Generator<Instruction, void> {
  if (type === "begin") {
    const outer = receiverOf(open)
    if (outer !== undefined) yield* finished(outer, true)
    open.push({ code: "", kept: "", isInstruction: true, isDirty })
    return
  }
  const field = type === "end" ? open.pop() : open.at(-1)
  if (field?.isInstruction !== true) return
  yield* finished(field)
  field.isInstruction = false
}

/** An instruction as it reads with what is deleted, and without. */
function* finished({ code, kept, isDirty }: Field, isAssembled = false): Generator<Instruction, void> {
  yield { code, isAssembled, isDirty }
  if (kept !== code) yield { code: kept, isAssembled, isDirty }
}

/** Behind one of several alternatives: where fields stand otherwise than before, a reader that takes another sees other fields. */
function* chosen(before: Before | undefined, open: readonly Field[]): Generator<Instruction, void> {
  if (before === undefined) return
  const receiver = receiverOf(open)
  const isBalanced = open.length === before.fields && receiver === before.receiver
  if (isBalanced && (receiver?.code ?? "") === before.code) return
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
const begin = (code: string): string => code.replace(/^[\s"]+/, "").slice(0, MAX_CODE_CHARS)
