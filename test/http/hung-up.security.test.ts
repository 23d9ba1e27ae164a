// Clients that hang up. The runtime may cancel their requests at any `await`, where not even `finally` runs; whatever a
// request holds for others to wait for must be free again all the same. Cancelled here as the runtime does it: by a caller
// in front who lets go of the request.
import { exports } from "cloudflare:workers"
import { beforeAll, describe, expect, it } from "vitest"
import { idempotencyKeys, uploads } from "../../src/db/schema.ts"
import { attachmentResponse } from "../../src/http/document-response.ts"
import { type TestClient, ORIGIN, createTestClient } from "../support/client.ts"
import { docxOfSize } from "../support/documents.ts"
import { tusClient } from "../support/tus.ts"

/** Two parts: an upload of it takes as much memory as any. */
const bytes = docxOfSize(6 * 1024 * 1024)
/** As many as hold all memory of an isolate, with nothing left for one more. */
const MANY = 7

let api: TestClient
let ops: Awaited<ReturnType<TestClient["newOps"]>>
let Authorization: string
beforeAll(async () => {
  api = createTestClient()
  // The service itself has a real clock.
  api.clock.nowMs = Date.now()
  ops = await api.newOps()
  Authorization = `Bearer ${ops.tokens.accessToken}`
})

/** Half of the document, and then nothing any more. */
function stalling(): ReadableStream<Uint8Array> {
  let isSent = false
  return new ReadableStream({
    async pull(controller) {
      if (isSent) await new Promise(() => undefined)
      isSent = true
      controller.enqueue(bytes.subarray(0, bytes.length / 2))
    },
  })
}

async function hangUp(path: string, init: RequestInit, afterMs: number): Promise<void> {
  const line = new AbortController()
  const answer = exports.default.fetch(ORIGIN + path, { ...init, signal: line.signal }).then(
    (response) => response.body?.cancel(),
    () => undefined,
  )
  await new Promise((wake) => setTimeout(wake, afterMs))
  line.abort()
  await answer
}

const put = (headers: Record<string, string> = {}): Promise<Response> =>
  exports.default.fetch(`${ORIGIN}/api/ops/upload/a.docx`, { method: "PUT", headers: { Authorization, ...headers }, body: bytes })

describe("of clients that hang up", () => {
  it("in the middle of an upload: memory, and the key of the request, are free again", async () => {
    const headers = { Authorization, "Idempotency-Key": "hung-up" }
    await hangUp("/api/ops/upload/a.docx", { method: "PUT", headers, body: stalling() }, 300)
    const one = () => ({ method: "PUT", headers: { Authorization }, body: stalling() })
    await Promise.all(Array.from({ length: MANY }, () => hangUp("/api/ops/upload/a.docx", one(), 300)))
    expect((await put({ "Idempotency-Key": "hung-up" })).status).toBe(201)
    const left = (await api.db.select().from(idempotencyKeys)).filter(({ ownerId }) => ownerId === ops.id)
    expect(left.map(({ key, holder }) => [key, holder])).toEqual([["hung-up", null]])
    expect((await api.db.select().from(uploads)).filter(({ ownerId }) => ownerId === ops.id)).toEqual([])
  })

  it("in the middle of a resumable one: memory is free again, and the upload goes on", async () => {
    const tus = tusClient(api, ops.tokens.accessToken)
    const paths = await Promise.all(Array.from({ length: MANY }, () => tus.open(bytes.length)))
    const headers = { Authorization, "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream" }
    const patch = { method: "PATCH", headers: { ...headers, "Upload-Offset": "0" } }
    await Promise.all(paths.map((path) => hangUp(path, { ...patch, body: stalling() }, 300)))
    expect((await put()).status).toBe(201)
    for (const path of paths) await tus.remove(path)
  })

  it("at any moment of a download: memory is free again", { timeout: 60_000 }, async () => {
    const { file } = await (await put()).json<{ file: { id: string } }>()
    for (let round = 0; round < 10; round++) {
      const gets = Array.from({ length: 20 }, (_, i) =>
        hangUp(`/api/ops/files/${file.id}/content`, { headers: { Authorization } }, (i % 5) + round),
      )
      await Promise.all(gets)
    }
    expect((await put()).status).toBe(201)
  })
})

describe("a document that is opened for sending", () => {
  const attachment = { name: "a.docx", mediaType: "x/y", lastModifiedMs: 0, sizeBytes: 3, tag: "a" }

  it.each([true, false])("is let go of at once where its client has hung up meanwhile (%s)", async (hasHungUp) => {
    const line = new AbortController()
    let isCancelled = false
    const open = (): Promise<ReadableStream<Uint8Array>> => {
      if (hasHungUp) line.abort()
      return Promise.resolve(new ReadableStream({ cancel: () => void (isCancelled = true) }))
    }
    const response = await attachmentResponse(new Request(ORIGIN, { signal: line.signal }), attachment, open)
    expect([isCancelled, response.body === null]).toEqual([hasHungUp, hasHungUp])
  })
})
