// Stored bytes and rows under attack: never one wrong byte, a clean problem where it can still be given, and
// otherwise a broken transfer whose bytes are a true beginning.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { toHex } from "../../src/crypto/bytes.ts"
import { createFileKey } from "../../src/crypto/file-key.ts"
import { SEALED_PART_BYTES, SEGMENT_BYTES, partAssociatedData, streamBytes } from "../../src/crypto/sealed-format.ts"
import { sealStream } from "../../src/crypto/sealed-stream.ts"
import { auditEvents, blobs } from "../../src/db/schema.ts"
import { importHkdfKey, mapKeyRing, newKeyRingEntry, parseKeyRing } from "../../src/crypto/keyring.ts"
import { docxOfSize } from "../support/documents.ts"
import { createTestClient } from "../support/client.ts"

const document = docxOfSize(6 * 1024 * 1024)

async function scene(bytes = document) {
  const api = createTestClient()
  const ops = await api.newOps()
  const upload = async () => {
    const { file } = await (await api.upload(ops.tokens.accessToken, bytes, "a.docx")).json<{ file: { id: string } }>()
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    if (row === undefined) throw new Error("no row")
    const object = await env.BLOBS.get(row.objectKey)
    return { id: file.id, row, sealed: new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer(0)) }
  }
  const read = (id: string, client = api) => client.request(`/api/ops/files/${id}/content`, { token: ops.tokens.accessToken })
  return { api, ops, upload, read }
}

const isPrefix = (part: Uint8Array, whole: Uint8Array): boolean => part.every((byte, i) => byte === whole[i])

describe("damage that shows before the first byte", () => {
  it.each<[string, (sealed: Uint8Array) => Uint8Array]>([
    ["flipped in the header's length", (sealed) => sealed.with(0, (sealed[0] ?? 0) ^ 1)],
    ["flipped in the salt", (sealed) => sealed.with(9, (sealed[9] ?? 0) ^ 1)],
    ["flipped in the nonce prefix", (sealed) => sealed.with(35, (sealed[35] ?? 0) ^ 1)],
    ["flipped in the first segment", (sealed) => sealed.with(1000, (sealed[1000] ?? 0) ^ 1)],
    ["flipped in the first tag", (sealed) => sealed.with(SEGMENT_BYTES - 1, (sealed[SEGMENT_BYTES - 1] ?? 0) ^ 1)],
    ["cut by a byte", (sealed) => sealed.slice(0, -1)],
    ["cut at a part's edge", (sealed) => sealed.slice(0, SEALED_PART_BYTES)],
    ["cut at a segment's edge", (sealed) => sealed.slice(0, SEALED_PART_BYTES + SEGMENT_BYTES)],
    ["longer by a byte", (sealed) => new Uint8Array([...sealed, 0])],
    ["empty", () => new Uint8Array(0)],
  ])("%s: a clean 500 and an audit event", async (_, change) => {
    const { api, upload, read } = await scene()
    const { id, row, sealed } = await upload()
    expect((await read(id)).status).toBe(200)
    await env.BLOBS.put(row.objectKey, change(sealed))
    const response = await read(id)
    expect(await response.json()).toMatchObject({ status: 500, code: "integrity_failure" })
    expect(
      (await api.db.select().from(auditEvents)).filter(({ kind, subjectId }) => kind === "file.unreadable" && subjectId === id),
    ).toHaveLength(1)
    await env.BLOBS.put(row.objectKey, sealed)
    expect((await read(id)).status).toBe(200)
  })

  it("an object that is gone", async () => {
    const { upload, read } = await scene()
    const { id, row } = await upload()
    await env.BLOBS.delete(row.objectKey)
    expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
  })

  it.each<[string, string]>([
    ["size", "update blobs set size_bytes = size_bytes - 1"],
    ["size and sealed size together", "update blobs set size_bytes = size_bytes - 1, sealed_bytes = sealed_bytes - 1"],
    ["version", "update blobs set version = 2"],
    ["format", "update blobs set format = 2"],
    ["parts", "update blobs set parts = parts + 1"],
    ["wrapped key", "update blobs set wrapped_key = 'ff' || substr(wrapped_key, 3)"],
    ["commitment", "update blobs set commitment = 'ff' || substr(commitment, 3)"],
    ["commitment's form", "update blobs set commitment = 'x'"],
    ["version below zero", "update blobs set version = -1"],
    ["version beyond 32 bits", "update blobs set version = 4294967296"],
    ["version that is no whole number", "update blobs set version = 1.5"],
    ["size below zero, with all that follows from it", "update blobs set size_bytes = -1, sealed_bytes = 55, parts = 1"],
    ["size that is no whole number", "update blobs set size_bytes = 1.5, sealed_bytes = 57.5, parts = 1"],
    ["digest that is none", "update blobs set sha256 = 'a' || char(13, 10) || 'b: c'"],
    ["key id that is none", "update blobs set key_id = 300"],
    ["object key that R2 does not take", "update blobs set object_key = hex(zeroblob(2000))"],
  ])("an edited %s in the database", async (field, sql) => {
    const { api, upload, read } = await scene()
    const { id } = await upload()
    expect((await read(id)).status).toBe(200)
    await api.db.$client.prepare(`${sql} where file_id = ?`).bind(id).run()
    if (field.startsWith("version"))
      await api.db.$client.prepare("update files set version = (select version from blobs where file_id = files.id)").run()
    expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
    const noted = await api.db.select().from(auditEvents)
    expect(noted.filter(({ kind, subjectId }) => kind === "file.unreadable" && subjectId === id)).toHaveLength(1)
  })

  it("two files' objects, keys, or both exchanged", async () => {
    const { api, upload, read } = await scene()
    const [one, two] = [await upload(), await upload()]
    const set = (id: string, columns: string, values: string[]) =>
      api.db.$client
        .prepare(`update blobs set ${columns} where file_id = ?`)
        .bind(...values, id)
        .run()
    const exchanges: [string, (row: typeof one.row) => string[]][] = [
      ["wrapped_key = ?, commitment = ?", (row) => [row.wrappedKey, row.commitment]],
      ["wrapped_key = ?", (row) => [row.wrappedKey]],
    ]
    for (const [columns, values] of exchanges) {
      await set(one.id, columns, values(two.row))
      await set(two.id, columns, values(one.row))
      for (const { id } of [one, two]) expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
      await set(one.id, "wrapped_key = ?, commitment = ?", [one.row.wrappedKey, one.row.commitment])
      await set(two.id, "wrapped_key = ?, commitment = ?", [two.row.wrappedKey, two.row.commitment])
    }
    await env.BLOBS.put(one.row.objectKey, two.sealed)
    await env.BLOBS.put(two.row.objectKey, one.sealed)
    for (const { id } of [one, two]) expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
    await set(one.id, "wrapped_key = ?, commitment = ?", [two.row.wrappedKey, two.row.commitment])
    await set(two.id, "wrapped_key = ?, commitment = ?", [one.row.wrappedKey, one.row.commitment])
    for (const { id } of [one, two]) expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
  })
})

describe("an old version put back", () => {
  it("object, wrapped key and commitment together, in place of the current ones, does not open", async () => {
    const { api, upload, read } = await scene(docxOfSize(3000))
    const { id, row, sealed } = await upload()
    // What replacing a file will do: the same id, the next version, a key of its own.
    const ring = parseKeyRing(api.env.MASTER_KEYS)
    if (typeof ring === "string") throw new Error(ring)
    const next = { fileId: id, fileVersion: 2 }
    const { fileKey, wrapped } = await createFileKey(await mapKeyRing(ring, importHkdfKey), next)
    const content = docxOfSize(3000)
    const associatedData = partAssociatedData({ ...next, partIndex: 0, isLastPart: true })
    await env.BLOBS.put(
      row.objectKey,
      await sealStream(fileKey, associatedData, content, new Uint8Array(streamBytes(content.length))),
    )
    const set = (wrappedKey: string, commitment: string) =>
      api.db.$client
        .prepare("update blobs set version = 2, wrapped_key = ?, commitment = ? where file_id = ?")
        .bind(wrappedKey, commitment, id)
        .run()
    await set(toHex(wrapped.wrappedKey), toHex(wrapped.commitment))
    await api.db.$client.prepare("update files set version = 2 where id = ?").bind(id).run()
    const current = await read(id)
    expect([current.status, new Uint8Array(await current.arrayBuffer())]).toEqual([200, content])

    await env.BLOBS.put(row.objectKey, sealed)
    expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
    await set(row.wrappedKey, row.commitment)
    expect(await (await read(id)).json()).toMatchObject({ code: "integrity_failure" })
  })
})

describe("damage further in", () => {
  it.each<[string, number]>([
    ["in a later segment", 10 * SEGMENT_BYTES + 5],
    ["in the second part's header", SEALED_PART_BYTES + 3],
    ["in the last tag", -1],
  ])("%s breaks the transfer off, and what arrived is a true beginning", async (_, at) => {
    const { api, ops, upload } = await scene()
    const { id, row, sealed } = await upload()
    const index = at < 0 ? sealed.length + at : at
    await env.BLOBS.put(row.objectKey, sealed.with(index, (sealed[index] ?? 0) ^ 1))
    const response = await api.request(`/api/ops/files/${id}/content`, { token: ops.tokens.accessToken })
    expect(response.headers.get("x-test-broken-off")).toBe("yes")
    expect(
      (await api.db.select().from(auditEvents)).filter(({ kind, subjectId }) => kind === "file.unreadable" && subjectId === id),
    ).toHaveLength(1)
  })

  it("never sends a byte that is not the document's", async () => {
    const { api, ops, upload } = await scene()
    const { id, row, sealed } = await upload()
    const index = 12 * SEGMENT_BYTES
    await env.BLOBS.put(row.objectKey, sealed.with(index, (sealed[index] ?? 0) ^ 1))
    const received: Uint8Array[] = []
    const { body } = await api.rawRequest(`/api/ops/files/${id}/content`, { token: ops.tokens.accessToken })
    await expect(
      (async () => {
        for await (const chunk of body as ReadableStream<Uint8Array>) received.push(chunk)
      })(),
    ).rejects.toThrow()
    const arrived = new Uint8Array(await new Blob(received).arrayBuffer())
    expect(arrived.length).toBeGreaterThan(0)
    expect(arrived.length).toBeLessThan(document.length)
    expect(isPrefix(arrived, document)).toBe(true)
  })
})

describe("a file that is deleted while it is being sent", () => {
  it.each([
    ["with its row: breaks off without alarm", true, 0],
    ["without its row: breaks off as damage", false, 1],
  ])("%s", async (_, isFileDeleted, alarms) => {
    const { api, ops, upload } = await scene(docxOfSize(12 * 1024 * 1024))
    const { id, row } = await upload()
    const context = createExecutionContext()
    const { body } = await api.rawRequest(`/api/ops/files/${id}/content`, { token: ops.tokens.accessToken }, context)
    const reader = (body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    if (isFileDeleted) await api.request(`/api/ops/files/${id}?purge=true`, { method: "DELETE", token: ops.tokens.accessToken })
    else await env.BLOBS.delete(row.objectKey)
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow()
    await waitOnExecutionContext(context)
    const noted = await api.db.select().from(auditEvents)
    expect(noted.filter(({ kind, subjectId }) => kind === "file.unreadable" && subjectId === id)).toHaveLength(alarms)
  })
})

describe("keys", () => {
  it("that are not configured any more answer 503, and the file opens again when they are back", async () => {
    const { api, ops, upload } = await scene(docxOfSize(1000))
    const { id } = await upload()
    const path = `/api/ops/files/${id}/content`
    const rotated = newKeyRingEntry(2)
    const without = createTestClient({ MASTER_KEYS: rotated })
    expect(await without.problem(path, { token: ops.tokens.accessToken })).toMatchObject({ status: 503, code: "key_unavailable" })
    const withBoth = createTestClient({ MASTER_KEYS: `${rotated},${api.env.MASTER_KEYS}` })
    expect((await withBoth.request(path, { token: ops.tokens.accessToken })).status).toBe(200)
    const sameIdOtherKey = createTestClient({ MASTER_KEYS: newKeyRingEntry(1) })
    expect(await sameIdOtherKey.problem(path, { token: ops.tokens.accessToken })).toMatchObject({
      status: 500,
      code: "integrity_failure",
    })
  })
})
