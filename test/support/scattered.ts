// A presentation whose pictures lie between the parts that a check reads: the worst place for them in a sealed object.
import { CONTENT_TYPES, MAIN_TYPES, contentTypes, minimalParts, relationships } from "./documents.ts"
import { type BuiltEntry, buildZip } from "./zip-builder.ts"

const utf8 = (content: string | Uint8Array): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content

/** Of that many slides, each with a picture of 60 kB. */
export function scattered(slides: number, descriptor?: "signed"): Uint8Array<ArrayBuffer> {
  const picture = crypto.getRandomValues(new Uint8Array(60_000))
  const types = `<Default Extension="xml" ContentType="application/vnd.openxmlformats-officedocument.presentationml.slide+xml"/></Types>`
  const parts = { ...minimalParts("pptx"), [CONTENT_TYPES]: contentTypes(MAIN_TYPES.pptx).replace("</Types>", types) }
  const entries = Object.entries(parts).map(([name, content]): BuiltEntry => ({ name, content: utf8(content) }))
  for (let i = 0; i < slides; i++) {
    const rels = relationships({ kind: "image", target: `../media/${String(i)}.bin` })
    entries.push({ name: `ppt/slides/_rels/slide${String(i)}.xml.rels`, content: utf8(rels) })
    entries.push({ name: `ppt/slides/slide${String(i)}.xml`, content: utf8(`<sld><p i="${String(i)}"/></sld>`) })
    entries.push({ name: `ppt/media/${String(i)}.bin`, content: picture, method: 0 })
  }
  return buildZip(entries.map((entry) => ({ ...entry, ...(descriptor === undefined ? {} : { descriptor }) })))
}
