// Relationship parts: what a part of a package points to, inside it and outside (ECMA-376 Part 2 section 6.5).
import { DocumentFault } from "./fault.ts"
import { partKey } from "./part-name.ts"
import { WORK_PER_COPY, WORK_PER_ODD_TARGET, type Work } from "./work.ts"
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
  /** The name of the part where it leads; null for outside. */
  path: string | null
}

/** Is this entry a relationship part? */
export const isRelationshipPart = (partName: string): boolean => /(?:^|\/)_rels\/[^/]*\.rels$/.test(partKey(partName))

/**
 * All relationships of one relationship part, one at a time: a worksheet may have 65 530 hyperlinks. No alternatives may
 * stand there (ECMA-376 Part 2 section 6.5.3.1): readers would choose differently.
 * @param source - the part whose relationships these are
 * @param work - spent for each of them, and what its target costs; the bytes are the caller's to spend
 * @throws DocumentFault `bad_xml`, `xml_doctype`, `too_complex`
 */
export function* parseRelationships(bytes: Uint8Array, source: string, work: Work): Generator<Relationship, void> {
  let lastKind = ""
  for (const { localName, depth, namespace, attributes } of parseXml(bytes, true, work)) {
    const isKnown = depth === 0 ? localName === "Relationships" : depth === 1 && localName === "Relationship"
    if (!isKnown || namespace !== NAMESPACE) throw new DocumentFault("bad_xml")
    if (depth === 0) continue
    const kind = kindOf(attributes.get("Type") ?? "")
    if (kind !== lastKind) lastKind = copied(kind, work)
    const target = attributes.get("Target") ?? ""
    const isExternal = (attributes.get("TargetMode") ?? "Internal") !== "Internal"
    const path = isExternal ? null : resolveTarget(source, target, work)
    yield { id: copied(attributes.get("Id") ?? "", work), kind: lastKind, target, isExternal, path }
  }
}

/** All kinds that mean anything are shorter. */
const MAX_KIND_CHARS = 64

function kindOf(type: string): string {
  const trimmed = type.trim()
  const start = trimmed.lastIndexOf("/") + 1
  return trimmed.slice(start, start + MAX_KIND_CHARS).toLowerCase()
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
/** V8 copies shorter ones itself. */
const MIN_SLICE_CHARS = 13

/** The same without the text that it was cut out of, which V8 would keep as long as this: identifiers and kinds are collected. */
function copied(name: string, work: Work): string {
  if (name.length < MIN_SLICE_CHARS) return name
  work.spend(WORK_PER_COPY + name.length)
  return decoder.decode(encoder.encode(name))
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
const PLAIN_TARGET = /^(?:\/|(?:\.\.\/)*)[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/
const PLAIN_SOURCE = /^(?:[\w-][\w.-]*\/)*(?:[\w-][\w.-]*)?$/
/** Longer than any way to a part, each letter of its name percent-encoded. */
const MAX_TARGET_CHARS = 16_384
/** So many letters of a part's own name, which stand before each target, cost as much as one unit of work. */
const SOURCE_CHARS_PER_UNIT = 6

/** Where a target inside the package leads (RFC 3986 section 5.2), as a part name; null for nowhere. */
export function resolveTarget(source: string, target: string, work: Work): string | null {
  if (target.length > MAX_TARGET_CHARS) return null
  work.spend(source.length / SOURCE_CHARS_PER_UNIT)
  if (!PLAIN_SOURCE.test(source)) return resolveAnyTarget(source, target, work)
  // A place in the part itself, as some programs write links within a document.
  if (target === "" || target.startsWith("#")) return source
  if (!PLAIN_TARGET.test(target)) return resolveAnyTarget(source, target, work)
  if (target.startsWith("/")) return target.slice(1)
  let at = 0
  let folderEnd = source.lastIndexOf("/") + 1
  for (; target.startsWith("../", at); at += 3) folderEnd = folderEnd < 2 ? 0 : source.lastIndexOf("/", folderEnd - 2) + 1
  return source.slice(0, folderEnd) + target.slice(at)
}

/**
 * Where it leads for a reader that takes targets for names, as unpackers do: no valid one can hold `?` or `#` or a stray `%`,
 * but names of parts in a ZIP archive can.
 * @returns null where that is the same
 */
export function literalTarget(source: string, target: string, work: Work): string | null {
  if (target === "" || target.length > MAX_TARGET_CHARS || PLAIN_TARGET.test(target)) return null
  work.spend(WORK_PER_COPY + target.length + source.length / SOURCE_CHARS_PER_UNIT)
  const path = target.replaceAll(/\\/g, "/")
  const segments = path.startsWith("/") ? [] : source.split("/").slice(0, -1)
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop()
    else if (segment !== "." && segment !== "") segments.push(segment)
  }
  return segments.join("/")
}

/** Stands for the package; no special one, so that all is kept as it is written. */
const OWN_SCHEME = "pack"
/** As URLs are read (WHATWG URL section 4.4): behind blanks, and with the blanks within it dropped. */
const SCHEME = /^[\0- ]*([A-Za-z][A-Za-z0-9+.-]*):/

/**
 * Tabs and line ends that references spell are dropped, as in URLs: no name of a part may hold one (part-name.ts), so that
 * nothing else can be meant.
 */
export function resolveAnyTarget(source: string, target: string, work: Work): string | null {
  // Nothing with a scheme leads inside, and a host in foreign letters is spelled out in its length squared.
  if ((SCHEME.exec(target.replaceAll(/[\t\n\r]/g, ""))?.[1] ?? OWN_SCHEME).toLowerCase() !== OWN_SCHEME) return null
  work.spend(WORK_PER_ODD_TARGET + 1.5 * source.length + target.length)
  const base = `${OWN_SCHEME}:///${source.split("/").map(encodeURIComponent).join("/")}`
  const url = URL.parse(target.replaceAll(/\\/g, "/"), base)
  return url?.protocol === `${OWN_SCHEME}:` && url.host === "" ? url.pathname.replace(/^\/+/, "") : null
}
