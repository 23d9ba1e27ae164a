// The next version of a file by tus: for documents that no single request may carry. The same rules as for a version in one
// request, from the first byte to the last: whose file, which type, whose room, and which version it takes the place of.
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { blobs, files, resumableUploads, users } from "../../src/db/schema.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"
import { docxOfSize, isSame, realDocument } from "../support/documents.ts"
import { UPLOADS, base64, holdings, tusClient } from "../support/tus.ts"

const first = realDocument("npm-docx.docx")
const second = realDocument("libreoffice.docx")
const nobody = "00000000-0000-4000-8000-000000000000"

type Sender = { id: string; token: string }

let api: TestClient
let ops: Sender
let other: Sender
let manager: Sender

async function newOps(): Promise<Sender> {
  const { id, tokens } = await api.newOps()
  return { id, token: tokens.accessToken }
}

beforeAll(async () => {
  api = createTestClient()
  ;[ops, other, manager] = [await newOps(), await newOps(), await newOps()]
  await api.db.update(users).set({ managesAllFiles: 1 }).where(eq(users.id, manager.id))
})

async function newFile(bytes = first, query = ""): Promise<string> {
  const path = `/api/ops/upload/a.docx${query}`
  const response = await api.request(path, { method: "PUT", token: ops.token, body: bytes })
  return (await response.json<{ file: { id: string } }>()).file.id
}

const metadata = (pairs: Record<string, string>): string =>
  Object.entries(pairs)
    .map(([key, value]) => `${key} ${base64(value)}`)
    .join(",")

/** Begins a version of a file. */
const begin = (replaces: string, { sender = ops, bytes = second, pairs = {}, query = "", side = api } = {}): Promise<Response> =>
  tusClient(side, sender.token).send(`${UPLOADS}${query}`, {
    method: "POST",
    headers: { "Upload-Length": String(bytes.length), "Upload-Metadata": metadata({ replaces, ...pairs }) },
  })

const pathOf = (created: Response): string => new URL(created.headers.get("location") ?? "").pathname
const send = (path: string, bytes = second, sender = ops): Promise<Response> => tusClient(api, sender.token).patch(path, 0, bytes)
const putVersion = (id: string, bytes = first): Promise<Response> =>
  api.request(`/api/ops/files/${id}/content`, { method: "PUT", token: ops.token, body: bytes })

async function told(response: Response): Promise<string> {
  if (response.ok) return String(response.status)
  const { code, errors } = await response.json<ProblemBody>()
  return [String(response.status), code, errors?.[0]?.field, errors?.[0]?.rule].filter((part) => part !== undefined).join(" ")
}

async function content(id: string): Promise<Uint8Array> {
  const response = await api.request(`/api/ops/files/${id}/content`, { token: ops.token })
  return new Uint8Array(await response.arrayBuffer())
}

describe("a version by tus", () => {
  it("takes the place of the one before, whatever its pieces and size, under the file's own name and terms", async () => {
    const id = await newFile(first, "?downloadLimit=3&audience=chosen")
    const large = docxOfSize(PART_BYTES + 100_000)
    const created = await begin(id, { bytes: large })
    const tus = tusClient(api, ops.token)
    const path = pathOf(created)
    const { uploads } = await (await api.request(UPLOADS, { token: ops.token })).json<{ uploads: Record<string, unknown>[] }>()
    expect(uploads.find(({ url }) => String(url).endsWith(path))).toMatchObject({ name: "a.docx", replaces: id, fileId: null })
    expect((await tus.patch(path, 0, large.slice(0, 3_000_000))).status).toBe(204)
    const last = await tus.patch(path, 3_000_000, large.slice(3_000_000))
    expect([last.status, last.headers.get("sealpost-file-id")]).toEqual([204, id])
    expect(isSame(await content(id), large)).toBe(true)
    const row = await api.db.select().from(files).where(eq(files.id, id)).get()
    expect(row).toMatchObject({ version: 2, name: "a.docx", downloadLimit: 3, audience: "chosen", sizeBytes: large.length })
    const kept = await api.db.select().from(blobs).where(eq(blobs.fileId, id)).orderBy(blobs.version)
    expect(kept.map(({ version, createdBy }) => [version, createdBy])).toEqual([
      [1, ops.id],
      [2, ops.id],
    ])
    const old = await api.request(`/api/ops/files/${id}/content?version=1`, { token: ops.token })
    expect(isSame(new Uint8Array(await old.arrayBuffer()), first)).toBe(true)
  })

  it("kills the links to the version before", async () => {
    const id = await newFile()
    const { tokens } = await api.newClient()
    const minted = await api.request(`/api/client/download/${id}`, { token: tokens.accessToken })
    const link = new URL((await minted.json<{ "download-link": string }>())["download-link"]).pathname
    expect((await api.request(link, { token: tokens.accessToken })).status).toBe(200)
    expect((await send(pathOf(await begin(id)))).status).toBe(204)
    expect(await told(await api.request(link, { token: tokens.accessToken }))).toBe("410 link_superseded")
  })

  it.each<[string, Parameters<typeof begin>[1], string]>([
    ["of a name of the same type", { pairs: { filename: "b.docx" } }, "201"],
    ["of a name of another type", { pairs: { filename: "b.pptx" } }, "422 validation_failed file type_changed"],
    ["of a name of no type", { pairs: { filename: "b.docm" } }, "415 unsupported_document"],
    ["with a limit", { pairs: { downloadLimit: "3" } }, "422 validation_failed downloadLimit contradiction"],
    ["with recipients in the address", { query: `?clients=${nobody}` }, "422 validation_failed clients contradiction"],
    ["named twice", { query: `?replaces=${nobody}` }, "422 validation_failed replaces repeated"],
  ])("%s is begun, or not", async (_, options, expected) => {
    const id = await newFile()
    const before = await holdings(api)
    const response = await begin(id, options)
    expect(await told(response)).toBe(expected)
    if (!response.ok) expect(await holdings(api)).toEqual(before)
  })

  it.each([
    ["no id", "x", "422 validation_failed replaces id"],
    ["nobody's file", nobody, "404 not_found"],
  ])("of %s is not begun", async (_, replaces, expected) => {
    expect(await told(await begin(replaces))).toBe(expected)
    expect(await told(await begin(await newFile()))).toBe("201")
  })

  it("may stand in the address as well", async () => {
    const id = await newFile()
    const created = await tusClient(api, ops.token).send(`${UPLOADS}?replaces=${id}`, {
      method: "POST",
      headers: { "Upload-Length": String(second.length) },
    })
    expect((await send(pathOf(created))).headers.get("sealpost-file-id")).toBe(id)
  })

  it("of somebody else's file is begun only by who manages all files", async () => {
    const id = await newFile()
    expect(await told(await begin(id, { sender: other }))).toBe("404 not_found")
    const created = await begin(id, { sender: manager })
    expect(await told(created)).toBe("201")
    expect((await send(pathOf(created), second, manager)).status).toBe(204)
    expect(isSame(await content(id), second)).toBe(true)
  })
})

describe("a version that something came between", () => {
  it.each<[string, (id: string) => Promise<unknown>, string]>([
    ["nothing", () => Promise.resolve(), "204"],
    ["another version", (id) => putVersion(id, docxOfSize(10)), "409 version_conflict"],
    ["the trash", (id) => api.request(`/api/ops/files/${id}`, { method: "DELETE", token: ops.token }), "409 file_deleted"],
    ["another owner", (id) => api.db.update(files).set({ ownerId: other.id }).where(eq(files.id, id)), "404 not_found"],
  ])("(%s) is kept, or leaves nothing and says so again", async (_, between, expected) => {
    const id = await newFile()
    const path = pathOf(await begin(id))
    await between(id)
    const before = await api.db.select().from(blobs).where(eq(blobs.fileId, id))
    expect(await told(await send(path))).toBe(expected)
    if (expected === "204") return
    expect(await told(await send(path))).toBe(expected)
    expect(await api.db.select().from(blobs).where(eq(blobs.fileId, id))).toEqual(before)
    const row = await api.db
      .select()
      .from(resumableUploads)
      .where(eq(resumableUploads.id, path.split("/").at(-1) ?? ""))
      .get()
    expect(row).toMatchObject({ state: "refused", wrappedKey: "" })
  })

  it("is one of two at once: one gets the number, the other is told", async () => {
    const id = await newFile()
    const paths = [pathOf(await begin(id)), pathOf(await begin(id))]
    const answers = await Promise.all(paths.map(async (path) => told(await send(path))))
    expect(answers.sort()).toEqual(["204", "409 version_conflict"])
    expect(await api.db.$count(blobs, eq(blobs.fileId, id))).toBe(2)
  })
})

describe("room for a version", () => {
  const limited = (quota: { OPS_QUOTA_BYTES?: string; OPS_QUOTA_FILES?: string }) => createTestClient(quota)

  it("is bytes of the file's owner, not a file more", async () => {
    const { id: userId, tokens } = await api.newOps()
    const sender = { id: userId, token: tokens.accessToken }
    const files1 = limited({ OPS_QUOTA_FILES: "1" })
    const made = await files1.request("/api/ops/upload/a.docx", { method: "PUT", token: sender.token, body: first })
    const { id } = (await made.json<{ file: { id: string } }>()).file
    const anew = await files1.request("/api/ops/upload/a.docx", { method: "PUT", token: sender.token, body: first })
    expect(await told(anew)).toBe("507 quota_exceeded")
    const created = await begin(id, { sender, side: files1 })
    expect(await told(created)).toBe("201")
    expect((await tusClient(files1, sender.token).patch(pathOf(created), 0, second)).status).toBe(204)
  })

  it.each([
    [0, "201"],
    [-1, "507 quota_exceeded"],
  ])("is taken at the beginning, exactly (%i bytes more than needed)", async (more, expected) => {
    const { id: userId, tokens } = await api.newOps()
    const sender = { id: userId, token: tokens.accessToken }
    const side = limited({ OPS_QUOTA_BYTES: String(first.length + second.length + more) })
    const made = await side.request("/api/ops/upload/a.docx", { method: "PUT", token: sender.token, body: first })
    const { id } = (await made.json<{ file: { id: string } }>()).file
    const created = await begin(id, { sender, side })
    expect(await told(created)).toBe(expected)
    // Whoever manages all files takes of the same room.
    const again = await begin(id, { sender: manager, side })
    expect(await told(again)).toBe("507 quota_exceeded")
    if (created.ok) expect((await tusClient(side, sender.token).patch(pathOf(created), 0, second)).status).toBe(204)
  })
})
