// [Content_Types].xml: what every part of a package is (ECMA-376 Part 2 section 7.2.3). Overrides name a part,
// defaults an extension.
import { DocumentFault } from "./fault.ts"
import { partKey } from "./part-name.ts"
import type { Work } from "./work.ts"
import { parseXml } from "./xml.ts"

export const CONTENT_TYPES_PART = "[Content_Types].xml"
const NAMESPACE = "http://schemas.openxmlformats.org/package/2006/content-types"

/** Of each half of a name there may be 127 (RFC 6838 section 4.2); every part that has the type is held against it. */
const MAX_TYPE_CHARS = 255

export type ContentTypes = {
  /** What the part is, in lower case and without parameters; undefined when nothing says so. */
  typeOf(partName: string): string | undefined
}

/**
 * Nothing may stand there but the list itself: what a reader makes of other elements, or of entries within them, differs.
 * @throws DocumentFault `bad_content_types`, `bad_xml`, `xml_doctype`, `too_complex`
 */
export function parseContentTypes(bytes: Uint8Array, work: Work): ContentTypes {
  const overrides = new Map<string, string>()
  const defaults = new Map<string, string>()
  for (const { localName, depth, namespace, attributes } of parseXml(bytes, true, work)) {
    const isKnown = depth === 0 ? localName === "Types" : depth === 1 && (localName === "Override" || localName === "Default")
    if (!isKnown || namespace !== NAMESPACE) throw new DocumentFault("bad_content_types")
    if (depth === 0) continue
    const key = attributes.get(localName === "Override" ? "PartName" : "Extension")?.trim()
    const declared = attributes.get("ContentType")
    if (key === undefined || declared === undefined) throw new DocumentFault("bad_content_types")
    const type = declared.split(";", 1)[0]?.trim().toLowerCase() ?? ""
    if (type.length > MAX_TYPE_CHARS) throw new DocumentFault("bad_content_types")
    if (localName === "Override") declare(overrides, partKey(key).replace(/^\//, ""), type)
    else declare(defaults, partKey(key).replace(/^\./, ""), type)
  }
  // Asked for again for each relationship that leads there.
  const known = new Map<string, string | undefined>()
  return {
    typeOf(partName) {
      if (known.has(partName)) return known.get(partName)
      const key = partKey(partName)
      const fileName = key.slice(key.lastIndexOf("/") + 1)
      const dot = fileName.lastIndexOf(".")
      const type = overrides.get(key) ?? (dot < 0 ? undefined : defaults.get(fileName.slice(dot + 1)))
      known.set(partName, type)
      return type
    },
  }
}

/** Some programs declare a thing twice; it must be the same then. */
function declare(types: Map<string, string>, key: string, type: string): void {
  const known = types.get(key)
  if (known !== undefined && known !== type) throw new DocumentFault("bad_content_types")
  types.set(key, type)
}
