// Download links under attack: who may use which, and that wrong ones cost nothing.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { downloads, links } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { type TestClient, type Tokens, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")

async function scene(api: TestClient = createTestClient()) {
  const ops = await api.newOps()
  const client = await api.newClient()
  const { file } = await (await api.upload(ops.tokens.accessToken, docx, "a.docx")).json<{ file: { id: string } }>()
  return { api, ops, client, file, mint: () => mint(api, client.tokens, file.id) }
}

async function mint(api: TestClient, tokens: Tokens, fileId: string): Promise<string> {
  const response = await api.request(`/api/client/download/${fileId}`, { token: tokens.accessToken })
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

/** Was the link used for this file ever? */
async function isUsed(api: TestClient, fileId: string): Promise<boolean> {
  return (await api.db.select().from(downloads)).some((download) => download.fileId === fileId)
}

/** D1 and R2 that count every call made through them. */
function countingBindings(): { bindings: Record<string, unknown>; calls: () => number } {
  let calls = 0
  const counting = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, property) {
        calls++
        const value: unknown = Reflect.get(object, property)
        return typeof value === "function" ? (value.bind(object) as unknown) : value
      },
    })
  return { bindings: { DB: counting(env.DB), BLOBS: counting(env.BLOBS) }, calls: () => calls }
}

describe("a link", () => {
  it("opens for its own client, again and again while it lives", async () => {
    const { api, client, mint } = await scene()
    const link = await mint()
    for (let i = 0; i < 3; i++) {
      const response = await api.request(link, { token: client.tokens.accessToken })
      expect(response.status).toBe(200)
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(docx)
    }
  })

  it("answers HEAD with the same headers and no bytes, and does not count it", async () => {
    const { api, client, file, mint } = await scene()
    const link = await mint()
    const head = await api.request(link, { method: "HEAD", token: client.tokens.accessToken })
    expect(await isUsed(api, file.id)).toBe(false)
    const get = await api.request(link, { token: client.tokens.accessToken })
    const comparable = (response: Response): [string, string][] =>
      [...response.headers].filter(([name]) => name !== "x-request-id")
    expect(comparable(head)).toEqual(comparable(get))
    expect((await head.arrayBuffer()).byteLength).toBe(0)
    expect(await isUsed(api, file.id)).toBe(true)
  })

  it("is 401 to nobody, 403 to another client and to ops, and opens for its own client after that", async () => {
    const { api, client, ops, file, mint } = await scene()
    const other = await api.newClient()
    const link = await mint()
    expect(await api.problem(link)).toMatchObject({ status: 401, code: "authentication_required" })
    expect(await api.problem(link, { token: "x.y.z" })).toMatchObject({ status: 401, code: "invalid_token" })
    expect(await api.problem(link, { headers: { Authorization: "Basic eDp5" } })).toMatchObject({
      status: 401,
      code: "invalid_token",
    })
    expect(await api.problem(link, { token: other.tokens.accessToken })).toMatchObject({ status: 403, code: "link_not_yours" })
    expect(await api.problem(link, { token: ops.tokens.accessToken })).toMatchObject({ status: 403, code: "link_not_yours" })
    expect(await isUsed(api, file.id)).toBe(false)
    expect((await api.request(link, { token: client.tokens.accessToken })).status).toBe(200)
  })

  it.each<[string, (link: string) => string]>([
    ["one character changed", (link) => `${link.slice(0, 60)}${link[60] === "A" ? "B" : "A"}${link.slice(61)}`],
    ["its last character changed", (link) => `${link.slice(0, -1)}${link.endsWith("A") ? "Q" : "A"}`],
    ["its key id changed", (link) => link.replace(/\/(..)([^/]*)$/, (_, __: string, rest: string) => `/Ag${rest}`)],
    ["a character less", (link) => link.slice(0, -1)],
    ["a character more", (link) => `${link}A`],
    ["padding", (link) => `${link}=`],
    [
      "its first character percent-encoded twice",
      (link) =>
        link.replace(/\/([^/])([^/]*)$/, (_, first: string, rest: string) => `/%25${first.charCodeAt(0).toString(16)}${rest}`),
    ],
    [
      "its first character percent-encoded",
      (link) =>
        link.replace(/\/([^/])([^/]*)$/, (_, first: string, rest: string) => `/%${first.charCodeAt(0).toString(16)}${rest}`),
    ],
    ["nothing in it", () => "/download-file/x"],
  ])("with %s is 404 for everybody, even its own client", async (_, change) => {
    const { api, client, mint } = await scene()
    const link = await mint()
    const changed = change(link)
    for (const token of [undefined, client.tokens.accessToken]) {
      const options = token === undefined ? {} : { token }
      expect(await api.problem(changed, options)).toMatchObject({ status: 404, code: "link_not_found" })
    }
    expect((await api.request(link, { token: client.tokens.accessToken })).status).toBe(200)
  })

  it("that is forged, or expired by its own word, costs no D1 and no R2 call", async () => {
    const counted = countingBindings()
    const { api, client, mint } = await scene()
    const link = await mint()
    const watched = createTestClient(counted.bindings)
    const forged = `${link.slice(0, 100)}${link[100] === "A" ? "B" : "A"}${link.slice(101)}`
    expect(await watched.problem(forged, { token: client.tokens.accessToken })).toMatchObject({ code: "link_not_found" })
    expect(counted.calls()).toBe(0)

    api.clock.nowMs += 3_600_000
    const { accessToken } = await api.logIn("client", client.email)
    watched.clock.nowMs = api.clock.nowMs
    expect(await watched.problem(link, { token: accessToken })).toMatchObject({ status: 410, code: "link_expired" })
    expect(counted.calls()).toBe(0)
    // The counter itself works: a good link is not free.
    watched.clock.nowMs -= 1000
    expect((await watched.request(link, { token: accessToken })).status).toBe(200)
    expect(counted.calls()).toBeGreaterThan(0)
  })

  it("works until its hour is over; then it is 410 to its client and says nothing to others", async () => {
    const { api, client, mint } = await scene()
    const other = await api.newClient()
    const link = await mint()
    api.clock.nowMs += 3_600_000 - 1
    const [mine, theirs] = [await api.logIn("client", client.email), await api.logIn("client", other.email)]
    expect((await api.request(link, { token: mine.accessToken })).status).toBe(200)
    api.clock.nowMs += 1
    expect(await api.problem(link, { token: mine.accessToken })).toMatchObject({ status: 410, code: "link_expired" })
    expect(await api.problem(link, { token: theirs.accessToken })).toMatchObject({ status: 403, code: "link_not_yours" })
    expect(await api.problem(link)).toMatchObject({ status: 401, code: "authentication_required" })
  })

  it("lives as long as the deployment says", async () => {
    const api = createTestClient({ LINK_LIFETIME_SECONDS: "10" })
    const { client, mint } = await scene(api)
    const link = await mint()
    api.clock.nowMs += 9_999
    expect((await api.request(link, { token: client.tokens.accessToken })).status).toBe(200)
    api.clock.nowMs += 1
    expect((await api.request(link, { token: client.tokens.accessToken })).status).toBe(410)
  })

  it.each<[string, string, string]>([
    ["withdrawn", "update links set revoked_at_ms = 1", "link_revoked"],
    ["deleted", "delete from links", "link_not_found"],
    ["about a deleted file", "delete from files", "link_not_found"],
    ["of a client who is disabled", "update users set disabled_at_ms = 1 where role = 'client'", "invalid_token"],
    ["of a client who is no longer verified", "update users set verified_at_ms = null where role = 'client'", "forbidden"],
    ["of a client who became ops", "update users set role = 'ops'", "forbidden"],
    ["of a client whose session ended", "update sessions set revoked_at_ms = 1", "invalid_token"],
  ])("that is %s stops working on the next request", async (_, sql, code) => {
    const { api, client, mint } = await scene()
    const link = await mint()
    expect((await api.request(link, { token: client.tokens.accessToken })).status).toBe(200)
    await api.db.$client.prepare(sql).run()
    expect(await api.problem(link, { token: client.tokens.accessToken })).toMatchObject({ code })
  })

  it("is made by GET only, not by HEAD, and for existing files only", async () => {
    const { api, client, file } = await scene()
    const count = async (): Promise<number> => (await api.db.select().from(links)).length
    const before = await count()
    const path = `/api/client/download/${file.id}`
    expect((await api.request(path, { method: "HEAD", token: client.tokens.accessToken })).status).toBe(200)
    expect(await count()).toBe(before)
    for (const id of [crypto.randomUUID(), "x", file.id.toUpperCase(), `${file.id}%20`, "..%2f..%2fx"]) {
      expect(await api.problem(`/api/client/download/${id}`, { token: client.tokens.accessToken })).toMatchObject({
        status: 404,
        code: "not_found",
      })
    }
    expect(await count()).toBe(before)
    await mint(api, client.tokens, file.id)
    expect(await count()).toBe(before + 1)
  })
})
