// What the text of parts would do when it is opened: fields, formulas, data connections, buttons, ribbons. All of it is a
// deployment's own decision (policy.ts). Looked for as far as reading costs little; docs/documents.md has the limits.
import type { Archive } from "./archive.ts"
import type { ContentTypes } from "./content-types.ts"
import { DocumentFault, type FaultReason, inPart } from "./fault.ts"
import { fieldFaults } from "./fields.ts"
import { connectionFaults, formulaFaults, linkFaults } from "./formulas.ts"
import { attributeOf, findTags, tagPattern, withoutInterruptions } from "./markup.ts"
import { type DocumentPolicy, isForbidden } from "./policy.ts"
import { decodeXml } from "./xml.ts"
import { WORK_PER_PART, type Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

const western = new TextDecoder("windows-1252")
const MAX_TEXT_BYTES = 8 * 1024 * 1024

/** Parts that say no more of themselves: anything may be in them, also what is no XML, e.g. what macOS adds. */
const ANY_XML = /^(?:application|text)\/xml$/

type Look = { types: RegExp; faults: (text: string) => Iterable<FaultReason> }

const BUTTON = tagPattern("hlinkClick", "hlinkHover", "hlinkMouseOver")
/** Buttons of slides that start a program (ECMA-376 Part 1 section 20.1.2.2.35, action `ppaction://program`). */
function* buttonFaults(text: string): Generator<FaultReason, void> {
  if (!/ppaction|&/i.test(text)) return
  for (const tag of findTags(text, BUTTON)) {
    if (/^\s*ppaction:\/\/program/i.test(attributeOf(tag, "action"))) yield "program_action"
  }
}

const RIBBON = /\s(?:on[A-Z]\w*|get[A-Z]\w*|loadImage)\s*=/
/** A ribbon that calls back calls a macro, be it one of another file (MS-CUSTOMUI 2.2). */
function* ribbonFaults(text: string): Generator<FaultReason, void> {
  if (RIBBON.test(text)) yield "macro_enabled"
}

/** Parts of no declared kind may be any of these. */
const looks: readonly Look[] = [
  { types: /wordprocessingml\..*\+xml$|^(?:application|text)\/xml$/, faults: fieldFaults },
  {
    types: /spreadsheetml\.(?:sheet\.main|worksheet|chartsheet|dialogsheet|table)\+xml$|^(?:application|text)\/xml$/,
    faults: formulaFaults,
  },
  { types: /spreadsheetml\.externallink\+xml$/, faults: linkFaults },
  { types: /spreadsheetml\.connections\+xml$/, faults: connectionFaults },
  { types: /presentationml\..*\+xml$|^(?:application|text)\/xml$/, faults: buttonFaults },
]

/**
 * Looks through all parts that can bring something along by their text.
 * @throws DocumentFault `dde`, `program_action`, `external_data`
 */
export async function refuseActiveParts(
  archive: Archive,
  types: ContentTypes,
  policy: DocumentPolicy,
  work: Work,
): Promise<void> {
  if (policy.dde && policy.externalRelationships) return
  for (const entry of archive.entries) {
    const type = types.typeOf(entry.name) ?? ""
    const fitting = looks.filter((look) => look.types.test(type))
    if (fitting.length === 0 || entry.isDirectory || !archive.canAfford(entry, MAX_TEXT_BYTES)) continue
    if (work.remaining() < entry.plainBytes + WORK_PER_PART) continue
    await refuseText(archive, entry, fitting, ANY_XML.test(type), policy, work)
  }
}

/** Looks at one part that a relationship has found, whatever it is declared as. */
export const refuseRibbon = (archive: Archive, entry: ZipEntry, policy: DocumentPolicy, work: Work): Promise<void> =>
  refuseText(archive, entry, [{ faults: ribbonFaults }], true, policy, work)

/** The same for an external link of a workbook. */
export const refuseProgramLink = (archive: Archive, entry: ZipEntry, policy: DocumentPolicy, work: Work): Promise<void> =>
  refuseText(archive, entry, [{ faults: linkFaults }], false, policy, work)

function readText(bytes: Uint8Array, isCustom: boolean): string {
  try {
    return withoutInterruptions(decodeXml(bytes))
  } catch (error) {
    // Tags and keywords are ASCII in every encoding that such a part may be in.
    if (isCustom) return western.decode(bytes)
    throw error
  }
}

async function refuseText(
  archive: Archive,
  entry: ZipEntry,
  looksAt: readonly Pick<Look, "faults">[],
  isCustom: boolean,
  policy: DocumentPolicy,
  work: Work,
): Promise<void> {
  work.spend(entry.plainBytes)
  await inPart(entry.name, async () => {
    const text = readText(await archive.read(entry, MAX_TEXT_BYTES), isCustom)
    for (const { faults } of looksAt) {
      for (const fault of faults(text)) if (isForbidden(policy, fault)) throw new DocumentFault(fault)
    }
  })
}
