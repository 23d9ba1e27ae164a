// Dynamic Data Exchange in workbooks: a link whose source is a running program, which Excel offers to start
// (ECMA-376 Part 1 section 18.14.4).
import type { Archive } from "./archive.ts"
import { inPart } from "./fault.ts"
import { parseXml } from "./xml.ts"
import type { ZipEntry } from "./zip-directory.ts"

const MAX_LINK_BYTES = 4 * 1024 * 1024

/** Is this external link of a workbook one to a program? */
export function isDdeLink(archive: Archive, part: ZipEntry): Promise<boolean> {
  return inPart(part.name, async () => {
    for (const { localName } of parseXml(await archive.read(part, MAX_LINK_BYTES))) if (localName === "ddeLink") return true
    return false
  })
}
