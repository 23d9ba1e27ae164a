// The chain of the audit trail: what is done to it behind the service's back shows, and what happens at once does not
// get in its way.
import { createExecutionContext } from "cloudflare:test"
import { eq } from "drizzle-orm"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { findAuditHead } from "../../src/db/audit.ts"
import { runBatch } from "../../src/db/client.ts"
import { auditEvents, auditHead } from "../../src/db/schema.ts"
import { createDeps } from "../../src/deps.ts"
import { auditEvent } from "../../src/domain/audit.ts"
import { keepAuditTrail, pruneAuditTrail, sealAuditTrail } from "../../src/domain/audit-trail.ts"
import { trailDamage } from "../support/audit.ts"
import { PASSWORD, type TestClient, createTestClient, freshEmail } from "../support/client.ts"

const DAY_MS = 24 * 60 * 60_000

let api: TestClient
beforeEach(async () => {
  api = createTestClient()
  await api.db.delete(auditEvents)
  await api.db.delete(auditHead)
})

/** What one isolate has; another call makes another isolate. */
async function isolate(env: TestClient["env"] = { ...api.env }) {
  const logged: string[] = []
  const context = createExecutionContext()
  const deps = await createDeps(env, {
    now: () => api.clock.nowMs,
    request: { id: crypto.randomUUID(), clientAddress: api.address },
    afterwards: (work) => {
      context.waitUntil(work)
    },
    log: (event, facts) => void logged.push(JSON.stringify({ event, ...facts })),
  })
  const write = (count: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: count }, () => runBatch(deps.db, [auditEvent(deps, "limit.reached", null, null, { reason: "test" })])),
    )
  return { deps, logged, write, seal: () => sealAuditTrail(deps) }
}

async function seven(): Promise<TestClient["db"]> {
  const { write, seal } = await isolate()
  await write(7)
  await seal()
  expect(await trailDamage(api)).toBeNull()
  expect((await findAuditHead(api.db))?.lastSeq).toBe(7)
  return api.db
}

const run = (sql: string, ...values: unknown[]) =>
  api.db.$client
    .prepare(sql)
    .bind(...values)
    .run()

const rowAt = async (seq: number) => {
  const row = await api.db.select().from(auditEvents).where(eq(auditEvents.seq, seq)).get()
  if (row === undefined) throw new Error(`no row ${String(seq)}`)
  return row
}

describe("a trail that nobody touched", () => {
  it("is whole after requests of all kinds, each row sealed right after its request", async () => {
    const { tokens, email } = await api.newClient()
    await api.request("/api/client/login", { json: { email, password: `${PASSWORD} wrong` } })
    await api.request("/api/auth/refresh", { json: { refreshToken: tokens.refreshToken } })
    await api.request("/api/ops/files", { token: tokens.accessToken })
    const rows = await api.db.select().from(auditEvents)
    expect(rows.length).toBeGreaterThanOrEqual(6)
    expect(rows.filter(({ seq }) => seq === null)).toEqual([])
    expect(await trailDamage(api)).toBeNull()
  })

  it("says who, what, when, from where, with what result, and nothing about the address itself", async () => {
    const email = freshEmail()
    const { tokens } = await api.newClient(email)
    await api.request("/api/client/login", { json: { email, password: `${PASSWORD} wrong` } })
    const rows = await api.db.select().from(auditEvents)
    const started = rows.find(({ kind }) => kind === "session.started")
    const refused = rows.find(({ kind }) => kind === "session.refused")
    expect(started).toMatchObject({ result: "ok", atMs: api.clock.nowMs })
    expect(refused).toMatchObject({ result: "refused", reason: "wrong_password", subjectId: started?.actorId })
    expect(started?.place).toMatch(/^[0-9a-f]{32}$/)
    expect(refused?.place).toBe(started?.place)
    expect(refused?.requestId).not.toBe(started?.requestId)
    const elsewhere = createTestClient()
    await elsewhere.request("/api/client/login", { json: { email, password: `${PASSWORD} wrong` } })
    const places = new Set((await api.db.select().from(auditEvents)).map(({ place }) => place))
    expect(places.size).toBe(2)
    const text = JSON.stringify(await api.db.select().from(auditEvents))
    for (const secret of [email, api.address, PASSWORD, tokens.refreshToken]) expect(text).not.toContain(secret)
  })

  it("stays whole when rows of many isolates are sealed at once", async () => {
    const isolates = await Promise.all(Array.from({ length: 4 }, () => isolate({ ...api.env })))
    await Promise.all(isolates.map(({ write }) => write(40)))
    await Promise.all(isolates.flatMap(({ seal }) => [seal(), seal()]))
    await isolates[0]?.seal()
    expect((await findAuditHead(api.db))?.lastSeq).toBe(160)
    expect(await trailDamage(api)).toBeNull()
  })

  it("takes in what was written while a page was on its way", async () => {
    const { write, seal } = await isolate()
    await write(3)
    const sealing = seal()
    await write(3)
    await Promise.all([sealing, seal()])
    expect((await findAuditHead(api.db))?.lastSeq).toBe(6)
  })

  it("can change its key, as long as the old one still reads", async () => {
    await seven()
    const both = { ...api.env, AUDIT_KEYS: `${newKeyRingEntry(2)},${api.env.AUDIT_KEYS}` }
    const { write, seal } = await isolate(both)
    await write(2)
    await seal()
    expect((await rowAt(8)).chain).toMatch(/^2:/)
    expect(await trailDamage({ db: api.db, env: both })).toBeNull()
    expect(await trailDamage(api)).toMatchObject({ fault: "key_missing" })
  })
})

describe("a trail that somebody changed", () => {
  const nothingChanged = () => run("update audit_events set kind = kind")

  it.each([
    ["at_ms", "at_ms + 1"],
    ["kind", "'file.deleted'"],
    ["actor_id", "'somebody'"],
    ["subject_id", "'something'"],
    ["request_id", "null"],
    ["place", "null"],
    ["result", "'failed'"],
    ["reason", "null"],
    ["mac", "'1:' || substr(mac, 4) || '0'"],
    ["mac", "''"],
    ["id", "'00000000-0000-4000-8000-000000000000'"],
  ])("in %s = %s is changed at that row", async (column, value) => {
    await seven()
    await nothingChanged()
    expect(await trailDamage(api)).toBeNull()
    await run(`update audit_events set ${column} = ${value} where seq = 4`)
    expect(await trailDamage(api)).toMatchObject({ fault: "row_changed", seq: 4 })
  })

  it.each([
    ["the first row", "seq = 1", 1],
    ["one in the middle", "seq = 4", 4],
    ["several", "seq in (3, 5)", 3],
    ["the last row", "seq = 7", 7],
    ["the end", "seq > 4", 5],
    ["everything", "1 = 1", 1],
  ])("by taking away %s lacks it", async (_, where, seq) => {
    await seven()
    await run(`delete from audit_events where ${where}`)
    expect(await trailDamage(api)).toMatchObject({ fault: "rows_missing", seq })
  })

  it("by exchanging two rows has them at the wrong places", async () => {
    await seven()
    await run("update audit_events set seq = 99 where seq = 3")
    await run("update audit_events set seq = 3 where seq = 5")
    await run("update audit_events set seq = 5 where seq = 99")
    expect(await trailDamage(api)).toMatchObject({ fault: "row_misplaced", seq: 3 })
  })

  it("by closing the gap that a row left has a row at the wrong place", async () => {
    await seven()
    await run("delete from audit_events where seq = 3")
    for (const seq of [4, 5, 6, 7]) await run("update audit_events set seq = ? where seq = ?", seq - 1, seq)
    expect(await trailDamage(api)).toMatchObject({ fault: "row_misplaced", seq: 3 })
  })

  it("by a row of their own has one that nobody signed, sealed or not", async () => {
    await seven()
    const forged = { ...(await rowAt(2)), id: crypto.randomUUID(), seq: null, chain: null }
    await api.db.insert(auditEvents).values(forged)
    expect(await trailDamage(api)).toMatchObject({ fault: "row_changed", seq: null, id: forged.id })
    await (await isolate()).seal()
    expect(await trailDamage(api)).toMatchObject({ fault: "row_changed", seq: 8, id: forged.id })
  })

  it("by a row without a signature, as older versions wrote them, has one that nobody signed", async () => {
    await seven()
    await api.db.insert(auditEvents).values({ id: "x", atMs: 1, kind: "session.started" })
    await (await isolate()).seal()
    expect(await trailDamage(api)).toMatchObject({ fault: "row_changed", id: "x" })
  })

  it("by unsealing its end and putting an older head back is found with an end that was remembered", async () => {
    const before = await seven()
    const old = await findAuditHead(before)
    const { write, seal } = await isolate()
    await write(3)
    await seal()
    const now = await findAuditHead(api.db)
    const remembered = { seq: now?.lastSeq ?? 0, chain: now?.chain ?? "" }
    expect(await trailDamage(api, remembered)).toBeNull()
    await run(
      "update audit_head set last_seq = ?, chain = ?, updated_at_ms = ?, mac = ?",
      7,
      old?.chain,
      old?.updatedAtMs,
      old?.mac,
    )
    expect(await trailDamage(api)).toMatchObject({ fault: "row_beyond_head" })
    await run("delete from audit_events where seq > 7")
    expect(await trailDamage(api, remembered)).toMatchObject({ fault: "rolled_back", seq: 10 })
    // Other rows in their place do not help.
    await write(5)
    await seal()
    expect(await trailDamage(api)).toBeNull()
    expect(await trailDamage(api, remembered)).toMatchObject({ fault: "rolled_back", seq: 10 })
  })

  it.each([
    ["last_seq = 6", "head_changed"],
    ["pruned_seq = 3", "head_changed"],
    ["mac = ''", "head_changed"],
  ])("in its head (%s) is not sealed on, and says so", async (change, fault) => {
    await seven()
    await run(`update audit_head set ${change}`)
    const { write, seal, logged } = await isolate()
    await write(1)
    await seal()
    expect(logged.join()).toContain("audit_damaged")
    expect(await trailDamage(api)).toMatchObject({ fault })
    expect((await api.db.select().from(auditEvents)).filter(({ seq }) => seq === null)).toHaveLength(1)
  })

  it("by taking its head away gets no new one", async () => {
    await seven()
    await run("delete from audit_head")
    const { write, seal, logged } = await isolate()
    await write(1)
    await seal()
    expect(logged.join()).toContain("head_missing")
    expect(await findAuditHead(api.db)).toBeUndefined()
    expect(await trailDamage(api)).toMatchObject({ fault: "head_missing" })
  })

  it("by moving all of a chain to another deployment's key does not read there", async () => {
    await seven()
    const other = { ...api.env, AUDIT_KEYS: newKeyRingEntry(1) }
    expect(await trailDamage({ db: api.db, env: other })).toMatchObject({ fault: "head_changed" })
  })
})

describe("a chain whose head was taken away", () => {
  it("is not begun anew over what is left of it; one that has only just to begin is", async () => {
    await seven()
    await run("delete from audit_head")
    await run("update audit_events set seq = null, chain = null")
    await run("delete from audit_events where rowid = (select min(rowid) from audit_events)")
    api.clock.nowMs += DAY_MS + 1
    const { write, seal } = await isolate()
    await write(1)
    await seal()
    expect(await findAuditHead(api.db)).toBeUndefined()
    expect(await trailDamage(api)).toMatchObject({ fault: "head_missing" })

    await run("delete from audit_events")
    const fresh = await isolate()
    await fresh.write(2)
    api.clock.nowMs += DAY_MS
    await fresh.seal()
    expect((await findAuditHead(api.db))?.lastSeq).toBe(2)
    expect(await trailDamage(api)).toBeNull()
  })

  it("does not sign what nobody signed", async () => {
    await api.db.insert(auditEvents).values({ id: "x", atMs: api.clock.nowMs, kind: "session.started" })
    const { write, seal } = await isolate()
    await write(1)
    await seal()
    expect(await trailDamage(api)).toMatchObject({ fault: "row_changed", id: "x" })
  })
})

describe("pruning", () => {
  it("takes only what is too old, from the beginning, and leaves a trail that is whole", async () => {
    await seven()
    api.clock.nowMs += 10 * DAY_MS
    const later = await isolate()
    await later.write(2)
    await later.seal()
    api.clock.nowMs += 390 * DAY_MS - 1
    expect(await pruneAuditTrail(later.deps)).toBe(0)
    api.clock.nowMs += 2
    expect(await pruneAuditTrail(later.deps)).toBe(7)
    await later.seal()
    const rows = await api.db.select().from(auditEvents)
    expect(rows.map(({ seq }) => seq).sort()).toEqual([10, 8, 9])
    expect(rows.find(({ kind }) => kind === "audit.pruned")?.reason).toBe("7")
    expect(await findAuditHead(api.db)).toMatchObject({ prunedSeq: 7, lastSeq: 10 })
    expect(await trailDamage(api)).toBeNull()
    await run("delete from audit_events where seq = 8")
    expect(await trailDamage(api)).toMatchObject({ fault: "rows_missing", seq: 8 })
  })

  it("leaves the last end that is gone to be compared with, and says of older ones that they cannot be", async () => {
    const db = await seven()
    const chains = (await db.select().from(auditEvents)).map(({ seq, chain }) => ({ seq: seq ?? 0, chain: chain ?? "" }))
    const [sixth, seventh] = [6, 7].map((at) => chains.find(({ seq }) => seq === at) ?? { seq: 0, chain: "" })
    expect(await trailDamage(api, sixth)).toBeNull()
    api.clock.nowMs += 401 * DAY_MS
    await keepAuditTrail((await isolate()).deps)
    expect((await findAuditHead(db))?.prunedSeq).toBe(7)
    expect(await trailDamage(api, seventh)).toBeNull()
    expect(await trailDamage(api, { seq: 7, chain: sixth?.chain ?? "" })).toMatchObject({ fault: "rolled_back", seq: 7 })
    expect(await trailDamage(api, sixth)).toMatchObject({ fault: "end_pruned", seq: 6 })
  })

  it("follows AUDIT_RETENTION_DAYS, by cron", async () => {
    await seven()
    const short = createTestClient({ AUDIT_RETENTION_DAYS: "1" })
    short.clock.nowMs = api.clock.nowMs + DAY_MS + 1
    const spy = vi.spyOn(console, "log").mockImplementation(() => undefined)
    await short.runCron()
    const lines = spy.mock.calls.map(([line]) => String(line))
    spy.mockRestore()
    expect(await findAuditHead(api.db)).toMatchObject({ prunedSeq: 7, lastSeq: 8 })
    expect(lines.find((line) => line.includes('"audit_head"'))).toContain('"seq":8')
    expect(await trailDamage(api)).toBeNull()
  })

  it("does not remove the traces of damage", async () => {
    await seven()
    await run("update audit_events set kind = 'x' where seq = 3")
    api.clock.nowMs += 401 * DAY_MS
    const later = await isolate()
    expect(await pruneAuditTrail(later.deps)).toBe(2)
    expect(await pruneAuditTrail(later.deps)).toBe(0)
    expect(later.logged.join()).toContain("row_3")
    expect(await trailDamage(api)).toMatchObject({ fault: "row_changed", seq: 3 })
  })

  it("does nothing twice when two do it at once", async () => {
    await seven()
    api.clock.nowMs += 401 * DAY_MS
    const both = await Promise.all([isolate({ ...api.env }), isolate({ ...api.env })])
    const counts = await Promise.allSettled(both.map(({ deps }) => pruneAuditTrail(deps)))
    expect(counts.some((outcome) => outcome.status === "fulfilled" && outcome.value === 7)).toBe(true)
    await keepAuditTrail(both[0].deps)
    expect(await trailDamage(api)).toBeNull()
    expect((await findAuditHead(api.db))?.prunedSeq).toBe(7)
  })
})
