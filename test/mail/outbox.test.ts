// Mail by way of the outbox, against a real HTTP server that answers as badly as mail services can.
import { inject } from "vitest"
import { describe, expect, it } from "vitest"
import { outbox } from "../../src/db/schema.ts"
import { retryDelayMs } from "../../src/domain/outbox.ts"
import { createMailChannelsMailer } from "../../src/mail/mailchannels.ts"
import { createConsoleMailer } from "../../src/mail/console.ts"
import { type TestClient, createTestClient, freshEmail } from "../support/client.ts"

const rowOf = async (api: TestClient, email: string) =>
  (await api.db.select().from(outbox)).find(({ recipient }) => recipient === email)

describe("a mail that goes out", () => {
  it("leaves no body behind", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.signUp(email)
    expect(await rowOf(api, email)).toMatchObject({
      sentAtMs: api.clock.nowMs,
      body: null,
      nextAttemptAtMs: null,
      attempts: 1,
      lastFailure: null,
    })
    await Promise.all([api.runCron(), api.runCron()])
    expect(await api.mailsTo(email)).toHaveLength(1)
  })
})

describe("a mail service in trouble", () => {
  it.each<[string, { status: number; body: string }, string]>([
    ["answers 500", { status: 500, body: "{}" }, "status_500"],
    ["answers garbage", { status: 202, body: "<html>" }, "no_usable_answer"],
    ["answers 429", { status: 429, body: "{}" }, "status_429"],
    ["hangs up", { status: 0, body: "" }, "no_usable_answer"],
    [
      "accepts the request and refuses the recipient",
      { status: 202, body: `{"results":[{"index":0,"status":"failed","reason":"x"}]}` },
      "rejected",
    ],
  ])("that %s never shows in the sign-up's answer, and the mail goes out later", async (_, answer, failure) => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, answer)
    const { handle } = await api.signUp(email)
    const failed = await rowOf(api, email)
    expect(failed).toMatchObject({ sentAtMs: null, lastFailure: failure, attempts: 1 })
    expect(failed?.body).not.toBeNull()
    const due = failed?.nextAttemptAtMs ?? 0
    expect(due).toBeGreaterThanOrEqual(api.clock.nowMs + 30_000)
    expect(due).toBeLessThanOrEqual(api.clock.nowMs + 60_000)

    await api.planAnswer(email, { status: 202, body: `{"results":[{"index":0,"status":"sent"}]}` })
    await api.runCron()
    expect((await rowOf(api, email))?.sentAtMs).toBeNull()
    api.clock.nowMs = due
    await Promise.all([api.runCron(), api.runCron(), api.runCron()])
    expect(await rowOf(api, email)).toMatchObject({ sentAtMs: due, body: null, attempts: 2 })
    const sent = await api.mailsTo(email)
    expect(sent).toHaveLength(2)
    expect((await api.request("/api/client/verify-email", { json: { handle, code: await api.codeFor(email) } })).status).toBe(200)
  })

  it.each([400, 401, 403])("that says %i for good is not asked again, and the body is purged", async (status) => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status, body: "{}" })
    await api.signUp(email)
    expect(await rowOf(api, email)).toMatchObject({
      sentAtMs: null,
      nextAttemptAtMs: null,
      body: null,
      lastFailure: `status_${String(status)}`,
    })
  })

  it("is given up once the code in the mail has expired, without sending it", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 500, body: "" })
    await api.signUp(email)
    const before = (await api.mailsTo(email)).length
    api.clock.nowMs += 61 * 60_000
    await api.runCron()
    expect(await rowOf(api, email)).toMatchObject({ nextAttemptAtMs: null, body: null, lastFailure: "expired" })
    expect(await api.mailsTo(email)).toHaveLength(before)
  })
})

describe("the MailChannels mailer", () => {
  it("gives up waiting after its time limit", async () => {
    const api = createTestClient()
    const to = freshEmail()
    await api.planAnswer(to, { status: 202, body: "{}", delayMs: 3000 })
    const mailer = createMailChannelsMailer({ apiKey: "k", baseUrl: inject("mailUrl"), from: "a@example.com" }, 200)
    expect(await mailer.send({ to, subject: "s", text: "t" })).toEqual({ sent: false, retry: true, failure: "timeout" })
  })
})

describe("the console mailer", () => {
  it("shows the whole mail", async () => {
    const shown: string[] = []
    const mailer = createConsoleMailer("a@example.com", (text) => void shown.push(text))
    expect(await mailer.send({ to: "b@example.com", subject: "Hello", text: "the code" })).toEqual({ sent: true })
    for (const piece of ["From: a@example.com", "To: b@example.com", "Subject: Hello", "the code"])
      expect(shown.join()).toContain(piece)
  })
})

describe("retryDelayMs", () => {
  it("doubles from one minute to one hour, half of it random", () => {
    const minutes = (attempts: number): [number, number] => [
      retryDelayMs(attempts, 0) / 60_000,
      retryDelayMs(attempts, 1) / 60_000,
    ]
    expect([1, 2, 3, 6, 7, 12].map(minutes)).toEqual([
      [0.5, 1],
      [1, 2],
      [2, 4],
      [16, 32],
      [30, 60],
      [30, 60],
    ])
  })
})
