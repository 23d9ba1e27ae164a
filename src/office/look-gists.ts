// Which gist each look needs. Whoever lets a look find more must let its gist keep that.
import { chartFaults, formulaFaults, linkFaults, shapeFaults, sheetAttributeFaults } from "./formulas.ts"
import { fieldFaults } from "./fields.ts"
import { createFieldGist } from "./field-gist.ts"
import { createFormulaGist } from "./formula-gist.ts"
import { type Gist, everything, tagsWith } from "./gist.ts"
import { type Faults, buttonFaults } from "./looks.ts"
import { pictureFaults } from "./pictures.ts"

export type GistOfLook = {
  make: () => Gist
  /** May what is kept be looked at bit by bit? Else only all together. */
  isLocal: boolean
  /** Does the look itself say how much work it is? */
  isCharged: boolean
}

const local = (words: RegExp): GistOfLook => ({ make: () => (text) => tagsWith(text, words), isLocal: true, isCharged: true })
const formulas: GistOfLook = { make: createFormulaGist, isLocal: true, isCharged: true }

const gists = new Map<Faults, GistOfLook>([
  [fieldFaults, { make: createFieldGist, isLocal: false, isCharged: true }],
  [formulaFaults, formulas],
  [chartFaults, formulas],
  [shapeFaults, local(/textlink|macro|fmla/gi)],
  [sheetAttributeFaults, local(/cfvo|controlPr|objectPr|oleObject/g)],
  [linkFaults, { ...local(/ddeLink/g), isCharged: false }],
  [buttonFaults, local(/hlink(?:Click|Hover|MouseOver)/g)],
  [pictureFaults, local(/(?:imagedata|fill|stroke|image)[ \t\r\n]/g)],
])

/** Of looks that are not listed, and are for parts that are never large, all is kept. */
export const gistOf = (faults: Faults): GistOfLook => gists.get(faults) ?? { make: everything, isLocal: false, isCharged: false }
