// Cron runs every few minutes for ever: what it reads must grow with what there is to do, not with all there ever was.
import { beforeAll, expect, it } from "vitest"
import { seedFiles } from "../../bench/seed-lists.ts"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { createDeps } from "../../src/deps.ts"
import { sweepExpiredRows } from "../../src/domain/housekeeping.ts"
import type { Powers } from "../../src/domain/powers.ts"
import { expireUploads, finishReceivedUploads } from "../../src/domain/resumable-completion.ts"
import { rotateKeys } from "../../src/domain/rotation.ts"
import { type TestClient, createTestClient } from "../support/client.ts"
import { countedDb } from "../support/counted-db.ts"

const MANY = 400
const DAY_MS = 24 * 60 * 60_000

let api: TestClient
let ownerId: string
beforeAll(async () => {
  api = createTestClient({ MASTER_KEYS: newKeyRingEntry(1) })
  ownerId = (await api.newOps()).id
})

/** What a job reads now. */
async function readsOf(job: (deps: Powers) => Promise<unknown>): Promise<number> {
  const { db, seen } = countedDb(api.env.DB)
  const request = { id: crypto.randomUUID(), clientAddress: null }
  const quiet = { afterwards: () => undefined, log: () => undefined }
  await job(await createDeps({ ...api.env, DB: db }, { now: () => api.clock.nowMs, request, ...quiet }))
  return seen.rowsRead
}

const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${String(MANY)})`
const run = (sql: string, ...values: unknown[]) =>
  api.db.$client
    .prepare(sql)
    .bind(...values)
    .run()

it.each<[string, string, (deps: Powers) => Promise<unknown>, () => Promise<unknown>]>([
  [
    "forgetting what is old",
    "accounts",
    sweepExpiredRows,
    () =>
      run(`insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
        ${numbers} select 'u' || i, 'client', 'e' || i, 'e' || i, '', 1, 1 from n`),
  ],
  [
    "forgetting what is old",
    "mails of the last days",
    sweepExpiredRows,
    () =>
      run(
        `insert into outbox (id, kind, recipient, subject, created_at_ms, expires_at_ms, sent_at_ms)
        ${numbers} select 'm' || i, 'x', 'r' || i, 's', ?, ?, ? from n`,
        api.clock.nowMs - DAY_MS,
        api.clock.nowMs - 1,
        api.clock.nowMs - DAY_MS,
      ),
  ],
  ...(
    [
      ["ending uploads out of time", (deps: Powers) => expireUploads(deps, 100)],
      ["finishing uploads", (deps: Powers) => finishReceivedUploads(deps, 10)],
      ["changing keys", (deps: Powers) => rotateKeys(deps, 100)],
    ] as const
  ).map(([name, job], at): [string, string, (deps: Powers) => Promise<unknown>, () => Promise<unknown>] => [
    name,
    "uploads that have ended",
    job,
    () =>
      run(
        `insert into resumable_uploads (id, owner_id, file_id, object_key, name, type, metadata, state, key_id, wrapped_key,
          commitment, created_at_ms, expires_at_ms)
          ${numbers} select ? || i, ?, 'f' || i, ? || i, 'a.docx', 'docx', '', 'done', 1, '', '', 1, ? + (i % 2) * 1000000 - 500000 from n`,
        `r${String(at)}.`,
        ownerId,
        `o${String(at)}.`,
        api.clock.nowMs,
      ),
  ]),
  ["changing keys", "files", (deps) => rotateKeys(deps, 100), () => seedFiles(api.env.DB, ownerId, 0, MANY)],
])("%s reads no more where there are many %s", async (_name, _what, job, fill) => {
  await job(await idle())
  const before = await readsOf(job)
  await fill()
  expect((await readsOf(job)) - before).toBeLessThan(MANY / 20)
})

/** So that what earlier tests left is done with. */
const idle = () =>
  createDeps(api.env, {
    now: () => api.clock.nowMs,
    request: { id: crypto.randomUUID(), clientAddress: null },
    afterwards: () => undefined,
    log: () => undefined,
  })
