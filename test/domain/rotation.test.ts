// Rotation of master keys and inspection of what is stored, over real D1 and R2.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { beforeEach, describe, expect, it } from "vitest"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { blobs } from "../../src/db/schema.ts"
import { createDeps } from "../../src/deps.ts"
import { type Finding, type InspectionStep, continueInspection, inspect } from "../../src/domain/inspection.ts"
import { rotateKeys } from "../../src/domain/rotation.ts"
import { docxOfSize } from "../support/documents.ts"
import { type TestClient, createTestClient } from "../support/client.ts"
import { tusClient } from "../support/tus.ts"

let api: TestClient
let token: string
const oldKey = newKeyRingEntry(1)
const newKey = newKeyRingEntry(2)

async function depsWith(masterKeys: string) {
  const context = createExecutionContext()
  const client = createTestClient({ MASTER_KEYS: masterKeys })
  const deps = await createDeps(client.env, {
    now: () => client.clock.nowMs,
    request: { id: crypto.randomUUID(), clientAddress: null },
    afterwards: (work) => {
      context.waitUntil(work)
    },
    log: () => undefined,
  })
  return { deps, client, settle: () => waitOnExecutionContext(context) }
}

async function uploadTo(client: TestClient, size = 2000): Promise<string> {
  const response = await client.upload(token, docxOfSize(size), "a.docx")
  return (await response.json<{ file: { id: string } }>()).file.id
}

const rowOf = async (id: string) => (await api.db.select().from(blobs)).find(({ fileId }) => fileId === id)
const isReadable = async (client: TestClient, id: string): Promise<boolean> =>
  (await client.request(`/api/ops/files/${id}/content`, { token })).status === 200

beforeEach(async () => {
  api = createTestClient({ MASTER_KEYS: oldKey })
  await api.db.$client.batch([api.db.$client.prepare("delete from files"), api.db.$client.prepare("delete from job_cursors")])
  for (const { key } of (await env.BLOBS.list()).objects) await env.BLOBS.delete(key)
  token = (await api.newOps()).tokens.accessToken
})

describe("rotateKeys", () => {
  it("moves every key to the new master key; then the old one is not needed any more", async () => {
    const ids = [await uploadTo(api), await uploadTo(api, 6_000_000), await uploadTo(api)]
    const before = await Promise.all(ids.map(rowOf))
    const { deps } = await depsWith(`${newKey},${oldKey}`)
    expect(await rotateKeys(deps, 2)).toEqual({ rewrapped: 2, failed: [], left: 1 })
    expect(await rotateKeys(deps, 100)).toEqual({ rewrapped: 1, failed: [], left: 0 })
    expect(await rotateKeys(deps, 100)).toEqual({ rewrapped: 0, failed: [], left: 0 })
    const after = await Promise.all(ids.map(rowOf))
    for (const [i, row] of after.entries()) {
      expect(row).toEqual({ ...before[i], keyId: 2, wrappedKey: row?.wrappedKey })
      expect(row?.wrappedKey).not.toBe(before[i]?.wrappedKey)
    }
    for (const id of ids) {
      expect(await isReadable(createTestClient({ MASTER_KEYS: newKey }), id)).toBe(true)
      expect(await isReadable(api, id)).toBe(false)
    }
  })

  it("runs beside live downloads and itself, and converges with no failed download", async () => {
    const ids: string[] = []
    for (let i = 0; i < 12; i++) ids.push(await uploadTo(api))
    const { deps, client } = await depsWith(`${newKey},${oldKey}`)
    const rotations = Array.from({ length: 4 }, () => rotateKeys(deps, 100))
    const reads = ids.flatMap((id) => [isReadable(client, id), isReadable(client, id)])
    expect(await Promise.all(reads)).toEqual(reads.map(() => true))
    await Promise.all(rotations)
    expect((await Promise.all(ids.map(rowOf))).every((row) => row?.keyId === 2)).toBe(true)
    for (const id of ids) expect(await isReadable(createTestClient({ MASTER_KEYS: newKey }), id)).toBe(true)
  })

  it("leaves what it cannot unwrap as it is, says so, and does the rest", async () => {
    const [good, damaged, foreign] = [
      await uploadTo(api),
      await uploadTo(api),
      await uploadTo(createTestClient({ MASTER_KEYS: newKeyRingEntry(9) })),
    ]
    await api.db.$client
      .prepare("update blobs set wrapped_key = '00' || substr(wrapped_key, 3) where file_id = ?")
      .bind(damaged)
      .run()
    const before = await Promise.all([damaged, foreign].map(rowOf))
    const { deps } = await depsWith(`${newKey},${oldKey}`)
    const step = await rotateKeys(deps, 100)
    expect(step).toMatchObject({ rewrapped: 1, left: 2 })
    expect(new Map(step.failed.map(({ fileId, reason }) => [fileId, reason]))).toEqual(
      new Map([
        [damaged, "wrapped_key"],
        [foreign, "unknown_key"],
      ]),
    )
    expect(await Promise.all([damaged, foreign].map(rowOf))).toEqual(before)
    expect((await rowOf(good))?.keyId).toBe(2)
  })

  it("does the rest beside rows that no key can belong to", async () => {
    const ids = [await uploadTo(api), await uploadTo(api), await uploadTo(api)].sort()
    const [strange = "", ...good] = ids
    const setVersion = (version: number) =>
      api.db.$client.prepare("update blobs set version = ? where file_id = ?").bind(version, strange).run()
    await setVersion(-1)
    const { deps } = await depsWith(`${newKey},${oldKey}`)
    expect(await rotateKeys(deps, 100)).toMatchObject({
      rewrapped: 2,
      failed: [{ fileId: strange, reason: "wrapped_key" }],
      left: 1,
    })
    for (const id of good) expect((await rowOf(id))?.keyId).toBe(2)
    await setVersion(1)
    expect(await rotateKeys(deps, 100)).toMatchObject({ rewrapped: 1, failed: [], left: 0 })
  })

  it("is not stopped by more failing keys than a step may wrap", async () => {
    const [first = "", second = "", good = ""] = [await uploadTo(api), await uploadTo(api), await uploadTo(api)].sort()
    for (const id of [first, second]) await api.db.$client.prepare("update blobs set key_id = 9 where file_id = ?").bind(id).run()
    const { deps } = await depsWith(`${newKey},${oldKey}`)
    expect(await rotateKeys(deps, 1)).toMatchObject({ rewrapped: 1, left: 2 })
    expect((await rowOf(good))?.keyId).toBe(2)
    await api.db.$client.prepare("update blobs set key_id = 1 where key_id = 9").run()
    expect(await rotateKeys(deps, 2)).toMatchObject({ rewrapped: 2, failed: [], left: 0 })
  })

  it("counts an upload under way as left; it goes on, and its file is rotated like any other", async () => {
    const bytes = docxOfSize(2000)
    const path = await tusClient(api, token).open(bytes.length)
    const { deps, client } = await depsWith(`${newKey},${oldKey}`)
    expect(await rotateKeys(deps, 100)).toEqual({ rewrapped: 0, failed: [], left: 1 })
    const id = (await tusClient(client, token).patch(path, 0, bytes)).headers.get("sealpost-file-id") ?? ""
    expect(await rotateKeys(deps, 100)).toEqual({ rewrapped: 1, failed: [], left: 0 })
    expect(await isReadable(createTestClient({ MASTER_KEYS: newKey }), id)).toBe(true)
  })

  it("runs from cron", async () => {
    const id = await uploadTo(api)
    await createTestClient({ MASTER_KEYS: `${newKey},${oldKey}` }).runCron()
    expect((await rowOf(id))?.keyId).toBe(2)
  })
})

describe("inspect", () => {
  async function inspectAll(
    masterKeys = oldKey,
  ): Promise<{ findings: Finding[]; filesOpened: number; objectsListed: number; steps: number }> {
    const { deps, settle } = await depsWith(masterKeys)
    const sum = { findings: [] as Finding[], filesOpened: 0, objectsListed: 0, steps: 0 }
    for (let cursor: string | null = null; sum.steps === 0 || cursor !== null; sum.steps++) {
      const step = await inspect(deps, cursor, 100_000)
      sum.findings.push(...step.findings)
      sum.filesOpened += step.filesOpened
      sum.objectsListed += step.objectsListed
      cursor = step.next
    }
    await settle()
    return sum
  }

  it("of a sound store opens everything and finds nothing", async () => {
    for (let i = 0; i < 23; i++) await uploadTo(api)
    await uploadTo(api, 6_000_000)
    expect(await inspectAll()).toMatchObject({ findings: [], filesOpened: 24, objectsListed: 24 })
  })

  const sealedBytesOf = async (objectKey: string) =>
    new Uint8Array((await (await env.BLOBS.get(objectKey))?.arrayBuffer()) ?? new ArrayBuffer(0))
  const flip = async (objectKey: string, at: number): Promise<void> => {
    const sealed = await sealedBytesOf(objectKey)
    const index = at < 0 ? sealed.length + at : at
    await env.BLOBS.put(objectKey, sealed.with(index, (sealed[index] ?? 0) ^ 1))
  }
  const set = (assignment: string) => (row: { fileId: string }) =>
    api.db.$client.prepare(`update blobs set ${assignment} where file_id = ?`).bind(row.fileId).run()

  it.each<[string, string, (row: { fileId: string; objectKey: string; sealedBytes: number }) => Promise<unknown>]>([
    ["its row's size edited", "row", set("size_bytes = size_bytes - 1")],
    ["its row's format edited", "row", set("format = 2")],
    ["a wrapped key that is no hex", "row", set("wrapped_key = 'x'")],
    ["its wrapped key changed", "wrapped_key", set("wrapped_key = '00' || substr(wrapped_key, 3)")],
    ["its commitment changed", "commitment", set("commitment = '00' || substr(commitment, 3)")],
    ["its key id edited", "key_unavailable", set("key_id = 9")],
    [
      "its digest edited",
      "sha256",
      set("sha256 = case substr(sha256, 1, 1) when '0' then '1' else '0' end || substr(sha256, 2)"),
    ],
    ["its object gone", "object_missing", ({ objectKey }) => env.BLOBS.delete(objectKey)],
    [
      "its object cut",
      "object_size",
      async ({ objectKey }) => env.BLOBS.put(objectKey, (await sealedBytesOf(objectKey)).slice(0, -1)),
    ],
    ["a bit flipped in its first header", "segment", ({ objectKey }) => flip(objectKey, 0)],
    ["a bit flipped in its first segment", "segment", ({ objectKey }) => flip(objectKey, 1000)],
    ["a bit flipped in its last byte", "segment", ({ objectKey }) => flip(objectKey, -1)],
  ])("tells a file with %s from others: %s", async (_, kind, damage) => {
    const [id, good] = [await uploadTo(api, 6_000_000), await uploadTo(api)]
    const row = await rowOf(id)
    if (row === undefined) throw new Error("no row")
    expect((await inspectAll()).findings).toEqual([])
    await damage(row)
    const { findings, filesOpened } = await inspectAll()
    const keyId = kind === "key_unavailable" ? 9 : 1
    expect(findings).toEqual([{ kind, fileId: id, objectKey: row.objectKey, keyId }])
    // What is not whole and right does not count as opened.
    expect(filesOpened).toBe(1)
    expect(await isReadable(api, good)).toBe(true)
  })

  it("goes on past a row whose file id is none", async () => {
    const id = await uploadTo(api)
    await uploadTo(api)
    const { $client } = api.db
    await $client.batch([
      $client.prepare("pragma defer_foreign_keys = on"),
      $client.prepare("update files set id = 'no:id' where id = ?").bind(id),
      $client.prepare("update blobs set file_id = 'no:id' where file_id = ?").bind(id),
      $client.prepare("update file_grants set file_id = 'no:id' where file_id = ?").bind(id),
    ])
    const { deps } = await depsWith(oldKey)
    const kinds: string[] = []
    let cursor: string | null = null
    for (let steps = 0; steps < 4; steps++) {
      const step: InspectionStep = await inspect(deps, cursor, 1)
      kinds.push(...step.findings.map(({ kind, fileId }) => `${kind} ${fileId ?? ""}`))
      cursor = step.next
    }
    expect(kinds).toEqual(["row no:id"])
    expect(cursor).toBeNull()
  })

  it("calls every wrapped key unopenable when the master key of that id is another one", async () => {
    const ids = [await uploadTo(api), await uploadTo(api)]
    const { findings, filesOpened } = await inspectAll(newKeyRingEntry(1))
    expect(new Set(findings.map(({ kind, fileId }) => `${kind} ${fileId ?? ""}`))).toEqual(
      new Set(ids.map((id) => `wrapped_key ${id}`)),
    )
    expect(filesOpened).toBe(0)
  })

  it("finds files without bytes and objects without a file", async () => {
    const [bare, good] = [await uploadTo(api), await uploadTo(api)]
    const orphan = (await rowOf(bare))?.objectKey ?? ""
    await api.db.$client.prepare("delete from blobs where file_id = ?").bind(bare).run()
    const { findings } = await inspectAll()
    expect(findings).toEqual([
      { kind: "file_without_bytes", fileId: bare, objectKey: null, keyId: null },
      { kind: "orphaned_object", fileId: null, objectKey: orphan, keyId: null },
    ])
    expect(findings.some(({ fileId }) => fileId === good)).toBe(false)
  })

  it("gets past rows whose ids are none", async () => {
    const [strange, good] = [await uploadTo(api), await uploadTo(api)]
    await api.db.$client.batch([
      api.db.$client.prepare("pragma defer_foreign_keys = on"),
      api.db.$client.prepare("update files set id = 'no:id' where id = ?").bind(strange),
      api.db.$client.prepare("update blobs set file_id = 'no:id' where file_id = ?").bind(strange),
      api.db.$client.prepare("update file_grants set file_id = 'no:id' where file_id = ?").bind(strange),
    ])
    const { deps, settle } = await depsWith(oldKey)
    const seen: (string | null)[] = []
    let cursor: string | null = null
    for (let step = 0; step < 10; step++) {
      const { findings, next } = await inspect(deps, cursor, 1)
      seen.push(...findings.map(({ kind, fileId }) => `${kind} ${fileId ?? ""}`))
      cursor = next
      if (cursor === null) break
    }
    await settle()
    expect([cursor, seen]).toEqual([null, ["row no:id"]])
    expect(await isReadable(api, good)).toBe(true)
  })

  it("does not call an upload under way an orphan", async () => {
    await env.BLOBS.put("under-way", "x")
    expect((await inspectAll()).findings).toEqual([
      { kind: "orphaned_object", fileId: null, objectKey: "under-way", keyId: null },
    ])
    await api.db.$client.prepare("insert into uploads (object_key, owner_id, started_at_ms) values ('under-way', 'x', 1)").run()
    expect((await inspectAll()).findings).toEqual([])
    await api.db.$client.prepare("delete from uploads").run()
    await env.BLOBS.delete("under-way")
  })

  it("goes on from run to run when cron drives it, and starts over at the end", async () => {
    for (let i = 0; i < 5; i++) await uploadTo(api)
    const logged: unknown[] = []
    const { deps: silent } = await depsWith(oldKey)
    const deps = { ...silent, log: (event: string, facts?: unknown) => void logged.push([event, facts]) }
    const opened: number[] = []
    for (let i = 0; i < 8; i++) opened.push((await continueInspection(deps, docxOfSize(2000).length + 1)).filesOpened)
    expect(opened.slice(0, 3)).toEqual([2, 2, 1])
    expect(opened.reduce((sum, files) => sum + files, 0)).toBeGreaterThan(5)
    expect(logged).toEqual([])
    await env.BLOBS.put("nobodys", "x")
    for (let i = 0; i < 8; i++) await continueInspection(deps, 3000)
    const facts = { kind: "orphaned_object", fileId: null, objectKey: "nobodys", keyId: null }
    expect(logged).toContainEqual(["inspection_finding", facts])
    await env.BLOBS.delete("nobodys")
  })
})
