// Live changes: that applying them to a list gives the list, over random histories; that nobody hears of what is not
// theirs (D8); what a look costs; and the stream, which ends with its reader, its session and its time.
import { eq, lt } from "drizzle-orm"
import fc from "fast-check"
import { afterEach, beforeAll, describe, expect, it } from "vitest"
import { countReads } from "../../bench/count-reads.ts"
import { events, files, users } from "../../src/db/schema.ts"
import { PACE, createEventStreams } from "../../src/domain/event-streams.ts"
import { ageFiles } from "../../src/domain/file-life.ts"
import { createDeps } from "../../src/deps.ts"
import { EVENT_LIFETIME_MS } from "../../src/domain/events.ts"
import { realDocument } from "../support/documents.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")

type EventJson = {
  id: string
  kind: string
  file?: { id: string; name?: string }
  client?: { id: string }
  link?: { id: string }
}
type Page = { events: EventJson[]; next: string; hasMore: boolean }
type Person = { id: string; role: "ops" | "client"; email: string; token: string }

let api: TestClient
let ops: Person
let otherOps: Person
let ann: Person
let bob: Person
const reads = { take: (): number => 0 }
const streams = createEventStreams({ ...PACE, minWaitMs: 20, maxWaitMs: 40 })

beforeAll(async () => {
  const counter = countReads(createTestClient().env.DB, (sql) => sql.includes("walked(audience, seq)"))
  reads.take = counter.take
  api = createTestClient({ DB: counter.db }, { eventStreams: streams })
  ops = await newOps()
  otherOps = await newOps()
  ann = await newClient()
  bob = await newClient()
}, 60_000)

async function newOps(): Promise<Person> {
  const { id, email, tokens } = await api.newOps()
  return { id, role: "ops", email, token: tokens.accessToken }
}

async function newClient(): Promise<Person> {
  const { email, tokens } = await api.newClient()
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  return { id: row?.id ?? "", role: "client", email, token: tokens.accessToken }
}

/** A call of ops that must succeed. */
async function must(method: string, path: string, json?: unknown): Promise<Response> {
  const response = await api.request(path, { method, token: ops.token, ...(json === undefined ? {} : { json }) })
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  return response
}

async function newFile(query = "", owner = ops): Promise<string> {
  const form = new FormData()
  form.set("file", new File([docx], "a.docx"))
  const response = await api.request(`/api/ops/upload${query}`, { method: "POST", token: owner.token, body: form })
  return (await response.json<{ file: { id: string } }>()).file.id
}

async function newGroup(...members: Person[]): Promise<string> {
  const made = await must("POST", "/api/ops/groups", { name: crypto.randomUUID() })
  const { id } = (await made.json<{ group: { id: string } }>()).group
  if (members.length > 0) await must("POST", `/api/ops/groups/${id}/members`, { clients: members.map((member) => member.id) })
  return id
}

async function page(who: Person, query: string): Promise<Page> {
  const response = await api.request(`/api/${who.role}/events${query}`, { token: who.token })
  if (response.status !== 200) throw new Error(await response.text())
  return response.json()
}

const nowOf = async (who: Person): Promise<string> => (await page(who, "")).next

/** Everything since an event, in pages of few. */
async function since(who: Person, id: string, limit = 3): Promise<{ events: EventJson[]; next: string }> {
  const all: EventJson[] = []
  for (let next = id; ;) {
    const some = await page(who, `?since=${next}&limit=${String(limit)}`)
    all.push(...some.events)
    next = some.next
    if (!some.hasMore) return { events: all, next }
  }
}

const deps = () =>
  createDeps(api.env, {
    now: () => api.clock.nowMs,
    request: { id: "r", clientAddress: null },
    afterwards: () => undefined,
    log: () => undefined,
  })

const told = (some: readonly EventJson[]) => some.map(({ kind, file }) => [kind, file?.id])

async function listed(who: Person): Promise<Set<string>> {
  const response = await api.request(`/api/${who.role}/files?limit=200`, { token: who.token })
  return new Set((await response.json<{ files: { id: string }[] }>()).files.map(({ id }) => id))
}

async function mint(who: Person, fileId: string): Promise<string> {
  const response = await api.request(`/api/client/download/${fileId}`, { token: who.token })
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

describe("over random histories", () => {
  it("events applied to a list give the list, and name nothing that was never theirs", async () => {
    const step = fc.record({
      kind: fc.constantFrom(
        "upload",
        "give",
        "take",
        "everyone",
        "nobody",
        "join",
        "leave",
        "only",
        "no group",
        "delete",
        "restore",
        "purge",
        "rename",
        "version",
        "expire",
      ),
      file: fc.nat(2),
      group: fc.nat(1),
      who: fc.nat(1),
      toGroup: fc.boolean(),
      looks: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 14 }), async (steps) => {
        await api.db.delete(files)
        const mine = [await newFile("?audience=chosen"), await newFile(`?clients=${ann.id}`), await newFile()]
        const teams = [await newGroup(), await newGroup(bob)]
        const readers = await Promise.all(
          [ops, ann, bob].map(async (who) => {
            const next = await nowOf(who)
            const files = await listed(who)
            return { who, next, files, ever: new Set(files) }
          }),
        )
        for (const [i, { kind, file, group, who, toGroup, looks }] of steps.entries()) {
          const [fileId = "", groupId = "", client = ann] = [mine[file], teams[group], [ann, bob][who]]
          const body = { files: [fileId], ...(toGroup ? { groups: [groupId] } : { clients: [client.id] }) }
          const call = (method: string, path: string, json?: unknown) =>
            api.request(path, { method, token: ops.token, ...(json === undefined ? {} : { json }) })
          if (kind === "upload") mine[file] = await newFile(toGroup ? `?groups=${groupId}` : `?clients=${client.id}`)
          // Refused for files that are gone or for everyone, and then changes nothing.
          if (kind === "give") await call("POST", "/api/ops/assignments", { ...body, mode: "add" })
          if (kind === "take") await call("POST", "/api/ops/assignments", { ...body, mode: "remove" })
          if (kind === "everyone") await call("PUT", `/api/ops/files/${fileId}/audience`, { audience: "everyone" })
          if (kind === "nobody")
            await call("PUT", `/api/ops/files/${fileId}/audience`, { audience: "chosen", clients: toGroup ? [client.id] : [] })
          if (kind === "join") await call("POST", `/api/ops/groups/${groupId}/members`, { clients: [client.id] })
          if (kind === "leave") await call("DELETE", `/api/ops/groups/${groupId}/members`, { clients: [client.id] })
          if (kind === "only") await call("PUT", `/api/ops/groups/${groupId}/members`, { clients: [client.id] })
          if (kind === "no group") {
            await call("DELETE", `/api/ops/groups/${groupId}`)
            teams[group] = await newGroup(client)
          }
          const path = `/api/ops/files/${fileId}`
          if (kind === "delete") await call("DELETE", path)
          if (kind === "restore") await call("POST", `${path}/restore`)
          if (kind === "purge") await call("DELETE", `${path}?purge=true`)
          if (kind === "rename") await call("PATCH", path, { name: "b.docx" })
          if (kind === "version") await api.request(`${path}/content`, { method: "PUT", token: ops.token, body: docx })
          if (kind === "expire") {
            await call("PATCH", path, { expiresAt: new Date(api.clock.nowMs + 1000).toISOString() })
            api.clock.nowMs += 1500
            await ageFiles(await deps(), 10)
          }
          for (const reader of readers) {
            const current = await listed(reader.who)
            for (const id of current) reader.ever.add(id)
            if (!looks && i < steps.length - 1) continue
            const { events: some, next } = await since(reader.who, reader.next)
            reader.next = next
            for (const event of some) {
              if (event.kind === "reset") {
                reader.files = new Set(current)
                continue
              }
              const id = event.file?.id ?? ""
              expect(reader.ever).toContain(id)
              if (event.kind === "file.removed") {
                expect(event.file).toEqual({ id })
                reader.files.delete(id)
              } else {
                expect(event.kind).toMatch(/^file\.(?:added|changed|version_added)$/)
                expect(current).toContain(id)
                reader.files.add(id)
              }
            }
            expect(reader.files).toEqual(current)
          }
        }
        for (const { who, next } of readers) expect((await since(who, next)).next).toBe(await nowOf(who))
      }),
      { numRuns: 6 },
    )
  }, 120_000)
})

describe("clients hear", () => {
  it("of files by name while they are theirs, by id when they go, and nothing after", async () => {
    const start = await nowOf(ann)
    const fileId = await newFile(`?clients=${ann.id}`)
    const given = await since(ann, start)
    expect(given.events).toEqual([
      {
        id: expect.stringMatching(/^\d+$/) as string,
        kind: "file.added",
        at: new Date(api.clock.nowMs).toISOString(),
        file: {
          ...(
            await (await api.request("/api/client/files", { token: ann.token })).json<{ files: { id: string }[] }>()
          ).files.find(({ id }) => id === fileId),
          state: undefined,
          version: 1,
        },
      },
    ])
    await must("POST", "/api/ops/assignments", { files: [fileId], clients: [ann.id], mode: "remove" })
    // Also the earlier event says no name by now.
    expect((await since(ann, start)).events).toMatchObject([
      { kind: "file.removed", file: { id: fileId } },
      { kind: "file.removed", file: { id: fileId } },
    ])
    expect(JSON.stringify((await since(ann, start)).events)).not.toContain("a.docx")
    const after = await nowOf(ann)
    await must("POST", "/api/ops/assignments", { files: [fileId], clients: [bob.id], mode: "add" })
    await must("DELETE", `/api/ops/files/${fileId}`)
    expect((await since(ann, after)).events).toEqual([])
    expect(told((await since(bob, after)).events)).toEqual([
      ["file.removed", fileId],
      ["file.removed", fileId],
    ])
  })

  it("nothing of a group from before they joined it, and of its files when they do", async () => {
    const start = await nowOf(ann)
    const group = await newGroup(bob)
    const gone = await newFile(`?groups=${group}`)
    const kept = await newFile(`?groups=${group}`)
    await must("DELETE", `/api/ops/files/${gone}`)
    await must("POST", `/api/ops/groups/${group}/members`, { clients: [ann.id] })
    expect(told((await since(ann, start)).events)).toEqual([["file.added", kept]])
    // Repeated, it tells nobody anything.
    const joined = await nowOf(ann)
    api.clock.nowMs += 1000
    await must("POST", `/api/ops/groups/${group}/members`, { clients: [ann.id] })
    expect((await since(ann, joined)).events).toEqual([])
    await must("DELETE", `/api/ops/groups/${group}`)
    expect(told((await since(ann, joined)).events)).toEqual([["file.removed", kept]])
  })

  it("to fetch anew, when a group lost a file and they left it before they looked", async () => {
    const group = await newGroup(ann)
    const fileId = await newFile(`?groups=${group}`)
    const start = await nowOf(ann)
    await must("POST", "/api/ops/assignments", { files: [fileId], groups: [group], mode: "remove" })
    await must("DELETE", `/api/ops/groups/${group}/members`, { clients: [ann.id] })
    expect(told((await since(ann, start)).events)).toEqual([["reset", undefined]])
  })

  it("that lists are to be fetched anew, when a group has more files than are worth naming", async () => {
    const group = await newGroup()
    await newFile(`?groups=${group}`)
    await api.db.$client
      .prepare(
        `insert into files (id, owner_id, version, name, type, created_at_ms) select value || ?1, ?2, 1, 'x', 'docx', 1 from json_each('[${Array.from({ length: 20 }, (_, i) => i).join()}]')`,
      )
      .bind(group, ops.id)
      .run()
    await api.db.$client
      .prepare(
        "insert into file_grants (file_id, audience, group_id, granted_at_ms, type, created_at_ms, name_key, size_bytes) select id, ?1, ?1, 1, 'docx', 1, 'x', 1 from files where id like '%' || substr(?1, 9)",
      )
      .bind(group)
      .run()
    const start = await nowOf(ann)
    await must("POST", `/api/ops/groups/${group}/members`, { clients: [ann.id] })
    expect(told((await since(ann, start)).events)).toEqual([["reset", undefined]])
    await api.db.delete(files).where(eq(files.name, "x"))
  })

  it("of their links when they are withdrawn, and nobody else does but the owner", async () => {
    const fileId = await newFile()
    await mint(ann, fileId)
    await mint(bob, fileId)
    const start = await nowOf(ann)
    await must("DELETE", `/api/ops/links?file=${fileId}&client=${ann.id}`)
    expect((await since(ann, start)).events).toMatchObject([
      { kind: "link.revoked", file: { id: fileId }, client: { id: ann.id } },
    ])
    expect((await since(ops, start)).events).toMatchObject([
      { kind: "link.revoked", file: { id: fileId }, client: { id: ann.id } },
    ])
    expect((await since(bob, start)).events).toEqual([])
    expect((await since(otherOps, start)).events).toEqual([])
  })
})

describe("operations users hear", () => {
  it("of downloads of their own files, with the client, once; of clients, all of them; clients of neither", async () => {
    const fileId = await newFile()
    const link = await mint(ann, fileId)
    const start = await nowOf(ops)
    api.clock.nowMs += 1000
    await api.request(link, { token: ann.token, method: "HEAD" })
    await api.request(link, { token: ann.token, headers: { Range: "bytes=0-9" } })
    const about = { file: { id: fileId, name: "a.docx" }, client: { id: ann.id } }
    expect((await since(ops, start)).events).toMatchObject([{ kind: "download.started", ...about }])
    api.clock.nowMs += 1000
    await api.request(link, { token: ann.token })
    api.clock.nowMs += 1000
    await api.request(link, { token: ann.token })
    const kinds = ["download.started", "download.delivered"]
    expect((await since(ops, start)).events.map(({ kind }) => kind)).toEqual(kinds)
    expect((await since(otherOps, start)).events).toEqual([])
    expect((await since(ann, start)).events).toEqual([])
    const cat = await newClient()
    for (const who of [ops, otherOps])
      expect((await since(who, start)).events.at(-1)).toMatchObject({ kind: "client.verified", client: { id: cat.id } })
    expect((await since(bob, start)).events).toEqual([])
  })

  it("of nothing that did not happen: the event stands and falls with its batch", async () => {
    const start = await nowOf(ops)
    const everyones = await newFile()
    const before = (await since(ops, start)).events.length
    const refused = await api.problem("/api/ops/assignments", {
      token: ops.token,
      json: { files: [everyones], clients: [ann.id], mode: "add" },
    })
    expect(refused).toMatchObject({ code: "validation_failed" })
    expect((await since(ops, start)).events).toHaveLength(before)
  })
})

describe("since", () => {
  const problemOf = async (query: string, headers: Record<string, string> = {}): Promise<string> => {
    const response = await api.request(`/api/client/events${query}`, { token: ann.token, headers })
    return response.ok ? "ok" : ((await response.json<ProblemBody>()).errors?.[0]?.rule ?? "")
  }

  it.each(["-1", "1.5", "01", "abc", "9".repeat(16), "1;drop", ""])(
    "%j is no event, in the query and in the header",
    async (id) => {
      expect(await problemOf(`?since=${encodeURIComponent(id)}`)).toBe("event_id")
      if (id !== "") expect(await problemOf("", { "Last-Event-ID": id })).toBe("event_id")
      const next = await nowOf(ann)
      expect(await problemOf(`?since=${next}`)).toBe("ok")
      expect(await problemOf("", { "Last-Event-ID": next })).toBe("ok")
    },
  )

  it("limits, repeated and unknown parameters are refused as in lists", async () => {
    expect(await problemOf("?limit=201")).not.toBe("ok")
    expect(await problemOf("?since=1&since=2")).toBe("repeated")
    expect(await problemOf("?from=1")).toBe("unknown_field")
  })

  it("an event that has not happened yet, or that is long swept, says to fetch anew, and where to go on", async () => {
    for (let i = 0; i < 2; i++) await newFile(`?clients=${ann.id}`)
    const next = await nowOf(ann)
    const reset = { events: [{ kind: "reset", id: next }], next, hasMore: false }
    expect(await page(ann, `?since=${String(Number(next) + 1)}`)).toMatchObject(reset)
    const oldest = (await api.db.select().from(events).orderBy(events.seq).limit(1).get())?.seq ?? 0
    expect((await page(ann, `?since=${String(oldest - 1)}`)).events.length).toBeGreaterThanOrEqual(2)
    await api.db.update(events).set({ atMs: api.clock.nowMs - EVENT_LIFETIME_MS - 1 })
    await api.runCron()
    // The newest stays, or nobody could tell what has been swept.
    expect((await api.db.select().from(events)).map(({ seq }) => String(seq))).toEqual([next])
    expect(await page(ann, `?since=${next}`)).toEqual({ events: [], next, hasMore: false })
    expect(await page(ann, `?since=${String(oldest)}`)).toMatchObject(reset)
    expect(await page(ann, "?since=0")).toMatchObject(reset)
  })
})

describe("what a look costs", () => {
  it("is a few rows when nothing has happened, however much there was", async () => {
    const dan = await newClient()
    const groups = [await newGroup(dan), await newGroup(dan), await newGroup(dan)]
    const start = await nowOf(dan)
    await api.db.$client
      .prepare(
        `insert into events (audience, kind, file_id, at_ms) with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
         select case i % 4 when 0 then ?1 when 1 then ?2 else hex(randomblob(8)) end, 'file.changed', hex(randomblob(8)), ?3 from n`,
      )
      .bind(bob.id, groups[0], api.clock.nowMs)
      .run()
    const { next } = await page(dan, `?since=${start}&limit=100`)
    reads.take()
    // A page reads a small multiple of its rows.
    expect((await page(dan, `?since=${next}&limit=100`)).hasMore).toBe(true)
    expect(reads.take()).toBeLessThanOrEqual(100 * 8)
    // At the end, with much that is others'.
    const end = (await since(dan, start, 200)).next
    await api.db.insert(events).values(Array.from({ length: 10 }, () => ({ audience: bob.id, kind: "file.changed", atMs: 1 })))
    reads.take()
    expect((await page(dan, `?since=${end}`)).events).toEqual([])
    const afterOthers = reads.take()
    expect(afterOthers).toBeLessThanOrEqual(30)
    const quiet = await nowOf(dan)
    reads.take()
    expect((await page(dan, `?since=${quiet}`)).events).toEqual([])
    const idle = reads.take()
    expect(idle).toBeLessThanOrEqual(20)
    expect(idle).toBeGreaterThan(0)
    // But the newest, as the sweeper does.
    await api.db.delete(events).where(lt(events.seq, Number(quiet)))
  })
})

type Stream = {
  response: Response
  until: (sign: string | RegExp) => Promise<string>
  end: () => Promise<string>
  cancel: () => Promise<void>
}

const open: Stream[] = []
afterEach(async () => {
  for (const stream of open.splice(0)) await stream.cancel()
})

async function stream(who: Person, query = "", headers: Record<string, string> = {}): Promise<Stream> {
  const response = await api.rawRequest(`/api/${who.role}/events${query}`, {
    token: who.token,
    headers: { Accept: "text/event-stream", ...headers },
  })
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>
  let text = ""
  const take = async (): Promise<boolean> => {
    const { done, value } = await reader.read()
    text += new TextDecoder().decode(value)
    return !done
  }
  const made: Stream = {
    response,
    async until(sign) {
      while (text.search(sign) < 0) if (!(await take())) throw new Error(`ended: ${text}`)
      return text
    },
    async end() {
      while (await take());
      return text
    },
    cancel: () => reader.cancel(),
  }
  open.push(made)
  return made
}

describe("a stream", () => {
  it("begins now, tells what happens, and says that it is alive while nothing does", async () => {
    const { response, until } = await stream(ann)
    expect(response.status).toBe(200)
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
    expect(response.headers.get("cache-control")).toBe("no-store, no-transform")
    expect(response.headers.get("x-content-type-options")).toBe("nosniff")
    expect(await until(/:\n\nid: \d+\n\n/)).toMatch(/^retry: 3000\n\n:\n\nid: \d+\n\n/)
    const fileId = await newFile(`?clients=${ann.id}`)
    const text = await until(fileId)
    expect(text).toMatch(/\nid: \d+\nevent: file\.added\ndata: \{[^\n]*\}\n\n$/)
    await must("DELETE", `/api/ops/files/${fileId}`)
    expect(await until("file.removed")).toMatch(/event: file\.removed\ndata: \{[^\n]*\}\n\n$/)
  })

  it("goes on after the last event that was seen, whatever its address says, or tells to fetch anew", async () => {
    const start = await nowOf(ops)
    const [first, second] = [await newFile(), await newFile()]
    const [seen] = (await since(ops, start)).events
    const again = await stream(ops, "?since=0", { "Last-Event-ID": seen?.id ?? "" })
    expect(await again.until(second)).not.toContain(first)
    const bySince = await stream(ops, `?since=${start}`)
    expect(await bySince.until(second)).toContain(first)
    const unknown = await stream(ops, "", { "Last-Event-ID": "999999999" })
    expect(await unknown.until("event: reset\n")).toContain(`id: ${await nowOf(ops)}\n`)
  })

  it("ends at the next look when its session is over, or its account disabled; others go on", async () => {
    const cat = await newClient()
    const other = { ...cat, token: (await api.logIn("client", cat.email)).accessToken }
    const [ending, staying] = [await stream(cat), await stream(other)]
    for (const each of [ending, staying]) await each.until("id: ")
    expect((await api.request("/api/auth/logout", { method: "POST", token: cat.token })).ok).toBe(true)
    await ending.end()
    const fileId = await newFile(`?clients=${cat.id}`)
    await staying.until(fileId)
    await must("POST", `/api/ops/clients/${cat.id}/disable`)
    await staying.end()
    expect((await api.rawRequest("/api/client/events", { token: other.token })).status).toBe(401)
  })

  it("ends after its time", async () => {
    const { until, end } = await stream(ann)
    await until("id: ")
    const { nowMs } = api.clock
    api.clock.nowMs += PACE.lifetimeMs
    await end()
    api.clock.nowMs = nowMs
  })

  it("leaves its place when its reader goes; until then one user has so many, and others theirs", async () => {
    const mine = []
    for (let i = 0; i < PACE.maxPerUser; i++) mine.push(await stream(ann))
    const refused = await api.request("/api/client/events", { token: ann.token, headers: { Accept: "text/event-stream" } })
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "30"])
    expect(await refused.json<ProblemBody>()).toMatchObject({ code: "too_many_requests" })
    await (await stream(bob)).until("id: ")
    await mine[0]?.cancel()
    await (await stream(ann)).until("id: ")
    // Asking without a stream is never refused for that.
    expect((await page(ann, "")).events).toEqual([])
  })

  it("is refused with a limit, to nobody's harm", async () => {
    const places = streams.count()
    const problem = await api.problem("/api/client/events?limit=5", {
      token: ann.token,
      headers: { Accept: "text/event-stream" },
    })
    expect(problem).toMatchObject({ errors: [{ field: "limit", rule: "not_with_stream" }] })
    expect(streams.count()).toBe(places)
  })

  it("all of them together are bounded too, and forgotten ones give their places back", () => {
    const few = createEventStreams({ ...PACE, maxInAll: 2 })
    const enter = (userId: string, nowMs: number, role: Person["role"] = "ops") => few.open({ userId, role }, nowMs)
    enter("a", 0).keep(15_000)
    enter("b", 0)
    expect(() => enter("c", 10_000)).toThrow(expect.objectContaining({ code: "busy" }) as Error)
    enter("c", 10_001)
    expect(few.count()).toBe(2)
  })

  it("clients, who sign up by themselves, cannot take the places of operations users", () => {
    const few = createEventStreams({ ...PACE, maxInAll: 3, maxOfClients: 2 })
    const enter = (userId: string, role: Person["role"]) => few.open({ userId, role }, 0)
    const [first] = ["a", "b"].map((userId) => enter(userId, "client"))
    expect(() => enter("c", "client")).toThrow(expect.objectContaining({ code: "busy" }) as Error)
    enter("o", "ops")
    expect(() => enter("p", "ops")).toThrow(expect.objectContaining({ code: "busy" }) as Error)
    first?.close()
    enter("c", "client")
    expect(few.count()).toBe(3)
  })
})
