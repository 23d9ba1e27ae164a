// Dynamic Data Exchange: data out of a running program, which Excel and Word offer to start. In workbooks a kind of
// external link (ECMA-376 Part 1 section 18.14.4), in texts a field (DDE and DDEAUTO, section 17.16).
import type { Archive } from "./archive.ts"
import type { ContentTypes } from "./content-types.ts"
import { DocumentFault, inPart } from "./fault.ts"
import { ATTRIBUTES, decodeXml, expandReferences, parseAttributes, parseXml } from "./xml.ts"
import { WORK_PER_PART, type Work } from "./work.ts"
import type { ZipEntry } from "./zip-directory.ts"

const MAX_LINK_BYTES = 4 * 1024 * 1024

/** Is this external link of a workbook one to a program? */
export function isDdeLink(archive: Archive, part: ZipEntry, work: Work): Promise<boolean> {
  work.spend(part.plainBytes)
  return inPart(part.name, async () => {
    for (const { localName } of parseXml(await archive.read(part, MAX_LINK_BYTES))) if (localName === "ddeLink") return true
    return false
  })
}

/** Parts that hold text with fields. */
const STORY_TYPE = /wordprocessingml\.(?:document\.main|document\.glossary|header|footer|footnotes|endnotes|comments)\+xml$/
const MAX_STORY_BYTES = 8 * 1024 * 1024
const DDE = /^[\s"]*dde(?:auto)?(?![\p{L}\p{N}])/iu

/**
 * Looks for fields in texts, as far as reading them stays within the budget. A field whose instruction is put
 * together by other fields is not recognised.
 * @throws DocumentFault `dde`
 */
export async function refuseDdeFields(archive: Archive, types: ContentTypes, work: Work): Promise<void> {
  for (const entry of archive.entries) {
    if (!STORY_TYPE.test(types.typeOf(entry.name) ?? "") || !archive.canAfford(entry, MAX_STORY_BYTES)) continue
    if (work.remaining() < entry.plainBytes + WORK_PER_PART) continue
    work.spend(entry.plainBytes)
    await inPart(entry.name, async () => {
      for (const instruction of fieldInstructions(decodeXml(await archive.read(entry, MAX_STORY_BYTES)))) {
        if (DDE.test(instruction)) throw new DocumentFault("dde")
      }
    })
  }
}

const FIELD_TAG = new RegExp(
  String.raw`<(?:[^\s<>/:]+:)?(instrText|delInstrText|fldSimple|fldChar)(${ATTRIBUTES})\s*/?>([^<]*)`,
  "gu",
)

/** The value of an attribute, whatever its prefix. */
function attributeOf(attributes: string, localName: string): string {
  const found = [...parseAttributes(attributes)].find(([name]) => name.slice(name.indexOf(":") + 1) === localName)
  return found?.[1] ?? ""
}

/** The instructions of all fields, each put together from the runs that it is spread over (section 17.16.18). */
function* fieldInstructions(text: string): Generator<string> {
  const open: string[] = []
  for (const [, tag = "", attributes = "", content = ""] of withoutInterruptions(text).matchAll(FIELD_TAG)) {
    if (tag === "fldSimple") {
      yield attributeOf(attributes, "instr")
    } else if (tag === "fldChar") {
      const type = attributeOf(attributes, "fldCharType")
      if (type === "begin") open.push("")
      // Separated or ended, the instruction is complete; only the end closes it.
      else yield (type === "end" ? open.pop() : open.at(-1)) ?? ""
    } else {
      const outer = open.pop()
      if (outer === undefined) yield expandReferences(content)
      else open.push(outer + expandReferences(content))
    }
  }
}

const INTERRUPTIONS = new Map([
  ["<!--", "-->"],
  ["<?", "?>"],
  ["<![CDATA[", "]]>"],
])

/** Text without comments and instructions, which may stand in the middle of a word, and with CDATA as text. */
function withoutInterruptions(text: string): string {
  const pieces: string[] = []
  let at = 0
  for (const { 0: start, index } of text.matchAll(/<!--|<\?|<!\[CDATA\[/g)) {
    if (index < at) continue
    const end = INTERRUPTIONS.get(start) ?? ""
    const endsAt = text.indexOf(end, index + start.length)
    if (endsAt < 0) throw new DocumentFault("bad_xml")
    pieces.push(text.slice(at, index))
    if (start === "<![CDATA[") pieces.push(text.slice(index + start.length, endsAt).replaceAll("<", " "))
    at = endsAt + end.length
  }
  return pieces.join("") + text.slice(at)
}
