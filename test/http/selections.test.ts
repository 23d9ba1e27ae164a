// Several files at once: what a client who may have them gets, whole, in ranges, and in pieces after a broken transfer.
import fc from "fast-check"
import { crc32 } from "node:zlib"
import { eq, inArray } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { PART_BYTES, SEGMENT_BYTES } from "../../src/crypto/sealed-format.ts"
import { blobs, files, links, selections } from "../../src/db/schema.ts"
import { MAX_FILL_BYTES } from "../../src/domain/selections.ts"
import { createMemoryBudget } from "../../src/domain/memory.ts"
import { createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { type World, bytesOf, equal, newWorld, unpack } from "../support/selections.ts"

const small = realDocument("npm-docx.docx")
const sheet = realDocument("openpyxl.xlsx")
const large = docxOfSize(PART_BYTES + 700_000)

let world: World
/** One of them twice under names that differ in case alone. */
let three: string[]
const expected = { "report.docx": small, "sheet.xlsx": sheet, "Report (2).docx": large }

beforeAll(async () => {
  world = await newWorld()
  three = [await world.post("report.docx", small), await world.post("sheet.xlsx", sheet), await world.post("Report.docx", large)]
}, 60_000)

const range = (start: number, end: number) => ({ Range: `bytes=${String(start)}-${String(end - 1)}` })

describe("a link for several files", () => {
  it("sends one archive of all of them, its length known ahead, and counts each", async () => {
    const made = await world.ask(three)
    expect(made.status).toBe(201)
    const body = await made.json<{ "download-link": string; message: string }>()
    expect(body).toEqual({ "download-link": expect.stringMatching(/^https:\/\/sealpost\.test\/download-file\/[\w-]{142}$/) as string, message: "success" }) // prettier-ignore
    const link = new URL(body["download-link"]).pathname
    const head = await world.use(link, {}, "HEAD")
    expect(await world.rowsOf(three)).toEqual([])
    const response = await world.use(link)
    const archive = await bytesOf(response)
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/zip",
      "content-length": String(archive.length),
      "content-disposition": "attachment; filename=\"sealpost-2026-11-23.zip\"; filename*=UTF-8''sealpost-2026-11-23.zip",
      "accept-ranges": "bytes",
      "cache-control": "private, no-store, no-transform",
      "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "etag": expect.stringMatching(/^"[0-9a-f]{64}"$/) as string,
    }) // prettier-ignore
    expect(response.headers.get("repr-digest")).toBeNull()
    const shown = (of: Response) => [...of.headers].filter(([name]) => name !== "x-request-id")
    expect(shown(head)).toEqual(shown(response))
    expect((await head.arrayBuffer()).byteLength).toBe(0)
    const unpacked = unpack(archive)
    expect(Object.keys(unpacked)).toEqual(Object.keys(expected))
    for (const [name, content] of Object.entries(expected)) expect(equal(unpacked[name], content), name).toBe(true)
    const rows = await world.rowsOf(three)
    expect(rows).toHaveLength(3)
    for (const row of rows) expect(row).toMatchObject({ requests: 1, deliveredAtMs: world.api.clock.nowMs, holder: null })
    expect(rows.map(({ servedBytes }) => servedBytes).sort()).toEqual([small, sheet, large].map(({ length }) => length).sort())
  })

  it("is the same bytes every time it is opened, and every time it is made", async () => {
    const [first, second] = [await world.select(three), await world.select(three)]
    const answers = [await world.use(first), await world.use(first), await world.use(second)]
    expect(new Set(answers.map((answer) => answer.headers.get("etag"))).size).toBe(1)
    const [a = new Uint8Array(0), ...others] = await Promise.all(answers.map(bytesOf))
    for (const other of others) expect(equal(a, other)).toBe(true)
    const reversed = await world.use(await world.select(three.toReversed()), {}, "HEAD")
    expect(reversed.headers.get("etag")).not.toBe(answers[0]?.headers.get("etag"))
  })

  it("is shown in lists as the links that it consists of, to its client and to the files' owner", async () => {
    const someone = await world.api.newClient()
    await world.select(three, "", someone.tokens)
    await world.mint(three[0] ?? "", someone.tokens)
    type Listed = { id: string; file: { id: string }; selection: string | null; client?: { email: string } }
    const listed = async (path: string, token: string): Promise<Listed[]> =>
      (await (await world.api.request(path, { token })).json<{ links: Listed[] }>()).links
    const own = await listed("/api/client/links", someone.tokens.accessToken)
    expect(own).toHaveLength(4)
    const [selection, ...more] = [...new Set(own.flatMap(({ selection: id }) => id ?? []))]
    expect([selection?.length, more]).toEqual([36, []])
    expect(own.filter((link) => link.selection === selection).map(({ file }) => file.id).sort()).toEqual([...three].sort()) // prettier-ignore
    const seen = await listed(`/api/ops/links?file=${three[1] ?? ""}`, world.ops.tokens.accessToken)
    const theirs = seen.filter(({ client }) => client?.email === someone.email)
    expect(theirs.map((link) => link.selection)).toEqual([selection])
  })

  it("lives as long as it was asked to, and is swept with its links later", async () => {
    const link = await world.select(three, "?expiresIn=10")
    const before = world.api.clock.nowMs
    world.api.clock.nowMs += 9_000
    expect((await world.use(link, {}, "HEAD")).status).toBe(200)
    world.api.clock.nowMs += 1_000
    expect(await world.told(link, { token: world.client.tokens.accessToken })).toBe("410 link_expired")
    const count = async () => [await world.api.db.$count(selections), await world.api.db.$count(links)]
    expect((await count())[0]).toBeGreaterThan(0)
    world.api.clock.nowMs += 40 * 24 * 3_600_000
    await world.api.runCron()
    expect(await count()).toEqual([0, 0])
    world.api.clock.nowMs = before
    world.client.tokens = await world.api.logIn("client", world.client.email)
    world.ops.tokens = await world.api.logIn("ops", world.ops.email)
  })
})

describe("ranges of an archive", () => {
  let link: string
  let archive: Uint8Array
  let etag: string

  beforeAll(async () => {
    link = await world.select(three)
    const whole = await world.use(link)
    etag = whole.headers.get("etag") ?? ""
    archive = await bytesOf(whole)
  })

  it("are what the archive has there, wherever they begin and end", async () => {
    const edge = fc.constantFrom(0, 1, 29, 30, 60, small.length + 40, small.length + 60, archive.length - 1, archive.length - 22)
    const place = fc.oneof(edge, fc.nat(archive.length - 1))
    await fc.assert(
      fc.asyncProperty(place, place, async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b) + 1]
        const response = await world.use(link, range(start, end))
        expect(response.status).toBe(206)
        expect(response.headers.get("content-range")).toBe(`bytes ${String(start)}-${String(end - 1)}/${String(archive.length)}`)
        expect(equal(await bytesOf(response), archive.subarray(start, end))).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  it("come several in one answer, and none where there are none", async () => {
    const response = await world.use(link, { Range: "bytes=0-9,-5" })
    expect(response.status).toBe(206)
    const body = await bytesOf(response)
    expect(response.headers.get("content-length")).toBe(String(body.length))
    const text = Array.from(body, (byte) => String.fromCharCode(byte)).join("")
    const latin = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
    expect(text).toContain(latin(archive.subarray(0, 10)))
    expect(text).toContain(latin(archive.subarray(-5)))
    const outside = await world.use(link, { Range: `bytes=${String(archive.length)}-` })
    expect([outside.status, outside.headers.get("content-range")]).toEqual([416, `bytes */${String(archive.length)}`])
  })

  it.each<[string, () => Record<string, string>, number]>([
    ["If-Range with its tag", () => ({ ...range(5, 10), "If-Range": etag }), 206],
    ["If-Range with another", () => ({ ...range(5, 10), "If-Range": '"other"' }), 200],
    ["If-None-Match with its tag", () => ({ "If-None-Match": etag }), 304],
    ["If-Match with another", () => ({ "If-Match": '"other"' }), 412],
  ])("%s", async (_, headers, status) => {
    const fresh = await world.select(three)
    expect((await world.use(fresh, headers())).status).toBe(status)
  })

  it("count for the files that they touch, and for no other", async () => {
    const someone = await world.api.newClient()
    const theirs = await world.select(three, "", someone.tokens)
    // The second file's first ten bytes: behind two headers with names and times, and the first file.
    const start = 30 + "report.docx".length + 9 + small.length + 30 + "sheet.xlsx".length + 9
    const { id } = await (await world.api.request("/api/auth/me", { token: someone.tokens.accessToken })).json<{ user: { id: string } }>().then(({ user }) => user) // prettier-ignore
    const rows = async () => (await world.rowsOf(three)).filter(({ userId }) => userId === id)
    const response = await world.use(theirs, range(start, start + 10), "GET", someone.tokens)
    expect(equal(await bytesOf(response), sheet.subarray(0, 10))).toBe(true)
    expect((await rows()).map(({ fileId, served }) => [fileId, served])).toEqual([[three[1], "[[0,10]]"]])
    // Headers alone are nobody's bytes.
    await bytesOf(await world.use(theirs, range(0, 20), "GET", someone.tokens))
    expect(await rows()).toHaveLength(1)
  })
})

describe("a broken transfer", () => {
  it("counts exactly what each file got, and goes on where it broke to the same archive", async () => {
    const ids = [await world.post("a.docx", small), await world.post("b.docx", large), await world.post("c.xlsx", sheet)]
    const link = await world.select(ids)
    const { headers } = await world.use(link, {}, "HEAD")
    const got = small.length + 1_000_000
    const beginning = await world.takeSome(link, got)
    const rows = new Map((await world.rowsOf(ids)).map((row) => [row.fileId, row]))
    expect(rows.get(ids[0] ?? "")).toMatchObject({ servedBytes: small.length, deliveredAtMs: world.api.clock.nowMs })
    const partial = rows.get(ids[1] ?? "")
    expect(partial?.deliveredAtMs).toBeNull()
    expect(JSON.parse(partial?.served ?? "")).toEqual([[0, partial?.servedBytes]])
    expect(partial?.servedBytes).toBeGreaterThan(0)
    expect(partial?.servedBytes).toBeLessThan(large.length)
    expect(rows.has(ids[2] ?? "")).toBe(false)

    // What was on its way when the receiver hung up is not counted, so never too much.
    const headerBytes = 30 + "a.docx".length + 9
    const counted = 2 * headerBytes + small.length + (partial?.servedBytes ?? 0)
    expect(counted).toBeLessThanOrEqual(beginning.length)
    expect(beginning.length - counted).toBeLessThan(SEGMENT_BYTES)
    const total = Number(headers.get("content-length"))
    const resumed = await world.use(link, { ...range(counted, total), "If-Range": headers.get("etag") ?? "" })
    expect(resumed.status).toBe(206)
    const archive = new Uint8Array(total)
    archive.set(beginning)
    archive.set(await bytesOf(resumed), counted)
    const unpacked = unpack(archive)
    expect([equal(unpacked["a.docx"], small), equal(unpacked["b.docx"], large), equal(unpacked["c.xlsx"], sheet)]).toEqual([true, true, true]) // prettier-ignore
    for (const row of await world.rowsOf(ids)) expect(row.deliveredAtMs).not.toBeNull()
  })

  it("that hung up before the first byte counts nothing", async () => {
    const ids = [await world.post("a.docx", small, "?downloadLimit=1"), await world.post("b.docx", small, "?downloadLimit=1")]
    const link = await world.select(ids)
    await world.takeSome(link, 1).catch(() => undefined)
    // One byte was taken of a header, or a first run with it: either way at most the beginning of the first.
    expect((await world.rowsOf(ids)).filter(({ fileId }) => fileId === ids[1])).toEqual([])
    expect((await world.use(await world.select(ids.slice(1)))).status).toBe(200)
  })
})

describe("CRC-32", () => {
  const rowOf = async (id: string) => (await world.api.db.select().from(blobs).where(eq(blobs.fileId, id)))[0]

  it("is kept of every upload, in one part or many", async () => {
    expect((await rowOf(three[0] ?? ""))?.crc32).toBe(crc32(small))
    expect((await rowOf(three[2] ?? ""))?.crc32).toBe(crc32(large))
    const put = await world.api.request("/api/ops/upload/put.docx", {
      method: "PUT",
      token: world.ops.tokens.accessToken,
      body: small,
    })
    const { file } = await put.json<{ file: { id: string } }>()
    expect((await rowOf(file.id))?.crc32).toBe(crc32(small))
  })

  it("of rows from before is computed for the link that needs it, or by inspection", async () => {
    const ids = [await world.post("a.docx", small), await world.post("b.docx", large)]
    const forget = () => world.api.db.update(blobs).set({ crc32: null }).where(inArray(blobs.fileId, ids))
    const known = async () => (await Promise.all(ids.map(rowOf))).map((row) => row?.crc32)
    await forget()
    const unpacked = unpack(await bytesOf(await world.use(await world.select(ids))))
    expect(equal(unpacked["b.docx"], large)).toBe(true)
    expect(await known()).toEqual([crc32(small), crc32(large)])
    await forget()
    for (let i = 0; i < 40 && (await known()).includes(null); i++) await world.api.runCron()
    expect(await known()).toEqual([crc32(small), crc32(large)])
  })

  it("of very large rows from before is waited for, and the answer says which they are", async () => {
    const ids = [await world.post("a.docx", small), await world.post("b.docx", small)]
    const tooLarge = { crc32: null, sizeBytes: MAX_FILL_BYTES + 1 }
    await world.api.db
      .update(blobs)
      .set(tooLarge)
      .where(eq(blobs.fileId, ids[1] ?? ""))
    const refused = await world.ask(ids)
    expect(await refused.json()).toMatchObject({ status: 422, code: "validation_failed", errors: [{ field: "files.1", rule: "not_ready" }] }) // prettier-ignore
    const mended = { crc32: crc32(small), sizeBytes: small.length }
    await world.api.db
      .update(blobs)
      .set(mended)
      .where(eq(blobs.fileId, ids[1] ?? ""))
    expect((await world.ask(ids)).status).toBe(201)
  })
})

describe("a selection of a hundred files", () => {
  it("is sent in the memory of one download, in two round trips of D1 and as few statements as one of two", async () => {
    const memory = createMemoryBudget()
    let statements = 0
    let trips = 0
    const counting = new Proxy(world.api.env.DB, {
      get(database, property) {
        const value: unknown = Reflect.get(database, property)
        if (typeof value !== "function") return value
        if (property === "batch")
          return (all: D1PreparedStatement[]) => {
            trips++
            statements += all.length
            return database.batch(all)
          }
        return value.bind(database) as unknown
      },
    })
    const many = await newWorld(createTestClient({ DB: counting }, { memory }))
    const ids: string[] = []
    for (let i = 0; i < 100; i++) ids.push(await many.post("same name.docx", small))
    const costs: [number, number][] = []
    for (const chosen of [ids.slice(0, 2), ids]) {
      const link = await many.select(chosen)
      statements = 0
      trips = 0
      memory.usage.peakLeasedBytes = 0
      const unpacked = unpack(await bytesOf(await many.use(link)))
      expect(Object.values(unpacked).filter((content) => equal(content, small))).toHaveLength(chosen.length)
      costs.push([trips, statements])
      expect(memory.usage.peakLeasedBytes).toBeLessThanOrEqual(8 * 262_144)
    }
    expect(costs[1]).toEqual(costs[0])
    expect(await many.api.db.$count(files)).toBeGreaterThanOrEqual(100)
    expect((await many.rowsOf(ids.slice(0, 90))).filter(({ deliveredAtMs }) => deliveredAtMs !== null)).toHaveLength(92)
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })
})
