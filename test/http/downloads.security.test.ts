// Limits on downloads, what counts towards them, and what is said of a download: under parallel requests, resumed and
// broken-off transfers, and requests that are sent no bytes.
import fc from "fast-check"
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { downloads, files } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { type TestClient, type Tokens, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")
const SIZE = docx.length

let api: TestClient
let ops: Awaited<ReturnType<TestClient["newOps"]>>
let client: Awaited<ReturnType<TestClient["newClient"]>>

beforeAll(async () => {
  api = createTestClient()
  ops = await api.newOps()
  client = await api.newClient()
})

/** A fresh document, with a limit or none. */
async function post(downloadLimit: number | null, by = ops.tokens): Promise<string> {
  const { file } = await (await api.upload(by.accessToken, docx, "a.docx")).json<{ file: { id: string } }>()
  const changed = await api.request(`/api/ops/files/${file.id}`, {
    method: "PATCH",
    token: by.accessToken,
    json: { downloadLimit },
  })
  expect(await changed.json()).toMatchObject({ file: { id: file.id, downloadLimit }, message: "success" })
  return file.id
}

async function mint(fileId: string, tokens: Tokens = client.tokens, query = ""): Promise<string> {
  const response = await api.request(`/api/client/download/${fileId}${query}`, { token: tokens.accessToken })
  const body = await response.json<{ "download-link": string }>()
  return new URL(body["download-link"]).pathname
}

const use = (link: string, headers: Record<string, string> = {}, method = "GET", tokens: Tokens = client.tokens) =>
  api.request(link, { method, headers, token: tokens.accessToken })

/** Status, and the code of a refusal that has a body. */
async function outcome(response: Response | Promise<Response>): Promise<string> {
  const { status, ok } = await response
  const text = ok ? "" : await (await response).text()
  const { code } = text === "" ? { code: "" } : (JSON.parse(text) as { code: string })
  return `${String(status)} ${code}`.trim()
}

const rowsOf = (fileId: string) => api.db.select().from(downloads).where(eq(downloads.fileId, fileId))
const range = (start: number, end: number) => ({ Range: `bytes=${String(start)}-${String(end - 1)}` })

/** Starts a GET and hangs up before its first byte. */
async function breakOff(link: string, headers: Record<string, string> = {}): Promise<void> {
  const context = createExecutionContext()
  const response = await api.rawRequest(link, { headers, token: client.tokens.accessToken }, context)
  await response.body?.cancel()
  await waitOnExecutionContext(context)
}

describe("E16: a limit of one", () => {
  it("delivers one of many parallel GETs by one link, whole and exact, and says so", async () => {
    const id = await post(1)
    const link = await mint(id)
    const responses = await Promise.all(Array.from({ length: 50 }, () => use(link)))
    const good = responses.filter((response) => response.status === 200)
    expect(good).toHaveLength(1)
    expect(new Uint8Array(await (good[0] ?? new Response()).arrayBuffer())).toEqual(docx)
    const others = new Set(await Promise.all(responses.filter((response) => response.status !== 200).map(outcome)))
    for (const refusal of others) expect(["410 downloads_used_up", "409 download_in_progress"]).toContain(refusal)
    expect(await rowsOf(id)).toMatchObject([{ servedBytes: SIZE, served: `[[0,${String(SIZE)}]]`, holder: null }])
    expect(await outcome(use(link))).toBe("410 downloads_used_up")
  })

  it("delivers one of 200 parallel GETs by many links", async () => {
    const id = await post(1)
    const links: string[] = []
    for (let i = 0; i < 10; i++) links.push(await mint(id))
    const responses = await Promise.all(Array.from({ length: 200 }, (_, i) => use(links[i % 10] ?? "")))
    expect(responses.filter((response) => response.status === 200)).toHaveLength(1)
    expect(await rowsOf(id)).toHaveLength(1)
  })

  it("is used up for its client, not for another; more can be allowed", async () => {
    const id = await post(1)
    const [first, second] = [await mint(id), await mint(id)]
    expect(await outcome(use(first))).toBe("200")
    expect(await outcome(use(second))).toBe("410 downloads_used_up")
    expect(await outcome(use(second, {}, "HEAD"))).toBe("410")
    const again = api.request(`/api/client/download/${id}`, { token: client.tokens.accessToken })
    expect(await outcome(again)).toBe("410 downloads_used_up")
    const other = await api.newClient()
    const theirs = await mint(id, other.tokens)
    expect(await outcome(use(theirs, {}, "GET", other.tokens))).toBe("200")
    await api.request(`/api/ops/files/${id}`, { method: "PATCH", token: ops.tokens.accessToken, json: { downloadLimit: 2 } })
    expect(await outcome(use(second))).toBe("200")
  })

  it("lets a broken-off download go on, and begin again, by its own link only", async () => {
    const id = await post(1)
    const [link, other] = [await mint(id), await mint(id)]
    expect(await outcome(use(link, range(0, 50)))).toBe("206")
    expect(await outcome(use(other))).toBe("410 downloads_used_up")
    expect(await outcome(use(link, range(100, SIZE)))).toBe("206")
    expect(await rowsOf(id)).toMatchObject([{ deliveredAtMs: null }])
    expect(await outcome(use(link))).toBe("200")
    expect(await rowsOf(id)).toHaveLength(1)
    // The end got lost on the way, perhaps: what comes later in the document may be asked for again, the whole may not.
    expect(await outcome(use(link, range(SIZE - 10, SIZE)))).toBe("206")
    expect(await outcome(use(link, { Range: "bytes=0-" }))).toBe("410 downloads_used_up")
    expect(await outcome(use(link, { Range: `bytes=-${String(SIZE)}` }))).toBe("410 downloads_used_up")
    expect(await outcome(use(link, { Range: `bytes=${String(SIZE)}-` }))).toBe("416 range_not_satisfiable")
  })

  it("counts nothing of a GET that was hung up before its first byte", async () => {
    const id = await post(1)
    const [link, other] = [await mint(id), await mint(id)]
    await breakOff(link)
    expect(await rowsOf(id)).toEqual([])
    expect(await outcome(use(other))).toBe("200")
    expect(await outcome(use(link))).toBe("410 downloads_used_up")
  })

  it.each(["bytes=5-9,6-8", "bytes=-5,-6", "bytes=5-9,-9999999", "bytes=1-,2-3"])(
    "does not give the whole again for ranges that overlap (%s)",
    async (overlapping) => {
      const id = await post(1)
      const link = await mint(id)
      expect(await outcome(use(link, { Range: overlapping }))).toBe("200")
      expect(await outcome(use(link, { Range: overlapping }))).toBe("410 downloads_used_up")
      expect(await outcome(use(link, { Range: "bytes=5-9,10-12" }))).toBe("206")
    },
  )

  it("frees the beginning when the request that was sending it has died", async () => {
    const id = await post(1)
    const link = await mint(id)
    await use(link, range(0, 10))
    const held = { holder: "a request that died", heldUntilMs: api.clock.nowMs + 1000 }
    await api.db.update(downloads).set(held).where(eq(downloads.fileId, id))
    const refused = await use(link)
    expect(refused.headers.get("retry-after")).toBe("5")
    expect(await outcome(refused)).toBe("409 download_in_progress")
    expect(await outcome(use(link, range(10, 20)))).toBe("206")
    await api.db.update(downloads).set({ heldUntilMs: api.clock.nowMs }).where(eq(downloads.fileId, id))
    expect(await outcome(use(link))).toBe("200")
  })

  it("is not touched by a document that could not be opened", async () => {
    const id = await post(1)
    const link = await mint(id)
    const before = await api.env.DB.prepare("select wrapped_key from blobs where file_id = ?")
      .bind(id)
      .first<{ wrapped_key: string }>()
    const wrap = (key: string | undefined) =>
      api.env.DB.prepare("update blobs set wrapped_key = ? where file_id = ?").bind(key, id).run()
    await wrap("00".repeat(40))
    expect(await outcome(use(link))).toBe("500 integrity_failure")
    expect(await rowsOf(id)).toEqual([])
    await wrap(before?.wrapped_key)
    expect(await outcome(use(link))).toBe("200")
  })

  it("can be set by the owner only, to a whole number or nothing", async () => {
    const id = await post(1)
    const set = (token: string, json: unknown) => api.request(`/api/ops/files/${id}`, { method: "PATCH", token, json })
    const stranger = await api.newOps()
    expect(await outcome(set(stranger.tokens.accessToken, { downloadLimit: 5 }))).toBe("404 not_found")
    expect(await outcome(set(client.tokens.accessToken, { downloadLimit: 5 }))).toBe("403 forbidden")
    for (const downloadLimit of [0, -1, 1.5, "1", true, 1e30]) {
      expect(await outcome(set(ops.tokens.accessToken, { downloadLimit })), String(downloadLimit)).toBe("422 validation_failed")
    }
    const limitOf = async () => (await api.db.select().from(files).where(eq(files.id, id)))[0]?.downloadLimit
    expect(await limitOf()).toBe(1)
    expect(await outcome(set(ops.tokens.accessToken, { downloadLimit: 5 }))).toBe("200")
    expect(await limitOf()).toBe(5)
  })
})

describe("what counts", () => {
  it("is exactly what is sent bytes, whatever conditions and ranges a request has", async () => {
    const id = await post(null)
    const etag = (await use(await mint(id), {}, "HEAD")).headers.get("etag") ?? ""
    const date = new Date(api.clock.nowMs).toUTCString()
    const [later, earlier] = [new Date(api.clock.nowMs + 5000), new Date(api.clock.nowMs - 5000)].map((d) => d.toUTCString())
    const tags = fc.constantFrom(etag, `W/${etag}`, '"other"', `"other", ${etag}`, "*", "not a tag")
    const dates = fc.constantFrom(date, later, earlier, "yesterday")
    const ranges = fc.constantFrom(
      "bytes=0-", "bytes=5-9", `bytes=${String(SIZE)}-`, `bytes=${String(SIZE - 1)}-`, "bytes=-1", "bytes=-0",
      "bytes=-99999999999999999999", "bytes=99999999999999999999-", "bytes=5-4", "bytes=0-1,0-5", "lines=1-2",
      `bytes=${String(SIZE)}-,3-4`,
    ) // prettier-ignore
    const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 2, nil: undefined })
    const request = fc.record({
      "If-Match": optional(tags), "If-None-Match": optional(tags), "If-Modified-Since": optional(dates),
      "If-Unmodified-Since": optional(dates), "If-Range": optional(fc.oneof(tags, dates)), Range: optional(ranges),
    }) // prettier-ignore
    const seen = new Set<number>()
    async function ask(fields: Record<string, string | undefined>, method: string): Promise<void> {
      await api.db.delete(downloads).where(eq(downloads.fileId, id))
      const headers = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Record<
        string,
        string
      >
      const { status } = await use(await mint(id), headers, method)
      seen.add(status)
      expect([200, 206, 304, 412, 416]).toContain(status)
      expect(await rowsOf(id)).toHaveLength(method === "GET" && status < 300 ? 1 : 0)
    }
    // One of each answer, whatever chance brings.
    const sure = [
      {},
      { Range: "bytes=5-9" },
      { "If-None-Match": etag },
      { "If-Match": '"other"' },
      { Range: `bytes=${String(SIZE)}-` },
    ]
    for (const fields of sure) await ask(fields, "GET")
    await fc.assert(fc.asyncProperty(request, fc.constantFrom("GET", "GET", "GET", "HEAD"), ask), { numRuns: 150 })
    expect([...seen].sort()).toEqual([200, 206, 304, 412, 416])
  })

  it("adds up to the union of the bytes sent, under parallel ranges, broken-off ones and HEADs", async () => {
    const id = await post(null)
    const span = fc
      .tuple(fc.nat(SIZE - 1), fc.nat(SIZE - 1))
      .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b) + 1])
    const action = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("range" as const), span }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("break" as const), span }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("head" as const), span }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 8 }), async (actions) => {
        await api.db.delete(downloads).where(eq(downloads.fileId, id))
        const link = await mint(id)
        await Promise.all(
          actions.map(({ kind, span: [start, end] }) => {
            if (kind === "break") return breakOff(link, range(start, end))
            return use(link, range(start, end), kind === "head" ? "HEAD" : "GET")
          }),
        )
        const isSent = new Uint8Array(SIZE)
        for (const { kind, span } of actions) if (kind === "range") isSent.fill(1, ...span)
        const bytes = isSent.reduce((sum, byte) => sum + byte, 0)
        const rows = await rowsOf(id)
        const counted = actions.filter(({ kind }) => kind === "range").length
        const brokenOff = actions.filter(({ kind }) => kind === "break").length
        expect(rows.length).toBeGreaterThanOrEqual(Math.min(1, counted))
        expect(rows.length).toBeLessThanOrEqual(Math.min(1, counted + brokenOff))
        if (rows[0] === undefined) return
        // One that was broken off before its first byte is not counted.
        expect(rows[0].requests).toBeGreaterThanOrEqual(counted)
        expect(rows[0].requests).toBeLessThanOrEqual(counted + brokenOff)
        const served = JSON.parse(rows[0].served) as [number, number][]
        for (const [i, [start]] of served.entries()) expect(start).toBeGreaterThan(i === 0 ? -1 : (served[i - 1]?.[1] ?? 0))
        // What was broken off may have been sent in part: never less than the model, never more than was asked for.
        for (const [, span] of actions.entries()) if (span.kind === "break") isSent.fill(1, ...span.span)
        const atMost = isSent.reduce((sum, byte) => sum + byte, 0)
        expect(rows[0].servedBytes).toBeGreaterThanOrEqual(bytes)
        expect(rows[0].servedBytes).toBeLessThanOrEqual(atMost)
        expect(rows[0].deliveredAtMs !== null).toBe(rows[0].servedBytes === SIZE)
      }),
      { numRuns: 25 },
    )
  })
})

describe("E17: lists of links", () => {
  type Listed = { id: string; file: { id: string; name: string }; download: { state: string; percent: number } }
  const listOf = async (path: string, token: string): Promise<Listed[]> =>
    (await (await api.request(path, { token })).json<{ links: Listed[] }>()).links

  it("show every usable link with what came of it, to its client and to the file's owner", async () => {
    const [mine, other] = [await api.newClient(), await api.newClient()]
    const id = await post(null)
    const links = [await mint(id, mine.tokens), await mint(id, mine.tokens), await mint(id, mine.tokens)]
    await mint(id, other.tokens)
    await use(links[0] ?? "", {}, "GET", mine.tokens)
    await use(links[1] ?? "", range(0, Math.ceil(SIZE / 2) - 1), "GET", mine.tokens)
    const listed = await listOf("/api/client/links", mine.tokens.accessToken)
    expect(listed).toHaveLength(3)
    expect(listed.map(({ download }) => `${download.state} ${String(download.percent)}`).sort()).toEqual([
      "delivered 100",
      "partial 49",
      "unused 0",
    ])
    const seen = await listOf(`/api/ops/links?file=${id}`, ops.tokens.accessToken)
    expect(seen).toHaveLength(4)
    expect(await listOf(`/api/ops/links?file=${id}`, (await api.newOps()).tokens.accessToken)).toEqual([])
    const text = JSON.stringify([listed, seen])
    for (const link of links) expect(text).not.toContain(link.slice(-40))
    const page = await (
      await api.request("/api/client/links?limit=2", { token: mine.tokens.accessToken })
    ).json<{
      links: Listed[]
      nextCursor: string
    }>()
    const rest = await listOf(`/api/client/links?limit=2&cursor=${page.nextCursor}`, mine.tokens.accessToken)
    expect([...page.links, ...rest].map((link) => link.id)).toEqual(listed.map((link) => link.id))
  })

  it("let each be withdrawn alone, and all of a file or a client at once, by who may", async () => {
    const [mine, other, stranger] = [await api.newClient(), await api.newClient(), await api.newOps()]
    const [id, second] = [await post(null), await post(null)]
    const [a, b, c] = [await mint(id, mine.tokens), await mint(id, mine.tokens), await mint(second, mine.tokens)]
    const d = await mint(id, other.tokens)
    const single = (await listOf("/api/client/links", mine.tokens.accessToken)).find((link) => link.file.id === second)
    const remove = (path: string, token: string) => api.request(path, { method: "DELETE", token })
    const alone = `/api/client/links/${single?.id ?? ""}`
    expect(await outcome(remove(alone, other.tokens.accessToken))).toBe("404 not_found")
    expect(await outcome(remove(`/api/ops/links/${single?.id ?? ""}`, stranger.tokens.accessToken))).toBe("404 not_found")
    expect(await outcome(use(c, {}, "GET", mine.tokens))).toBe("200")
    for (let i = 0; i < 2; i++) expect(await outcome(remove(alone, mine.tokens.accessToken))).toBe("204")
    expect(await outcome(use(c, {}, "GET", mine.tokens))).toBe("410 link_revoked")

    expect(await outcome(remove("/api/ops/links", ops.tokens.accessToken))).toBe("422 validation_failed")
    expect(await (await remove(`/api/ops/links?file=${id}`, stranger.tokens.accessToken)).json()).toMatchObject({ revoked: 0 })
    expect(await outcome(use(a, {}, "GET", mine.tokens))).toBe("200")
    const { user } = await (
      await api.request("/api/auth/me", { token: mine.tokens.accessToken })
    ).json<{ user: { id: string } }>()
    expect(await (await remove(`/api/ops/links?client=${user.id}`, ops.tokens.accessToken)).json()).toMatchObject({ revoked: 2 })
    expect(await outcome(use(b, {}, "GET", mine.tokens))).toBe("410 link_revoked")
    expect(await outcome(use(d, {}, "GET", other.tokens))).toBe("200")
    expect(await (await remove(`/api/ops/links?file=${id}`, ops.tokens.accessToken)).json()).toMatchObject({ revoked: 1 })
    expect(await outcome(use(d, {}, "GET", other.tokens))).toBe("410 link_revoked")
    expect(await listOf("/api/client/links", mine.tokens.accessToken)).toEqual([])
  })
})

it("E8: a client may ask for a shorter life, not for a longer one", async () => {
  const id = await post(null)
  const link = await mint(id, client.tokens, "?expiresIn=10")
  api.clock.nowMs += 9_000
  expect(await outcome(use(link))).toBe("200")
  api.clock.nowMs += 1_000
  expect(await outcome(use(link))).toBe("410 link_expired")
  for (const expiresIn of ["3601", "0", "-1", "1.5", "1e3", "abc", "", "99999999999999999999"]) {
    const answer = api.request(`/api/client/download/${id}?expiresIn=${expiresIn}`, { token: client.tokens.accessToken })
    expect(await outcome(answer), expiresIn).toBe("422 validation_failed")
  }
})
