// Fields of texts that reach outside the document (ECMA-376 Part 1 section 17.16): DDE and DDEAUTO start programs,
// others fetch texts, pictures and tables from elsewhere. Judged by their first word only; nothing is evaluated.
import type { FaultReason } from "./fault.ts"
import { type Tag, attributeOf, findTags, tagPattern, textOf } from "./markup.ts"

const DDE = /^dde(?:auto)?(?![\p{L}\p{N}])/iu
const FETCH = /^(?:includetext|include|import|link|database|rd)(?![\p{L}\p{N}])/iu
/**
 * Word makes such a field of every picture pasted from a web page or an e-mail, and keeps the picture: nothing is fetched
 * then when the document is opened. It is when the picture is not kept (`\d`), when the field is marked as out of date, and
 * from a share nothing at all should be.
 */
const PICTURE = /^includepicture(?![\p{L}\p{N}])/iu
const NOT_KEPT = /\s\\d(?![\p{L}\p{N}])/iu
const SHARE = /^includepicture\s+"?\s*(?:\\{2}|\/\/|file:)/iu

function fetches({ code, isDirty }: Instruction): boolean {
  return FETCH.test(code) || (PICTURE.test(code) && (isDirty || NOT_KEPT.test(code) || SHARE.test(code)))
}
const DANGEROUS = ["DDEAUTO", "INCLUDETEXT", "INCLUDEPICTURE", "IMPORT", "LINK", "DATABASE", "RD"]

/** The first word of a field whose instruction another field goes on with. */
const BEGUN = /^[a-z]*$/i
const mayBecomeDangerous = (begun: string): boolean =>
  BEGUN.test(begun) && DANGEROUS.some((word) => word.length > begun.length && word.startsWith(begun.toUpperCase()))

const FIELD = /fldChar|fldSimple|instrText|InstrText/
const TAG = tagPattern("instrText", "delInstrText", "delText", "t", "fldSimple", "fldChar", "p", "tab", "br", "cr")
const BREAKS = new Set(["p", "tab", "br", "cr"])

/** Enough for a first word, an address and a switch; nothing is known of the rest. */
const MAX_CODE_CHARS = 2048
/** Word nests no more than twenty. */
const MAX_NESTED = 32

/** A field that is open: first its instruction, then, behind its separator, its result. */
type Field = { code: string; isInstruction: boolean; isDirty: boolean }

/** What a part with text does that a policy may forbid; null for nothing. */
export function* fieldFaults(text: string): Generator<FaultReason, void> {
  if (!FIELD.test(text)) return
  for (const instruction of instructions(text)) {
    const { code, isAssembled } = instruction
    if (DDE.test(code) || (isAssembled && mayBecomeDangerous(code))) yield "dde"
    else if (fetches(instruction)) yield "external_data"
  }
}

/** A field's instruction as far as it is known; `isAssembled` where another field goes on with it. */
type Instruction = { code: string; isAssembled: boolean; isDirty: boolean }

/**
 * The instructions of all fields, each put together from the runs that it is spread over (section 17.16.18). The result
 * of a field within an instruction is part of that instruction, as it stands there; that it may be another one the next
 * time is why a first word must not come from a field.
 */
function* instructions(text: string): Generator<Instruction, void> {
  const open: Field[] = []
  for (const tag of findTags(text, TAG)) {
    if (tag.localName === "fldSimple") {
      yield { code: begin(attributeOf(tag, "instr")), isAssembled: false, isDirty: isDirty(tag) }
    } else if (tag.localName === "fldChar") {
      yield* stepField(open, attributeOf(tag, "fldCharType"), isDirty(tag))
    } else {
      const receiver = receiverOf(open)
      const added = BREAKS.has(tag.localName) ? " " : textOf(tag)
      if (receiver !== undefined) receiver.code = begin(receiver.code + added)
      else if (isCode(tag)) yield { code: begin(added), isAssembled: false, isDirty: false }
    }
  }
  for (const { code, ...field } of open) yield { code, isAssembled: false, isDirty: field.isDirty }
}

function* stepField(open: Field[], type: string, isDirty: boolean): Generator<Instruction, void> {
  if (type === "begin") {
    const outer = receiverOf(open)
    if (outer !== undefined) yield { code: outer.code, isAssembled: true, isDirty: outer.isDirty }
    open.push({ code: "", isInstruction: true, isDirty })
    return
  }
  const field = type === "end" ? open.pop() : open.at(-1)
  if (field?.isInstruction !== true) return
  yield { code: field.code, isAssembled: false, isDirty: field.isDirty }
  field.isInstruction = false
}

/** The field whose instruction the text here belongs to: that of the innermost, unless that is already showing its result. */
function receiverOf(open: readonly Field[]): Field | undefined {
  for (let i = open.length - 1; i >= Math.max(0, open.length - MAX_NESTED); i--) {
    const field = open[i]
    if (field?.isInstruction === true) return field
  }
  return undefined
}

const isDirty = (tag: Tag): boolean => /^(?:1|on|true)$/.test(attributeOf(tag, "dirty"))
const isCode = ({ localName }: Tag): boolean => localName === "instrText" || localName === "delInstrText"
const begin = (code: string): string => code.replace(/^[\s"]+/, "").slice(0, MAX_CODE_CHARS)
