// What an upload refuses, and that a refused one leaves nothing anywhere.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { blobs, uploads } from "../../src/db/schema.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { type ProblemBody, type RequestOptions, createTestClient } from "../support/client.ts"
import { expectRefused, rawForm } from "../support/refusals.ts"
import { holdings } from "../support/tus.ts"

const UPLOAD = "/api/ops/upload"

const docx = realDocument("npm-docx.docx")

describe("a form", () => {
  const file = { head: 'name="file"; filename="a.docx"', content: docx }

  it.each<[string, RequestOptions, Partial<ProblemBody>]>([
    ["without parts", { ...rawForm([]), body: "--xyz--\r\n" }, { status: 422, code: "validation_failed" }],
    [
      "with the file in another field",
      rawForm([{ ...file, head: 'name="upload"; filename="a.docx"' }]),
      { status: 422, code: "validation_failed" },
    ],
    ["with text in the field", rawForm([{ head: 'name="file"', content: "x" }]), { status: 422, code: "validation_failed" }],
    ["with two files", rawForm([file, file]), { status: 422, code: "validation_failed" }],
    [
      "with a field after the file",
      rawForm([file, { head: 'name="note"', content: "x" }]),
      { status: 422, code: "validation_failed" },
    ],
    [
      "that ends early",
      {
        ...rawForm([file]),
        body: new Blob(['--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.docx"\r\n\r\n', docx]),
      },
      { status: 400, code: "malformed_request" },
    ],
    [
      "with another boundary than it says",
      { ...rawForm([file]), headers: { "Content-Type": "multipart/form-data; boundary=abc" } },
      { status: 400, code: "malformed_request" },
    ],
    [
      "without boundary",
      { ...rawForm([file]), headers: { "Content-Type": "multipart/form-data" } },
      { status: 415, code: "unsupported_media_type" },
    ],
    ["that is JSON", { method: "POST", json: {} }, { status: 415, code: "unsupported_media_type" }],
    [
      "that is the bare document",
      { method: "POST", body: docx, headers: { "Content-Type": "application/octet-stream" } },
      { status: 415, code: "unsupported_media_type" },
    ],
    [
      "H8: that is compressed",
      { ...rawForm([file]), headers: { ...rawForm([]).headers, "Content-Encoding": "gzip" } },
      { status: 415, code: "unsupported_media_type" },
    ],
  ])("%s is refused and leaves nothing", async (_, options, expected) => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    await expectRefused(api, () => api.request(UPLOAD, { token: tokens.accessToken, ...options }), expected)
    expect((await api.request(UPLOAD, { token: tokens.accessToken, ...rawForm([file]) })).status).toBe(201)
  })
})

describe("the greatest size", () => {
  it.each([
    [0, 201],
    [1, 413],
  ])("plus %i is answered with %i", async (more, status) => {
    const bytes = docxOfSize(10_000)
    const api = createTestClient({ MAX_FILE_BYTES: String(bytes.length - more) })
    const { tokens } = await api.newOps()
    if (status === 413)
      await expectRefused(api, () => api.upload(tokens.accessToken, bytes, "a.docx"), { status, code: "payload_too_large" })
    else expect((await api.upload(tokens.accessToken, bytes, "a.docx")).status).toBe(status)
  })

  it("is enforced on a stream without a declared length too, before anything is kept", async () => {
    const bytes = docxOfSize(12 * 1024 * 1024)
    const api = createTestClient({ MAX_FILE_BYTES: String(11 * 1024 * 1024) })
    const { tokens } = await api.newOps()
    const form = rawForm([{ head: 'name="file"; filename="a.docx"', content: bytes }])
    const body = (form.body as Blob).stream()
    await expectRefused(api, () => api.request(UPLOAD, { token: tokens.accessToken, ...form, body }), {
      status: 413,
      code: "payload_too_large",
    })
  })
})

describe("uploads that die on the way", () => {
  it("leave a row from which the sweeper removes everything, after a day and not before", async () => {
    const api = createTestClient()
    const { id } = await api.newOps()
    const multipart = await env.BLOBS.createMultipartUpload("dead-multipart")
    await env.BLOBS.put("dead-object", "sealed")
    await api.db.insert(uploads).values([
      { objectKey: "dead-multipart", ownerId: id, multipartId: multipart.uploadId, startedAtMs: api.clock.nowMs },
      { objectKey: "dead-object", ownerId: id, startedAtMs: api.clock.nowMs },
    ])
    await api.runCron()
    expect(await api.db.select().from(uploads)).toHaveLength(2)
    expect(await env.BLOBS.head("dead-object")).not.toBeNull()
    api.clock.nowMs += 24 * 60 * 60_000 + 1
    await Promise.all([api.runCron(), api.runCron()])
    expect(await api.db.select().from(uploads)).toEqual([])
    expect(await env.BLOBS.head("dead-object")).toBeNull()
    await expect(env.BLOBS.resumeMultipartUpload("dead-multipart", multipart.uploadId).uploadPart(1, "x")).rejects.toThrow()
  })

  it("never cost a published file its bytes, even when the row was left behind", async () => {
    const api = createTestClient()
    const { id, tokens } = await api.newOps()
    const { file } = await (await api.upload(tokens.accessToken, docx, "a.docx")).json<{ file: { id: string } }>()
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    await api.db.insert(uploads).values({ objectKey: row?.objectKey ?? "", ownerId: id, startedAtMs: 0 })
    await api.runCron()
    expect(await api.db.select().from(uploads)).toEqual([])
    expect((await api.request(`/api/ops/files/${file.id}/content`, { token: tokens.accessToken })).status).toBe(200)
  })

  it("are given up although one among them cannot be", async () => {
    const { bucket, id, api } = await stubbornBucket("stubborn")
    for (const objectKey of ["stubborn", "willing"]) {
      const { uploadId } = await env.BLOBS.createMultipartUpload(objectKey)
      await api.db.insert(uploads).values({ objectKey, ownerId: id, multipartId: uploadId, startedAtMs: 0 })
    }
    await createTestClient({ BLOBS: bucket }).runCron()
    expect((await api.db.select().from(uploads)).map(({ objectKey }) => objectKey)).toEqual(["stubborn"])
    await api.runCron()
    expect(await api.db.select().from(uploads)).toEqual([])
  })

  it("cannot be published any more once they were given up", async () => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const before = await holdings(api)
    // The sweeper comes while the object is being written, as if the upload had taken more than a day.
    const bucket = new Proxy(env.BLOBS, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property)
        if (property === "put") {
          return async (key: string, bytes: Uint8Array<ArrayBuffer>) => {
            const stored = await target.put(key, bytes)
            const later = createTestClient()
            later.clock.nowMs = api.clock.nowMs + 25 * 60 * 60_000
            await later.runCron()
            return stored
          }
        }
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    const slow = createTestClient({ BLOBS: bucket })
    expect((await slow.upload(tokens.accessToken, docx, "a.docx")).status).toBe(500)
    expect(await holdings(api)).toEqual(before)
    expect((await api.upload(tokens.accessToken, docx, "a.docx")).status).toBe(201)
  })
})

/** R2 that fails whenever one object's multipart upload is touched. */
async function stubbornBucket(stubbornKey: string) {
  const api = createTestClient()
  const { id } = await api.newOps()
  const bucket = new Proxy(env.BLOBS, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (property === "resumeMultipartUpload") {
        return (key: string, uploadId: string) => {
          if (key === stubbornKey) throw new Error("R2 is out of sorts (10000)")
          return target.resumeMultipartUpload(key, uploadId)
        }
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
  return { bucket, id, api }
}
