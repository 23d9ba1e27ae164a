// What the check of a resumable upload costs: its small parts lie all over a sealed object, and are not fetched one by one.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { createBlobStore } from "../../src/blobs/store.ts"
import { PART_BYTES, sealedFileBytes } from "../../src/crypto/sealed-format.ts"
import { createUploadTraces } from "../../src/domain/upload-traces.ts"
import { type ProblemBody, createTestClient } from "../support/client.ts"
import { isSame } from "../support/documents.ts"
import { scattered } from "../support/scattered.ts"
import { base64, tusClient } from "../support/tus.ts"

const deck = scattered(250)
const headers = { "Upload-Metadata": `filename ${base64("deck.pptx")}` }

/** An isolate of its own, and what it reads of R2. */
function isolate() {
  const reads = { count: 0, bytes: 0 }
  const store = createBlobStore(env.BLOBS)
  const blobs = {
    ...store,
    read: (objectKey: string, offset: number, lengthBytes: number) => {
      reads.count++
      reads.bytes += lengthBytes
      return store.read(objectKey, offset, lengthBytes)
    },
  }
  return { api: createTestClient({}, { blobs, traces: createUploadTraces() }), reads }
}

/** Sends the presentation in pieces that end in the middle of parts, each to the next of the isolates. */
async function send(isolates: readonly ReturnType<typeof isolate>[], bytes = deck) {
  const { api } = isolates[0] ?? isolate()
  const token = (await api.newOps()).tokens.accessToken
  const path = await tusClient(api, token).open(bytes.length, headers)
  let response = new Response()
  const pieceBytes = 4_000_000
  for (let i = 0, at = 0; at < bytes.length; i++, at += pieceBytes) {
    const side = isolates[i % isolates.length]
    if (side !== undefined) response = await tusClient(side.api, token).patch(path, at, bytes.slice(at, at + pieceBytes))
  }
  return { api, token, response }
}

describe("the check of a resumable upload with hundreds of small parts between its pictures", () => {
  it("reads only the document's end when one isolate saw all of it, and tails", async () => {
    expect(deck.length).toBeGreaterThan(2 * PART_BYTES)
    const side = isolate()
    const { api, token, response } = await send([side])
    expect(response.status).toBe(204)
    // Tails that were opened again, and a few windows of the directory.
    expect(side.reads.count).toBeLessThan(12)
    const fileId = response.headers.get("sealpost-file-id") ?? ""
    const content = await api.request(`/api/ops/files/${fileId}/content`, { token })
    expect(isSame(new Uint8Array(await content.arrayBuffer()), deck)).toBe(true)
  })

  it("reads the document back once when no isolate saw all of it", async () => {
    const sides = [isolate(), isolate()]
    const { api, token, response } = await send(sides)
    expect(response.status).toBe(204)
    const reads = sides.map(({ reads: { bytes } }) => bytes).reduce((sum, bytes) => sum + bytes)
    expect(reads).toBeGreaterThan(sealedFileBytes(deck.length))
    // Its tails besides, and the directory at its end.
    expect(reads).toBeLessThan(1.8 * sealedFileBytes(deck.length))
    const fileId = response.headers.get("sealpost-file-id") ?? ""
    const content = await api.request(`/api/ops/files/${fileId}/content`, { token })
    expect(isSame(new Uint8Array(await content.arrayBuffer()), deck)).toBe(true)
  })

  it.each([1, 2])("refuses one that is broken in a small part, seen by %i isolates", async (count) => {
    const broken = deck.slice()
    const at = new TextDecoder("latin1").decode(broken).indexOf("ppt/slides/_rels/slide120.xml.rels") + 34
    broken.fill(0xff, at, at + 40)
    const { response } = await send(Array.from({ length: count }, isolate), broken)
    expect([response.status, await response.json<ProblemBody>()]).toEqual([
      422,
      expect.objectContaining({
        code: "document_refused",
        reason: "bad_compression",
        part: "ppt/slides/_rels/slide120.xml.rels",
      }),
    ])
  })
})
