// Everything at once: many uploads beside each other, and one upload under requests of every kind from two isolates. What
// is told is what is there, nothing is there twice, and nothing is left over.
import { beforeAll, describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { blobs, files, resumableUploads, users } from "../../src/db/schema.ts"
import { createMemoryBudget } from "../../src/domain/memory.ts"
import { createUploadTraces } from "../../src/domain/upload-traces.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { UPLOADS, holdings, sweepLeftovers, tusClient } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")
const HOUR_MS = 60 * 60_000

let api: TestClient
let ops: Awaited<ReturnType<TestClient["newOps"]>>
let token: string

beforeAll(async () => {
  api = createTestClient()
  ops = await api.newOps()
  token = ops.tokens.accessToken
})

const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("")

const ownFiles = async () => (await api.db.select().from(files)).filter(({ ownerId }) => ownerId === ops.id)

/** Numbers from 0 to 1, the same ones each run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe("H10: many uploads at once", () => {
  it.each([
    ["small ones", 40, 0],
    ["ones of a part and more", 8, PART_BYTES + 1000],
  ])("%s, plain and resumable: each is stored whole or told to come again", { timeout: 120_000 }, async (_, many, padding) => {
    const bytes = padding === 0 ? docx : docxOfSize(padding)
    const before = (await ownFiles()).length
    const [first, second] = [api, createTestClient({}, { memory: createMemoryBudget(), traces: createUploadTraces() })]
    const answers = await Promise.all(
      Array.from({ length: many }, async (_one, i) => {
        const side = i % 2 === 0 ? first : second
        const sent: Promise<Response> =
          i % 3 === 0 ? side.upload(token, bytes, "a.docx") : tusClient(side, token).create(bytes.length, {}, bytes)
        return (await sent).status
      }),
    )
    const made = answers.filter((status) => status === 201).length
    expect(answers.filter((status) => ![201, 429, 503].includes(status))).toEqual([])
    expect(made).toBeGreaterThan(0)
    const mine = await ownFiles()
    expect(mine.length - before).toBe(made)
    const rows = (await api.db.select().from(blobs)).filter(({ fileId }) => mine.some(({ id }) => id === fileId))
    const wanted = await sha256(bytes)
    expect(rows.filter((row) => row.sizeBytes === bytes.length && row.sha256 === wanted)).toHaveLength(made)
  })
})

describe("one upload under PATCH, HEAD, GET and DELETE at once", () => {
  it.each([1, 2])("keeps its offset true and ends as one file, or as nothing (storm %i)", { timeout: 120_000 }, async (seed) => {
    await sweepLeftovers()
    const random = dice(seed)
    const bytes = docxOfSize(PART_BYTES + 200_000)
    const before = await holdings(api)
    const sides = [api, createTestClient({}, { traces: createUploadTraces() })].map((side) => tusClient(side, token))
    const path = await tusClient(api, token).open(bytes.length)
    const cancelled: number[] = []
    const fileIds = new Set<string>()
    let known = 0
    for (let round = 0; round < 20 && fileIds.size === 0 && cancelled.length === 0; round++) {
      await Promise.all(
        Array.from({ length: 5 }, async () => {
          const tus = sides[random() < 0.5 ? 0 : 1]
          if (tus === undefined) return
          const kind = random()
          if (kind < 0.6) {
            const at = random() < 0.8 ? known : Math.floor(random() * bytes.length)
            const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 3_000_000))
            const response = await tus.patch(path, at, bytes.slice(at, end))
            expect([204, 404, 409, 423]).toContain(response.status)
            if (response.status !== 204) return
            expect(response.headers.get("upload-offset")).toBe(String(end))
            fileIds.add(response.headers.get("sealpost-file-id") ?? "")
            fileIds.delete("")
          } else if (kind < 0.97) {
            const head = await tus.head(path)
            expect([200, 404, 423]).toContain(head.status)
          } else {
            const response = await tus.remove(path)
            // A complete one is a file, and 403 says so; after a cancellation it is unknown.
            expect([204, 403, 404]).toContain(response.status)
            if (response.status === 204) cancelled.push(round)
          }
        }),
      )
      const response = await api.request(path, { token })
      if (response.status === 404) expect(cancelled).not.toEqual([])
      else {
        const { upload } = await response.json<{ upload: { offset: number } }>()
        expect(upload.offset).toBeGreaterThanOrEqual(known)
        known = upload.offset
      }
    }
    expect(fileIds.size).toBeLessThanOrEqual(1)
    const [id] = fileIds
    if (id !== undefined) {
      const content = await api.request(`/api/ops/files/${id}/content`, { token })
      expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
    } else await tusClient(api, token).remove(path)
    await sweepLeftovers()
    const one = id === undefined ? 0 : 1
    expect(await holdings(api)).toEqual({
      ...before,
      files: before.files + one,
      blobs: before.blobs + one,
      objects: before.objects + one,
    })
  })
})

/** A last request that was let in and waits for its bytes. */
async function waitingPatch(side: TestClient, as: string, path: string) {
  let go: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (go = resolve))
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await gate
      controller.enqueue(docx)
      controller.close()
    },
  })
  const answer = tusClient(side, as).patch(path, 0, body)
  const holder = async () => (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))?.holder ?? null
  while ((await holder()) === null) await new Promise((resolve) => setTimeout(resolve, 20))
  return { answer, go }
}

describe("while the bytes of the last request come", () => {
  it("its token may expire: who was let in finishes, and nobody else gets in with it", async () => {
    const side = createTestClient()
    const tus = tusClient(side, token)
    const path = await tus.open(docx.length)
    const { answer, go } = await waitingPatch(side, token, path)
    side.clock.nowMs += HOUR_MS
    expect((await tus.head(path)).status).toBe(401)
    go()
    expect((await answer).status).toBe(204)
  })

  it("its owner may be disabled: then nothing becomes of it, and nothing is left", async () => {
    await sweepLeftovers()
    const other = await api.newOps()
    const before = await holdings(api)
    const path = await tusClient(api, other.tokens.accessToken).open(docx.length)
    const { answer, go } = await waitingPatch(api, other.tokens.accessToken, path)
    await api.db.$client.prepare("update users set disabled_at_ms = 1 where id = ?").bind(other.id).run()
    go()
    const refused = await answer
    expect([refused.status, (await refused.json<ProblemBody>()).code]).toEqual([403, "forbidden"])
    expect((await api.db.select().from(files)).filter(({ ownerId }) => ownerId === other.id)).toEqual([])
    await sweepLeftovers()
    expect(await holdings(api)).toEqual(before)
    expect((await api.db.select().from(users)).some(({ id }) => id === other.id)).toBe(true)
  })

  it("it may be cancelled from elsewhere: then it is gone, whatever still arrives", async () => {
    const tus = tusClient(api, token)
    const path = await tus.open(docx.length)
    const { answer, go } = await waitingPatch(api, token, path)
    const { uploads } = await (await api.request(UPLOADS, { token })).json<{ uploads: { url: string }[] }>()
    expect(uploads.some(({ url }) => url.endsWith(path))).toBe(true)
    expect((await tus.remove(path)).status).toBe(204)
    const count = (await ownFiles()).length
    go()
    expect((await answer).status).toBeGreaterThanOrEqual(400)
    expect((await ownFiles()).length).toBe(count)
    expect((await tus.head(path)).status).toBe(404)
  })
})
