// What a deployment's policy makes of documents, for tests: each refused one has a twin that differs only in the one thing.
import { expect } from "vitest"
import { memorySource } from "../../src/office/byte-source.ts"
import type { DocumentType } from "../../src/office/document-type.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { type DocumentVerdict, checkDocument } from "../../src/office/ooxml.ts"
import { type DocumentPolicy, EVERYTHING_ALLOWED, STRICTEST_POLICY } from "../../src/office/policy.ts"
import { CONTENT_TYPES, type TestRelationship, relationships, zipOf } from "./documents.ts"

export type Parts = Record<string, string | Uint8Array>

export const checkParts = (parts: Parts, type: DocumentType = "docx", policy?: DocumentPolicy): Promise<DocumentVerdict> =>
  checkDocument(memorySource(zipOf(parts)), type, policy)

/** Refused for this, whatever else is allowed; taken where this is; and its twin is taken without. */
export async function expectPolicy(
  type: DocumentType,
  parts: Parts,
  twin: Parts,
  permission: keyof DocumentPolicy,
  reason: FaultReason,
): Promise<void> {
  expect(await checkParts(twin, type), "the twin").toEqual({ fault: null })
  expect(await checkParts(parts, type)).toMatchObject({ fault: reason })
  expect(await checkParts(parts, type, { ...EVERYTHING_ALLOWED, [permission]: false })).toMatchObject({ fault: reason })
  expect(await checkParts(parts, type, { ...STRICTEST_POLICY, [permission]: true })).toEqual({ fault: null })
}

/** One more part of this type, and a relationship of the main part to it; by its kind alone, it leads there. */
export function withPart(
  base: Parts,
  name: string,
  type: string,
  content: string | Uint8Array,
  relationship?: TestRelationship | string,
): Parts {
  const declared = String(base[CONTENT_TYPES]).replace(
    "</Types>",
    `<Override PartName="/${name}" ContentType="${type}"/></Types>`,
  )
  const related = typeof relationship === "string" ? { kind: relationship, target: name } : relationship
  const relation = related === undefined ? {} : { "_rels/part0.xml.rels": relationships(related) }
  return { ...base, [CONTENT_TYPES]: declared, [name]: content, ...relation }
}
