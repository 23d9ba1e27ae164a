// Very much to say to one person: it stays within what D1 takes for one value, and what does not fit one mail is said by
// the next one, once, also when two runs of cron meet.
import { env } from "cloudflare:workers"
import { beforeAll, describe, expect, it } from "vitest"
import { newId } from "../../src/ids.ts"
import { type NoticeWorld, createNoticeWorld, runNoticeJobs } from "../support/notices.ts"

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** What D1 takes at most for one value (https://developers.cloudflare.com/d1/platform/limits/); locally it is not enforced. */
const D1_VALUE_BYTES = 2_000_000

let world: NoticeWorld
beforeAll(async () => {
  world = await createNoticeWorld()
})

const run = (sql: string, ...values: unknown[]) =>
  env.DB.prepare(sql)
    .bind(...values)
    .run()

describe("twenty-seven thousand notices for one person", { timeout: 120_000 }, () => {
  const NOTICES = 27_000

  it("become few mails that say all of them, and keep nobody else's waiting", async () => {
    const [owner, ann, bob] = [await world.newPerson({ role: "ops" }), await world.newPerson(), await world.newPerson()]
    const { nowMs } = world.api.clock
    await env.DB.batch([
      env.DB.prepare(
        `insert into files (id, owner_id, version, name, type, created_at_ms, audience)
         with recursive n(i) as (select 1 union all select i + 1 from n where i < ?2)
         select printf('%08x-0000-4000-9000-%012x', (i * 2654435761) % 4294967296, i), ?1, 1, 'x.docx', 'docx', 1, 'chosen' from n`,
      ).bind(owner.id, NOTICES),
      env.DB.prepare(
        `insert into file_grants (file_id, audience, client_id, granted_at_ms, type, created_at_ms, name_key, size_bytes, announced_at_ms)
         select id, ?2, ?2, 1, type, 1, '', 1, 1 from files where owner_id = ?1`,
      ).bind(owner.id, ann.id),
      env.DB.prepare(
        `insert into notices (file_id, client_id, kind, recipient_id, created_at_ms)
         select id, ?2, 'file_available', ?2, ?3 from files where owner_id = ?1`,
      ).bind(owner.id, ann.id, nowMs),
      env.DB.prepare("insert into notice_bundles values (?, 'file_available', ?2, ?2, 1)").bind(ann.id, nowMs),
    ])
    await world.newFile(`clients=${bob.id}`)
    for (let i = 0; i < 6; i++) await world.later(5)
    expect(await world.mailsTo(bob)).toHaveLength(1)
    const said = (await world.mailsTo(ann)).map(({ subject }) => Number(/^\d+/.exec(subject)?.[0]))
    expect(said.reduce((sum, count) => sum + count, 0)).toBe(NOTICES)
    expect(said.length).toBeLessThanOrEqual(5)
    // Each key has two ids, and quotes and a comma around them; what a mail settles is one value.
    expect(Math.max(...said) * 80).toBeLessThan(D1_VALUE_BYTES)
    const left = await env.DB.prepare("select count(*) as n from notices where recipient_id = ? and settled_at_ms is null")
      .bind(ann.id)
      .first<{ n: number }>()
    expect(left?.n).toBe(0)
    await run("delete from files where owner_id = ?", owner.id)
  })
})

describe("more files about to expire than one report names", () => {
  it("are named once each, also by runs that meet", async () => {
    const uploader = await world.newPerson({ role: "ops" })
    const names = Array.from({ length: 12 }, (_, i) => `report-${String(i)}-${newId()}.docx`)
    for (const name of names) {
      await run(
        "insert into files (id, owner_id, version, name, type, created_at_ms, audience, expires_at_ms) values (?, ?, 1, ?, 'docx', 1, 'chosen', ?)",
        newId(),
        uploader.id,
        name,
        world.api.clock.nowMs + DAY_MS,
      )
    }
    await world.later(0)
    world.api.clock.nowMs += 3 * MINUTE_MS
    await Promise.all([runNoticeJobs(world.api), runNoticeJobs(world.api), runNoticeJobs(world.api)])
    for (let i = 0; i < 4; i++) await world.later(5)
    const texts = (await world.mailsTo(uploader)).map(({ text }) => text).join("\n")
    expect(names.map((name) => texts.split(name).length - 1)).toEqual(names.map(() => 1))
  })
})
