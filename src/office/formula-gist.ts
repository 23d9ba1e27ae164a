// Of all formulas those that could reach outside (formulas.ts judges them): a sheet may hold a million that cannot.
import { DocumentFault } from "./fault.ts"
import { type Gist, isCertainlyEmpty, tagUntil } from "./gist.ts"

const NAMES = "(?:f|formula[12]?|definedName|calculatedColumnFormula|totalsRowFormula)"
const START = new RegExp(String.raw`<(?:[^ \t\r\n<>/:]+:)?${NAMES}(?=[ \t\r\n/>])`, "g")
const END = new RegExp(String.raw`</(?:[^ \t\r\n<>/:]+:)?${NAMES}[ \t\r\n]*>`, "g")
/**
 * Without one of these nothing in a formula leads outside: other programs and functions that fetch, paths, letters spelled in
 * references, other elements in between.
 */
const SUSPICIOUS = /[|\\<]|\/\/|&#|(?:dde|rtd|webservice|image|register\.id)\s*\(/i
/** Numbers in brackets stand for books that a relationship explains; without `!` they are columns of tables. */
const BOOK = /\[(?!\d+\])/
/** Excel takes 8192 letters. */
const MAX_FORMULA_CHARS = 1024 * 1024

/** What an empty one costs of another: a column that was filled down has a million of them. */
const OF_EMPTY = 0.4

const isSuspicious = (formula: string): boolean => SUSPICIOUS.test(formula) || (formula.includes("!") && BOOK.test(formula))

export function createFormulaGist(): Gist {
  let rest = ""
  return (piece, isLast) => {
    const text = rest + piece
    const kept: string[] = []
    let words = 0
    rest = ""
    START.lastIndex = 0
    for (let start = START.exec(text); start !== null; start = START.exec(text)) {
      const { index } = start
      // Values of attributes hold no bracket, so that no tag goes beyond the next one.
      const tag = text.slice(index, tagUntil(text, index + 1))
      const tagEnd = index + tag.indexOf(">")
      if (tagEnd < index) {
        words++
        continue
      }
      if (isCertainlyEmpty(tag.slice(0, tagEnd - index + 1))) {
        words += OF_EMPTY
        continue
      }
      words++
      const until = endFrom(text, index)
      if (until < 0 && !isLast) {
        rest = text.slice(index)
        if (rest.length > MAX_FORMULA_CHARS + piece.length) throw new DocumentFault("too_complex")
        break
      }
      const end = until < 0 ? text.length : until
      const content = text.slice(tagEnd + 1, Math.max(tagEnd + 1, text.lastIndexOf("<", end - 1)))
      if (isSuspicious(content)) kept.push(text.slice(index, end))
      START.lastIndex = end
    }
    return { kept: kept.join(""), words }
  }
}

function endFrom(text: string, from: number): number {
  END.lastIndex = from
  return END.exec(text) === null ? -1 : END.lastIndex
}
