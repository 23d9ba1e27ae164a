// The life of a file: other words and terms, its time, the trash and the way out of it, its end. What clients see of each,
// at once, and what cron does later. Every refusal stands beside the same request that succeeds.
import { env } from "cloudflare:workers"
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { countReads, isFileList } from "../../bench/count-reads.ts"
import { seedFiles } from "../../bench/seed-lists.ts"
import { auditEvents, blobs, discardedObjects, fileGrants, files, links, users } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")
const DAY_MS = 24 * 60 * 60_000

type FileJson = {
  id: string
  name: string
  description: string | null
  expiresAt: string | null
  deletedAt: string | null
  purgeAt: string | null
  updatedAt: string
  state: string
  downloadLimit: number | null
  owner: { id: string; email: string }
}

let api: TestClient
let ops: { id: string; email: string; token: string }
let client: { id: string; token: string }

beforeAll(async () => {
  api = createTestClient()
  const made = await api.newOps()
  ops = { id: made.id, email: made.email, token: made.tokens.accessToken }
  const { email, tokens } = await api.newClient()
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  client = { id: row?.id ?? "", token: tokens.accessToken }
}, 60_000)

async function post(query = "", app = api): Promise<string> {
  const body = new FormData()
  body.set("file", new File([docx], "a.docx"))
  const response = await app.request(`/api/ops/upload${query}`, { method: "POST", token: ops.token, body })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json<{ file: { id: string } }>()).file.id
}

async function told(answer: Promise<Response>): Promise<string> {
  const response = await answer
  if (response.ok) return String(response.status)
  const { code, errors } = await response.json<ProblemBody>()
  return [String(response.status), code, errors?.[0]?.field, errors?.[0]?.rule].filter((part) => part !== undefined).join(" ")
}

const call = (method: string, path: string, options: RequestOptions = {}, app = api): Promise<Response> =>
  app.request(`/api/ops/files/${path}`, { method, token: ops.token, ...options })
const patch = (id: string, json: unknown): Promise<Response> => call("PATCH", id, { json })
const own = async (id: string): Promise<FileJson> => (await (await call("GET", id)).json<{ file: FileJson }>()).file
const iso = (ms: number): string => new Date(ms).toISOString()

async function pageOf(query = "", token = ops.token): Promise<FileJson[]> {
  const path = token === ops.token ? "/api/ops/files" : "/api/client/files"
  return (await (await api.request(`${path}?limit=200${query}`, { token })).json<{ files: FileJson[] }>()).files
}

async function mint(id: string): Promise<string> {
  const response = await api.request(`/api/client/download/${id}`, { token: client.token })
  if (!response.ok) throw new Error(await response.text())
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

/** What a client has of a file: in the list, a new link, a link from before; and whether ops see that link. */
async function seen(id: string, link: string): Promise<string[]> {
  const listed = await (await api.request(`/api/ops/links?file=${id}`, { token: ops.token })).json<{ links: unknown[] }>()
  return [
    (await pageOf("", client.token)).some((file) => file.id === id) ? "listed" : "not listed",
    await told(api.request(`/api/client/download/${id}`, { token: client.token })),
    await told(api.request(link, { token: client.token, headers: { Range: "bytes=1-5" } })),
    listed.links.length > 0 ? "link shown" : "link hidden",
  ]
}

const THERE = ["listed", "200", "206", "link shown"]
const GONE = ["not listed", "404 not_found", "404 link_not_found", "link hidden"]

async function kindsOf(id: string): Promise<string[]> {
  const rows = await api.db.select().from(auditEvents).where(eq(auditEvents.subjectId, id))
  return rows.map(({ kind }) => kind)
}

describe("PATCH", () => {
  it("changes each of name, description, expiry and limit, alone and together, and leaves the rest", async () => {
    const id = await post(`?clients=${client.id}`)
    const expiresAt = iso(api.clock.nowMs + DAY_MS)
    for (const change of [
      { name: "Отчёт за год.DOCX" },
      { description: "For the board.\nSecond line" },
      { expiresAt },
      { downloadLimit: 2 },
    ]) {
      const before = await own(id)
      const { file } = await (await patch(id, change)).json<{ file: FileJson }>()
      expect(file).toEqual({ ...before, ...change })
      expect(await own(id)).toEqual(file)
    }
    const [mine] = (await pageOf("", client.token)).filter((file) => file.id === id)
    expect(mine).toMatchObject({ name: "Отчёт за год.DOCX", description: "For the board.\nSecond line", expiresAt })
    for (const token of [ops.token, client.token])
      expect((await pageOf(`&search=${encodeURIComponent("отчёт ЗА")}`, token)).map((file) => file.id)).toEqual([id])
    const nothing = { description: null, expiresAt: null, downloadLimit: null }
    expect(await (await patch(id, nothing)).json()).toMatchObject({ file: nothing })
    expect((await kindsOf(id)).slice(1)).toEqual([
      ...["file.renamed", "file.described", "file.expiry_set", "file.download_limit_set"],
      ...["file.described", "file.expiry_set", "file.download_limit_set"],
    ])
    expect(await own(id)).toMatchObject({ owner: { id: ops.id, email: ops.email }, state: "live" })
  })

  it.each([
    ["nothing", {}, "422 validation_failed  missing"],
    ["an unknown field", { name: "b.docx", owner: "x" }, "422 validation_failed owner unknown_field"],
    ["another type", { name: "b.xlsx" }, "422 validation_failed name type_changed"],
    ["a type that is not taken", { name: "b.pdf" }, "422 validation_failed name type_changed"],
    ["no type", { name: "b" }, "422 validation_failed name type_changed"],
    ["a name of nothing", { name: ".docx" }, "422 validation_failed name name_missing"],
    ["a reserved name", { name: "con.docx" }, "422 validation_failed name name_reserved"],
    ["a name that hides its end", { name: "a\u202excod.docx" }, "422 validation_failed name name_characters"],
    ["a name that is too long", { name: `${"a".repeat(251)}.docx` }, "422 validation_failed name name_length"],
    ["a name that is none", { name: null }, "422 validation_failed name invalid_type"],
    ["too much description", { description: "x".repeat(1001) }, "422 validation_failed description too_big"],
    ["an empty description", { description: " \n " }, "422 validation_failed description too_small"],
    ["an invisible description", { description: "a\u200bb" }, "422 validation_failed description characters"],
    ["a description that is none", { description: 1 }, "422 validation_failed description invalid_type"],
    ["a time without zone", { expiresAt: "2027-01-01T00:00:00" }, "422 validation_failed expiresAt invalid_format"],
    ["a day", { expiresAt: "2027-01-01" }, "422 validation_failed expiresAt invalid_format"],
    ["a day that is none", { expiresAt: "2027-02-30T00:00:00Z" }, "422 validation_failed expiresAt invalid_format"],
    ["this moment", { expiresAt: "2026-11-23T12:00:00.000Z" }, "422 validation_failed expiresAt in_past"],
    ["half a right request", { name: "b.docx", expiresAt: "2026-11-23T11:00:00Z" }, "422 validation_failed expiresAt in_past"],
  ])("refuses %s, and changes nothing", async (_, json, outcome) => {
    const id = await post()
    const before = await own(id)
    expect(await told(patch(id, json))).toBe(outcome)
    expect(await own(id)).toEqual(before)
    expect(
      await told(patch(id, { name: "b.docx", description: "x".repeat(1000), expiresAt: "2026-11-23T13:00:00.001+01:00" })),
    ).toBe("200")
  })

  it("an upload may bring description and expiry, and is refused with wrong ones", async () => {
    const expiresAt = iso(api.clock.nowMs + DAY_MS)
    const query = `?description=${encodeURIComponent("Für alle")}&expiresAt=${expiresAt}`
    expect(await own(await post(query))).toMatchObject({ description: "Für alle", expiresAt })
    const raw = (search: string, headers = {}) =>
      api.request(`/api/ops/upload/a.docx${search}`, { method: "PUT", token: ops.token, body: docx, headers })
    const count = async () => (await api.db.select().from(files)).length
    const before = await count()
    expect(await told(raw("?expiresAt=2026-11-23T12:00:00Z"))).toBe("422 validation_failed expiresAt in_past")
    expect(await told(raw("?expiresAt=tomorrow"))).toBe("422 validation_failed expiresAt invalid_format")
    expect(await told(raw("?description="))).toBe("422 validation_failed description too_small")
    expect(await count()).toBe(before)
    const headers = { "Idempotency-Key": crypto.randomUUID() }
    expect(await told(raw("?description=a", headers))).toBe("201")
    expect(await told(raw("?description=a", headers))).toBe("201")
    expect(await told(raw("?description=b", headers))).toBe("422 idempotency_key_reused")
    expect(await count()).toBe(before + 1)
  })
})

describe("a file past its time", () => {
  it("is gone for clients at once, shown to its owner as expired, and alive again when its time is moved", async () => {
    const id = await post(`?clients=${client.id}`)
    const link = await mint(id)
    await patch(id, { expiresAt: iso(api.clock.nowMs + 1000) })
    expect(await seen(id, link)).toEqual(THERE)
    api.clock.nowMs += 999
    expect(await seen(id, link)).toEqual(THERE)
    api.clock.nowMs += 1
    expect(await seen(id, link)).toEqual(GONE)
    expect((await pageOf()).find((file) => file.id === id)).toMatchObject({ state: "expired", deletedAt: null })
    await patch(id, { expiresAt: iso(api.clock.nowMs + DAY_MS) })
    expect(await seen(id, link)).toEqual(THERE)
  })

  it("goes to the trash by cron, and comes back from there without its time", async () => {
    const id = await post(`?clients=${client.id}`)
    const link = await mint(id)
    await patch(id, { expiresAt: iso(api.clock.nowMs + 1000) })
    await api.runCron()
    expect(await own(id)).toMatchObject({ state: "live", deletedAt: null })
    api.clock.nowMs += 1000
    await api.runCron()
    await api.runCron()
    const { nowMs } = api.clock
    expect(await own(id)).toMatchObject({ state: "deleted", deletedAt: iso(nowMs), purgeAt: iso(nowMs + 7 * DAY_MS) })
    expect((await pageOf()).some((file) => file.id === id)).toBe(false)
    expect(await told(call("POST", `${id}/restore`))).toBe("200")
    expect(await own(id)).toMatchObject({ state: "live", expiresAt: null, deletedAt: null, purgeAt: null })
    expect(await seen(id, link)).toEqual(THERE)
    expect((await kindsOf(id)).slice(1)).toEqual(["file.expiry_set", "file.expired", "file.restored"])
  })
})

describe("a deleted file", () => {
  it("is gone for clients at once, waits in the trash, and is as before when it is restored", async () => {
    const id = await post(`?clients=${client.id}`)
    const link = await mint(id)
    const before = await own(id)
    expect(await seen(id, link)).toEqual(THERE)
    expect(await told(call("DELETE", id))).toBe("204")
    expect(await seen(id, link)).toEqual(GONE)
    const { nowMs } = api.clock
    const deleted = { ...before, state: "deleted", deletedAt: iso(nowMs), purgeAt: iso(nowMs + 7 * DAY_MS) }
    expect(await own(id)).toEqual(deleted)
    expect((await pageOf("&state=deleted")).find((file) => file.id === id)).toEqual(deleted)
    expect((await pageOf()).some((file) => file.id === id)).toBe(false)
    expect(await told(call("GET", `${id}/content`))).toBe("200")
    // Recipients that come meanwhile have it only when it is back.
    const group = await (
      await api.request("/api/ops/groups", { token: ops.token, json: { name: crypto.randomUUID() } })
    ).json<{ group: { id: string } }>()
    const audience = { audience: "chosen", clients: [client.id], groups: [group.group.id] }
    expect(await told(call("PUT", `${id}/audience`, { json: audience }))).toBe("200")
    expect(await seen(id, link)).toEqual(GONE)
    api.clock.nowMs += 1000
    expect(await told(call("DELETE", id))).toBe("204")
    expect((await own(id)).deletedAt).toBe(iso(nowMs))
    const restored = await (await call("POST", `${id}/restore`)).json<{ file: FileJson }>()
    expect(restored.file).toEqual({ ...before, updatedAt: iso(api.clock.nowMs) })
    expect(await seen(id, link)).toEqual(THERE)
    expect(await told(call("POST", `${id}/restore`))).toBe("200")
    expect((await pageOf("&state=deleted")).some((file) => file.id === id)).toBe(false)
    expect((await kindsOf(id)).slice(1)).toEqual(["file.deleted", "file.audience_set", "file.restored"])
  })

  it("cannot be changed, nor get a version, until it is restored", async () => {
    const id = await post()
    await call("DELETE", id)
    const form = () => {
      const body = new FormData()
      body.set("file", new File([docx], "a.docx"))
      return { body }
    }
    const tries = () =>
      Promise.all([
        told(patch(id, { name: "b.docx" })),
        told(call("POST", `${id}/versions`, form())),
        told(call("PUT", `${id}/content`, { body: docx })),
      ])
    expect(new Set(await tries())).toEqual(new Set(["409 file_deleted"]))
    await call("POST", `${id}/restore`)
    expect(await told(patch(id, { name: "b.docx" }))).toBe("200")
    expect(await told(call("POST", `${id}/versions`, form()))).toBe("201")
    expect(await told(call("PUT", `${id}/content`, { body: docx }))).toBe("200")
  })

  it("is purged by cron after its grace, not before, with all versions, keys and objects", async () => {
    const id = await post(`?clients=${client.id}`)
    await call("PUT", `${id}/content`, { body: docx })
    const link = await mint(id)
    await call("DELETE", id)
    const kept = await api.db.select().from(blobs).where(eq(blobs.fileId, id))
    expect(kept).toHaveLength(2)
    const start = api.clock.nowMs
    api.clock.nowMs = start + 7 * DAY_MS - 1
    await api.runCron()
    expect(await api.db.select().from(blobs).where(eq(blobs.fileId, id))).toHaveLength(2)
    api.clock.nowMs = start + 7 * DAY_MS
    await api.runCron()
    await api.runCron()
    for (const table of [blobs, fileGrants, links] as const)
      expect(await api.db.select().from(table).where(eq(table.fileId, id))).toEqual([])
    for (const { objectKey } of kept) expect(await env.BLOBS.head(objectKey)).toBeNull()
    api.clock.nowMs = start
    expect(await told(call("GET", id))).toBe("404 not_found")
    expect(await told(call("POST", `${id}/restore`))).toBe("404 not_found")
    expect(await told(api.request(link, { token: client.token }))).toBe("404 link_not_found")
    expect((await kindsOf(id)).slice(-2)).toEqual(["file.deleted", "file.purged"])
  })

  it.each([
    ["a file that is there", async () => post()],
    [
      "a file in the trash",
      async () => {
        const id = await post()
        await call("DELETE", id)
        return id
      },
    ],
  ])("O5: ?purge=true ends %s at once, also while R2 is out", async (_, make) => {
    const id = await make()
    const [row] = await api.db.select().from(blobs).where(eq(blobs.fileId, id))
    const objectKey = row?.objectKey ?? ""
    const store = new Proxy(env.BLOBS, {
      get: (target, name) => {
        if (name === "delete") return () => Promise.reject(new Error("R2 is out"))
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    expect(await told(call("DELETE", `${id}?purge=maybe`))).toBe("422 validation_failed purge invalid_value")
    expect(await told(call("DELETE", `${id}?purge=true`, {}, createTestClient({ BLOBS: store })))).toBe("204")
    expect(await api.db.select().from(blobs).where(eq(blobs.fileId, id))).toEqual([])
    expect(await env.BLOBS.head(objectKey)).not.toBeNull()
    expect(await told(call("DELETE", `${id}?purge=true`))).toBe("404 not_found")
    await api.runCron()
    expect(await env.BLOBS.head(objectKey)).toBeNull()
    expect(await api.db.select().from(discardedObjects).where(eq(discardedObjects.objectKey, objectKey))).toEqual([])
  })

  it("is gone at once where there is no grace, and waits as long as the deployment says", async () => {
    const none = createTestClient({ DELETE_GRACE_DAYS: "0" })
    const id = await post()
    expect(await told(call("DELETE", id, {}, none))).toBe("204")
    expect(await told(call("GET", id))).toBe("404 not_found")
    const month = createTestClient({ DELETE_GRACE_DAYS: "30" })
    const other = await post()
    await call("DELETE", other, {}, month)
    const { file } = await (await call("GET", other, {}, month)).json<{ file: FileJson }>()
    expect(file.purgeAt).toBe(iso(month.clock.nowMs + 30 * DAY_MS))
  })

  it("that is restored, deleted, purged and aged at once ends in one state, and its trail says which", async () => {
    const id = await post()
    await call("DELETE", id)
    const old = createTestClient({ DELETE_GRACE_DAYS: "0" })
    const outcomes = await Promise.all([
      told(call("POST", `${id}/restore`)),
      old.runCron(),
      told(call("POST", `${id}/restore`)),
      told(call("DELETE", `${id}?purge=true`)),
      old.runCron(),
    ])
    const trail = (await kindsOf(id)).filter((kind) => kind === "file.purged")
    expect(trail).toHaveLength(1)
    expect(outcomes[3]).toMatch(/^204$|^404 not_found$/)
    expect(await told(call("GET", id))).toBe("404 not_found")
    expect(await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, id))).toEqual([])
  })
})

describe("the trash", () => {
  it("costs lists nothing, and is paged at the same flat cost", { timeout: 120_000 }, async () => {
    const counter = countReads(env.DB, isFileList)
    const counted = createTestClient({ DB: counter.db })
    const { id: ownerId, tokens } = await counted.newOps()
    const other = await counted.newClient()
    const TRASHED = 3000
    await seedFiles(env.DB, ownerId, 0, TRASHED + 40)
    const newest = "(select id from files where owner_id = ?1 order by created_at_ms desc, id desc limit ?2)"
    await env.DB.batch([
      env.DB.prepare(`update files set deleted_at_ms = 1 where id in ${newest}`).bind(ownerId, TRASHED),
      env.DB.prepare("update file_grants set deleted_at_ms = 1 where file_id in (select id from files where deleted_at_ms = 1)"),
    ])
    const cost = async (path: string, token: string): Promise<[number, number]> => {
      counter.take()
      const response = await counted.request(path, { token })
      const { files: page } = await response.json<{ files: object[] }>()
      return [page.length, counter.take()]
    }
    for (const sort of ["name", "-createdAt", "size"]) {
      for (const [path, token, least] of [
        [`/api/ops/files?limit=30&sort=${sort}`, tokens.accessToken, 30],
        [`/api/client/files?limit=30&sort=${sort}`, other.tokens.accessToken, 30],
        [`/api/ops/files?limit=30&state=deleted&sort=${sort}`, tokens.accessToken, 30],
      ] as const) {
        const [rows, reads] = await cost(path, token)
        expect(rows).toBe(least)
        expect(reads).toBeLessThanOrEqual(8 * 32 + 4 * 6 + 50)
      }
    }
    await env.DB.prepare("delete from files where owner_id = ?").bind(ownerId).run()
  })

  it("repeats in grants exactly what files say", async () => {
    const { results } = await env.DB.prepare(
      `select f.id from files f join file_grants g on g.file_id = f.id where f.name_key is not g.name_key
         or f.size_bytes is not g.size_bytes or f.expires_at_ms is not g.expires_at_ms or f.deleted_at_ms is not g.deleted_at_ms`,
    ).all()
    expect(results).toEqual([])
    expect((await api.db.select().from(fileGrants)).length).toBeGreaterThan(5)
  })
})
