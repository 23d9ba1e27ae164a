// A Worker that dies at any await: for every call to D1 or R2 that an upload makes, the run in which it dies right
// before that call, and the one in which it dies right after, when the call was done but nobody heard. Then its client
// comes back, or nobody does.
import { describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { LEASE_MS } from "../../src/domain/resumable-lease.ts"
import { createTestClient } from "../support/client.ts"
import { docxOfSize } from "../support/documents.ts"
import { type Death, mortalBindings } from "../support/mortal-bindings.ts"
import { holdings, sweepLeftovers, tusClient } from "../support/tus.ts"

const DAY_MS = 24 * 60 * 60_000
const bytes = docxOfSize(PART_BYTES + 300_000)

type Ops = Awaited<ReturnType<ReturnType<typeof createTestClient>["newOps"]>>

function scene(ops: Ops, death: Death) {
  const api = createTestClient()
  const mortal = mortalBindings(death)
  const dying = createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS })
  return { api, mortal, tus: tusClient(api, ops.tokens.accessToken), dyingTus: tusClient(dying, ops.tokens.accessToken) }
}

/** What a stock client does: asks where the upload stands, and goes on from there, until it is done. */
async function goOn(tus: ReturnType<typeof tusClient>, path: string): Promise<string> {
  for (let i = 0; i < 6; i++) {
    const head = await tus.head(path)
    if (head.status !== 200) throw new Error(`HEAD: ${String(head.status)}`)
    const offset = Number(head.headers.get("upload-offset"))
    const fileId = head.headers.get("sealpost-file-id")
    if (fileId !== null) return fileId
    await tus.patch(path, offset, bytes.slice(offset))
  }
  throw new Error("never done")
}

/** Every call in turn, until a run is so long that nothing dies in it any more. */
const MOST_CALLS = 60
const moments = ["before", "after"] as const

describe.each(moments)("a Worker that dies %s a call", (when) => {
  it("in a PATCH that leaves a tail: the offset is true, and the document arrives", { timeout: 240_000 }, async () => {
    const ops = await createTestClient().newOps()
    let at = 1
    for (; at < MOST_CALLS; at++) {
      const { api, mortal, tus, dyingTus } = scene(ops, { at, when })
      const path = await tus.open(bytes.length)
      await tus.patch(path, 0, bytes.slice(0, 1000))
      await dyingTus.patch(path, 1000, bytes.slice(1000, PART_BYTES + 2000)).catch(() => undefined)
      api.clock.nowMs += LEASE_MS
      const offset = await tus.offset(path)
      expect([1000, PART_BYTES, PART_BYTES + 2000]).toContain(offset)
      const id = await goOn(tus, path)
      const content = await api.request(`/api/ops/files/${id}/content`, { token: ops.tokens.accessToken })
      expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
      if (!mortal.hasDied()) break
    }
    expect(at).toBeGreaterThan(10)
    expect(at).toBeLessThan(MOST_CALLS)
  })

  it("in the last PATCH: its client, or cron, makes one file of it", { timeout: 240_000 }, async () => {
    const ops = await createTestClient().newOps()
    let at = 1
    for (; at < MOST_CALLS; at++) {
      const { api, mortal, tus, dyingTus } = scene(ops, { at, when })
      const path = await tus.open(bytes.length)
      await tus.patch(path, 0, bytes.slice(0, PART_BYTES + 10))
      await dyingTus.patch(path, PART_BYTES + 10, bytes.slice(PART_BYTES + 10)).catch(() => undefined)
      api.clock.nowMs += LEASE_MS
      if (at % 2 === 0) await api.runCron()
      const id = await goOn(tus, path)
      const content = await api.request(`/api/ops/files/${id}/content`, { token: ops.tokens.accessToken })
      expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
      const { files } = await (await api.request("/api/ops/files", { token: ops.tokens.accessToken })).json<{ files: object[] }>()
      expect(files).toHaveLength(at)
      if (!mortal.hasDied()) break
    }
    expect(at).toBeGreaterThan(10)
    expect(at).toBeLessThan(MOST_CALLS)
  })

  it("in anything, and whose client never comes back: nothing is left", { timeout: 240_000 }, async () => {
    await sweepLeftovers()
    const api = createTestClient()
    const ops = await api.newOps()
    const before = await holdings(api)
    const broken = new Uint8Array([...bytes.slice(0, 1000), ...new Uint8Array(PART_BYTES)])
    const works: ((tus: ReturnType<typeof tusClient>, path: string) => Promise<unknown>)[] = [
      (tus, path) => tus.patch(path, 0, bytes.slice(0, PART_BYTES + 10)),
      (tus, path) => tus.patch(path, 0, broken),
      (tus, path) => tus.remove(path),
    ]
    for (const work of works) {
      for (let at = 1; at < MOST_CALLS; at++) {
        const { mortal, tus, dyingTus } = scene(ops, { at, when })
        const path = await tus.open(broken.length)
        if (work === works[2]) await tus.patch(path, 0, bytes.slice(0, PART_BYTES + 10))
        await work(dyingTus, path).catch(() => undefined)
        if (!mortal.hasDied()) break
      }
    }
    await sweepLeftovers()
    expect(await holdings(api)).toEqual(before)
  })

  it("in a plain upload: there is one file or none, and nothing else is left", { timeout: 240_000 }, async () => {
    await sweepLeftovers()
    const api = createTestClient()
    const ops = await api.newOps()
    const token = ops.tokens.accessToken
    const before = await holdings(api)
    let at = 1
    let made = 0
    for (; at < MOST_CALLS; at++) {
      const mortal = mortalBindings({ at, when })
      const dying = createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS })
      const put = { method: "PUT", token, body: bytes, headers: { "Idempotency-Key": `key${String(at)}` } }
      await dying.request("/api/ops/upload/a.docx", put).catch(() => undefined)
      made++
      api.clock.nowMs += 60_000
      if (!mortal.hasDied()) break
    }
    expect(at).toBeGreaterThan(8)
    expect(at).toBeLessThan(MOST_CALLS)
    // Whatever became of each, its client tries again under the same key, and has exactly one file.
    const later = createTestClient()
    later.clock.nowMs += 16 * 60_000
    const { accessToken } = await later.logIn("ops", ops.email)
    for (let i = 1; i <= made; i++) {
      const put = { method: "PUT", token: accessToken, body: bytes, headers: { "Idempotency-Key": `key${String(i)}` } }
      expect((await later.request("/api/ops/upload/a.docx", put)).status).toBe(201)
    }
    later.clock.nowMs += DAY_MS
    await sweepLeftovers()
    const after = await holdings(api)
    expect(after).toEqual({ ...before, files: before.files + made, blobs: before.blobs + made, objects: before.objects + made })
  })
})
