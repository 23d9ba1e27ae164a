// Relationship parts: what a part of a package points to, inside it and outside (ECMA-376 Part 2 section 6.5).
import { DocumentFault } from "./fault.ts"
import { partKey } from "./part-name.ts"
import { parseXml } from "./xml.ts"

export const PACKAGE_RELATIONSHIPS = "_rels/.rels"
const NAMESPACE = "http://schemas.openxmlformats.org/package/2006/relationships"

export type Relationship = {
  /** What its part calls it. */
  id: string
  /** The last segment of its type, in lower case: transitional and strict types differ only before it. */
  kind: string
  target: string
  isExternal: boolean
}

/** Is this entry a relationship part? */
export const isRelationshipPart = (partName: string): boolean => /(?:^|\/)_rels\/[^/]*\.rels$/.test(partKey(partName))

/**
 * All relationships of one relationship part, one at a time: a worksheet may have 65 530 hyperlinks. No alternatives may stand there (ECMA-376 Part 2 section 6.5.3.1): readers
 * would choose differently.
 * @throws DocumentFault `bad_xml`, `xml_doctype`
 */
export function* parseRelationships(bytes: Uint8Array): Generator<Relationship, void> {
  for (const { localName, depth, namespace, attributes } of parseXml(bytes)) {
    const isKnown = depth === 0 ? localName === "Relationships" : depth === 1 && localName === "Relationship"
    if (!isKnown || namespace !== NAMESPACE) throw new DocumentFault("bad_xml")
    if (depth === 0) continue
    const type = (attributes.get("Type") ?? "").trim()
    const mode = attributes.get("TargetMode") ?? "Internal"
    yield {
      id: attributes.get("Id") ?? "",
      kind: type.slice(type.lastIndexOf("/") + 1).toLowerCase(),
      target: attributes.get("Target") ?? "",
      isExternal: mode !== "Internal",
    }
  }
}

/** The part whose relationships these are; "" for the package itself. */
export function sourceOf(relationshipPart: string): string {
  const key = partKey(relationshipPart)
  const folder = key.slice(0, key.lastIndexOf("_rels/"))
  return folder + key.slice(key.lastIndexOf("/") + 1, -".rels".length)
}

/** The relationship part of this part. */
export const relationshipsOf = (part: string): string => part.replace(/[^/]*$/, "_rels/$&.rels")

/** Nearly all targets, which need no more than their folders counted. */
const PLAIN_TARGET = /^(?:\.\.\/)*[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/
const PLAIN_SOURCE = /^(?:[\w-][\w.-]*\/)*(?:[\w-][\w.-]*)?$/

/** Where a target inside the package leads (RFC 3986 section 5.2), as a part name; null for nowhere. */
export function resolveTarget(sourcePart: string, target: string): string | null {
  if (!PLAIN_TARGET.test(target) || !PLAIN_SOURCE.test(sourcePart)) return resolveAnyTarget(sourcePart, target)
  let folder = sourcePart.slice(0, sourcePart.lastIndexOf("/") + 1)
  let at = 0
  for (; target.startsWith("../", at); at += 3) folder = folder.slice(0, folder.lastIndexOf("/", folder.length - 2) + 1)
  return folder + target.slice(at)
}

export function resolveAnyTarget(sourcePart: string, target: string): string | null {
  const base = `pack:///${sourcePart.split("/").map(encodeURIComponent).join("/")}`
  const url = URL.parse(target.replaceAll("\\", "/"), base)
  return url?.protocol === "pack:" && url.host === "" ? url.pathname.replace(/^\/+/, "") : null
}
