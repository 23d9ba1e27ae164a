// What of a text its fields need: their tags, their instructions, and nothing of what stands between fields or in results.
// It follows them as fields.ts does, as far as to know whether an instruction may be going on; where that is not plain,
// all the rest is kept.
import { markOf } from "./fields.ts"
import { type Gist, isCertainlyEmpty, tagUntil } from "./gist.ts"

/** In the names of all tags that count where no instruction is open, and of those that end them. */
const WORD = /fldChar|fldSimple|nstrText|[<:/](?:del|moveFrom|Choice|Fallback)(?=[ \t\r\n/>])/g
const CHAR = /^<((?:[^ \t\r\n<>/:]+:)?)fldChar(?=[ \t\r\n/>])/
const CODE = /^<(\/?)(?:[^ \t\r\n<>/:]+:)?(?:del)?[iI]nstrText(?=[ \t\r\n/>])/
export function createFieldGist(): Gist {
  /** Of the open fields: is its instruction still going on? */
  const open: boolean[] = []
  let instructions = 0
  let isInCode = false
  let isUnclear = false
  let spelled: string | null = null

  /** Follows one tag; false where it is not plain what it does. */
  function step(tag: string): boolean {
    const code = CODE.exec(tag)
    if (code !== null) isInCode = code[1] === "" && !isCertainlyEmpty(tag)
    const char = CHAR.exec(tag)
    if (char === null) return true
    const { mark, value: type } = markOf(char[1] ?? "", tag.slice(char[0].length))
    spelled ??= mark
    // An attribute twice or none, a type that is spelled in references, other prefixes: fields.ts decides what it is.
    if (!/^(?:begin|separate|end)$/.test(type) || mark !== spelled || tag.split("fldCharType").length !== 2) return false
    if (type === "begin") {
      open.push(true)
      instructions++
      return true
    }
    const wasInstruction = type === "end" ? open.pop() : open.at(-1)
    if (wasInstruction === true) instructions--
    if (type === "separate" && open.length > 0) open[open.length - 1] = false
    return true
  }

  return (text) => {
    if (isUnclear) return { kept: text, words: 0 }
    const kept: string[] = []
    let words = 0
    let from = 0
    for (const { index } of text.matchAll(WORD)) {
      words++
      if (index < from) continue
      const start = Math.max(from, text.lastIndexOf("<", index))
      const until = tagUntil(text, Math.max(index, start + 1))
      if (instructions > 0 || isInCode) kept.push(text.slice(from, start))
      kept.push(text.slice(start, until))
      from = until
      if (step(text.slice(start, until))) continue
      isUnclear = true
      return { kept: kept.join("") + text.slice(from), words }
    }
    if (instructions > 0 || isInCode) kept.push(text.slice(from))
    return { kept: kept.join(""), words }
  }
}
