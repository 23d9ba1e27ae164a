// Which jobs run when: by the two expressions in wrangler.toml, each its own, so that mails never wait for upkeep.
import { eq } from "drizzle-orm"
import { describe, expect, it } from "vitest"
import wranglerToml from "../wrangler.toml?raw"
import { limitCounters, outbox } from "../src/db/schema.ts"
import { createTestClient, freshEmail } from "./support/client.ts"

/** A mail that is due, and a row whose time is over. */
async function work() {
  const api = createTestClient()
  const recipient = freshEmail()
  const key = crypto.randomUUID()
  const nowMs = api.clock.nowMs
  await api.db.insert(limitCounters).values({ key, count: 1, resetsAtMs: nowMs - 1 })
  const mail = { id: key, kind: "test", subject: "A mail", body: "That is due", createdAtMs: nowMs, nextAttemptAtMs: nowMs }
  await api.db.insert(outbox).values({ ...mail, recipient, expiresAtMs: nowMs + 60_000 })
  return {
    api,
    done: async () => ({
      mailed: (await api.mailsTo(recipient)).length,
      swept: (await api.db.select().from(limitCounters).where(eq(limitCounters.key, key))).length === 0,
    }),
  }
}

describe("cron", () => {
  it.each([
    ["* * * * *", { mailed: 1, swept: false }],
    ["*/5 * * * *", { mailed: 0, swept: true }],
    ["0 * * * *", { mailed: 1, swept: true }],
  ])("%s does its own jobs, one that nobody knows all of them", async (cron, expected) => {
    const { api, done } = await work()
    await api.runCron(cron)
    expect(await done()).toEqual(expected)
    await api.runCron()
    expect(await done()).toEqual({ mailed: 1, swept: true })
  })

  it("is asked for by just these expressions", () => {
    expect(JSON.parse(/^crons = (.*)$/m.exec(wranglerToml)?.[1] ?? "")).toEqual(["* * * * *", "*/5 * * * *"])
  })
})
