// Parts of an archive: what they claim, what owners are told of them, and that nothing joins parts of two archives.
import { beforeAll, describe, expect, it } from "vitest"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { type World, bytesOf, equal, newWorld, unpack } from "../support/selections.ts"

const small = realDocument("npm-docx.docx")
const sheet = realDocument("openpyxl.xlsx")
const large = docxOfSize(1_500_000)
/** Before the content of a file with a name of six characters. */
const HEADER_BYTES = 30 + 6 + 9

let world: World

beforeAll(async () => {
  world = await newWorld()
}, 60_000)

const range = (start: number, end: number) => ({ Range: `bytes=${String(start)}-${String(end - 1)}` })

async function three(query = ""): Promise<[string, string, string]> {
  return [
    await world.post("a.docx", small, query),
    await world.post("b.xlsx", sheet, query),
    await world.post("c.docx", large, query),
  ]
}

/** What the files' owner is told from now on, as "kind file". */
async function listen(ids: readonly string[]): Promise<() => Promise<string[]>> {
  type Answer = { events: { kind: string; file?: { id: string } }[]; next: string }
  const ask = async (query: string) =>
    (await world.api.request(`/api/ops/events?limit=200${query}`, { token: world.ops.tokens.accessToken })).json<Answer>()
  const { next } = await ask("")
  return async () =>
    (await ask(`&since=${next}`)).events.map(({ kind, file }) => `${kind} ${"abc"[ids.indexOf(file?.id ?? "")] ?? "?"}`)
}

describe("a part of an archive", () => {
  it("claims, and tells of, those files alone of which it has something", async () => {
    const ids = await three()
    const link = await world.select(ids)
    const told = await listen(ids)
    const ofSheet = 2 * HEADER_BYTES + small.length
    const claimed = async () => (await world.rowsOf(ids)).map(({ fileId, requests }) => [ids.indexOf(fileId), requests]).sort()
    expect((await world.use(link, range(0, 20))).status).toBe(206)
    expect([await claimed(), await told()]).toEqual([[], []])
    const part = await world.use(link, range(ofSheet, ofSheet + 10))
    expect(equal(await bytesOf(part), sheet.subarray(0, 10))).toBe(true)
    expect([await claimed(), await told()]).toEqual([[[1, 1]], ["download.started b"]])
    // Again, and over the edge to the next file.
    await world.use(link, range(ofSheet, ofSheet + sheet.length + HEADER_BYTES + 1))
    expect(await claimed()).toEqual([
      [1, 2],
      [2, 1],
    ])
    expect(await told()).toEqual(["download.started b", "download.started c", "download.delivered b"])
  })

  it("of one that breaks off in its first file tells of that one, however often; of the others when they come", async () => {
    const ids = await three()
    const link = await world.select([ids[2], ids[0], ids[1]])
    const told = await listen(ids)
    for (let i = 0; i < 3; i++) await world.takeSome(link, 300_000)
    expect((await world.rowsOf(ids)).map(({ fileId }) => fileId)).toEqual([ids[2]])
    expect(await told()).toEqual(["download.started c"])
    expect((await world.use(link)).status).toBe(200)
    expect((await told()).sort()).toEqual([
      "download.delivered a",
      "download.delivered b",
      "download.delivered c",
      "download.started a",
      "download.started b",
      "download.started c",
    ])
  })

  it("is refused when another file of it is used up, whichever it has something of", async () => {
    const ids = await three("?downloadLimit=1")
    const [link, rest] = [await world.select(ids), await world.select(ids.slice(0, 2))]
    expect((await world.use(await world.mint(ids[2]))).status).toBe(200)
    const asked = (path: string) =>
      world.told(path, { token: world.client.tokens.accessToken, headers: range(HEADER_BYTES, HEADER_BYTES + 10) })
    expect(await asked(link)).toBe("410 downloads_used_up")
    expect((await world.rowsOf(ids)).map(({ fileId }) => fileId)).toEqual([ids[2]])
    expect(await asked(rest)).toBe("206")
  })
})

describe("parts of many archives at once", () => {
  it("of a file that may be had once, are of one of them", async () => {
    const ids = await three("?downloadLimit=1")
    const selections = await Promise.all(Array.from({ length: 5 }, () => world.select(ids.slice(0, 2))))
    const asked = selections.flatMap((link) => [0, 10, 20].map((start) => ({ link, start })))
    const outcomes = await Promise.all(
      asked.map(async ({ link, start }) => {
        const headers = range(HEADER_BYTES + start, HEADER_BYTES + start + 10)
        return { link, told: await world.told(link, { token: world.client.tokens.accessToken, headers }) }
      }),
    )
    const winners = new Set(outcomes.flatMap(({ link, told }) => (told === "206" ? [link] : [])))
    expect(winners.size).toBe(1)
    for (const { link, told } of outcomes) expect(told).toBe(winners.has(link) ? "206" : "410 downloads_used_up")
    expect((await world.rowsOf(ids)).map(({ fileId, servedBytes }) => [fileId, servedBytes])).toEqual([[ids[0], 30]])
    // The other file is nobody's yet.
    expect((await world.use(await world.mint(ids[1]))).status).toBe(200)
  })
})

describe("parts of two archives", () => {
  it("are not joined by a date when a file was renamed in between", async () => {
    const ids = await three()
    const link = await world.select(ids)
    const first = await world.use(link, {}, "HEAD")
    // No date tells the one from the other, so none is said, and none is taken for one.
    expect(first.headers.get("last-modified")).toBeNull()
    const rename = { method: "PATCH", token: world.ops.tokens.accessToken, json: { name: "another name.docx" } }
    expect((await world.api.request(`/api/ops/files/${ids[0]}`, rename)).status).toBe(200)
    const now = await world.use(link, {}, "HEAD")
    expect(now.headers.get("etag")).not.toBe(first.headers.get("etag"))
    for (const seconds of [0, 1, -1]) {
      const date = new Date(world.api.clock.nowMs + 1000 * seconds).toUTCString()
      const whole = await world.use(link, { ...range(10, 20), "If-Range": date })
      expect(whole.status).toBe(200)
      expect(Object.keys(unpack(await bytesOf(whole)))).toEqual(["another name.docx", "b.xlsx", "c.docx"])
      expect((await world.use(link, { "If-Modified-Since": date })).status).toBe(200)
      expect((await world.use(link, { "If-Unmodified-Since": date })).status).toBe(200)
    }
    expect((await world.use(link, { ...range(10, 20), "If-Range": now.headers.get("etag") ?? "" })).status).toBe(206)
  })
})

describe("names in an archive", () => {
  it("are such as every system takes, whatever the files' own are", async () => {
    const names = ["C:evil.docx", 'what "now"?.docx', "what _now__.docx", "<a|b>*.docx", "ΟΔΟΣ.docx", "οδοσ.docx"]
    const ids: string[] = []
    for (const name of names) {
      const path = `/api/ops/upload/${encodeURIComponent(name)}`
      const put = await world.api.request(path, { method: "PUT", token: world.ops.tokens.accessToken, body: small })
      ids.push((await put.json<{ file: { id: string } }>()).file.id)
    }
    const unpacked = unpack(await bytesOf(await world.use(await world.select(ids))))
    expect(Object.keys(unpacked)).toEqual([
      "C_evil.docx",
      "what _now__.docx",
      "what _now__ (2).docx",
      "_a_b__.docx",
      "ΟΔΟΣ.docx",
      "οδοσ (2).docx",
    ])
    // A single file is saved by the browser, which does as its system needs.
    const alone = await world.use(await world.mint(ids[0] ?? ""), {}, "HEAD")
    expect(alone.headers.get("content-disposition")).toContain("C%3Aevil.docx")
  })
})
