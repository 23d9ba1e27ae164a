// Old versions made current again: what becomes of bytes, links, limits and recipients, who may, and what becomes of two
// requests at once or of a Worker that dies. Every refusal stands beside the same request that succeeds.
import { env } from "cloudflare:workers"
import { and, eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { auditEvents, blobs, files, uploads, users } from "../../src/db/schema.ts"
import { type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"
import { docxOfSize, isSame, minimalParts, realDocument, relationships, zipOf } from "../support/documents.ts"
import { mortalBindings } from "../support/mortal-bindings.ts"
import { holdings, sweepLeftovers } from "../support/tus.ts"

const first = realDocument("npm-docx.docx")
const second = realDocument("libreoffice.docx")

let api: TestClient
let ops: { id: string; token: string }
let client: { id: string; token: string }

beforeAll(async () => {
  api = createTestClient()
  const made = await api.newOps()
  ops = { id: made.id, token: made.tokens.accessToken }
  const { email, tokens } = await api.newClient()
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  client = { id: row?.id ?? "", token: tokens.accessToken }
}, 60_000)

type Sent = { file: { id: string; version: number; sha256: string; size: number; name: string } }

/** A file with as many versions as documents. */
async function fileOf(query: string, ...documents: Uint8Array<ArrayBuffer>[]): Promise<string> {
  const put = (path: string, body: Uint8Array<ArrayBuffer>) => api.request(path, { method: "PUT", token: ops.token, body })
  const [document = first, ...newer] = documents
  const { file } = await (await put(`/api/ops/upload/a.docx${query}`, document)).json<Sent>()
  for (const body of newer) expect((await put(`/api/ops/files/${file.id}/content`, body)).status).toBe(200)
  return file.id
}

const restore = (id: string, version: number | string, options: RequestOptions = {}, app = api): Promise<Response> =>
  app.request(`/api/ops/files/${id}/versions/${String(version)}/restore`, { method: "POST", token: ops.token, ...options })

async function told(answer: Promise<Response>): Promise<string> {
  const response = await answer
  return response.ok ? String(response.status) : `${String(response.status)} ${(await response.json<ProblemBody>()).code}`
}

async function mint(id: string): Promise<string> {
  const response = await api.request(`/api/client/download/${id}`, { token: client.token })
  if (!response.ok) throw new Error(await response.text())
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

const use = (link: string): Promise<Response> => api.request(link, { token: client.token })
const bytesOf = async (response: Promise<Response>): Promise<Uint8Array> => new Uint8Array(await (await response).arrayBuffer())
const content = (id: string, query = ""): Promise<Response> =>
  api.request(`/api/ops/files/${id}/content${query}`, { token: ops.token })
const rowsOf = (id: string) => api.db.select().from(blobs).where(eq(blobs.fileId, id))
const versionsOf = async (id: string): Promise<number[]> => (await rowsOf(id)).map(({ version }) => version)
const trailOf = async (id: string): Promise<string[]> =>
  (await api.db.select().from(auditEvents).where(eq(auditEvents.subjectId, id))).map(
    ({ kind, reason }) => `${kind} ${reason ?? ""}`,
  )
const remove = (path: string): Promise<Response> => api.request(`/api/ops/files/${path}`, { method: "DELETE", token: ops.token })

describe("an old version that is made current again", () => {
  it("is the next version with the bytes of the old one: recipients stay, links and limits begin anew", async () => {
    const id = await fileOf(`?clients=${client.id}&downloadLimit=1&description=Terms`, first)
    const ofFirst = await mint(id)
    expect(await bytesOf(use(ofFirst))).toEqual(first)
    await api.request(`/api/ops/files/${id}/content`, { method: "PUT", token: ops.token, body: second })
    const ofSecond = await mint(id)
    const answer = await restore(id, 1)
    expect(answer.status).toBe(200)
    const { file } = await answer.json<Sent>()
    const [one, , three] = await rowsOf(id)
    expect(file).toMatchObject({ id, name: "a.docx", version: 3, size: first.length, sha256: one?.sha256 })
    expect(await told(use(ofSecond))).toBe("410 link_superseded")
    // Also those to the version itself from before: nobody can take one for a link to what is current now.
    expect(await told(use(ofFirst))).toBe("410 link_superseded")
    const listed = await (
      await api.request("/api/client/files?limit=200", { token: client.token })
    ).json<{ files: { id: string }[] }>()
    expect(listed.files.find((each) => each.id === id)).toMatchObject({ size: first.length, state: "new", description: "Terms" })
    expect(await bytesOf(use(await mint(id)))).toEqual(first)
    expect(await bytesOf(content(id, "?version=2"))).toEqual(second)
    // Sealed anew: nothing of the one opens the other.
    expect(three).toMatchObject({ version: 3, sha256: one?.sha256, crc32: one?.crc32, createdBy: ops.id })
    for (const field of ["objectKey", "wrappedKey", "commitment"] as const) expect(three?.[field]).not.toBe(one?.[field])
    expect((await trailOf(id)).slice(-2)).toEqual(["file.version_restored version_1", "file.version_added version_3"])
    expect(await told(remove(`${id}/versions/1`))).toBe("204")
    expect(await bytesOf(content(id))).toEqual(first)
  })

  it("of several parts, too", async () => {
    const large = docxOfSize(2 * PART_BYTES + 200_000)
    const id = await fileOf("", large, second)
    expect(await told(restore(id, 1))).toBe("200")
    expect(isSame(await bytesOf(content(id)), large)).toBe(true)
  })

  it("changes nothing when it is repeated, or has the bytes of the current one", async () => {
    const id = await fileOf("", first, second)
    expect(await told(restore(id, 2))).toBe("200")
    expect(await versionsOf(id)).toEqual([1, 2])
    expect((await (await restore(id, 1)).json<Sent>()).file.version).toBe(3)
    const [link, before, trail] = [await mint(id), await holdings(api), await trailOf(id)]
    for (const version of [1, 3]) expect((await (await restore(id, version)).json<Sent>()).file.version).toBe(3)
    expect([await holdings(api), await trailOf(id)]).toEqual([before, trail])
    expect(await told(use(link))).toBe("200")
  })
})

describe("is refused, and nothing changes,", () => {
  async function refused(outcome: string, attempt: () => Promise<Response>): Promise<void> {
    const before = await holdings(api)
    expect(await told(attempt())).toBe(outcome)
    expect(await holdings(api)).toEqual(before)
  }

  it("to whoever may not manage the file, as one that is not there", async () => {
    const id = await fileOf("", first, second)
    const { tokens } = await api.newOps()
    await refused("404 not_found", () => restore(id, 1, { token: tokens.accessToken }))
    for (const version of ["0", "3", "x", "1e0", "9".repeat(40)]) await refused("404 not_found", () => restore(id, version))
    expect(await told(restore(id, 1))).toBe("200")
  })

  it("in the trash, until it is out of there", async () => {
    const id = await fileOf("", first, second)
    await remove(id)
    await refused("409 file_deleted", () => restore(id, 1))
    await refused("409 file_deleted", () => restore(id, 2))
    await api.request(`/api/ops/files/${id}/restore`, { method: "POST", token: ops.token })
    expect(await told(restore(id, 1))).toBe("200")
  })

  it("where it does not fit its owner's quota", async () => {
    const id = await fileOf("", first, second)
    const used = (await api.db.select().from(blobs).innerJoin(files, eq(files.id, blobs.fileId)).where(eq(files.ownerId, ops.id)))
      .map((row) => row.blobs.sizeBytes)
      .reduce((sum, size) => sum + size, 0)
    const within = (bytes: number) => createTestClient({ OPS_QUOTA_BYTES: String(bytes) })
    await refused("507 quota_exceeded", () => restore(id, 1, {}, within(used + first.length - 1)))
    expect(await told(restore(id, 1, {}, within(used + first.length)))).toBe("200")
  })

  it("where the deployment does not take such documents any more", async () => {
    const lenient = createTestClient({ ALLOW_EXTERNAL_RELATIONSHIPS: "true" })
    const external = zipOf({
      ...minimalParts("docx"),
      "_rels/part0.xml.rels": relationships({ kind: "attachedTemplate", target: "https://example.com/a.dotx", mode: "External" }),
    })
    const made = await lenient.request("/api/ops/upload/a.docx", { method: "PUT", token: ops.token, body: external })
    const { file } = await made.json<Sent>()
    await api.request(`/api/ops/files/${file.id}/content`, { method: "PUT", token: ops.token, body: second })
    await refused("422 document_refused", () => restore(file.id, 1))
    expect(await told(restore(file.id, 1, {}, lenient))).toBe("200")
  })

  it("when what is stored of it is damaged", async () => {
    const id = await fileOf("", first, second)
    const [one] = await rowsOf(id)
    const stored = new Uint8Array((await (await env.BLOBS.get(one?.objectKey ?? ""))?.arrayBuffer()) ?? new ArrayBuffer(0))
    const damaged = stored.slice()
    damaged[stored.length - 1] = (damaged[stored.length - 1] ?? 0) ^ 1
    await env.BLOBS.put(one?.objectKey ?? "", damaged)
    await refused("500 integrity_failure", () => restore(id, 1))
    await env.BLOBS.put(one?.objectKey ?? "", stored)
    expect(await told(restore(id, 1))).toBe("200")
  })
})

describe("at once with others", () => {
  it("gets a number of its own or is refused, never a mix", async () => {
    const id = await fileOf("", first, second)
    const third = docxOfSize(1000)
    const put = () => api.request(`/api/ops/files/${id}/content`, { method: "PUT", token: ops.token, body: third })
    const outcomes = await Promise.all([restore(id, 1), put(), restore(id, 1), put()].map(told))
    for (const outcome of outcomes) expect(["200", "409 version_conflict"]).toContain(outcome)
    const versions = await versionsOf(id)
    expect(versions).toEqual(versions.map((_, i) => i + 1))
    expect(versions.length).toBeGreaterThan(2)
    for (const version of versions.slice(2)) {
      const bytes = await bytesOf(content(id, `?version=${String(version)}`))
      expect([first, third].some((document) => isSame(document, bytes))).toBe(true)
    }
  })

  it.each<[string, (id: string) => Promise<Response>]>([
    ["the old version being deleted", (id) => remove(`${id}/versions/1`)],
    ["the file going to the trash", (id) => remove(id)],
    ["the file being purged", (id) => remove(`${id}?purge=true`)],
  ])("and %s leaves one state, and no object without a row", { timeout: 120_000 }, async (_, other) => {
    const large = docxOfSize(PART_BYTES + 50_000)
    await sweepLeftovers()
    for (let i = 0; i < 2; i++) {
      const id = await fileOf("", large, second)
      const [outcome] = await Promise.all([told(restore(id, 1)), other(id)])
      expect(["200", "404 not_found", "409 file_deleted"]).toContain(outcome)
      const row = await api.db.select().from(files).where(eq(files.id, id)).get()
      const current = and(eq(blobs.fileId, id), eq(blobs.version, row?.version ?? 0))
      expect(await api.db.select().from(blobs).where(current)).toHaveLength(row === undefined ? 0 : 1)
      if (row !== undefined) expect(isSame(await bytesOf(content(id)), row.version === 3 ? large : second)).toBe(true)
    }
    await sweepLeftovers()
    const { objects, blobs: rows, uploads: begun } = await holdings(api)
    expect([objects, begun]).toEqual([rows, 0])
  })

  it.each(["before", "after"] as const)(
    "a Worker that dies %s any call of it leaves the old state or the new one",
    { timeout: 240_000 },
    async (when) => {
      await sweepLeftovers()
      const id = await fileOf("", first, second)
      let at = 1
      for (; at < 60; at++) {
        const before = await versionsOf(id)
        const mortal = mortalBindings({ at, when })
        const dying = createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS })
        await restore(id, 1, {}, dying).catch(() => undefined)
        const row = await api.db.select().from(files).where(eq(files.id, id)).get()
        const isNew = row?.version !== before.length
        expect(await versionsOf(id)).toHaveLength(before.length + (isNew ? 1 : 0))
        expect(isSame(await bytesOf(content(id)), isNew ? first : second)).toBe(true)
        if (isNew) expect(await told(restore(id, 2))).toBe("200")
        if (!mortal.hasDied()) break
      }
      expect(at).toBeGreaterThan(6)
      expect(at).toBeLessThan(60)
      await sweepLeftovers()
      expect(await api.db.select().from(uploads)).toEqual([])
      const { objects, blobs: rows } = await holdings(api)
      expect(objects).toBe(rows)
    },
  )
})
