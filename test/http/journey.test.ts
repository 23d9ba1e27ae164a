// What everybody does with Sealpost, against the real app, D1, R2 and mail server.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { PART_BYTES, sealedFileBytes } from "../../src/crypto/sealed-format.ts"
import { auditEvents, blobs, links, uploads } from "../../src/db/schema.ts"
import { corpus, docxOfSize, packaged, realDocument } from "../support/documents.ts"
import { ORIGIN, createTestClient, freshEmail } from "../support/client.ts"

type FileJson = { id: string; name: string; size: number; type: string; sha256: string; createdAt: string }
type UploadJson = { file: FileJson; message: string }
type ListJson = { files: FileJson[]; nextCursor: string | null }
type LinkJson = { "download-link": string; message: string }

const sha256Hex = async (bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("")

const includes = (haystack: Uint8Array, needle: Uint8Array): boolean => {
  for (let at = haystack.indexOf(needle[0] ?? 0); at !== -1; at = haystack.indexOf(needle[0] ?? 0, at + 1)) {
    if (needle.every((byte, i) => haystack[at + i] === byte)) return true
  }
  return false
}

describe("the journey of a document", () => {
  const documents = [
    ...Object.entries(corpus).map(([path, bytes]) => ({ path, by: "", bytes })),
    // Some of them: test/office takes them all.
    ...packaged.filter(({ fault }, i) => fault === null && i % 4 === 0),
  ]

  it.each(documents)("takes $path ($by) from upload to the client, byte for byte", async ({ path, bytes }) => {
    const name = path.slice(path.lastIndexOf("/") + 1)
    const api = createTestClient()
    const ops = await api.newOps()
    const client = await api.newClient()
    const uploaded = await api.upload(ops.tokens.accessToken, bytes, name)
    expect(uploaded.status).toBe(201)
    const { file, message } = await uploaded.json<UploadJson>()
    const type = name.slice(name.lastIndexOf(".") + 1)
    expect(message).toBe("success")
    expect(file).toEqual({
      id: file.id,
      name,
      size: bytes.length,
      type,
      sha256: await sha256Hex(bytes),
      createdAt: "2026-11-23T12:00:00.000Z",
    })

    const list = await (await api.request("/api/client/files?limit=200", { token: client.tokens.accessToken })).json<ListJson>()
    expect(list.files.find(({ id }) => id === file.id)).toEqual({ ...file, description: null, expiresAt: null, state: "new" })

    const minted = await api.request(`/api/client/download/${file.id}`, { token: client.tokens.accessToken })
    expect(minted.status).toBe(200)
    const link = await minted.json<LinkJson>()
    expect(Object.keys(link)).toEqual(["download-link", "message"])
    expect(link["download-link"]).toMatch(/^https:\/\/sealpost\.test\/download-file\/[A-Za-z0-9_-]{142}$/)

    const downloaded = await api.request(link["download-link"], { token: client.tokens.accessToken })
    expect(downloaded.status).toBe(200)
    expect(downloaded.headers.get("content-length")).toBe(String(bytes.length))
    expect(downloaded.headers.get("content-disposition")).toBe(`attachment; filename="${name}"; filename*=UTF-8''${name}`)
    expect(downloaded.headers.get("content-type")).toMatch(/^application\/vnd\.openxmlformats-officedocument\./)
    expect(downloaded.headers.get("cache-control")).toBe("private, no-store, no-transform")
    expect(await sha256Hex(await downloaded.arrayBuffer())).toBe(file.sha256)
  })
})

describe("what is stored", () => {
  it("is ciphertext under a random key, and nothing in R2 names file or owner", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const bytes = realDocument("npm-docx.docx")
    const { file } = await (await api.upload(ops.tokens.accessToken, bytes, "secret name.docx")).json<UploadJson>()
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    const object = await env.BLOBS.get(row?.objectKey ?? "")
    if (object === null) throw new Error("no object")
    const stored = new Uint8Array(await object.arrayBuffer())
    expect(stored.length).toBe(sealedFileBytes(bytes.length))
    expect(object.key).toMatch(/^[0-9a-f]{40}$/)
    expect(object.customMetadata).toEqual({})
    for (const marker of [bytes.subarray(0, 8), bytes.subarray(-30, -10), new TextEncoder().encode("word/document.xml")]) {
      expect(includes(bytes, marker)).toBe(true)
      expect(includes(stored, marker)).toBe(false)
    }
    expect(JSON.stringify({ ...object.httpMetadata, key: object.key })).not.toMatch(/secret name|docx/)
  })

  it.each([PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 100_000])(
    "comes back identical from around a part's edge (%i bytes)",
    async (size) => {
      const api = createTestClient()
      const ops = await api.newOps()
      const overhead = docxOfSize(0).length
      const bytes = docxOfSize(size - overhead)
      expect(bytes.length).toBe(size)
      const uploaded = await api.upload(ops.tokens.accessToken, bytes, "large.docx")
      const { file } = await uploaded.json<UploadJson>()
      expect(file.size).toBe(size)
      const content = await api.request(`/api/ops/files/${file.id}/content`, { token: ops.tokens.accessToken })
      expect(content.status).toBe(200)
      expect(await sha256Hex(await content.arrayBuffer())).toBe(await sha256Hex(bytes))
      expect(await api.db.select().from(uploads)).toEqual([])
    },
  )

  it("is gone when its owner purges it: row, key, links and object", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const client = await api.newClient()
    const { file } = await (await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), "a.xlsx")).json<UploadJson>()
    const link = await (
      await api.request(`/api/client/download/${file.id}`, { token: client.tokens.accessToken })
    ).json<LinkJson>()
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    expect(await env.BLOBS.head(row?.objectKey ?? "")).not.toBeNull()
    const deleted = await api.request(`/api/ops/files/${file.id}?purge=true`, { method: "DELETE", token: ops.tokens.accessToken })
    expect(deleted.status).toBe(204)
    expect((await api.db.select().from(blobs)).filter(({ fileId }) => fileId === file.id)).toEqual([])
    expect((await api.db.select().from(links)).filter(({ fileId }) => fileId === file.id)).toEqual([])
    expect(await env.BLOBS.head(row?.objectKey ?? "")).toBeNull()
    expect(await api.problem(link["download-link"], { token: client.tokens.accessToken })).toMatchObject({
      code: "link_not_found",
    })
    expect(await api.problem(`/api/ops/files/${file.id}`, { method: "DELETE", token: ops.tokens.accessToken })).toMatchObject({
      code: "not_found",
    })
  })
})

describe("lists", () => {
  it("go through all files page by page, newest first, each once", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const client = await api.newClient()
    const made: string[] = []
    for (let i = 0; i < 7; i++) {
      if (i % 3 === 0) api.clock.nowMs += 1000
      const { file } = await (
        await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), `${String(i)}.xlsx`)
      ).json<UploadJson>()
      made.push(file.id)
    }
    const seen: FileJson[] = []
    for (let path: string | null = "/api/client/files?limit=2"; path !== null;) {
      const page: ListJson = await (await api.request(path, { token: client.tokens.accessToken })).json<ListJson>()
      expect(page.files.length).toBeLessThanOrEqual(2)
      seen.push(...page.files)
      path = page.nextCursor === null ? null : `/api/client/files?limit=2&cursor=${page.nextCursor}`
    }
    const ours = seen.map(({ id }) => id).filter((id) => made.includes(id))
    expect(ours).toHaveLength(7)
    expect(new Set(ours)).toEqual(new Set(made))
    const times = seen.map(({ createdAt }) => createdAt)
    expect(times).toEqual(times.toSorted().reverse())
  })

  it("show ops their own files only", async () => {
    const api = createTestClient()
    const [one, two] = [await api.newOps(), await api.newOps()]
    const { file } = await (
      await api.upload(one.tokens.accessToken, realDocument("openpyxl.xlsx"), "mine.xlsx")
    ).json<UploadJson>()
    const listOf = async (token: string): Promise<string[]> =>
      (await (await api.request("/api/ops/files", { token })).json<ListJson>()).files.map(({ id }) => id)
    expect(await listOf(one.tokens.accessToken)).toEqual([file.id])
    expect(await listOf(two.tokens.accessToken)).toEqual([])
    for (const [method, path] of [
      ["GET", "/content"],
      ["DELETE", ""],
    ] as const) {
      expect(await api.problem(`/api/ops/files/${file.id}${path}`, { method, token: two.tokens.accessToken })).toMatchObject({
        code: "not_found",
      })
    }
    expect((await api.request(`/api/ops/files/${file.id}/content`, { token: one.tokens.accessToken })).status).toBe(200)
  })

  it.each([
    "limit=0",
    "limit=201",
    "limit=1e1",
    "limit=-1",
    "cursor=x",
    "cursor=",
    "limit=2&limit=3",
    "sort=owner",
    "search=",
    "type=pdf",
    "state=new",
    "cursor=MTIzIDQ1Ng",
  ])("refuse ?%s", async (query) => {
    const api = createTestClient()
    const ops = await api.newOps()
    expect((await api.request("/api/ops/files?limit=2", { token: ops.tokens.accessToken })).status).toBe(200)
    const problem = await api.problem(`/api/ops/files?${query}`, { token: ops.tokens.accessToken })
    expect(problem).toMatchObject({ status: 422, code: "validation_failed" })
    expect(problem.errors?.[0]?.field).toBe(query.slice(0, query.indexOf("=")))
  })
})

describe("the trail", () => {
  it("records who did what, in order, without addresses or tokens", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const email = freshEmail()
    const client = await api.newClient(email)
    const { file } = await (await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), "a.xlsx")).json<UploadJson>()
    const link = await (
      await api.request(`/api/client/download/${file.id}`, { token: client.tokens.accessToken })
    ).json<LinkJson>()
    await api.request(link["download-link"], { token: client.tokens.accessToken })
    const events = await api.db.select().from(auditEvents)
    const kinds = events.map(({ kind }) => kind)
    for (const kind of [
      "account.signed_up",
      "account.verified",
      "session.started",
      "file.uploaded",
      "link.minted",
      "link.used",
    ]) {
      expect(kinds).toContain(kind)
    }
    const text = JSON.stringify(events)
    expect(text).not.toContain(email)
    expect(text).not.toContain(link["download-link"].slice(ORIGIN.length + 15))
  })
})
