// Documents for tests inside workerd: the real ones of test/corpus, and packages built entry by entry.
import { env } from "cloudflare:workers"
import { type Zippable, strToU8, zipSync } from "fflate"

/** File name → bytes; test/corpus/README.md says which program wrote what. */
export const corpus: Record<string, Uint8Array<ArrayBuffer>> = Object.fromEntries(
  Object.entries(env.TEST_CORPUS).map(([name, base64]) => [name, Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))]),
)

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

export function contentTypes(...types: string[]): string {
  const overrides = types.map((type, i) => `<Override PartName="/part${String(i)}.xml" ContentType="${type}"/>`).join("")
  return `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>${overrides}</Types>`
}

/** A package with these parts; text is UTF-8. */
export function zipOf(parts: Record<string, string | Uint8Array>, level: 0 | 6 = 6): Uint8Array<ArrayBuffer> {
  const entries: Zippable = {}
  for (const [name, content] of Object.entries(parts)) entries[name] = typeof content === "string" ? strToU8(content) : content
  return zipSync(entries, { level })
}

/** A minimal package that says it is a .docx, with more bytes inside to make it as large as wanted. */
export function docxOfSize(paddingBytes: number): Uint8Array<ArrayBuffer> {
  const padding = new Uint8Array(paddingBytes)
  for (let offset = 0; offset < paddingBytes; offset += 65_536) crypto.getRandomValues(padding.subarray(offset, offset + 65_536))
  return zipOf({ "[Content_Types].xml": contentTypes(MAIN_TYPES.docx), "word/media/image1.bin": padding, "part0.xml": "<w/>" }, 0)
}
