// Lists of files as callers page through them: every order, filter and search, what a page costs, and that a cursor is
// good for the list that it came from and for no other.
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { countReads, isFileList } from "../../bench/count-reads.ts"
import { seedFiles } from "../../bench/seed-lists.ts"
import { downloads, files, users } from "../../src/db/schema.ts"
import { searchKey } from "../../src/domain/search-key.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"

const FILES = 5000
const SORTS = ["name", "-name", "createdAt", "-createdAt", "size", "-size"]
/** Reads for each row of a page, and for each run (audience × type) that is merged. */
const READS_PER_ROW = 8
const READS_PER_RUN = 4

type FileJson = { id: string; name: string; size: number; type: string; createdAt: string; state?: string }
type Page = { files: FileJson[]; nextCursor: string | null }

let api: TestClient
let owner: { id: string; token: string }
let client: { id: string; token: string }
const reads = { take: (): number => 0 }

beforeAll(async () => {
  const { env } = createTestClient()
  const counter = countReads(env.DB, isFileList)
  reads.take = counter.take
  api = createTestClient({ DB: counter.db })
  const ops = await api.newOps()
  owner = { id: ops.id, token: ops.tokens.accessToken }
  const { email, tokens } = await api.newClient()
  client = { id: (await api.db.select().from(users).where(eq(users.email, email)).get())?.id ?? "", token: tokens.accessToken }
  await seedFiles(api.env.DB, owner.id, 0, FILES)
}, 60_000)

async function page(path: string, token: string): Promise<Page> {
  const response = await api.request(path, { token })
  if (response.status !== 200) throw new Error(await response.text())
  return response.json()
}

/** All pages, with what each has cost. */
async function walk(path: string, token: string): Promise<{ files: FileJson[]; costs: number[] }> {
  const all: FileJson[] = []
  const costs: number[] = []
  for (let cursor = ""; ;) {
    reads.take()
    const { files: some, nextCursor } = await page(`${path}${cursor}`, token)
    costs.push(reads.take())
    all.push(...some)
    if (nextCursor === null) return { files: all, costs }
    cursor = `&cursor=${nextCursor}`
  }
}

/** What sqlite itself says the order is, by the simplest query. */
async function idsInOrder(sort: string, where = "1"): Promise<string[]> {
  const column = { name: "name_key", createdAt: "created_at_ms", size: "size_bytes" }[sort.replace("-", "")] ?? ""
  const order = sort.startsWith("-") ? "desc" : "asc"
  const { results } = await api.db.$client
    .prepare(`select id from files where ${where} order by ${column} ${order}, id ${order}`)
    .all<{ id: string }>()
  return results.map(({ id }) => id)
}

/** Every page but the last costs the same small multiple of its rows. */
function expectFlat(costs: readonly number[], limit: number, runs: number): void {
  for (const cost of costs) expect(cost).toBeLessThanOrEqual(READS_PER_ROW * (limit + 2) + READS_PER_RUN * runs + 50)
  for (const cost of costs) expect(cost).toBeGreaterThan(0)
}

describe.each(SORTS)("in the order %s", (sort) => {
  it("ops and clients see each file once, at a flat cost for each page", async () => {
    const expected = await idsInOrder(sort)
    for (const [path, token, runs] of [
      ["/api/ops/files", owner.token, 6],
      ["/api/client/files", client.token, 6],
    ] as const) {
      const { files: seen, costs } = await walk(`${path}?limit=200&sort=${sort}`, token)
      expect(seen.map(({ id }) => id)).toEqual(expected)
      expect(costs).toHaveLength(FILES / 200)
      expectFlat(costs, 200, runs)
    }
  })

  it("few chosen files among many for everyone are each in their place, once, also when given in three ways", async () => {
    const chosen = (await idsInOrder(sort)).filter((_, i) => i % 977 === 5)
    const groups = [crypto.randomUUID(), crypto.randomUUID()]
    const { $client: d1 } = api.db
    await d1.batch([
      ...groups.map((id) => d1.prepare(`insert into "groups" values (?1, ?1, ?1, 0)`).bind(id)),
      ...groups.map((id) =>
        d1.prepare("insert into group_members (group_id, user_id, added_at_ms) values (?, ?, 0)").bind(id, client.id),
      ),
      ...chosen.flatMap((id) => [
        d1.prepare("delete from file_grants where file_id = ?").bind(id),
        d1.prepare("update files set audience = 'chosen' where id = ?").bind(id),
        ...[client.id, ...groups].map((audience) =>
          d1
            .prepare(
              `insert into file_grants (file_id, audience, client_id, group_id, granted_at_ms, type, created_at_ms, name_key, size_bytes) select id, ?1, iif(?1 = ?2, ?1, null), iif(?1 = ?2, null, ?1), 0, type, created_at_ms, name_key, size_bytes from files where id = ?3`,
            )
            .bind(audience, client.id, id),
        ),
      ]),
    ])
    const { files: seen, costs } = await walk(`/api/client/files?limit=200&sort=${sort}`, client.token)
    expect(seen.map(({ id }) => id)).toEqual(await idsInOrder(sort))
    expectFlat(costs, 200, 30)
  })
})

describe("filters", () => {
  it.each(SORTS)("by type cost no more than none, sorted by %s", async (sort) => {
    const { files: seen, costs } = await walk(`/api/client/files?limit=100&type=pptx&sort=${sort}`, client.token)
    expect(seen.map(({ id }) => id)).toEqual(await idsInOrder(sort, "type = 'pptx'"))
    expectFlat(costs, 100, 30)
  })

  it("by state: ops by audience, clients by whether they have all of it", async () => {
    const chosen = await walk("/api/ops/files?limit=200&state=chosen", owner.token)
    expect(chosen.files.map(({ id }) => id)).toEqual(await idsInOrder("-createdAt", "audience = 'chosen'"))
    expect(chosen.files.length).toBeGreaterThan(0)
    expectFlat(chosen.costs, 200, 6)
    const [first, second] = (await page("/api/client/files?limit=2", client.token)).files
    const download = {
      linkId: "l",
      fileId: first?.id ?? "",
      userId: client.id,
      version: 1,
      startedAtMs: 0,
      requests: 1,
      joinedBy: "",
    }
    await api.db.insert(downloads).values({ ...download, deliveredAtMs: 1 })
    await api.db.insert(downloads).values({ ...download, linkId: "m", fileId: second?.id ?? "" })
    const got = await walk("/api/client/files?limit=200&state=downloaded", client.token)
    expect(got.files.map(({ id, state }) => [id, state])).toEqual([[first?.id, "downloaded"]])
    const fresh = await walk("/api/client/files?limit=200&state=new", client.token)
    expect(fresh.files).toHaveLength(FILES - 1)
    expect(fresh.files[0]).toMatchObject({ id: second?.id, state: "new" })
    await api.db.delete(downloads)
  })
})

describe("search", () => {
  it.each([
    ["as it is", "Report 07919"],
    ["in upper case", "REPORT 07919"],
    ["in full width", "ｒｅｐｏｒｔ 07919"],
  ])("finds a part of a name: %s", async (_, search) => {
    const { files: seen } = await walk(`/api/client/files?limit=5&search=${encodeURIComponent(search)}`, client.token)
    expect(seen.map(({ name }) => name)).toEqual(["Report 07919"])
  })

  it.each([
    ["Жанна д’Арк.docx", "жАННА Д"],
    ["ΟΔΥΣΣΕΥΣ.docx", "οδυσσευς"],
    ["Straße.docx", "STRASSE"],
    ["日本語の報告書.docx", "報告"],
    ["100% sure_thing.docx", "0% sure_"],
    ["\u202fİstanbul.docx", "i̇STANBUL"],
    // The upper case of i has its dot in Turkish, and loses it nowhere else.
    ["İSTANBUL.docx", "istanbul"],
    ["istanbul.docx", "İSTANBUL"],
    ["KAYIT.docx", "kayıt"],
    // What nobody sees is seldom typed.
    ["می\u200cخواهم.docx", "میخواهم"],
    ["میخواهم.docx", "می\u200cخواهم"],
    ["葛\u{e0100}城市.docx", "葛城"],
    ["❤\ufe0f.docx", "❤"],
  ])("%j by %j", async (name, search) => {
    const [row] = await api.db.select().from(files).limit(1)
    const set = (nameKey: string) =>
      api.db.$client.batch([
        api.db.$client.prepare("update files set name_key = ? where id = ?").bind(nameKey, row?.id),
        api.db.$client.prepare("update file_grants set name_key = ? where file_id = ?").bind(nameKey, row?.id),
      ])
    // Keys once held joiners and selectors of emoji.
    const once = name.normalize("NFKC").toLowerCase()
    for (const key of /\u200c|\ufe0f/.test(name) ? [searchKey(name), once] : [searchKey(name)]) {
      await set(key)
      for (const [path, token] of [
        ["/api/ops/files", owner.token],
        ["/api/client/files", client.token],
      ] as const) {
        const { files: seen } = await walk(`${path}?search=${encodeURIComponent(search)}`, token)
        expect(seen.map(({ id }) => id)).toEqual([row?.id])
      }
    }
    await set(row?.nameKey ?? "")
  })

  it.each(["%", "_", "report%", "_____", "*", "' or 1=1 --", "x".repeat(200)])("takes %j literally: none", async (search) => {
    expect((await walk(`/api/client/files?search=${encodeURIComponent(search)}`, client.token)).files).toEqual([])
  })

  it("reads a bounded number of rows, and says where to go on", async () => {
    const path = "/api/ops/files?limit=5&search=nothing+is+called+this"
    const { files: seen, costs } = await walk(path, owner.token)
    expect(seen).toEqual([])
    expect(Math.max(...costs)).toBeLessThan(20_000 * 4)
  })
})

describe("pages", () => {
  it("stay in step while files come and go", async () => {
    const path = "/api/ops/files?limit=50&sort=createdAt"
    const first = await page(path, owner.token)
    const before = await idsInOrder("createdAt")
    const [gone, lastShown] = [before[60] ?? "", before[49] ?? ""]
    await api.db.delete(files).where(eq(files.id, lastShown))
    await api.db.delete(files).where(eq(files.id, gone))
    await seedFiles(api.env.DB, owner.id, FILES, 7)
    const second = await page(`${path}&cursor=${first.nextCursor ?? ""}`, owner.token)
    expect(second.files.map(({ id }) => id)).toEqual(before.filter((id) => id !== gone).slice(50, 100))
  })

  it("a client without any has one empty page", async () => {
    await api.db.$client.batch([
      api.db.$client.prepare("update files set audience = 'chosen'"),
      api.db.$client
        .prepare("update file_grants set audience = ?1, client_id = ?1, group_id = null where audience = 'everyone'")
        .bind(client.id),
    ])
    const { tokens } = await api.newClient()
    expect(await page("/api/client/files", tokens.accessToken)).toEqual({ files: [], nextCursor: null })
  })

  it.each(SORTS)("many chosen files and none for everyone cost the same, sorted by %s", async (sort) => {
    const { files: seen, costs } = await walk(`/api/client/files?limit=200&sort=${sort}`, client.token)
    expect(seen.length).toBeGreaterThan(4900)
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length)
    expectFlat(costs, 200, 45)
  })
})

describe("M5: a cursor", () => {
  it("continues the list that it came from, and no other", async () => {
    const stranger = (await api.newOps()).tokens.accessToken
    const path = "/api/ops/files?limit=2&sort=name"
    const cursor = (await page(path, owner.token)).nextCursor ?? ""
    const told = async (target: string, token: string) => {
      const response = await api.request(target, { token })
      return response.ok ? "ok" : ((await response.json<ProblemBody>()).errors?.[0] ?? {})
    }
    expect(await told(`${path}&cursor=${cursor}`, owner.token)).toBe("ok")
    expect(await told(`/api/ops/files?limit=9&sort=name&cursor=${cursor}`, owner.token)).toBe("ok")
    const refused = { field: "cursor", rule: "cursor" }
    for (const [target, token] of [
      [`/api/ops/files?sort=-name&cursor=${cursor}`, owner.token],
      [`/api/ops/files?cursor=${cursor}`, owner.token],
      [`${path}&type=docx&cursor=${cursor}`, owner.token],
      [`${path}&search=a&cursor=${cursor}`, owner.token],
      [`${path}&state=chosen&cursor=${cursor}`, owner.token],
      [`${path}&cursor=${cursor}`, stranger],
      [`/api/client/files?limit=2&sort=name&cursor=${cursor}`, client.token],
      [`/api/ops/groups?sort=name&cursor=${cursor}`, owner.token],
      [`/api/ops/links?cursor=${cursor}`, owner.token],
    ] as const)
      expect([target, await told(target, token)]).toEqual([target, expect.objectContaining(refused)])
    for (let at = 0; at < cursor.length; at++) {
      const forged = `${cursor.slice(0, at)}${cursor[at] === "A" ? "B" : "A"}${cursor.slice(at + 1)}`
      expect([at, await told(`${path}&cursor=${forged}`, owner.token)]).toEqual([at, expect.objectContaining(refused)])
    }
  })
})
