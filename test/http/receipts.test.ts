// Receipts as owners read them, JSON and CSV, and clients' own history: one journey through the real routes, then random
// histories against the simplest model of them, and what pages cost among ten thousand clients.
import { eq } from "drizzle-orm"
import fc from "fast-check"
import { beforeAll, beforeEach, describe, expect, it } from "vitest"
import { countReads } from "../../bench/count-reads.ts"
import { downloads, fileGrants, files, groupMembers, groups, linkReceipts, links, notices, users } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")
/** Reads for each row of a page. */
const READS_PER_ROW = 20
const DAY_MS = 24 * 60 * 60_000

type Totals = { recipients: number; notYet: number; linkMade: number; started: number; partial: number; delivered: number }
type Earlier = { version: number; deliveredAt: string; bytes: number; sha256: string }
type Receipt = {
  client: { id: string; email: string; disabled: boolean }
  through: { everyone: boolean; directly: boolean; groups: { id: string; name: string }[] }
  assignedAt: string | null
  notifiedAt: string | null
  linkMadeAt: string | null
  lastLinkAt: string | null
  state: string
  percent: number
  startedAt: string | null
  deliveredAt: string | null
  bytes: number
  version: number | null
  sha256: string | null
  downloads: number
  earlier: Earlier[]
}
type Page = {
  file: { id: string; version: number; sha256: string }
  totals: Totals | null
  receipts: Receipt[]
  nextCursor: string | null
}
type Person = { id: string; email: string; token: string }

let api: TestClient
let ops: Person
let ann: Person
let bob: Person
const reads = { take: (): number => 0 }

beforeAll(async () => {
  const counter = countReads(createTestClient().env.DB, (sql) => /receipts|downloads|recipients/.test(sql))
  reads.take = counter.take
  api = createTestClient({ DB: counter.db })
  const made = await api.newOps()
  ops = { ...made, token: made.tokens.accessToken }
  ann = await newClient()
  bob = await newClient()
}, 60_000)

async function newClient(): Promise<Person> {
  const { email, tokens } = await api.newClient()
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  return { id: row?.id ?? "", email, token: tokens.accessToken }
}

async function newFile(query = "", name = "a.docx"): Promise<string> {
  const form = new FormData()
  form.set("file", new File([docx], name))
  const response = await api.request(`/api/ops/upload${query}`, { method: "POST", token: ops.token, body: form })
  return (await response.json<{ file: { id: string } }>()).file.id
}

async function newGroup(name: string, members: readonly Person[]): Promise<string> {
  const made = await api.request("/api/ops/groups", { token: ops.token, json: { name } })
  const { id } = (await made.json<{ group: { id: string } }>()).group
  await api.request(`/api/ops/groups/${id}/members`, { token: ops.token, json: { clients: members.map((member) => member.id) } })
  return id
}

async function page(fileId: string, query = ""): Promise<Page> {
  const response = await api.request(`/api/ops/files/${fileId}/receipts${query}`, { token: ops.token })
  if (response.status !== 200) throw new Error(await response.text())
  return response.json()
}

async function all(
  fileId: string,
  query = "?limit=200",
): Promise<{ receipts: Receipt[]; totals: Totals | null; costs: number[] }> {
  const receipts: Receipt[] = []
  const costs: number[] = []
  let totals: Totals | null = null
  for (let cursor = ""; ;) {
    reads.take()
    const some = await page(fileId, `${query}${cursor}`)
    if (cursor === "") totals = some.totals
    else {
      expect(some.totals).toBeNull()
      costs.push(reads.take())
    }
    receipts.push(...some.receipts)
    if (some.nextCursor === null) return { receipts, totals, costs }
    cursor = `&cursor=${some.nextCursor}`
  }
}

const receiptOf = async (fileId: string, who: Person): Promise<Receipt | undefined> =>
  (await all(fileId)).receipts.find(({ client }) => client.id === who.id)

async function mint(who: Person, fileId: string): Promise<string> {
  const response = await api.request(`/api/client/download/${fileId}`, { token: who.token })
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

const iso = (ms: number): string => new Date(ms).toISOString()

describe("a receipt", () => {
  it("follows a client from the assignment to the delivery, and stays when the file is taken off them", async () => {
    const both = await newGroup("Both of them", [ann, bob])
    const start = api.clock.nowMs
    const fileId = await newFile(`?clients=${ann.id}&groups=${both}`, "=plan.docx")
    const fresh = await all(fileId)
    expect(fresh.receipts.map(({ client }) => client.id)).toEqual([ann.id, bob.id].sort())
    expect(fresh.totals).toEqual({ recipients: 2, notYet: 2, linkMade: 0, started: 0, partial: 0, delivered: 0 })
    expect(await receiptOf(fileId, ann)).toEqual({
      client: { id: ann.id, email: ann.email, disabled: false },
      through: { everyone: false, directly: true, groups: [{ id: both, name: "Both of them" }] },
      assignedAt: iso(start),
      notifiedAt: null,
      linkMadeAt: null,
      lastLinkAt: null,
      state: "not_yet",
      percent: 0,
      startedAt: null,
      deliveredAt: null,
      bytes: 0,
      version: null,
      sha256: null,
      downloads: 0,
      earlier: [],
    })
    expect((await receiptOf(fileId, bob))?.through).toEqual({
      everyone: false,
      directly: false,
      groups: [{ id: both, name: "Both of them" }],
    })

    api.clock.nowMs += 1000
    const link = await mint(ann, fileId)
    api.clock.nowMs += 1000
    await mint(ann, fileId)
    const linked = { state: "link_made", linkMadeAt: iso(start + 1000), lastLinkAt: iso(start + 2000), startedAt: null }
    expect(await receiptOf(fileId, ann)).toMatchObject(linked)

    api.clock.nowMs += 1000
    const part = await api.request(link, { token: ann.token, headers: { Range: "bytes=0-999" } })
    expect(part.status).toBe(206)
    const { sha256 } = (await page(fileId)).file
    const percent = Math.floor(100_000 / docx.length)
    const partial = {
      state: "partial",
      percent,
      bytes: 1000,
      startedAt: iso(start + 3000),
      version: 1,
      sha256: null,
      downloads: 1,
    }
    expect(await receiptOf(fileId, ann)).toMatchObject(partial)

    api.clock.nowMs += 1000
    await api.request(link, { token: ann.token, headers: { Range: "bytes=1000-" } })
    const delivered = {
      state: "delivered",
      percent: 100,
      bytes: docx.length,
      deliveredAt: iso(start + 4000),
      version: 1,
      sha256,
      downloads: 1,
    }
    expect(await receiptOf(fileId, ann)).toMatchObject({ ...delivered, assignedAt: iso(start) })
    expect((await all(fileId)).totals).toEqual({ recipients: 2, notYet: 1, linkMade: 0, started: 0, partial: 0, delivered: 1 })

    await api.request(`/api/ops/files/${fileId}/audience`, { method: "PUT", token: ops.token, json: { audience: "chosen" } })
    const nobody = { everyone: false, directly: false, groups: [] }
    expect((await all(fileId)).receipts).toMatchObject([
      { client: { id: ann.id }, through: nobody, assignedAt: null, ...delivered },
    ])
  })

  it("of a link that was never used is still there when the link itself has been swept", async () => {
    const fileId = await newFile(`?clients=${ann.id}`)
    await mint(ann, fileId)
    await api.db
      .update(links)
      .set({ expiresAtMs: api.clock.nowMs - 31 * DAY_MS })
      .where(eq(links.fileId, fileId))
    await api.runCron()
    expect(await api.db.$count(links, eq(links.fileId, fileId))).toBe(0)
    expect(await receiptOf(fileId, ann)).toMatchObject({ state: "link_made", linkMadeAt: iso(api.clock.nowMs) })
  })

  it("speaks of the current version, and names earlier ones that were received with what they were", async () => {
    const fileId = await newFile(`?clients=${ann.id}`)
    await api.request(await mint(ann, fileId), { token: ann.token })
    const { sha256 } = (await page(fileId)).file
    const deliveredAt = iso(api.clock.nowMs)
    expect(await receiptOf(fileId, ann)).toMatchObject({ state: "delivered", earlier: [] })
    await api.db.$client.batch([
      api.db.$client
        .prepare(
          "insert into blobs (file_id, version, object_key, format, size_bytes, sealed_bytes, parts, sha256, key_id, wrapped_key, commitment) select file_id, 2, 'x', format, 7, 7, 1, 'new', 1, '', '' from blobs where file_id = ?",
        )
        .bind(fileId),
      api.db.$client.prepare("update files set version = 2 where id = ?").bind(fileId),
      api.db.$client.prepare("delete from blobs where file_id = ? and version = 1").bind(fileId),
    ])
    const earlier = [{ version: 1, deliveredAt, bytes: docx.length, sha256 }]
    const before = { state: "not_yet", linkMadeAt: null, version: null, sha256: null, percent: 0, downloads: 1, earlier }
    expect(await receiptOf(fileId, ann)).toMatchObject(before)
    api.clock.nowMs += 1000
    await mint(ann, fileId)
    expect(await receiptOf(fileId, ann)).toMatchObject({ state: "link_made", linkMadeAt: iso(api.clock.nowMs), earlier })
  })

  it("for everyone counts from the file's or the client's beginning, whichever is later, and says who is shut out", async () => {
    const fileId = await newFile()
    const assignedAt = iso(api.clock.nowMs)
    api.clock.nowMs += 5000
    const late = await newClient()
    await api.request(`/api/ops/clients/${late.id}/disable`, { method: "POST", token: ops.token })
    expect(await receiptOf(fileId, bob)).toMatchObject({ assignedAt, through: { everyone: true, directly: false, groups: [] } })
    expect(await receiptOf(fileId, late)).toMatchObject({ assignedAt: iso(api.clock.nowMs), client: { disabled: true } })
    expect(await receiptOf(fileId, ops)).toBeUndefined()
  })
})

describe("CSV", () => {
  let fileId: string
  beforeAll(async () => {
    const group = await newGroup('=HYPERLINK("x")', [ann])
    fileId = await newFile(`?clients=${ann.id}&groups=${group}`, "Über, plan.docx")
    await api.db.update(users).set({ email: "=cmd@example.com" }).where(eq(users.id, ann.id))
    await api.request(await mint(ann, fileId), { token: ann.token })
  })

  it.each<[string, Record<string, string>]>([
    ["?format=csv", {}],
    ["", { Accept: "text/csv" }],
    ["", { Accept: "application/json;q=0.5, text/csv" }],
  ])("by %j and %j: a header and a record for each, no cell a formula", async (query, headers) => {
    const response = await api.request(`/api/ops/files/${fileId}/receipts${query}`, { token: ops.token, headers })
    expect(response.headers.get("content-type")).toBe("text/csv; charset=utf-8; header=present")
    expect(response.headers.get("content-disposition")).toContain("filename*=UTF-8''receipts%20%C3%9Cber%2C%20plan.docx.csv")
    expect(response.headers.get("cache-control")).toBe("no-store")
    const at = iso(api.clock.nowMs)
    const { sha256 } = (await page(fileId)).file
    const size = String(docx.length)
    expect(await response.text()).toBe(
      "client_id,email,disabled,everyone,directly,groups,assigned_at,notified_at,link_made_at,last_link_at,state,percent,started_at,delivered_at,bytes,version,sha256,downloads,earlier\r\n" +
        `${ann.id},'=cmd@example.com,no,no,yes,"'=HYPERLINK(""x"")",${at},,${at},${at},delivered,100,${at},${at},${size},1,${sha256},1,\r\n`,
    )
  })

  it.each<[string, Record<string, string>]>([
    ["", {}],
    ["?format=json", { Accept: "text/csv" }],
    ["", { Accept: "text/html, */*" }],
    ["", { Accept: "text/csv;q=0.5, application/json" }],
    ["", { Accept: "text/csv;q=0" }],
  ])("is not what %j and %j ask for", async (query, headers) => {
    const response = await api.request(`/api/ops/files/${fileId}/receipts${query}`, { token: ops.token, headers })
    expect(response.headers.get("content-type")).toBe("application/json")
    expect(response.headers.get("vary")).toBe("Accept")
  })

  it("takes a state, and refuses limit and cursor, because it is never in pages", async () => {
    const csv = `/api/ops/files/${fileId}/receipts?format=csv`
    const lines = async (query: string) =>
      (await (await api.request(`${csv}${query}`, { token: ops.token })).text()).split("\r\n").length - 2
    expect([await lines("&state=delivered"), await lines("&state=not_yet")]).toEqual([1, 0])
    for (const field of ["limit", "cursor"]) {
      const problem = await api.problem(`${csv}&${field}=1`, { token: ops.token })
      expect(problem).toMatchObject({ code: "validation_failed", errors: [{ field, rule: "not_with_csv" }] })
    }
  })
})

describe("notifiedAt", () => {
  it("is when a mail has told them, and null where none did", async () => {
    const fileId = await newFile(`?clients=${ann.id},${bob.id}`)
    const notice = { fileId, kind: "file_available" as const, createdAtMs: 1, settledAtMs: 7000 }
    await api.db.insert(notices).values([
      { ...notice, clientId: ann.id, recipientId: ann.id, mailId: "m" },
      { ...notice, clientId: bob.id, recipientId: bob.id, mailId: null },
    ])
    expect(await receiptOf(fileId, ann)).toMatchObject({ notifiedAt: iso(7000) })
    expect(await receiptOf(fileId, bob)).toMatchObject({ notifiedAt: null })
  })

  it("and everything else is still to be seen of a file in the trash", async () => {
    const fileId = await newFile(`?clients=${ann.id}`)
    await mint(ann, fileId)
    await api.request(`/api/ops/files/${fileId}`, { method: "DELETE", token: ops.token })
    expect((await all(fileId, "?limit=200&state=link_made")).receipts).toMatchObject([
      { client: { id: ann.id }, state: "link_made" },
    ])
  })
})

describe("what is refused", () => {
  it("another owner's file, as one that there is not, in both formats; and cursors of other lists", async () => {
    const fileId = await newFile()
    const stranger = (await api.newOps()).tokens.accessToken
    const { nextCursor } = await page(fileId, "?limit=1")
    const told = async (query: string, token: string, id = fileId) => {
      const response = await api.request(`/api/ops/files/${id}/receipts${query}`, { token })
      if (response.ok) return "ok"
      const { code, errors } = await response.json<ProblemBody>()
      return errors?.[0]?.rule ?? code
    }
    const cursor = `cursor=${nextCursor ?? ""}`
    expect(await told("", ops.token)).toBe("ok")
    expect(await told("", stranger)).toBe("not_found")
    expect(await told("?format=csv", ops.token)).toBe("ok")
    expect(await told("?format=csv", stranger)).toBe("not_found")
    expect(await told(`?${cursor}`, ops.token)).toBe("ok")
    expect(await told(`?${cursor}&state=not_yet`, ops.token)).toBe("cursor")
    expect(await told(`?${cursor}`, ops.token, await newFile())).toBe("cursor")
    expect(await told("?state=lost", ops.token)).toBe("invalid_value")
    expect(await told("?format=xml", ops.token)).toBe("invalid_value")
    expect(await told("?nope=1", ops.token)).toBe("unknown_field")
  })
})

/** The simplest account of who has what, from the rows themselves. */
async function model(fileId: string): Promise<Map<string, { state: string; downloads: number; isTheirs: boolean }>> {
  const file = await api.db.select().from(files).where(eq(files.id, fileId)).get()
  const people = await api.db.select().from(users).where(eq(users.role, "client"))
  const grants = await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, fileId))
  const members = await api.db.select().from(groupMembers)
  const got = await api.db.select().from(downloads).where(eq(downloads.fileId, fileId))
  const made = await api.db.select().from(linkReceipts).where(eq(linkReceipts.fileId, fileId))
  const found = new Map<string, { state: string; downloads: number; isTheirs: boolean }>()
  for (const { id } of people) {
    const ways = ["everyone", id, ...members.filter(({ userId }) => userId === id).map(({ groupId }) => groupId)]
    const isTheirs = grants.some(({ audience }) => ways.includes(audience))
    const own = got.filter(({ userId }) => userId === id)
    if (!isTheirs && own.length === 0) continue
    const current = own.filter(({ version }) => version === file?.version)
    const hasLink = made.some(({ userId, version }) => userId === id && version === file?.version)
    let state = hasLink ? "link_made" : "not_yet"
    if (current.length > 0) state = "started"
    if (current.some(({ servedBytes }) => servedBytes > 0)) state = "partial"
    if (current.some(({ deliveredAtMs }) => deliveredAtMs !== null)) state = "delivered"
    found.set(id, { state, downloads: own.length, isTheirs })
  }
  return found
}

const TOTAL_OF = {
  not_yet: "notYet",
  link_made: "linkMade",
  started: "started",
  partial: "partial",
  delivered: "delivered",
} as const

describe("over random histories", () => {
  it("lists, filters, totals and CSV say the same as the simplest model", async () => {
    const people = Array.from({ length: 12 }, () => crypto.randomUUID())
    const teams = Array.from({ length: 3 }, () => crypto.randomUUID())
    const person = (id: string) => ({
      id,
      role: "client" as const,
      email: id,
      emailKey: id,
      passwordHash: "",
      createdAtMs: 1,
      verifiedAtMs: 2,
    })
    await api.db.insert(users).values(people.map(person))
    await api.db.insert(groups).values(teams.map((id) => ({ id, name: id, nameKey: id, createdAtMs: 1 })))
    const fileId = await newFile()
    const at = <T>(list: readonly T[], i: number) => list[i % list.length] as T
    const event = fc.record({
      kind: fc.constantFrom("everyone", "grant", "team", "join", "link", "download", "version", "off"),
      who: fc.nat(11),
      team: fc.nat(2),
      progress: fc.nat(2),
      version: fc.integer({ min: 1, max: 2 }),
    })
    const { $client: d1 } = api.db
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), fc.integer({ min: 2, max: 5 }), async (events, limit) => {
        await d1.batch([
          ...["file_grants", "downloads", "link_receipts"].map((table) =>
            d1.prepare(`delete from ${table} where file_id = ?`).bind(fileId),
          ),
          d1.prepare("delete from group_members"),
          d1.prepare("update files set version = 1 where id = ?").bind(fileId),
          d1
            .prepare(
              "insert or ignore into blobs (file_id, version, object_key, format, size_bytes, sealed_bytes, parts, sha256, key_id, wrapped_key, commitment) select file_id, 2, 'v2', format, 7, 7, 1, 'v2', 1, '', '' from blobs where file_id = ?",
            )
            .bind(fileId),
        ])
        const grant = (audience: string, column: string) =>
          d1
            .prepare(
              `insert or ignore into file_grants (file_id, audience, ${column === "" ? "" : `${column}, `}granted_at_ms, type, created_at_ms, name_key, size_bytes) values (?1, ?2, ${column === "" ? "" : "?2, "}3, 'docx', 1, 'a', 1)`,
            )
            .bind(fileId, audience)
        await d1.batch([
          d1.prepare("select 1"),
          ...events.map(({ kind, who, team, progress, version }) => {
            const [user, group] = [at(people, who), at(teams, team)]
            switch (kind) {
              case "everyone":
                return grant("everyone", "")
              case "grant":
                return grant(user, "client_id")
              case "team":
                return grant(group, "group_id")
              case "join":
                return d1
                  .prepare("insert or ignore into group_members (group_id, user_id, added_at_ms) values (?, ?, 4)")
                  .bind(group, user)
              case "link":
                return d1.prepare("insert or replace into link_receipts values (?, ?, ?, 5, 6)").bind(fileId, user, version)
              case "download":
                return d1
                  .prepare(
                    "insert into downloads (link_id, file_id, user_id, version, started_at_ms, requests, joined_by, served_bytes, delivered_at_ms) values (?, ?, ?, ?, 7, 1, '', ?, ?)",
                  )
                  .bind(crypto.randomUUID(), fileId, user, version, progress > 0 ? 1 : 0, progress > 1 ? 8 : null)
              case "version":
                return d1.prepare("update files set version = ? where id = ?").bind(version, fileId)
              case "off":
                return d1
                  .prepare("delete from file_grants where file_id = ? and audience in (?, ?)")
                  .bind(fileId, user, "everyone")
            }
          }),
        ])
        const expected = await model(fileId)
        const { receipts, totals } = await all(fileId, `?limit=${String(limit)}`)
        expect(receipts.map(({ client }) => client.id)).toEqual([...expected.keys()].sort())
        for (const { client, state, downloads: count, assignedAt } of receipts)
          expect({ state, downloads: count, isTheirs: assignedAt !== null }).toEqual(expected.get(client.id))
        const count = (state: string) => [...expected.values()].filter((entry) => entry.state === state).length
        expect(totals?.recipients).toBe(expected.size)
        for (const [state, name] of Object.entries(TOTAL_OF)) {
          expect([state, totals?.[name]]).toEqual([state, count(state)])
          const some = await all(fileId, `?limit=${String(limit)}&state=${state}`)
          expect(some.receipts).toEqual(receipts.filter((receipt) => receipt.state === state))
        }
        const csv = await (await api.request(`/api/ops/files/${fileId}/receipts?format=csv`, { token: ops.token })).text()
        expect(
          csv
            .split("\r\n")
            .slice(1, -1)
            .map((line) => line.slice(0, 36)),
        ).toEqual([...expected.keys()].sort())
      }),
      { numRuns: 8 },
    )
    await api.db.delete(files).where(eq(files.id, fileId))
  })
})

describe("among ten thousand clients", () => {
  const CLIENTS = 10_000
  let fileId: string

  beforeAll(async () => {
    const { $client: d1 } = api.db
    fileId = await newFile("", "for all.docx")
    await d1
      .prepare(
        `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
         with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)
         select printf('%08x-0000-4000-8000-%012x', (i * 2654435761) % 4294967296, i), 'client', i || '@example.com', i || '@example.com', '', i, i from n`,
      )
      .bind(CLIENTS)
      .run()
    // Every hundredth has it, some more than once.
    await d1
      .prepare(
        `insert into downloads (link_id, file_id, user_id, version, started_at_ms, requests, joined_by, served_bytes, delivered_at_ms, size_bytes, sha256)
         select users.id || '/' || n.value, ?, users.id, 1, 1, 1, '', 7, 2, 7, 'sum' from users cross join json_each('[1,2]') n where role = 'client' and created_at_ms % 100 = 0 and created_at_ms < 10000`,
      )
      .bind(fileId)
      .run()
  })

  it("each page reads a small multiple of its rows, the first and the fiftieth alike", async () => {
    const { receipts, totals, costs } = await all(fileId)
    const people = await api.db.$count(users, eq(users.role, "client"))
    expect(receipts).toHaveLength(people)
    expect(totals).toMatchObject({ recipients: people, delivered: 100, notYet: people - 100 })
    expect(costs.length).toBeGreaterThan(48)
    // All but the last, which is shorter.
    const full = costs.slice(0, -1)
    expect(Math.min(...full)).toBeGreaterThan(200)
    expect(Math.max(...full)).toBeLessThanOrEqual(READS_PER_ROW * 200)
    expect(Math.max(...full)).toBeLessThanOrEqual(Math.min(...full) * 1.2)
  })

  it("who has it is found without looking through who has not", async () => {
    reads.take()
    const first = await page(fileId, "?state=delivered&limit=50")
    await page(fileId, `?state=delivered&limit=50&cursor=${first.nextCursor ?? ""}`)
    const { receipts } = await all(fileId, "?state=delivered&limit=60")
    expect(receipts).toHaveLength(100)
    const cursor = (await page(fileId, "?state=delivered&limit=50")).nextCursor ?? ""
    reads.take()
    await page(fileId, `?state=delivered&limit=50&cursor=${cursor}`)
    expect(reads.take()).toBeLessThanOrEqual(2 * READS_PER_ROW * 50)
  })

  it("who has not is found a bounded number of reads at a time, though many have it", async () => {
    await api.db.$client
      .prepare(
        `insert into downloads (link_id, file_id, user_id, version, started_at_ms, requests, joined_by, delivered_at_ms)
         select id || '/3', ?, id, 1, 1, 1, '', 2 from users where role = 'client' and created_at_ms between 1 and 9998`,
      )
      .bind(fileId)
      .run()
    const { receipts, costs } = await all(fileId, "?state=not_yet&limit=200")
    expect(receipts.some(({ client }) => client.email === "9999@example.com")).toBe(true)
    for (const cost of costs) expect(cost).toBeLessThanOrEqual(10_000 * 10)
  })

  it("CSV is complete, and is made while it is read", async () => {
    const response = await api.rawRequest(`/api/ops/files/${fileId}/receipts?format=csv`, { token: ops.token })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    reads.take()
    let text = ""
    let chunks = 0
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (chunks === 1) expect(reads.take()).toBeLessThanOrEqual(READS_PER_ROW * 500)
      text += new TextDecoder().decode(next.value)
      chunks++
    }
    expect(chunks).toBeGreaterThan(20)
    expect(text.split("\r\n")).toHaveLength((await api.db.$count(users, eq(users.role, "client"))) + 2)
  })
})

describe("statistics", () => {
  it("count own files and nobody else's", async () => {
    const other = await api.newOps()
    const told = async () => (await api.request("/api/ops/statistics", { token: other.tokens.accessToken })).json()
    expect(await told()).toEqual({ files: 0, downloads: 0, totalSize: 0, delivered: 0, recipients: 0 })
    const form = new FormData()
    form.set("file", new File([docx], "a.docx"))
    const query = `?clients=${ann.id}&groups=${await newGroup("Statistics", [ann, bob])}`
    const upload = (parameters: string) =>
      api.request(`/api/ops/upload${parameters}`, { method: "POST", token: other.tokens.accessToken, body: form })
    const { id } = (await (await upload(query)).json<{ file: { id: string } }>()).file
    await api.request(await mint(ann, id), { token: ann.token })
    await api.request(await mint(ann, id), { token: ann.token })
    await api.request(await mint(bob, id), { token: bob.token, headers: { Range: "bytes=0-9" } })
    const size = docx.length
    expect(await told()).toEqual({ files: 1, downloads: 3, totalSize: size, delivered: 1, recipients: 2 })
    await upload("")
    const everybody = await api.db.$count(users, eq(users.role, "client"))
    expect(await told()).toEqual({ files: 2, downloads: 3, totalSize: 2 * size, delivered: 1, recipients: everybody })
  })
})

describe("a client's history", () => {
  type History = {
    history: { id: string; file: { id: string; name: string; available: boolean }; state: string }[]
    nextCursor: string | null
  }
  let cat: Person
  beforeEach(async () => {
    cat = await newClient()
  })
  const history = async (who: Person, query = ""): Promise<History> =>
    (await api.request(`/api/client/history${query}`, { token: who.token })).json()

  it("holds what they downloaded, as it was then, and of others nothing", async () => {
    const fileId = await newFile(`?clients=${cat.id},${bob.id}`, "first name.docx")
    expect(await history(cat)).toEqual({ history: [], nextCursor: null })
    const link = await mint(cat, fileId)
    expect((await history(cat)).history).toEqual([])
    await api.request(link, { token: cat.token, headers: { Range: "bytes=0-99" } })
    const at = iso(api.clock.nowMs)
    const { sha256 } = (await page(fileId)).file
    const id = (await api.db.select().from(downloads).where(eq(downloads.userId, cat.id)).get())?.linkId
    const file = { id: fileId, name: "first name.docx", type: "docx", available: true }
    const download = { id, file, version: 1, size: docx.length, sha256, startedAt: at, deliveredAt: null }
    expect((await history(cat)).history).toEqual([{ ...download, state: "partial", percent: Math.floor(10_000 / docx.length) }])
    expect((await history(bob)).history.map((entry) => entry.file.id)).not.toContain(fileId)
    // Taken off them and renamed: they learn nothing new, and keep what they know.
    await api.request(`/api/ops/files/${fileId}/audience`, { method: "PUT", token: ops.token, json: { audience: "chosen" } })
    await api.db.update(files).set({ name: "secret.docx" }).where(eq(files.id, fileId))
    expect((await history(cat)).history).toMatchObject([{ file: { ...file, available: false }, state: "partial" }])
    // Its rows go with the file.
    const end = (query: string) => api.request(`/api/ops/files/${fileId}${query}`, { method: "DELETE", token: ops.token })
    expect((await end("")).status).toBe(204)
    expect((await history(cat)).history).toHaveLength(1)
    expect((await end("?purge=true")).status).toBe(204)
    expect((await history(cat)).history).toEqual([])
  })

  it("comes in pages, the last begun first, also among equal times", async () => {
    const fileId = await newFile()
    const row = { fileId, userId: cat.id, version: 1, requests: 1, joinedBy: "", name: "n", sizeBytes: 4, sha256: "s" }
    const ids = Array.from({ length: 7 }, () => crypto.randomUUID())
    await api.db.insert(downloads).values(ids.map((linkId, i) => ({ ...row, linkId, startedAtMs: i >> 1 })))
    const seen: string[] = []
    for (let query = "?limit=2"; ;) {
      const { history: some, nextCursor } = await history(cat, query)
      seen.push(...some.map(({ id }) => id))
      if (nextCursor === null) break
      query = `?limit=2&cursor=${nextCursor}`
    }
    const byTime = ids.map((id, i) => ({ id, at: i >> 1 })).toSorted((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
    expect(seen).toEqual(byTime.map(({ id }) => id))
    expect(await api.problem("/api/client/history?cursor=x", { token: cat.token })).toMatchObject({
      errors: [{ rule: "cursor" }],
    })
  })
})
