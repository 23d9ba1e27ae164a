// Rows that have done their work go by cron: each kind when its time is over, and not a moment before.
import { beforeEach, describe, expect, it } from "vitest"
import type { SQLiteTable } from "drizzle-orm/sqlite-core"
import {
  knownPlaces,
  limitCounters,
  outbox,
  passwordResets,
  refreshTokens,
  sessions,
  users,
  verifications,
} from "../../src/db/schema.ts"
import { PLACE_LIFETIME_MS } from "../../src/domain/limits.ts"
import { createDeps } from "../../src/deps.ts"
import { sweepExpiredRows } from "../../src/domain/housekeeping.ts"
import { type TestClient, createTestClient } from "../support/client.ts"
import { countedDb } from "../support/counted-db.ts"

const DAY_MS = 24 * 60 * 60_000

let api: TestClient
let userId: string
beforeEach(async () => {
  api = createTestClient()
  userId = (await api.newOps()).id
})

const id = (): string => crypto.randomUUID()
/** A row of a kind whose time ends at a moment, under a key that nothing else has. */
type Kind = {
  name: string
  table: SQLiteTable
  column: string
  /** How long after that moment it is kept. */
  keptMs: number
  insert: (key: string, endMs: number) => Promise<unknown>
}

const kinds: Kind[] = [
  {
    name: "limit_counters",
    table: limitCounters,
    column: "key",
    keptMs: 0,
    insert: (key, resetsAtMs) => api.db.insert(limitCounters).values({ key, count: 1, resetsAtMs }),
  },
  {
    name: "known_places",
    table: knownPlaces,
    column: "place",
    keptMs: PLACE_LIFETIME_MS,
    insert: (place, seenAtMs) => api.db.insert(knownPlaces).values({ place, userId, seenAtMs }),
  },
  {
    name: "verifications",
    table: verifications,
    column: "id",
    keptMs: DAY_MS + 1,
    insert: (key, expiresAtMs) =>
      api.db.insert(verifications).values({ id: key, emailKey: "a@b.example", codeMac: "", createdAtMs: 0, expiresAtMs }),
  },
  {
    name: "password_resets",
    table: passwordResets,
    column: "hash",
    keptMs: DAY_MS + 1,
    insert: (hash, expiresAtMs) => api.db.insert(passwordResets).values({ hash, userId, createdAtMs: 0, expiresAtMs }),
  },
  {
    name: "sessions",
    table: sessions,
    column: "id",
    keptMs: DAY_MS + 1,
    insert: (key, expiresAtMs) => api.db.insert(sessions).values({ id: key, userId, createdAtMs: 0, expiresAtMs }),
  },
  {
    name: "refresh_tokens",
    table: refreshTokens,
    column: "hash",
    keptMs: DAY_MS + 1,
    insert: async (hash, expiresAtMs) => {
      const sessionId = id()
      await api.db.insert(sessions).values({ id: sessionId, userId, createdAtMs: 0, expiresAtMs: expiresAtMs + 30 * DAY_MS })
      await api.db.insert(refreshTokens).values({ hash, sessionId, expiresAtMs })
    },
  },
  {
    name: "users that nobody has proven",
    table: users,
    column: "id",
    keptMs: DAY_MS + 1,
    insert: (key, createdAtMs) =>
      api.db.insert(users).values({
        id: key,
        role: "client",
        email: `${key}@x.example`,
        emailKey: `${key}@x.example`,
        passwordHash: "",
        createdAtMs,
      }),
  },
  {
    name: "settled mails in the outbox",
    table: outbox,
    column: "id",
    keptMs: 7 * DAY_MS + 1,
    insert: (key, createdAtMs) =>
      api.db.insert(outbox).values({
        ...{ id: key, kind: "verification", recipient: "a@b.example", subject: "", body: null },
        ...{ createdAtMs, expiresAtMs: createdAtMs, sentAtMs: createdAtMs, nextAttemptAtMs: null },
      }),
  },
]

describe("cron", () => {
  it.each(kinds)("deletes $name in time, and no earlier", async ({ table, column, keptMs, insert }) => {
    const { nowMs } = api.clock
    const [old, young] = [id(), id()]
    await insert(old, nowMs - keptMs)
    await insert(young, nowMs - keptMs + 1)
    const left = async (): Promise<string[]> => {
      const rows: Record<string, unknown>[] = await api.db.select().from(table)
      return rows.map((row) => String(row[column])).filter((key) => [old, young].includes(key))
    }
    expect((await left()).sort()).toEqual([old, young].sort())
    await api.runCron()
    expect(await left()).toEqual([young])
    api.clock.nowMs += 1
    await api.runCron()
    expect(await left()).toEqual([])
  })

  it("reads next to nothing where nothing has come to its end, however many accounts and mails there are", async () => {
    const { nowMs } = api.clock
    const numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)"
    await api.db.$client.batch([
      api.db.$client
        .prepare(
          `insert into outbox (id, kind, recipient, subject, created_at_ms, expires_at_ms, sent_at_ms) ${numbers} select 'many' || i, 'x', 'x', '', ?1, ?1, ?1 from n`,
        )
        .bind(nowMs - DAY_MS),
      api.db.$client
        .prepare(
          `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms) ${numbers} select 'many' || i, 'client', 'many' || i, 'many' || i, '', 1, 1 from n`,
        )
        .bind(),
    ])
    const deps = async (bindings: object) =>
      createDeps(
        { ...api.env, ...bindings },
        { now: () => nowMs, request: { id: id(), clientAddress: null }, afterwards: () => undefined, log: () => undefined },
      )
    await sweepExpiredRows(await deps({}))
    const counted = countedDb(api.env.DB)
    await sweepExpiredRows(await deps({ DB: counted.db }))
    expect(counted.seen.statements.length).toBeGreaterThan(10)
    expect(counted.seen.rowsRead).toBeLessThan(50)
  })

  it("keeps accounts that are proven, however old", async () => {
    await api.db.update(users).set({ createdAtMs: 1 })
    await api.runCron()
    expect((await api.db.select().from(users)).map((row) => row.id)).toContain(userId)
  })
})
