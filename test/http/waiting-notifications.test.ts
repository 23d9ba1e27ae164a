// Notifications that wait for a mail service in trouble: they do not go to whoever does not want them, or may not have
// them, by the time it is back, nor when somebody has them tried again; all others go.
import { env } from "cloudflare:workers"
import { beforeAll, beforeEach, describe, expect, it } from "vitest"
import type { ProblemBody } from "../support/client.ts"
import { type NoticeWorld, type Person, createNoticeWorld } from "../support/notices.ts"

let world: NoticeWorld
beforeAll(async () => {
  world = await createNoticeWorld()
})
beforeEach(() => {
  world.api.clock.nowMs = world.startMs
})

const waitingFor = ({ email }: Person) =>
  env.DB.prepare("select id, unsubscribe_url as url from outbox where recipient = ? and sent_at_ms is null")
    .bind(email)
    .first<{ id: string; url: string | null }>()

const stateOf = (id: string | undefined) =>
  env.DB.prepare("select body, sent_at_ms is not null as isSent, last_failure as why from outbox where id = ?").bind(id).first()

async function refuse(person: Person): Promise<Response> {
  const url = new URL((await waitingFor(person))?.url ?? "")
  return world.api.request(url.pathname, { method: "POST", body: new URLSearchParams({ "List-Unsubscribe": "One-Click" }) })
}

const disable = ({ id }: Person): Promise<Response> => world.call("POST", `/api/ops/clients/${id}/disable`)

describe("a notification that waits for the mail service", () => {
  it.each([
    ["refuses such mails by an earlier one", refuse],
    ["is disabled", disable],
  ])("is taken back from who %s", async (_, happens) => {
    const [ann, twin] = [await world.newPerson(), await world.newPerson()]
    for (const { email } of [ann, twin]) await world.api.planAnswer(email, { status: 503, body: "{}" })
    await world.newFile(`clients=${ann.id},${twin.id}`)
    await world.later(2)
    const [annsMail, twinsMail] = [await waitingFor(ann), await waitingFor(twin)]
    expect((await happens(ann)).status).toBe(200)
    for (const { email } of [ann, twin]) await world.api.planAnswer(email, { status: 202, body: '{"results":[]}' })
    const takenBack = { body: null, isSent: 0, why: "unwanted" }
    expect(await stateOf(annsMail?.id)).toEqual(takenBack)
    const retry = `/api/ops/mails/${annsMail?.id ?? ""}/retry`
    const problem = await world.api.request(retry, { method: "POST", token: world.ops.tokens.accessToken })
    expect((await problem.json<ProblemBody>()).code).toBe("mail_not_retryable")
    await world.later(60)
    expect(await stateOf(annsMail?.id)).toEqual(takenBack)
    expect(await stateOf(twinsMail?.id)).toEqual({ body: null, isSent: 1, why: null })
  })
})
