// What must hold of notifications whatever happens to cron: it dies at any call, it runs twice at once, there are very
// many people, there is nothing to do. Always everybody hears everything, and nothing twice.
import { env } from "cloudflare:workers"
import { beforeAll, beforeEach, describe, expect, it } from "vitest"
import { createDeps } from "../../src/deps.ts"
import { mailNotices } from "../../src/domain/notice-bundles.ts"
import { makeNotices } from "../../src/domain/notices.ts"
import { newId } from "../../src/ids.ts"
import { countedDb } from "../support/counted-db.ts"
import { mortalBindings } from "../support/mortal-bindings.ts"
import { FAR_MS, type NoticeWorld, type Person, createNoticeWorld, runNoticeJobs } from "../support/notices.ts"

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

let world: NoticeWorld
beforeAll(async () => {
  world = await createNoticeWorld()
})
beforeEach(() => {
  world.api.clock.nowMs = world.startMs
})

const statement = (sql: string, ...values: unknown[]) => env.DB.prepare(sql).bind(...values)
const run = (sql: string, ...values: unknown[]) => statement(sql, ...values).run()

const personRow = ({ id, email }: Person, role: "ops" | "client") =>
  statement(
    `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms) values (?1, ?2, ?3, ?3, '', ${String(FAR_MS)}, 1)`,
    id,
    role,
    email,
  )

const fileRow = (id: string, owner: Person, name: string, expiresAtMs: number | null = null) =>
  statement(
    "insert into files (id, owner_id, version, name, type, created_at_ms, audience, expires_at_ms) values (?, ?, 1, ?, 'docx', 1, 'chosen', ?)",
    id,
    owner.id,
    name,
    expiresAtMs,
  )

/** @param announcedAtMs - as if there had been notices, long ago */
const grantRow = (fileId: string, audience: string, kind: "client" | "group" | "everyone", announcedAtMs: number | null = null) =>
  statement(
    `insert into file_grants (file_id, audience, client_id, group_id, granted_at_ms, type, created_at_ms, name_key, size_bytes, announced_at_ms)
     select id, ?2, iif(?3 = 'client', ?2, null), iif(?3 = 'group', ?2, null), ?4, type, created_at_ms, name_key, size_bytes, ?5 from files where id = ?1`,
    fileId,
    audience,
    kind,
    world.api.clock.nowMs - 3 * MINUTE_MS,
    announcedAtMs,
  )

/** Something of everything, all of it due now. */
async function plantNews() {
  const { nowMs } = world.api.clock
  const [uploader, ann] = ["uploader", "ann"].map((name) => ({ id: newId(), email: `${name}.${newId()}@example.com` })) as [
    Person,
    Person,
  ]
  const [direct, group, ofGroup, fetched, expiring] = Array.from({ length: 5 }, newId) as [string, string, string, string, string]
  await env.DB.batch([
    personRow(uploader, "ops"),
    personRow(ann, "client"),
    fileRow(direct, uploader, "direct.docx"),
    grantRow(direct, ann.id, "client"),
    statement('insert into "groups" (id, name, name_key, created_at_ms) values (?1, ?1, ?1, 1)', group),
    fileRow(ofGroup, uploader, "group.docx"),
    grantRow(ofGroup, group, "group", 1),
    statement(
      "insert into group_members (group_id, user_id, added_at_ms) values (?, ?, ?)",
      group,
      ann.id,
      nowMs - 3 * MINUTE_MS,
    ),
    fileRow(fetched, uploader, "fetched.docx"),
    grantRow(fetched, ann.id, "client", 1),
    statement(
      "insert into downloads (link_id, file_id, user_id, version, started_at_ms, requests, joined_by, delivered_at_ms) values (?, ?, ?, 1, 1, 1, '', ?)",
      newId(),
      fetched,
      ann.id,
      nowMs,
    ),
    fileRow(expiring, uploader, "expiring.docx", nowMs + HOUR_MS),
    grantRow(expiring, ann.id, "client", 1),
  ])
  return { uploader, ann }
}

async function plantFile(owner: Person, name: string): Promise<string> {
  const id = newId()
  await fileRow(id, owner, name).run()
  return id
}

const grant = (...args: Parameters<typeof grantRow>) => grantRow(...args).run()

type News = Awaited<ReturnType<typeof plantNews>>

const count = (text: string, part: string): number => text.split(part).length - 1

/** Everything was said, and nothing twice. */
async function expectTold({ uploader, ann }: News, label: string): Promise<void> {
  const [toAnn, toUploader] = [await world.mailsTo(ann), await world.mailsTo(uploader)]
  const said = [...toAnn, ...toUploader].map(({ subject, text }) => `${subject}\n${text}`).join("\n")
  const counts = ["direct.docx", "group.docx", "expiring.docx (until", `fetched.docx: ${ann.email}`].map((part) =>
    count(said, part),
  )
  expect([label, counts, toAnn.length, toUploader.length]).toEqual([label, [1, 1, 2, 1], 2, 2])
  const rows = await env.DB.prepare(
    "select count(*) as n from notices where recipient_id in (?, ?) and (settled_at_ms is null or mail_id is null)",
  )
    .bind(ann.id, uploader.id)
    .first<{ n: number }>()
  expect(rows?.n).toBe(0)
}

async function afterwards(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    world.api.clock.nowMs += 3 * MINUTE_MS
    await runNoticeJobs(world.api)
  }
}

const depsOn = (bindings: object) =>
  createDeps(
    { ...world.api.env, ...bindings },
    {
      now: () => world.api.clock.nowMs,
      request: { id: newId(), clientAddress: null },
      afterwards: () => undefined,
      log: () => undefined,
    },
  )

const MOST_CALLS = 60

describe("cron", () => {
  it("tells everything once", async () => {
    const news = await plantNews()
    await afterwards()
    await expectTold(news, "plain")
  })

  it.each(["before", "after"] as const)(
    "that dies %s any call has lost nothing and says nothing twice",
    { timeout: 240_000 },
    async (when) => {
      let at = 1
      for (; at < MOST_CALLS; at++) {
        const news = await plantNews()
        const mortal = mortalBindings({ at, when })
        const deps = await depsOn({ DB: mortal.DB })
        world.api.clock.nowMs += 3 * MINUTE_MS
        await makeNotices(deps).catch(() => undefined)
        await mailNotices(deps).catch(() => undefined)
        await afterwards()
        await expectTold(news, `${when} ${String(at)}`)
        if (!mortal.hasDied()) break
      }
      expect(at).toBeGreaterThan(20)
      expect(at).toBeLessThan(MOST_CALLS)
    },
  )

  it(
    "whose batch comes late, when another run has done everything meanwhile, does nothing any more",
    { timeout: 120_000 },
    async () => {
      let late = 1
      for (; late < MOST_CALLS; late++) {
        const news = await plantNews()
        let batches = 0
        const slow = new Proxy(env.DB, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name)
            if (name !== "batch") return typeof value === "function" ? (value.bind(target) as unknown) : value
            return async (statements: D1PreparedStatement[]) => {
              if (++batches === late) await runNoticeJobs(world.api)
              return target.batch(statements)
            }
          },
        })
        const deps = await depsOn({ DB: slow })
        world.api.clock.nowMs += 3 * MINUTE_MS
        await makeNotices(deps)
        await mailNotices(deps)
        await afterwards()
        await expectTold(news, `batch ${String(late)}`)
        if (batches < late) break
      }
      expect(late).toBeGreaterThan(6)
      expect(late).toBeLessThan(MOST_CALLS)
    },
  )

  it("that runs thrice at once says nothing twice", async () => {
    const news = await plantNews()
    world.api.clock.nowMs += 3 * MINUTE_MS
    await Promise.all([runNoticeJobs(world.api), runNoticeJobs(world.api), runNoticeJobs(world.api)])
    await afterwards()
    await expectTold(news, "at once")
  })

  it("does not say what was added between reading and mailing as if it were said", async () => {
    const { ann, uploader } = await plantNews()
    world.api.clock.nowMs += 3 * MINUTE_MS
    await makeNotices(await depsOn({}))
    let isAdded = false
    const slow = new Proxy(env.DB, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (name !== "batch" || isAdded) return typeof value === "function" ? (value.bind(target) as unknown) : value
        return async (statements: D1PreparedStatement[]) => {
          if (!isAdded) {
            isAdded = true
            await grant(await plantFile(uploader, "late.docx"), ann.id, "client")
            await makeNotices(await depsOn({}))
          }
          return target.batch(statements)
        }
      },
    })
    await mailNotices(await depsOn({ DB: slow }))
    expect(isAdded).toBe(true)
    await afterwards()
    const texts = (await world.mailsTo(ann))
      .filter(({ subject }) => subject.includes("for you"))
      .map(({ text }) => text)
      .join()
    expect(["direct.docx", "group.docx", "late.docx"].map((name) => count(texts, name))).toEqual([1, 1, 1])
  })
})

describe("with many people", () => {
  const PEOPLE = 5000

  it("a file for everyone is told in bounded steps, from where the last run ended", { timeout: 120_000 }, async () => {
    const owner = await world.newPerson({ role: "ops" })
    await run(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < ?2)
       insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
       select printf('%08x-0000-4000-8000-%012x', (i * 2654435761) % 4294967296, i), 'client', 'many' || i || '@example.net', 'many' || i || '@example.net', '', 1, ?1 from n`,
      1,
      PEOPLE,
    )
    const files = await Promise.all(
      ["a.docx", "b.docx", "c.docx", "d.docx", "e.docx", "f.docx"].map((name) => plantFile(owner, name)),
    )
    for (const file of files) {
      await run("update files set audience = 'everyone' where id = ?", file)
      await grant(file, "everyone", "everyone")
    }
    const written: number[] = []
    const noticesOf = async () =>
      (
        await env.DB.prepare("select count(*) as n from notices where file_id in (select value from json_each(?))")
          .bind(JSON.stringify(files))
          .first<{ n: number }>()
      )?.n ?? 0
    for (let runs = 0; runs < 10; runs++) {
      const before = await noticesOf()
      const counted = countedDb(env.DB)
      await makeNotices(await depsOn({ DB: counted.db }))
      written.push((await noticesOf()) - before)
      expect(counted.seen.calls).toBeLessThan(130)
      expect(counted.seen.rowsRead).toBeLessThan(1_000_000)
    }
    const total = written.reduce((sum, made) => sum + made, 0)
    expect(total).toBe(PEOPLE * files.length)
    expect(written[0]).toBeGreaterThan(15_000)
    expect(Math.max(...written)).toBeLessThanOrEqual(22_000)

    // Mails: so many in a run, each of all six files, and none while the outbox is full.
    const mails = async () =>
      (await env.DB.prepare("select count(*) as n from outbox where recipient like 'many%'").first<{ n: number }>())?.n
    const counted = countedDb(env.DB)
    await mailNotices(await depsOn({ DB: counted.db }))
    expect(await mails()).toBe(100)
    expect(counted.seen.calls).toBeLessThan(20)
    expect(counted.seen.rowsRead).toBeLessThan(40_000)
    await mailNotices(await depsOn({}))
    expect(await mails()).toBe(150)
    await mailNotices(await depsOn({}))
    expect(await mails()).toBe(150)
    const subjects = await env.DB.prepare("select distinct subject from outbox where recipient like 'many%'").all()
    expect(subjects.results).toEqual([{ subject: "6 new files for you" }])
    await run("delete from users where email like 'many%'")
    await run("delete from outbox where recipient like 'many%'")
  })

  it("and nothing to do, a run reads next to nothing", async () => {
    await afterwards()
    const owner = await world.newPerson({ role: "ops" })
    await run(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
       insert into files (id, owner_id, version, name, type, created_at_ms, audience, expires_at_ms, expiry_told_ms)
       select printf('%08x-0000-4000-9000-%012x', (i * 2654435761) % 4294967296, i), ?1, 1, 'x', 'docx', 1, 'everyone', ?2, ?2 from n`,
      owner.id,
      world.api.clock.nowMs + HOUR_MS,
    )
    await run(
      `insert into file_grants (file_id, audience, granted_at_ms, type, created_at_ms, name_key, size_bytes, announced_at_ms)
       select id, 'everyone', 1, type, 1, '', 1, 1 from files where owner_id = ?`,
      owner.id,
    )
    const counted = countedDb(env.DB)
    await runNoticeJobs(world.api, { DB: counted.db })
    expect(counted.seen.calls).toBeLessThan(10)
    expect(counted.seen.rowsRead).toBeLessThan(20)
    expect(counted.seen.rowsWritten).toBe(0)
  })
})
