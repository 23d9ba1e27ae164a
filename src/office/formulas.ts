// Formulas of workbooks that reach outside (ECMA-376 Part 1 section 18.17): references to a program, which are
// written app|topic!item, and functions that start one or fetch something. Nothing is evaluated.
import type { FaultReason } from "./fault.ts"
import { findTags, tagPattern, textOf } from "./markup.ts"

const TAG = tagPattern("f", "formula", "formula1", "formula2", "definedName", "calculatedColumnFormula", "totalsRowFormula")
/** Without one of these no formula can be meant. */
const SUSPICIOUS = /[|&]|dde|rtd|webservice|image/i

/** Texts, quoted names of sheets and columns of tables may hold any characters. */
const QUOTED = /"(?:[^"]|"")*"|'(?:[^']|'')*'|\[[^[\]]*\]/g
const PROGRAM_FUNCTION = /(?<![\p{L}\p{N}_.])(?:_xlfn\.)?(?:dde|rtd)\s*\(/iu
const FETCH_FUNCTION = /(?<![\p{L}\p{N}_.])(?:_xlfn\.)?(?:webservice|image)\s*\(/iu

/** What the formulas of a part do that a policy may forbid. */
export function* formulaFaults(text: string): Generator<FaultReason, void> {
  if (!SUSPICIOUS.test(text)) return
  for (const tag of findTags(text, TAG)) {
    if (!SUSPICIOUS.test(tag.text)) continue
    const formula = textOf(tag).replaceAll(QUOTED, "")
    if (formula.includes("|") || PROGRAM_FUNCTION.test(formula)) yield "dde"
    else if (FETCH_FUNCTION.test(formula)) yield "external_data"
  }
}

const LINK = tagPattern("ddeLink")
/** External links of workbooks that are links to programs (section 18.14.4). */
export function* linkFaults(text: string): Generator<FaultReason, void> {
  for (const tag of findTags(text, LINK)) if (tag.localName === "ddeLink") yield "dde"
}

const CONNECTION = tagPattern("connection", "dbPr", "webPr", "textPr", "oledbPr", "dataFeedPr")
/** Attributes that lead somewhere (section 18.13, MS-XLSX 2.4.79 to 2.4.85). */
const LEADS = /\s(?:[^\s=:]+:)?(?:url|sourceFile|odcFile|connection)\s*=\s*(?:"([^"]*)"|'([^']*)')/gu
/** What a workbook calls its own data model. */
const OWN_MODEL = "Data Model Connection"

/** Data connections: databases, web pages, files. That of the workbook's own data model leads nowhere. */
export function* connectionFaults(text: string): Generator<FaultReason, void> {
  for (const { attributes } of findTags(text, CONNECTION)) {
    for (const [, double, single] of attributes.matchAll(LEADS)) {
      const value = double ?? single ?? ""
      if (value !== "" && value !== OWN_MODEL) yield "external_data"
    }
  }
}
