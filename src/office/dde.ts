// Dynamic Data Exchange: data out of a running program, which Excel and Word offer to start. In workbooks a kind of
// external link (ECMA-376 Part 1 section 18.14.4), in texts a field (DDE and DDEAUTO, section 17.16).
import type { Archive } from "./archive.ts"
import type { ContentTypes } from "./content-types.ts"
import { DocumentFault, inPart } from "./fault.ts"
import { decodeXml, expandReferences, parseXml } from "./xml.ts"
import type { ZipEntry } from "./zip-directory.ts"

const MAX_LINK_BYTES = 4 * 1024 * 1024

/** Is this external link of a workbook one to a program? */
export function isDdeLink(archive: Archive, part: ZipEntry): Promise<boolean> {
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
export async function refuseDdeFields(archive: Archive, types: ContentTypes): Promise<void> {
  for (const entry of archive.entries) {
    if (!STORY_TYPE.test(types.typeOf(entry.name) ?? "") || !archive.canAfford(entry, MAX_STORY_BYTES)) continue
    await inPart(entry.name, async () => {
      for (const instruction of fieldInstructions(decodeXml(await archive.read(entry, MAX_STORY_BYTES)))) {
        if (DDE.test(instruction)) throw new DocumentFault("dde")
      }
    })
  }
}

const FIELD_TAG = /<(?:[^\s<>/:]+:)?(instrText|delInstrText|fldSimple|fldChar)(\s(?:[^<>"']|"[^"<]*"|'[^'<]*')*)?>([^<]*)/gu
const CHAR_TYPE = /fldCharType\s*=\s*["'](begin|separate|end)["']/
const INSTRUCTION = /(?:^|[\s:])instr\s*=\s*(?:"([^"]*)"|'([^']*)')/

/** The instructions of all fields, each put together from the runs that it is spread over (section 17.16.18). */
function* fieldInstructions(text: string): Generator<string> {
  const plain = text.replaceAll(/<!--[^]*?-->|<\?[^]*?\?>/g, "").replaceAll(/<!\[CDATA\[([^]*?)\]\]>/g, "$1")
  const open: string[] = []
  for (const [, tag = "", attributes = "", content = ""] of plain.matchAll(FIELD_TAG)) {
    if (tag === "fldSimple") {
      const [, double, single] = INSTRUCTION.exec(attributes) ?? []
      yield expandReferences(double ?? single ?? "")
    } else if (tag === "fldChar") {
      const [, type] = CHAR_TYPE.exec(expandReferences(attributes)) ?? []
      if (type === "begin") open.push("")
      // Separated or ended, the instruction is complete; only the end closes it.
      else yield (type === "end" ? open.pop() : open.at(-1)) ?? ""
    } else {
      const last = open.length - 1
      if (last >= 0) open[last] += expandReferences(content)
      else yield expandReferences(content)
    }
  }
}
