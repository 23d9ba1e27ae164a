// What a genuine document may still bring along is a deployment's own decision: everything here is refused
// unless it is allowed. Hyperlinks are always fine.
import { isDocumentMediaType, mediaTypes } from "./document-type.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"
import type { Relationship } from "./relationships.ts"

/** What is allowed. */
export type DocumentPolicy = {
  /**
   * Anything but hyperlinks that is fetched from elsewhere: templates, linked objects and pictures, other workbooks, data
   * connections, fields that fetch, add-ins.
   */
  externalRelationships: boolean
  /** OLE objects, and embedded packages and imported texts that are none of the three document types. */
  embeddedObjects: boolean
  activeX: boolean
  /** What starts another program: Dynamic Data Exchange, buttons of slides. */
  dde: boolean
}

export const STRICTEST_POLICY: DocumentPolicy = {
  externalRelationships: false,
  embeddedObjects: false,
  activeX: false,
  dde: false,
}

export const EVERYTHING_ALLOWED: DocumentPolicy = {
  externalRelationships: true,
  embeddedObjects: true,
  activeX: true,
  dde: true,
}

const ACTIVEX_TYPE = /^application\/vnd\.ms-office\.activex(?:\+xml)?$/
const ACTIVEX_KINDS = ["control", "activexcontrolbinary"]
const OLE_TYPE = `${mediaTypes.docx.slice(0, mediaTypes.docx.indexOf("wordprocessingml"))}oleobject`

const ADD_IN_TYPE = "application/vnd.ms-office.webextension"
const ADD_IN_KINDS = ["webextension", "webextensiontaskpanes"]

/** What may be allowed, and by which setting. */
const permissions = new Map<FaultReason, keyof DocumentPolicy>([
  ["external_relationship", "externalRelationships"],
  ["external_data", "externalRelationships"],
  ["add_in", "externalRelationships"],
  ["embedded_object", "embeddedObjects"],
  ["activex", "activeX"],
  ["dde", "dde"],
  ["program_action", "dde"],
])

/** Does the policy forbid this? What no setting allows is always forbidden. */
export function isForbidden(policy: DocumentPolicy, fault: FaultReason): boolean {
  const permission = permissions.get(fault)
  return permission === undefined || !policy[permission]
}

/** What a part is by itself, from its content type in lower case. */
export function partFault(contentType: string): FaultReason | null {
  if (ACTIVEX_TYPE.test(contentType)) return "activex"
  if (contentType.startsWith(ADD_IN_TYPE)) return "add_in"
  return contentType === OLE_TYPE ? "embedded_object" : null
}

/**
 * What a relationship does.
 * @param targetType - content type of the part it leads to, where it leads to one
 */
export function relationshipFault(relationship: Relationship, targetType: string | undefined): FaultReason | null {
  const { kind, isExternal } = relationship
  if (isExternal) return kind === "hyperlink" ? null : "external_relationship"
  if (ACTIVEX_KINDS.includes(kind)) return "activex"
  if (ADD_IN_KINDS.includes(kind)) return "add_in"
  // Charts keep their numbers in an embedded workbook, and Word its inserted sheets: documents of the three types.
  const isDocument = targetType !== undefined && isDocumentMediaType(targetType)
  // Texts that Word imports when it opens the document: web pages and rich text bring along what is not seen here.
  const isForeignText = kind === "afchunk" && !isDocument && targetType !== "text/plain"
  return kind === "oleobject" || (kind === "package" && !isDocument) || isForeignText ? "embedded_object" : null
}

/** @throws DocumentFault when there is one and the policy forbids it */
export function refuseFault(policy: DocumentPolicy, fault: FaultReason | null, part: string): void {
  if (fault !== null && isForbidden(policy, fault)) throw new DocumentFault(fault, part)
}
