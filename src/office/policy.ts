// What a genuine document may still bring along is a deployment's own decision: everything here is refused
// unless it is allowed. Hyperlinks are always fine.
import { isDocumentMediaType, mediaTypes } from "./document-type.ts"
import { DocumentFault, type FaultReason } from "./fault.ts"
import type { Relationship } from "./relationships.ts"

/** What is allowed. */
export type DocumentPolicy = {
  /** Anything but hyperlinks that is fetched from elsewhere: templates, linked objects and pictures, other workbooks. */
  externalRelationships: boolean
  /** OLE objects, and embedded packages that are none of the three document types. */
  embeddedObjects: boolean
  activeX: boolean
  /** Links that start another program (Dynamic Data Exchange). */
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

/** What a part is by itself, from its content type in lower case. */
export function partFault(policy: DocumentPolicy, contentType: string): FaultReason | null {
  if (!policy.activeX && ACTIVEX_TYPE.test(contentType)) return "activex"
  return !policy.embeddedObjects && contentType === OLE_TYPE ? "embedded_object" : null
}

/**
 * What a relationship does.
 * @param targetType - content type of the part it leads to, where it leads to one
 */
export function relationshipFault(
  policy: DocumentPolicy,
  relationship: Relationship,
  targetType: string | undefined,
): FaultReason | null {
  const { kind, isExternal } = relationship
  if (isExternal) return policy.externalRelationships || kind === "hyperlink" ? null : "external_relationship"
  if (!policy.activeX && ACTIVEX_KINDS.includes(kind)) return "activex"
  if (policy.embeddedObjects) return null
  // Charts keep their numbers in an embedded workbook, and Word its inserted sheets: documents of the three types.
  const isForeignPackage = kind === "package" && (targetType === undefined || !isDocumentMediaType(targetType))
  return kind === "oleobject" || isForeignPackage ? "embedded_object" : null
}

/** @throws DocumentFault when there is one */
export function refuseFault(fault: FaultReason | null, part: string): void {
  if (fault !== null) throw new DocumentFault(fault, part)
}
