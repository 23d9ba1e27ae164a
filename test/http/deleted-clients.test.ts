// What is left of a client in mails to others, once ops have deleted the client.
import { beforeAll, beforeEach, describe, expect, it } from "vitest"
import { outbox } from "../../src/db/schema.ts"
import { type NoticeWorld, type Person, createNoticeWorld, runNoticeJobs } from "../support/notices.ts"

const DAY_MS = 24 * 60 * 60_000

let world: NoticeWorld
beforeAll(async () => {
  world = await createNoticeWorld()
})
beforeEach(() => {
  world.api.clock.nowMs = world.startMs
})

/** An uploader whose mails wait, because the mail service takes none of them. */
async function unreachedUploader(): Promise<Person> {
  const uploader = await world.newPerson({ role: "ops" })
  await world.api.planAnswer(uploader.email, { status: 500, body: "{}" })
  return uploader
}

async function fileOf(uploader: Person, clients: readonly Person[], name: string): Promise<string> {
  const file = await world.newFile(`clients=${clients.map(({ id }) => id).join()}&notify=deliveries,expiryReports`, name)
  await world.api.db.$client.prepare("update files set owner_id = ? where id = ?").bind(uploader.id, file).run()
  return file
}

/** A delivery to each client and, about another file, that it is about to expire. */
async function happenings(uploader: Person, clients: readonly Person[]): Promise<void> {
  const delivered = await fileOf(uploader, clients, "delivered.docx")
  for (const person of clients) await world.download(delivered, person)
  await world.setExpiry(await fileOf(uploader, clients, "expiring.docx"), world.startMs + DAY_MS)
  await world.later(0)
}

const bodies = async (uploader: Person): Promise<string[]> =>
  (await world.api.db.select().from(outbox)).flatMap(({ recipient, body }) => (recipient === uploader.email ? [body ?? ""] : []))

const counts = (texts: readonly string[], part: string): number[] => texts.map((text) => text.split(part).length - 1)

/** D1 for which something happens when mails have been written and are about to be put into the outbox. */
function interrupted(happens: () => Promise<void>): { DB: D1Database; hasHappened: () => boolean } {
  let state: "before" | "written" | "happened" = "before"
  const DB = new Proxy(world.api.env.DB, {
    get(target, name) {
      if (name === "prepare")
        return (sql: string) => {
          if (state === "before" && sql.startsWith('insert into "outbox"')) state = "written"
          return target.prepare(sql)
        }
      if (name === "batch")
        return async (statements: D1PreparedStatement[]) => {
          if (state === "written") {
            state = "happened"
            await happens()
          }
          return target.batch(statements)
        }
      const value: unknown = Reflect.get(target, name)
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
  return { DB, hasHappened: () => state === "happened" }
}

describe("Q4: a mail to an uploader", () => {
  it("that waits names a deleted client no more, and the others as before", async () => {
    const uploader = await unreachedUploader()
    const ann = await world.newPerson()
    // Addresses that hers is a part of.
    const others = await Promise.all(
      [`x${ann.email}`, `${ann.email}x`].map((email) =>
        world.newPerson({ email, emailKey: email }).then((p) => ({ ...p, email })),
      ),
    )
    await happenings(uploader, [ann, ...others])
    await world.later(5)
    const before = await bodies(uploader)
    expect(counts(before, ann.email)).toEqual([3, 3])
    await world.call("DELETE", `/api/ops/clients/${ann.id}`)
    const after = await bodies(uploader)
    expect(counts(after, ann.email)).toEqual([2, 2])
    expect(counts(after, "(deleted client)")).toEqual([1, 1])
    for (const { email } of others) expect(counts(after, email)).toEqual([1, 1])
    expect(after.map((text) => text.replace("(deleted client)", ann.email))).toEqual(before)
  })

  it("is not made of what was read before the client was deleted", async () => {
    const uploader = await unreachedUploader()
    const [ann, bob] = [await world.newPerson(), await world.newPerson()]
    await happenings(uploader, [ann, bob])
    world.api.clock.nowMs += 5 * 60_000
    const { DB, hasHappened } = interrupted(async () => {
      await world.call("DELETE", `/api/ops/clients/${ann.id}`)
    })
    await runNoticeJobs(world.api, { DB })
    expect(hasHappened()).toBe(true)
    await world.later(5)
    const made = await bodies(uploader)
    expect(counts(made, ann.email)).toEqual([0, 0])
    expect(counts(made, bob.email)).toEqual([1, 1])
  })
})
