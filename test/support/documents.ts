// Documents for tests inside workerd: the real ones of test/corpus, and packages built entry by entry.
import { env } from "cloudflare:workers"
import { type Zippable, strToU8, zipSync } from "fflate"
import { packagedDocuments } from "./packaged-documents.ts"

const fromBase64 = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))

/** File name → bytes, all genuine; test/corpus/README.md says which program wrote what. */
export const corpus: Record<string, Uint8Array<ArrayBuffer>> = Object.fromEntries(
  Object.entries(env.TEST_CORPUS).map(([name, base64]) => [name, fromBase64(base64)]),
)

/** Those that lie in packages, with what is to become of each. */
export const packaged = packagedDocuments.map((document) => ({
  ...document,
  bytes: fromBase64(env.TEST_PACKAGED[document.path] ?? ""),
}))

export function realDocument(name: string): Uint8Array<ArrayBuffer> {
  const bytes = corpus[name]
  if (bytes === undefined) throw new Error(`no ${name} in test/corpus`)
  return bytes
}

export const MAIN_TYPES = {
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
} as const

const CONTENT_TYPES_NS = "http://schemas.openxmlformats.org/package/2006/content-types"
const RELATIONSHIPS_NS = "http://schemas.openxmlformats.org/package/2006/relationships"
const OFFICE_RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

/** Content types of /part0.xml, /part1.xml and so on, and of relationship parts and .bin. */
export function contentTypes(...types: string[]): string {
  const overrides = types.map((type, i) => `<Override PartName="/part${String(i)}.xml" ContentType="${type}"/>`).join("")
  return `${XML}<Types xmlns="${CONTENT_TYPES_NS}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="bin" ContentType="application/octet-stream"/>${overrides}</Types>`
}

/** One relationship of a package or part. A kind without slash is one of Office's own. */
export type TestRelationship = { kind: string; target: string; mode?: "External" | "Internal" }

export function relationships(...all: TestRelationship[]): string {
  const elements = all.map(({ kind, target, mode }, i) => {
    const type = kind.includes("/") ? kind : `${OFFICE_RELATIONSHIPS}/${kind}`
    return `<Relationship Id="rId${String(i + 1)}" Type="${type}" Target="${target}"${mode === undefined ? "" : ` TargetMode="${mode}"`}/>`
  })
  return `${XML}<Relationships xmlns="${RELATIONSHIPS_NS}">${elements.join("")}</Relationships>`
}

export const MAIN_PARTS = {
  docx: `${XML}<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body/></w:document>`,
  xlsx: `${XML}<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheets/></workbook>`,
  pptx: `${XML}<p:presentation xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"/>`,
} as const

export const CONTENT_TYPES = "[Content_Types].xml"
export const RELS = "_rels/.rels"

/** The parts of the smallest genuine document; its main part is /part0.xml. */
export const minimalParts = (type: keyof typeof MAIN_TYPES = "docx"): Record<string, string | Uint8Array> => ({
  [CONTENT_TYPES]: contentTypes(MAIN_TYPES[type]),
  [RELS]: relationships({ kind: "officeDocument", target: "part0.xml" }),
  "part0.xml": MAIN_PARTS[type],
})

/** A package with these parts; text is UTF-8. */
export function zipOf(parts: Record<string, string | Uint8Array>, level: 0 | 6 = 6): Uint8Array<ArrayBuffer> {
  const entries: Zippable = {}
  for (const [name, content] of Object.entries(parts)) entries[name] = typeof content === "string" ? strToU8(content) : content
  return zipSync(entries, { level })
}

/** A minimal .docx, with more bytes inside to make it as large as wanted. */
export function docxOfSize(paddingBytes: number): Uint8Array<ArrayBuffer> {
  const padding = new Uint8Array(paddingBytes)
  for (let offset = 0; offset < paddingBytes; offset += 65_536) crypto.getRandomValues(padding.subarray(offset, offset + 65_536))
  return zipOf({ ...minimalParts("docx"), "word/media/image1.bin": padding }, 0)
}

/** Are these the same bytes? For large ones, which the test runner compares slowly. */
export const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])
