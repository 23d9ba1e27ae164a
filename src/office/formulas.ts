// Formulas of workbooks that reach outside (ECMA-376 Part 1 section 18.17): references to a program, which are
// written app|topic!item, and functions that start one or fetch something. Nothing is evaluated.
import { valuesOf } from "./attributes.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"
import { findTags, tagPattern, textOf } from "./markup.ts"
import { WORK_PER_BYTE_OF_LOOK, WORK_PER_FORMULA, WORK_PER_SHAPE, type Work } from "./work.ts"

const TAG = tagPattern([
  "f",
  "nf",
  "formula",
  "formula1",
  "formula2",
  "definedName",
  "calculatedColumnFormula",
  "totalsRowFormula",
])
/** Without one of these no formula can be meant. */
const SUSPICIOUS = /[|&[\\]|\/\/|dde|rtd|webservice|image|register\.id/i

/** Excel takes 8192; longer ones would take the patterns below more memory than they have. */
const MAX_FORMULA_CHARS = 65_536

/**
 * Texts, quoted names of sheets and columns of tables may hold any characters; in columns, an apostrophe escapes the next.
 * A column that never ends is taken, too: each beginning within it would be tried to the end otherwise.
 */
const QUOTED = /"(?:[^"]|"")*"|'(?:[^']|'')*'|\[(?:'[^]|[^'[\]])*\]?/g
/** Besides these two of links: REGISTER.ID loads a library (DLL), also on worksheets, where Excel allows neither CALL nor REGISTER. */
const PROGRAM_FUNCTION = /(?<![\p{L}\p{N}_.])(?:(?:_xl[a-z]+|com\.microsoft)\.)*(?:dde|rtd|register\.id)\s*\(/iu
const FETCH_FUNCTION = /(?<![\p{L}\p{N}_.])(?:(?:_xl[a-z]+|com\.microsoft)\.)*(?:webservice|image)\s*\(/iu

/** In no name of a sheet, but in every path; numbers in brackets stand for books that a relationship explains. */
const PATH = /\\|\/\/|\[(?![0-9]+\])/
const TEXT_OR_NAME = /"(?:[^"]|"")*"|('(?:[^']|'')*'|\[(?:'[^]|[^'[\]])*\]?)/g
const QUOTED_SHEET = /'([^']*)'!/g
const BARE_BOOK = /\[(?![0-9]+\])[^[\]]*\][\p{L}\p{N}_.]*!/u

/** Another workbook by its path, which Excel itself writes as a number (section 18.17.2.3); other programs follow it, too. */
function reachesBook(formula: string): boolean {
  if (!formula.includes("!") || !PATH.test(formula)) return false
  const references = formula.replaceAll(TEXT_OR_NAME, "$1").replaceAll("''", "")
  for (const [, sheet = ""] of references.matchAll(QUOTED_SHEET)) if (PATH.test(sheet)) return true
  return BARE_BOOK.test(references.replaceAll(/'[^']*'/g, "'"))
}

/** What the formulas of a chart do: references to a book say only where it once was, and nothing is called. */
export function* chartFaults(text: string, work: Work): Generator<FaultReason, void> {
  for (const fault of formulaFaults(text, work)) if (fault === "dde") yield fault
}

/**
 * The same of newer kinds of charts (MS-ODRAWXML 2.24), by itself: they also have formulas for names (`nf`), which the gist of
 * formulas does not keep.
 */
export function* newerChartFaults(text: string, work: Work): Generator<FaultReason, void> {
  yield* chartFaults(text, work)
}

/** What the formulas of a part do that a policy may forbid. */
export function* formulaFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (!SUSPICIOUS.test(text) || !work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  for (const tag of findTags(text, TAG, work)) {
    if (!SUSPICIOUS.test(tag.text)) continue
    if (!work.trySpend(WORK_PER_FORMULA)) return
    yield* faultsOf(textOf(tag))
  }
}

/** @throws DocumentFault `too_complex` for one that is longer than any program takes */
function* faultsOf(formula: string): Generator<FaultReason, void> {
  if (formula.length > MAX_FORMULA_CHARS) throw new DocumentFault("too_complex")
  const code = formula.replaceAll(QUOTED, "")
  if (code.includes("|") || PROGRAM_FUNCTION.test(code)) yield "dde"
  else if (FETCH_FUNCTION.test(code) || reachesBook(formula)) yield "external_data"
}

const SHAPE_ATTRIBUTES = ["textlink", "macro", "fmlaLink", "fmlaMacro", "fmlaRange", "fmlaTxbx"]
const SHAPE = tagPattern(["sp", "cxnSp", "graphicFrame", "pic", "formControlPr", "Fmla(?:Macro|Link|Range|Txbx|Pict|Group)"])
/** Shapes and buttons on sheets that show a cell or run a macro, which may be another workbook's (section 20.5.2.29). */
export function* shapeFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (!/textlink|macro|fmla/i.test(text) || !SUSPICIOUS.test(text) || !work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  yield* faultsOfTags(text, SHAPE, SHAPE_ATTRIBUTES, work)
}

const PLACE_ATTRIBUTES = ["val", "macro", "linkedCell", "listFillRange", "link"]
const PLACE = tagPattern(["cfvo", "controlPr", "objectPr", "oleObject"])
/**
 * Attributes of worksheets that hold formulas: steps of conditional formats, controls and objects (sections 18.3.1.11,
 * 18.3.1.20, 18.3.1.56 and 18.3.1.59).
 */
export function* sheetAttributeFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (!SUSPICIOUS.test(text) || !work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  yield* faultsOfTags(text, PLACE, PLACE_ATTRIBUTES, work)
}

function* faultsOfTags(text: string, pattern: RegExp, names: readonly string[], work: Work): Generator<FaultReason, void> {
  for (const tag of findTags(text, pattern, work)) {
    if (!SUSPICIOUS.test(tag.text) && !SUSPICIOUS.test(tag.attributes)) continue
    if (!work.trySpend(WORK_PER_SHAPE)) return
    yield* faultsOf(textOf(tag))
    for (const value of valuesOf(tag.attributes, names)) yield* faultsOf(value)
  }
}

const LINK = tagPattern(["ddeLink"])
/** External links of workbooks that are links to programs (section 18.14.4). */
export function* linkFaults(text: string, work: Work): Generator<FaultReason, void> {
  for (const tag of findTags(text, LINK, work)) if (tag.localName === "ddeLink") yield "dde"
}

const CONNECTION = tagPattern(["connection", "dbPr", "webPr", "textPr", "olapPr", "oledbPr", "dataFeedPr"])
/** Attributes that lead somewhere (section 18.13, MS-XLSX 2.4.79 to 2.4.85). */
const LEADS = /\s(?:[^\s=:]+:)?(?:url|sourceFile|odcFile|connection|localConnection)\s*=\s*(?:"([^"]*)"|'([^']*)')/gu
/** What a workbook calls its own data model. */
const OWN_MODEL = "Data Model Connection"

/** Data connections: databases, web pages, files. That of the workbook's own data model leads nowhere. */
export function* connectionFaults(text: string, work: Work): Generator<FaultReason, void> {
  for (const { attributes } of findTags(text, CONNECTION, work)) {
    for (const [, double, single] of attributes.matchAll(LEADS)) {
      const value = double ?? single ?? ""
      if (value !== "" && value !== OWN_MODEL) yield "external_data"
    }
  }
}
