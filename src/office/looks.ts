// What is looked for in the text of which parts. A part is known by its content type or by the relationship that leads to
// it: programs go by the latter, so that a header under a picture's type is a header.
import type { FaultReason } from "./fault.ts"
import { fieldFaults } from "./fields.ts"
import {
  chartFaults,
  connectionFaults,
  formulaFaults,
  linkFaults,
  newerChartFaults,
  shapeFaults,
  sheetAttributeFaults,
} from "./formulas.ts"
import { attributeOf, findTags, tagPattern } from "./markup.ts"
import { pictureFaults } from "./pictures.ts"
import { WORK_PER_BYTE_OF_LOOK, type Work } from "./work.ts"

/** May spend more than the reading cost, and stops where too little is left. */
export type Faults = (text: string, work: Work) => Iterable<FaultReason>
export type Look = {
  /** Content types of such parts, in lower case. */
  types: RegExp
  /** Kinds of relationships to them. */
  kinds: RegExp
  faults: Faults
}

const BUTTON = tagPattern(["hlinkClick", "hlinkHover", "hlinkMouseOver"])
/** Buttons of slides that start a program (ECMA-376 Part 1 section 20.1.2.2.35, action `ppaction://program`). */
export function* buttonFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (!/ppaction|&/i.test(text) || !text.includes("hlink") || !work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  for (const tag of findTags(text, BUTTON, work)) {
    if (/^\s*ppaction:\/\/program/i.test(attributeOf(tag, "action"))) yield "program_action"
  }
}

const RIBBON = /\s(?:on[A-Z]\w*|get[A-Z]\w*|loadImage)\s*=/
/** A ribbon that calls back calls a macro, be it one of another file (MS-CUSTOMUI 2.2). */
export function* ribbonFaults(text: string): Generator<FaultReason, void> {
  if (RIBBON.test(text)) yield "macro_enabled"
}

const MERGE = tagPattern(["connectString", "udl"])
const SCHEMA = tagPattern(["schema"])
/** Mail merge that names its source itself (section 17.14.8 and 17.14.31), and schemas that bring along a program. */
function* settingsFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (text.includes("mailMerge"))
    for (const tag of findTags(text, MERGE, work)) if (attributeOf(tag, "val") !== "") yield "external_data"
  if (!text.includes("manifestLocation")) return
  for (const tag of findTags(text, SCHEMA, work)) if (attributeOf(tag, "manifestLocation") !== "") yield "add_in"
}

const PROPERTY = tagPattern(["property"])
/** Where Office looks for the program of a document of its own (Visual Studio Tools for Office), and loads it. */
function* propertyFaults(text: string, work: Work): Generator<FaultReason, void> {
  for (const tag of findTags(text, PROPERTY, work)) {
    if (/^\s*_Assembly(?:Name|Location)/i.test(attributeOf(tag, "name"))) yield "add_in"
  }
}

/** Parts that say no more of themselves: anything may be in them. */
const ANY_XML = String.raw`^(?:application|text)/xml$`
const or = (types: string): RegExp => new RegExp(`${types}|${ANY_XML}`)

const looks: readonly Look[] = [
  {
    types: or(String.raw`wordprocessingml\..*\+xml$`),
    kinds: /^(?:officedocument|header|footer|footnotes|endnotes|comments|glossarydocument)$/,
    faults: fieldFaults,
  },
  {
    types: or(String.raw`spreadsheetml\.(?:sheet\.main|worksheet|chartsheet|dialogsheet|table)\+xml$`),
    kinds: /^(?:officedocument|worksheet|chartsheet|dialogsheet|table)$/,
    faults: formulaFaults,
  },
  {
    types: or(String.raw`spreadsheetml\.(?:worksheet|chartsheet|dialogsheet)\+xml$`),
    kinds: /^(?:worksheet|chartsheet|dialogsheet)$/,
    faults: sheetAttributeFaults,
  },
  {
    types: /wordprocessingml\..*\+xml$|vmldrawing$/,
    kinds: /^(?:officedocument|header|footer|footnotes|endnotes|comments|glossarydocument|vmldrawing)$/,
    faults: pictureFaults,
  },
  { types: /drawingml\.chart\+xml$/, kinds: /^chart$/, faults: chartFaults },
  { types: /ms-office\.chartex\+xml$/, kinds: /^chartex$/, faults: newerChartFaults },
  {
    types:
      /openxmlformats-officedocument\.(?:drawing\+xml|drawingml\.chartshapes\+xml|vmldrawing)$|ms-excel\.controlproperties\+xml$/,
    kinds: /^(?:drawing|chartusershapes|vmldrawing|ctrlprop)$/,
    faults: shapeFaults,
  },
  { types: /spreadsheetml\.externallink\+xml$/, kinds: /^externallink$/, faults: linkFaults },
  { types: /spreadsheetml\.connections\+xml$/, kinds: /^connections$/, faults: connectionFaults },
  {
    types: or(
      String.raw`presentationml\..*\+xml$|drawingml\.(?:diagram(?:data|drawing)|chart|chartshapes)\+xml$|ms-office\.chartex\+xml$`,
    ),
    kinds:
      /^(?:officedocument|slide|slidelayout|slidemaster|notesslide|notesmaster|handoutmaster|diagramdata|diagramdrawing|chart|chartex|chartusershapes)$/,
    faults: buttonFaults,
  },
  { types: /wordprocessingml\.settings\+xml$/, kinds: /^settings$/, faults: settingsFaults },
  { types: /officedocument\.custom-properties\+xml$/, kinds: /^custom-properties$/, faults: propertyFaults },
]

/** All that is looked for in a part of this content type that relationships of these kinds lead to. */
export const looksFor = (type: string, kinds: Iterable<string> = []): Look[] =>
  looks.filter((look) => look.types.test(type) || [...kinds].some((kind) => look.kinds.test(kind)))

const LOOKED_FOR = new RegExp(looks.map(({ kinds }) => kinds.source).join("|"))
/** Do relationships of this kind say anything of what to look for? */
export const isLookedFor = (kind: string): boolean => LOOKED_FOR.test(kind)
