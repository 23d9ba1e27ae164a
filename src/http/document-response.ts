// How a document leaves: as an attachment under its own name, with the canonical type of its format, never
// stored by a cache, changed by a proxy, sniffed or run by a browser.
import { mediaTypes } from "../domain/document-name.ts"
import type { ListedFile } from "../domain/files.ts"
import { attachment } from "../protocol/content-disposition.ts"

/** @param body - null answers HEAD: the same headers, no bytes, and nothing was opened */
export function documentResponse(
  file: Pick<ListedFile, "name" | "type" | "sizeBytes">,
  body: ReadableStream<Uint8Array> | null,
): Response {
  return new Response(body, {
    headers: {
      "Content-Type": mediaTypes[file.type],
      "Content-Length": String(file.sizeBytes),
      "Content-Disposition": attachment(file.name),
      "Cache-Control": "private, no-store, no-transform",
      "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    },
  })
}
