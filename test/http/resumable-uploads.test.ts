// Resumable uploads as their clients use them: whatever the pieces, what arrives is the document, byte for byte.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { PART_BYTES, SEALED_PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { findOwnedObjects } from "../../src/db/uploads.ts"
import { auditEvents, resumableUploads } from "../../src/db/schema.ts"
import { createMemoryBudget } from "../../src/domain/memory.ts"
import { createUploadTraces } from "../../src/domain/upload-traces.ts"
import { type ProblemBody, createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { UPLOADS, base64, holdings, streamOf, tusClient } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")

async function scene(overrides: Record<string, string> = {}) {
  const api = createTestClient(overrides)
  const ops = await api.newOps()
  const token = ops.tokens.accessToken
  const content = async (fileId: string): Promise<Uint8Array> =>
    new Uint8Array(await (await api.request(`/api/ops/files/${fileId}/content`, { token })).arrayBuffer())
  return { api, ops, token, tus: tusClient(api, token), content }
}

const fileIdOf = (response: Response): string => response.headers.get("sealpost-file-id") ?? ""
const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** A document of exactly that many bytes. */
function docxOfExactly(sizeBytes: number): Uint8Array<ArrayBuffer> {
  const probe = docxOfSize(1000)
  const exact = docxOfSize(sizeBytes - (probe.length - 1000))
  if (exact.length !== sizeBytes) throw new Error(`${String(exact.length)} is not ${String(sizeBytes)}`)
  return exact
}

describe("a document arrives byte for byte", () => {
  it.each<[string, number, (size: number) => number[]]>([
    ["in one request", docx.length, (size) => [size]],
    ["byte by byte at its start", docx.length, (size) => [1, 1, 1, size]],
    ["in small pieces", 300_000, () => Array<number>(3).fill(100_000)],
    ["of exactly a part", PART_BYTES, (size) => [size]],
    ["of exactly a part, in two", PART_BYTES, (size) => [1_000_000, size]],
    ["of a part and a byte", PART_BYTES + 1, (size) => [size]],
    ["of a part and a byte, cut at the part", PART_BYTES + 1, () => [PART_BYTES, 1]],
    ["of two parts and more, in one request", 2 * PART_BYTES + 77_777, (size) => [size]],
    [
      "of two parts and more, cut everywhere",
      2 * PART_BYTES + 77_777,
      (size) => [PART_BYTES - 1, 1, 1, 3_000_000, 2_222_222, size],
    ],
  ])("%s", async (_, size, cuts) => {
    const { api, token, tus, content } = await scene()
    const bytes = size === docx.length ? docx : docxOfExactly(size)
    const path = await tus.open(bytes.length)
    let offset = 0
    let last: Response | undefined
    for (const piece of cuts(bytes.length)) {
      last = await tus.patch(path, offset, bytes.slice(offset, offset + piece))
      expect(last.status).toBe(204)
      offset = Math.min(bytes.length, offset + piece)
      expect(last.headers.get("upload-offset")).toBe(String(offset))
    }
    expect(offset).toBe(bytes.length)
    if (last === undefined) throw new Error("no request")
    const id = fileIdOf(last)
    expect(await sha256((await content(id)) as Uint8Array<ArrayBuffer>)).toBe(await sha256(bytes))
    const { files } = await (await api.request("/api/ops/files", { token })).json<{ files: object[] }>()
    expect(files).toEqual([expect.objectContaining({ id, name: "a.docx", size: bytes.length, sha256: await sha256(bytes) })])
    const head = await tus.head(path)
    expect([head.status, head.headers.get("upload-offset"), fileIdOf(head)]).toEqual([200, String(bytes.length), id])
    await api.runCron()
    expect(await holdings(api)).toMatchObject({ uploads: 0, parts: 0, discarded: 0, keys: 0 })
  })

  it("although another isolate goes on with it each time", async () => {
    const { ops, tus, content } = await scene()
    const bytes = docxOfExactly(PART_BYTES + 500_000)
    const path = await tus.open(bytes.length)
    await tus.patch(path, 0, bytes.slice(0, 700_000))
    const second = tusClient(createTestClient(), ops.tokens.accessToken)
    await second.patch(path, 700_000, bytes.slice(700_000, PART_BYTES + 3))
    const third = tusClient(createTestClient(), ops.tokens.accessToken)
    const last = await third.patch(path, PART_BYTES + 3, bytes.slice(PART_BYTES + 3))
    expect(last.status).toBe(204)
    expect(await sha256((await content(fileIdOf(last))) as Uint8Array<ArrayBuffer>)).toBe(await sha256(bytes))
  })

  it("without a length in the request", async () => {
    const { tus, content } = await scene()
    const bytes = docxOfExactly(PART_BYTES + 100)
    const path = await tus.open(bytes.length)
    const last = await tus.patch(path, 0, streamOf([bytes.slice(0, 10), bytes.slice(10, PART_BYTES), bytes.slice(PART_BYTES)]))
    expect(last.status).toBe(204)
    expect(await content(fileIdOf(last))).toEqual(bytes)
  })

  it.each([0, 3, PART_BYTES])("whose length is told only at last, after %i bytes", async (first) => {
    const { tus, content } = await scene()
    const bytes = docxOfExactly(PART_BYTES + 100)
    const path = await tus.open(null)
    expect((await tus.head(path)).headers.get("upload-defer-length")).toBe("1")
    if (first > 0) expect((await tus.patch(path, 0, bytes.slice(0, first))).status).toBe(204)
    const last = await tus.patch(path, first, bytes.slice(first), { "Upload-Length": String(bytes.length) })
    expect(last.status).toBe(204)
    expect(await content(fileIdOf(last))).toEqual(bytes)
  })

  it("whose length is told after its last byte", async () => {
    const { tus, content } = await scene()
    const bytes = docxOfExactly(PART_BYTES)
    const path = await tus.open(null)
    expect((await tus.patch(path, 0, bytes)).headers.get("upload-offset")).toBe(String(bytes.length))
    const last = await tus.patch(path, bytes.length, "", { "Upload-Length": String(bytes.length) })
    expect(last.status).toBe(204)
    expect(await content(fileIdOf(last))).toEqual(bytes)
  })

  it("sent with its creation", async () => {
    const { tus, content } = await scene()
    const created = await tus.create(docx.length, {}, docx)
    expect([created.status, created.headers.get("upload-offset")]).toEqual([201, String(docx.length)])
    expect(await content(fileIdOf(created))).toEqual(docx)
  })

  it("begun with its creation", async () => {
    const { tus, content } = await scene()
    const created = await tus.create(docx.length, {}, docx.slice(0, 100))
    expect([created.status, created.headers.get("upload-offset")]).toEqual([201, "100"])
    const path = new URL(created.headers.get("location") ?? "").pathname
    const last = await tus.patch(path, 100, docx.slice(100))
    expect(await content(fileIdOf(last))).toEqual(docx)
  })
})

describe("an upload", () => {
  it("I10: that breaks off keeps what has arrived, and goes on from there", async () => {
    const { tus, content } = await scene()
    const bytes = docxOfExactly(PART_BYTES + 1_000_000)
    const path = await tus.open(bytes.length)
    const arrived = PART_BYTES + 400_000
    await tus.patch(path, 0, streamOf([bytes.slice(0, arrived)], new Error("gone")))
    expect(await tus.offset(path)).toBe(arrived)
    const last = await tus.patch(path, arrived, bytes.slice(arrived))
    expect(await content(fileIdOf(last))).toEqual(bytes)
  })

  it("is named and limited by its metadata, and sends it back", async () => {
    const { api, token, tus } = await scene()
    const metadata = `filename ${base64("Отчёт.docx")},downloadLimit ${base64("3")},filetype ${base64("x")},is_confidential`
    const path = await tus.open(docx.length, { "Upload-Metadata": metadata })
    expect((await tus.head(path)).headers.get("upload-metadata")).toBe(metadata)
    await tus.patch(path, 0, docx)
    const { files } = await (await api.request("/api/ops/files", { token })).json<{ files: object[] }>()
    expect(files).toEqual([expect.objectContaining({ name: "Отчёт.docx", downloadLimit: 3 })])
  })

  it("is listed while it is open, shown afterwards, and audited like any other", async () => {
    const { api, ops, token, tus } = await scene()
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx.slice(0, 10))
    const list = () => api.request(UPLOADS, { token }).then((response) => response.json<{ uploads: Record<string, unknown>[] }>())
    const id = path.slice(path.lastIndexOf("/") + 1)
    const shown = { id, name: "a.docx", size: docx.length, offset: 10, state: "open", fileId: null, replaces: null }
    expect((await list()).uploads).toEqual([
      {
        ...shown,
        url: `https://sealpost.test${path}`,
        createdAt: "2026-11-23T12:00:00.000Z",
        expiresAt: "2026-11-24T12:00:00.000Z",
      },
    ])
    const fileId = fileIdOf(await tus.patch(path, 10, docx.slice(10)))
    expect((await list()).uploads).toEqual([])
    const { upload } = await (await api.request(path, { token })).json<{ upload: object }>()
    expect(upload).toMatchObject({ ...shown, offset: docx.length, state: "done", fileId })
    const events = await api.db.select().from(auditEvents)
    expect(
      events.filter(({ kind, actorId, subjectId }) => kind === "file.uploaded" && actorId === ops.id && subjectId === fileId),
    ).toHaveLength(1)
  })

  it("I11: repeated after a lost answer hears that it stands elsewhere, and then where", async () => {
    const { tus } = await scene()
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx)
    const again = await tus.patch(path, 0, docx)
    expect([again.status, (await again.json<ProblemBody>()).code]).toEqual([409, "upload_offset_conflict"])
    expect(await tus.offset(path)).toBe(docx.length)
    expect((await tus.patch(path, docx.length, "")).status).toBe(204)
  })

  it("of a part that arrives twice is sealed under another salt each time", async () => {
    const { api, tus } = await scene()
    const bytes = docxOfExactly(300_000)
    const path = await tus.open(bytes.length)
    const heads = new Set<string>()
    for (const end of [100_000, 200_000]) {
      await tus.patch(path, await tus.offset(path), bytes.slice(await tus.offset(path), end))
      const row = (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))
      const object = await env.BLOBS.get(row?.tailKey ?? "", { range: { offset: 0, length: 40 } })
      heads.add(new TextDecoder("latin1").decode(await object?.arrayBuffer()))
    }
    expect(heads.size).toBe(2)
  })

  it("announced with a digest is refused when it has another, and taken when it has that", async () => {
    const { api, tus } = await scene()
    const before = await holdings(api)
    const digestOf = async (bytes: Uint8Array<ArrayBuffer>) =>
      `sha-256=:${btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))))}:`
    const wrong = await tus.open(docx.length, { "Repr-Digest": await digestOf(docx.slice(1)) })
    const refused = await tus.patch(wrong, 0, docx)
    expect(await refused.json()).toMatchObject({ status: 400, code: "digest_mismatch" })
    expect(await holdings(api)).toEqual(before)
    const right = await tus.open(docx.length, { "Repr-Digest": await digestOf(docx) })
    expect((await tus.patch(right, 0, docx)).status).toBe(204)
  })
})

describe("what is no document", () => {
  it.each<[string, Uint8Array<ArrayBuffer>, number[]]>([
    ["at once, by its first bytes", new Uint8Array(PART_BYTES + 10), [PART_BYTES + 10]],
    ["at its end", new Uint8Array([...docx.slice(0, 1000), ...new Uint8Array(1000)]), [500, 1500]],
    ["empty", new Uint8Array(0), []],
    ["one byte", new TextEncoder().encode("P") as Uint8Array<ArrayBuffer>, [1]],
  ])("I23, H1: is refused %s, says why as often as it is asked, and leaves nothing", async (_, bytes, cuts) => {
    const { api, token, tus } = await scene()
    const before = await holdings(api)
    let answer = await tus.create(bytes.length)
    const path = new URL(answer.headers.get("location") ?? "https://x/none").pathname
    let offset = 0
    for (const cut of cuts) {
      answer = await tus.patch(path, offset, bytes.slice(offset, offset + cut))
      offset += cut
    }
    const problem = await answer.json<ProblemBody>()
    expect(problem).toMatchObject({ status: 422, code: "document_refused" })
    expect(await holdings(api)).toEqual(before)
    if (path !== "/none") {
      expect(await (await tus.patch(path, offset, "x")).json()).toMatchObject({
        code: "document_refused",
        detail: problem.detail,
      })
      expect((await tus.head(path)).status).toBe(422)
    }
    expect(await (await api.request("/api/ops/files", { token })).json()).toMatchObject({ files: [] })
  })
})

describe("HEAD", () => {
  it("tells offset and length from the first moment on, and is never cached", async () => {
    const { tus } = await scene()
    const head = await tus.head(await tus.open(docx.length))
    expect([head.status, Object.fromEntries(head.headers)]).toEqual([
      200,
      expect.objectContaining({ "upload-offset": "0", "upload-length": String(docx.length), "cache-control": "no-store" }),
    ])
    expect(head.headers.has("upload-defer-length")).toBe(false)
  })

  it("tells no offset of what is not there", async () => {
    const { tus } = await scene()
    const head = await tus.head(`${UPLOADS}/${crypto.randomUUID()}`)
    expect([head.status, head.headers.get("upload-offset")]).toEqual([404, null])
  })
})

describe("memory", () => {
  it("of an upload is two parts at most, tail and check included, and all of it is given back", async () => {
    const { token } = await scene()
    const memory = createMemoryBudget()
    const tus = tusClient(createTestClient({}, { memory, traces: createUploadTraces() }), token)
    const bytes = docxOfExactly(3 * PART_BYTES + 1000)
    const path = await tus.open(bytes.length)
    const cut = 2 * PART_BYTES - 7
    await tus.patch(path, 0, bytes.slice(0, cut))
    // Read back at its end: this isolate has not seen its beginning.
    const other = tusClient(createTestClient({}, { memory, traces: createUploadTraces() }), token)
    expect((await other.patch(path, cut, bytes.slice(cut))).status).toBe(204)
    expect(memory.usage.peakBorrowedBytes).toBeGreaterThan(PART_BYTES)
    expect(memory.usage.peakBorrowedBytes).toBeLessThanOrEqual(PART_BYTES + SEALED_PART_BYTES)
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })
})

describe("what is stored", () => {
  it("of an open upload belongs to somebody, parts and tail, so that verification finds no orphan", async () => {
    const { api, tus } = await scene()
    const path = await tus.open(2 * PART_BYTES)
    await tus.patch(path, 0, docxOfExactly(2 * PART_BYTES).slice(0, PART_BYTES + 10))
    const row = (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))
    const keys = [row?.objectKey ?? "", row?.tailKey ?? ""]
    expect(keys).not.toContain("")
    expect(await findOwnedObjects(api.db, [...keys, "nobody's"])).toEqual(new Set(keys))
  })

  it("is sealed: neither tail nor parts hold a run of the document", async () => {
    const { api, tus } = await scene()
    const bytes = docxOfExactly(300_000)
    const path = await tus.open(bytes.length)
    await tus.patch(path, 0, bytes.slice(0, 250_000))
    const row = (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))
    const tail = new Uint8Array((await (await env.BLOBS.get(row?.tailKey ?? ""))?.arrayBuffer()) ?? new ArrayBuffer(0))
    expect(tail.length).toBeGreaterThan(250_000)
    const latin1 = new TextDecoder("latin1")
    expect(latin1.decode(tail)).not.toContain(latin1.decode(bytes.slice(100_000, 100_016)))
  })
})

describe("OPTIONS", () => {
  it("pays no heed to the version of the request", async () => {
    const response = await createTestClient().request(UPLOADS, { method: "OPTIONS", headers: { "Tus-Resumable": "0.2.2" } })
    expect(response.status).toBe(204)
  })

  it.each([UPLOADS, `${UPLOADS}/${crypto.randomUUID()}`])("%s tells everybody what is spoken here", async (path) => {
    const response = await createTestClient({ MAX_FILE_BYTES: "12345" }).request(path, { method: "OPTIONS" })
    expect([response.status, Object.fromEntries(response.headers)]).toEqual([
      204,
      expect.objectContaining({
        "tus-resumable": "1.0.0",
        "tus-version": "1.0.0",
        "tus-extension": "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum",
        "tus-max-size": "12345",
        "tus-checksum-algorithm": "sha1,sha256",
      }),
    ])
  })
})
