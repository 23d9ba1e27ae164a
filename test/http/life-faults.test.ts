// A Worker that dies at any await of a file's life: for every call to D1 or R2 that a new version, a deletion or a purge
// makes, the run in which it dies right before that call, and the one in which it dies right after. Then its client comes
// back, or nobody does.
import { env } from "cloudflare:workers"
import { eq } from "drizzle-orm"
import { describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { createDeps } from "../../src/deps.ts"
import { ageFiles } from "../../src/domain/file-life.ts"
import { sweepDiscardedObjects } from "../../src/domain/housekeeping.ts"
import { blobs, discardedObjects, fileGrants, files, uploads } from "../../src/db/schema.ts"
import { createTestClient } from "../support/client.ts"
import { docxOfSize, isSame } from "../support/documents.ts"
import { mortalBindings } from "../support/mortal-bindings.ts"
import { sweepLeftovers } from "../support/tus.ts"

const DAY_MS = 24 * 60 * 60_000
const MOST_CALLS = 60
const old = docxOfSize(1000)

async function objectCount(): Promise<number> {
  let count = 0
  for (let cursor: string | undefined; ;) {
    const page = await env.BLOBS.list(cursor === undefined ? {} : { cursor })
    count += page.objects.length
    if (!page.truncated) return count
    cursor = page.cursor
  }
}

describe.each(["before", "after"] as const)("a Worker that dies %s a call", (when) => {
  it.each([
    ["of one part", docxOfSize(2000)],
    ["of two parts", docxOfSize(PART_BYTES + 100_000)],
  ])(
    "in a new version %s: the old one or the new one is there, whole, and nothing else",
    { timeout: 240_000 },
    async (_, bytes) => {
      await sweepLeftovers()
      const api = createTestClient()
      const { email, tokens } = await api.newOps()
      const token = tokens.accessToken
      const { file } = await (await api.upload(token, old, "a.docx")).json<{ file: { id: string } }>()
      const before = await objectCount()
      let at = 1
      for (; at < MOST_CALLS; at++) {
        const mortal = mortalBindings({ at, when })
        const dying = createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS })
        const put = { method: "PUT", token, body: bytes, headers: { "Idempotency-Key": `${when}${String(at)}` } }
        await dying.request(`/api/ops/files/${file.id}/content`, put).catch(() => undefined)
        const row = await api.db.select().from(files).where(eq(files.id, file.id)).get()
        const content = await api.request(`/api/ops/files/${file.id}/content`, { token })
        expect(isSame(new Uint8Array(await content.arrayBuffer()), row?.version === 1 ? old : bytes)).toBe(true)
        const [grant] = await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, file.id))
        expect(grant?.sizeBytes).toBe(row?.sizeBytes)
        if (!mortal.hasDied()) break
      }
      expect(at).toBeGreaterThan(6)
      expect(at).toBeLessThan(MOST_CALLS)
      const later = createTestClient()
      // Whatever became of each, the same request again makes no second version of it.
      later.clock.nowMs += 16 * 60_000
      const { accessToken } = await later.logIn("ops", email)
      for (let i = 1; i <= at; i++) {
        const put = { method: "PUT", token: accessToken, body: bytes, headers: { "Idempotency-Key": `${when}${String(i)}` } }
        expect((await later.request(`/api/ops/files/${file.id}/content`, put)).status).toBe(200)
      }
      later.clock.nowMs += DAY_MS
      await sweepLeftovers()
      const versions = await api.db.select().from(blobs).where(eq(blobs.fileId, file.id))
      expect(versions.map(({ version }) => version)).toEqual(Array.from({ length: at + 1 }, (_, i) => i + 1))
      expect(await objectCount()).toBe(before + at)
      expect(await api.db.select().from(uploads)).toEqual([])
    },
  )

  it("in DELETE, restore and purge: each has happened or has not, and nothing is left", { timeout: 240_000 }, async () => {
    await sweepLeftovers()
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const token = tokens.accessToken
    const before = await objectCount()
    for (const [method, path] of [
      ["DELETE", ""],
      ["POST", "/restore"],
      ["DELETE", "?purge=true"],
    ] as const) {
      let at = 1
      for (; at < MOST_CALLS; at++) {
        const { file } = await (await api.upload(token, old, "a.docx")).json<{ file: { id: string } }>()
        if (method === "POST") await api.request(`/api/ops/files/${file.id}`, { method: "DELETE", token })
        const mortal = mortalBindings({ at, when })
        const dying = createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS })
        await dying.request(`/api/ops/files/${file.id}${path}`, { method, token }).catch(() => undefined)
        const row = await api.db.select().from(files).where(eq(files.id, file.id)).get()
        const grants = await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, file.id))
        expect(grants.map(({ deletedAtMs }) => deletedAtMs)).toEqual(row === undefined ? [] : [row.deletedAtMs])
        const kept = await api.db.select().from(blobs).where(eq(blobs.fileId, file.id))
        expect(kept).toHaveLength(row === undefined ? 0 : 1)
        if (row !== undefined) {
          // A client that comes back gets its way.
          const again = await api.request(`/api/ops/files/${file.id}${path}`, { method, token })
          expect(again.ok).toBe(true)
          await api.request(`/api/ops/files/${file.id}?purge=true`, { method: "DELETE", token })
        }
        if (!mortal.hasDied()) break
      }
      expect(at).toBeGreaterThan(2)
      expect(at).toBeLessThan(MOST_CALLS)
    }
    await sweepLeftovers()
    expect(await objectCount()).toBe(before)
    expect(await api.db.select().from(discardedObjects)).toEqual([])
  })

  it("in cron's own work on files: the next run finishes it", { timeout: 240_000 }, async () => {
    await sweepLeftovers()
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const token = tokens.accessToken
    const { file } = await (await api.upload(token, old, "a.docx")).json<{ file: { id: string } }>()
    const before = await objectCount()
    await api.request(`/api/ops/files/${file.id}`, { method: "DELETE", token })
    for (let at = 1; at < MOST_CALLS; at++) {
      const mortal = mortalBindings({ at, when })
      const dying = createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS })
      const deps = await createDeps(dying.env, {
        now: () => api.clock.nowMs + 7 * DAY_MS,
        request: { id: crypto.randomUUID(), clientAddress: null },
        afterwards: () => undefined,
        log: () => undefined,
      })
      // One job fails without keeping the others from running.
      await ageFiles(deps, 100).catch(() => undefined)
      await sweepDiscardedObjects(deps, 100).catch(() => undefined)
      const row = await api.db.select().from(files).where(eq(files.id, file.id)).get()
      expect(await api.db.select().from(blobs).where(eq(blobs.fileId, file.id))).toHaveLength(row === undefined ? 0 : 1)
      if (!mortal.hasDied()) break
    }
    await sweepLeftovers()
    expect(await objectCount()).toBe(before - 1)
    expect(await api.db.select().from(discardedObjects)).toEqual([])
  })
})
