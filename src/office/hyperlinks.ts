// Relationships that say they are hyperlinks, and what a part makes of them. Programs find relationships by their
// identifiers and not all of them look at the type then: a picture that is linked through a hyperlink is fetched all the same.
import { endOfAttributes } from "./attributes.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"
import { attributeValue } from "./references.ts"
import { WORK_PER_BYTE_OF_LOOK, WORK_PER_REFERENCE, type Work } from "./work.ts"

/** Elements that hyperlinks are for: of all programs (ECMA-376 Part 1 sections 17.16.22, 18.3.1.47, 20.1.2.2.23, 21.1.2.3.5 and 6), and of the pictures of Excel's data types. */
const LINKS = /^(?:[^\s<>/:]+:)?(?:hyperlink|hlinkClick|hlinkHover|hlinkMouseOver|moreImagesAddress)(?![^\s/>])/
const NAMESPACES =
  /^https?:\/\/(?:schemas\.openxmlformats\.org\/officeDocument\/2006|purl\.oclc\.org\/ooxml\/officeDocument)\/relationships$/i
/** Values are only looked at, not taken: what seems to be an attribute may be the value of another that holds the next. */
const VALUE = String.raw`[ \t\r\n]*=[ \t\r\n]*(?="([^"<]*)"|'([^'<]*)')`
const DECLARATION = new RegExp(String.raw`[ \t\r\n]xmlns:([^ \t\r\n=<>"'/]+)${VALUE}`, "g")
const REFERENCE = new RegExp(String.raw`[ \t\r\n]([^ \t\r\n=<>"'/:]+):([A-Za-z]+)${VALUE}`, "g")
/** What VML has in its own namespace (Part 4 section 19.2.2.5). */
const VML_REFERENCE = "relid"
const TAG_NAME = /<[^ \t\r\n<>/]+/y
/** Prefixes of the relationships' namespaces, of which there is one in any part that a program writes. */
const MAX_PREFIXES = 16
/** Longer than one of them with each letter spelled as a reference. */
const MAX_NAMESPACE_CHARS = 1024

/**
 * Adds the prefixes that this text declares for the namespaces of relationships.
 * @throws DocumentFault `bad_xml` when there are more of them than any program writes
 */
export function addPrefixes(prefixes: Set<string>, text: string, work?: Work): void {
  for (const [, prefix = "", double, single] of text.matchAll(DECLARATION)) {
    work?.spend(WORK_PER_REFERENCE)
    const value = double ?? single ?? ""
    if (value.length > MAX_NAMESPACE_CHARS || !NAMESPACES.test(attributeValue(value))) continue
    prefixes.add(prefix)
    if (prefixes.size > MAX_PREFIXES) throw new DocumentFault("bad_xml")
  }
}

/** @param ids - of the relationships to hyperlinks outside */
export function* misusedLinkFaults(text: string, ids: ReadonlySet<string>, work: Work): Generator<FaultReason, void> {
  if (!work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  const prefixes = new Set<string>()
  addPrefixes(prefixes, text, work)
  let tag = { start: 0, end: 0 }
  let seen = 0
  for (const { 1: prefix = "", 2: localName, 3: double, 4: single, index } of text.matchAll(REFERENCE)) {
    work.spend(WORK_PER_REFERENCE)
    if (!prefixes.has(prefix) && localName !== VML_REFERENCE) continue
    if (!ids.has(attributeValue(double ?? single ?? ""))) continue
    // No more is looked at than what lies between two of them, or a long tag would be gone through again and again.
    const start = text.slice(seen, index).lastIndexOf("<")
    if (start >= 0) tag = tagAt(text, seen + start)
    seen = index
    // Behind the tag it is text that only speaks of such things.
    if (index < tag.end && !LINKS.test(text.slice(tag.start + 1, tag.start + 100))) yield "external_relationship"
  }
}

/** @throws DocumentFault `bad_xml` for a tag of more attributes than any program writes */
function tagAt(text: string, start: number): { start: number; end: number } {
  TAG_NAME.lastIndex = start
  const name = TAG_NAME.exec(text)
  return { start, end: name === null ? start : endOfAttributes(text, start + name[0].length) }
}
