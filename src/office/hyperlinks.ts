// Relationships that say they are hyperlinks, and what a part makes of them. Programs find relationships by their
// identifiers and not all of them look at the type then: a picture that is linked through a hyperlink is fetched all the same.
import { DocumentFault, type FaultReason } from "./fault.ts"
import { expandReferences } from "./xml.ts"

/** Elements that hyperlinks are for (ECMA-376 Part 1 sections 17.16.22, 18.3.1.47, 20.1.2.2.23, 21.1.2.3.5 and 6). */
const LINKS = /^(?:[^\s<>/:]+:)?(?:hyperlink|hlinkClick|hlinkHover|hlinkMouseOver)(?![^\s/>])/
const NAMESPACES =
  /^https?:\/\/(?:schemas\.openxmlformats\.org\/officeDocument\/2006|purl\.oclc\.org\/ooxml\/officeDocument)\/relationships$/i
const DECLARATION = /[ \t\r\n]xmlns:([^ \t\r\n=<>"'/]+)[ \t\r\n]*=[ \t\r\n]*(?:"([^"<]*)"|'([^'<]*)')/g
const REFERENCE = /[ \t\r\n]([^ \t\r\n=<>"'/:]+):([A-Za-z]+)[ \t\r\n]*=[ \t\r\n]*(?:"([^"<]*)"|'([^'<]*)')/g
/** What VML has in its own namespace (Part 4 section 19.2.2.5). */
const VML_REFERENCE = "relid"
/** Prefixes of the relationships' namespaces, of which there is one in any part that a program writes. */
const MAX_PREFIXES = 16

/** @param ids - of the relationships to hyperlinks outside */
export function* misusedLinkFaults(text: string, ids: ReadonlySet<string>): Generator<FaultReason, void> {
  const prefixes = new Set<string>()
  for (const [, prefix = "", double, single] of text.matchAll(DECLARATION)) {
    if (!NAMESPACES.test(expandReferences(double ?? single ?? ""))) continue
    prefixes.add(prefix)
    if (prefixes.size > MAX_PREFIXES) throw new DocumentFault("bad_xml")
  }
  let tagStart = 0
  let seen = 0
  for (const { 1: prefix = "", 2: localName, 3: double, 4: single, index } of text.matchAll(REFERENCE)) {
    if (!prefixes.has(prefix) && localName !== VML_REFERENCE) continue
    if (!ids.has(expandReferences(double ?? single ?? ""))) continue
    // The tag that the attribute is in; no more is looked at than what lies between two of them.
    const start = text.slice(seen, index).lastIndexOf("<")
    if (start >= 0) tagStart = seen + start
    seen = index
    if (!LINKS.test(text.slice(tagStart + 1, tagStart + 100))) yield "external_relationship"
  }
}
