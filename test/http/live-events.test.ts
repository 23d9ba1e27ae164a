// What events say of downloads, and how streams look for them: each thing said once and only if it is so, however a
// download is cut up; soon when something happens; and never by more streams than there are places.
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { createDeps } from "../../src/deps.ts"
import { events, sessions, users } from "../../src/db/schema.ts"
import { type EventStreams, PACE, createEventStreams, watchEvents } from "../../src/domain/event-streams.ts"
import { EVENT_LIFETIME_MS } from "../../src/domain/events.ts"
import { ageFiles } from "../../src/domain/file-life.ts"
import { sweepExpiredRows } from "../../src/domain/housekeeping.ts"
import { realDocument } from "../support/documents.ts"
import { type World, newWorld } from "../support/selections.ts"

const docx = realDocument("npm-docx.docx")

let world: World
beforeAll(async () => {
  world = await newWorld()
})

type Told = { kind: string; file: { id: string } }

async function page(role: "ops" | "client", query: string): Promise<{ events: Told[]; next: string }> {
  const { tokens } = world[role]
  const response = await world.api.request(`/api/${role}/events${query}`, { token: tokens.accessToken })
  if (!response.ok) throw new Error(await response.text())
  return response.json()
}

const nowOf = async (): Promise<string> => (await page("ops", "")).next
const toldSince = async (id: string): Promise<string[]> =>
  (await page("ops", `?since=${id}`)).events.map(({ kind, file }) => `${kind} ${file.id}`)

const deps = () =>
  createDeps(world.api.env, {
    now: () => world.api.clock.nowMs,
    request: { id: crypto.randomUUID(), clientAddress: null },
    afterwards: () => undefined,
    log: () => undefined,
  })

describe("of an archive", () => {
  const three = async () => [await world.post("a.docx", docx), await world.post("b.docx", docx), await world.post("c.docx", docx)]
  const all = (kind: string, ids: readonly string[]) => ids.map((id) => `${kind} ${id}`)

  it("owners hear that a file was begun when it is sent, not when its neighbour is, and not for each piece", async () => {
    const ids = await three()
    const link = await world.select(ids)
    const start = await nowOf()
    // A header of the archive is nothing of any file.
    for (const range of ["bytes=0-9", "bytes=200-209", "bytes=200-209", "bytes=300-309"])
      expect((await world.use(link, { Range: range })).status).toBe(206)
    expect(await toldSince(start)).toEqual(all("download.started", ids.slice(0, 1)))
    await world.use(link)
    await world.use(link)
    const expected = [...all("download.started", ids), ...all("download.delivered", ids)]
    expect((await toldSince(start)).sort()).toEqual(expected.sort())
  })

  it("begun in many pieces at once, it is told once of each file", async () => {
    const ids = await three()
    const link = await world.select(ids)
    const start = await nowOf()
    const starts = [0, 1, 2].flatMap((file) => [500, 900].map((at) => file * docx.length + at))
    const answers = await Promise.all(starts.map((at) => world.use(link, { Range: `bytes=${String(at)}-${String(at + 9)}` })))
    expect(answers.map(({ status }) => status)).toEqual(starts.map(() => 206))
    expect((await toldSince(start)).sort()).toEqual(all("download.started", ids).sort())
  })

  it("and of a single file: pieces that end in the same moment deliver it once", async () => {
    const id = await world.post("a.docx", docx)
    const link = await world.mint(id)
    const start = await nowOf()
    await Promise.all(Array.from({ length: 4 }, () => world.use(link)))
    expect(await toldSince(start)).toEqual([`download.started ${id}`, `download.delivered ${id}`])
  })
})

describe("with a client who is deleted", () => {
  it("go their links, of which owners hear; of one without links they hear nothing", async () => {
    const { api, ops } = world
    const [leaving, idle] = [await api.newClient(), await api.newClient()]
    const fileId = await world.post("a.docx", docx)
    await world.mint(fileId, leaving.tokens)
    const start = await nowOf()
    for (const { email } of [idle, leaving]) {
      const user = await api.db.select().from(users).where(eq(users.email, email)).get()
      const path = `/api/ops/clients/${user?.id ?? ""}`
      expect((await api.request(path, { method: "DELETE", token: ops.tokens.accessToken })).ok).toBe(true)
      expect(await toldSince(start)).toEqual(email === idle.email ? [] : [`link.revoked ${fileId}`])
    }
  })
})

describe("clients hear nothing of a file", () => {
  it("that was given to them when its time was over, not even its id when it goes; of one given in time they do", async () => {
    const { api, ops } = world
    const put = async (id: string, part: string, json: unknown): Promise<void> => {
      const method = part === "" ? "PATCH" : "PUT"
      const response = await api.request(`/api/ops/files/${id}${part}`, { method, token: ops.tokens.accessToken, json })
      if (!response.ok) throw new Error(await response.text())
    }
    const { next: start } = await page("client", "")
    const [late, inTime] = [
      await world.post("a.docx", docx, "?audience=chosen"),
      await world.post("a.docx", docx, "?audience=chosen"),
    ]
    for (const id of [late, inTime]) await put(id, "", { expiresAt: new Date(api.clock.nowMs + 1000).toISOString() })
    await put(inTime, "/audience", { audience: "everyone" })
    api.clock.nowMs += 2000
    await put(late, "/audience", { audience: "everyone" })
    await ageFiles(await deps(), 10)
    const heard = new Set((await page("client", `?since=${start}`)).events.map(({ kind, file }) => `${kind} ${file.id}`))
    expect([...heard]).toEqual([`file.removed ${inTime}`])
  })
})

async function caller() {
  const { ops } = world
  const session = await world.api.db.select().from(sessions).where(eq(sessions.userId, ops.id)).get()
  const facts = { email: ops.email, isVerified: true, hasSecondFactor: false, managesAllFiles: false }
  return { userId: ops.id, sessionId: session?.id ?? "", role: "ops" as const, ...facts }
}

const watch = async (eventStreams: EventStreams) =>
  watchEvents({ ...(await deps()), eventStreams }, await caller(), null, new AbortController().signal)

describe("a stream", () => {
  it("looks ever more rarely, and at once more often when something has happened", async () => {
    const waitsMs: number[] = []
    const keep = (nextLookMs: number): boolean => {
      if (nextLookMs > world.api.clock.nowMs) waitsMs.push(nextLookMs - world.api.clock.nowMs)
      return true
    }
    const pace = { ...PACE, minWaitMs: 2, maxWaitMs: 8 }
    const looks = await watch({ pace, open: () => ({ keep, close: () => undefined }), count: () => 0 })
    for (let i = 0; i < 6; i++) await looks.next()
    expect(waitsMs).toEqual([2, 3, 4.5, 6.75, 8])
    await world.post("a.docx", docx)
    expect((await looks.next()).value).toMatchObject({ events: [{ kind: "file.added" }] })
    for (let i = 0; i < 2; i++) await looks.next()
    expect(waitsMs.slice(5)).toEqual([8, 2, 3])
  })

  it("whose place was given away, because its reader took nothing for long, ends; the one in its place goes on", async () => {
    const { clock } = world.api
    const streams = createEventStreams({ ...PACE, minWaitMs: 1, maxPerUser: 1 })
    const slow = await watch(streams)
    await slow.next()
    clock.nowMs += 60_000
    const other = await watch(streams)
    expect([(await other.next()).done, (await slow.next()).done, (await other.next()).done]).toEqual([false, true, false])
    expect(streams.count()).toBe(1)
  })
})

describe("the sweeper", () => {
  it("takes old events from the beginning up to the first younger one, so that clocks that disagree leave no gap", async () => {
    const { db, clock } = world.api
    await db.delete(events)
    const [old, young] = [clock.nowMs - EVENT_LIFETIME_MS - 1, clock.nowMs - EVENT_LIFETIME_MS + 1]
    const row = { audience: world.ops.id, kind: "client.verified" }
    const rows = [old, old, young, old, young].map((atMs) => ({ ...row, atMs }))
    const seqs = (await db.insert(events).values(rows).returning()).map(({ seq }) => seq)
    await sweepExpiredRows(await deps())
    expect((await db.select().from(events)).map(({ seq }) => seq)).toEqual(seqs.slice(2))
    // All of them old: the newest stays.
    await db.update(events).set({ atMs: old })
    await sweepExpiredRows(await deps())
    expect((await db.select().from(events)).map(({ seq }) => seq)).toEqual(seqs.slice(4))
  })
})
