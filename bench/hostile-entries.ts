// What hostile documents are put together from.
import { randomFillSync } from "node:crypto"
import { type BuiltEntry, buildZip } from "../test/support/zip-builder.ts"
import { documentParts } from "./subject.ts"

export const text = (content: string): Uint8Array => new TextEncoder().encode(content)
export const noise = (lengthBytes: number): Uint8Array => randomFillSync(new Uint8Array(lengthBytes))
export const entry = (name: string, content: Uint8Array | string): BuiltEntry => ({
  name,
  content: typeof content === "string" ? text(content) : content,
})
export const parts = (): BuiltEntry[] =>
  Object.entries(documentParts(new Uint8Array(0))).map(([name, content]) => entry(name, content))
export const series = (count: number, make: (i: number) => BuiltEntry): BuiltEntry[] =>
  Array.from({ length: count }, (_, i) => make(i))
const PACKAGE = "http://schemas.openxmlformats.org/package/2006"
export const OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
export const WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'

/** The genuine parts, one of them with other content. */
export const replaced = (name: string, content: Uint8Array | string): BuiltEntry[] =>
  parts().map((part) => (part.name === name ? entry(name, content) : part))

/** A document of this text. */
export const story = (content: string, ...more: BuiltEntry[]): Uint8Array<ArrayBuffer> =>
  buildZip([...replaced("d.xml", `<w:document ${WORD} xmlns:r="${OFFICE}">${content}`), ...more])

/** A relationship part. */
export const rels = (name: string, content: string, attributes = ""): BuiltEntry =>
  entry(name, `<Relationships xmlns="${PACKAGE}/relationships"${attributes}>${content}</Relationships>`)

/** A document with these parts besides its own, and what more its content types say. */
export function declaring(types: string, ...more: BuiltEntry[]): Uint8Array<ArrayBuffer> {
  const own = new TextDecoder().decode(documentParts(new Uint8Array(0))["[Content_Types].xml"])
  return buildZip([...replaced("[Content_Types].xml", own.replace("</Types>", `${types}</Types>`)), ...more])
}

/** The same, with parts of any XML. */
export const declaringXml = (...more: BuiltEntry[]): Uint8Array<ArrayBuffer> =>
  declaring('<Default Extension="xml" ContentType="application/xml"/>', ...more)
