// Mail by way of the outbox, against a real HTTP server that answers as badly as mail services can.
import { eq } from "drizzle-orm"
import { describe, expect, inject, it, vi } from "vitest"
import { outbox } from "../../src/db/schema.ts"
import { retryDelayMs } from "../../src/domain/outbox.ts"
import { createMailChannelsMailer } from "../../src/mail/mailchannels.ts"
import { createConsoleMailer } from "../../src/mail/console.ts"
import { rowsOfKind } from "../support/audit.ts"
import { type TestClient, createTestClient, freshEmail } from "../support/client.ts"
import type { PlannedAnswer } from "../support/mail-server.ts"

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

const SENT = `{"results":[{"index":0,"status":"sent"}]}`
const MINUTE_MS = 60_000

describe("a mail service in trouble", () => {
  it.each<[string, PlannedAnswer, string]>([
    ["answers 500", { status: 500, body: "{}" }, "status_500"],
    ["answers garbage", { status: 202, body: "<html>" }, "no_usable_answer"],
    ["answers 429", { status: 429, body: "{}" }, "status_429"],
    ["answers 503", { status: 503, body: "no" }, "status_503"],
    ["hangs up", { status: 0, body: "" }, "no_usable_answer"],
    [
      "hangs up in the middle",
      { status: 202, body: SENT, headers: { "Content-Length": "999" }, isCut: true },
      "no_usable_answer",
    ],
    ["does not know our key", { status: 401, body: "{}" }, "status_401"],
    ["does not know our sender", { status: 403, body: "{}" }, "status_403"],
    ["redirects", { status: 307, body: "", headers: { Location: "/tx/v1/elsewhere" } }, "status_307"],
    ["redirects with 302", { status: 302, body: SENT, headers: { Location: "/tx/v1/elsewhere" } }, "status_302"],
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
    expect(await api.mailsTo(email)).toHaveLength(1)

    await api.planAnswer(email, { status: 202, body: SENT })
    await api.runCron()
    expect((await rowOf(api, email))?.sentAtMs).toBeNull()
    api.clock.nowMs = due
    await Promise.all([api.runCron(), api.runCron(), api.runCron()])
    expect(await rowOf(api, email)).toMatchObject({ sentAtMs: due, body: null, attempts: 2 })
    const sent = await api.mailsTo(email)
    expect(sent).toHaveLength(2)
    expect((await api.request("/api/client/verify-email", { json: { handle, code: await api.codeFor(email) } })).status).toBe(200)
  })

  it.each([400, 413, 422])("that says %i for good is not asked again, and the body is purged", async (status) => {
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

  it.each<[string, Record<string, string>, number, number]>([
    ["as long as it asks", { "Retry-After": "600" }, 10, 11],
    ["until the date that it names", { "Retry-After": "Mon, 23 Nov 2026 12:20:00 GMT" }, 20, 22],
    ["half a minute at least", { "Retry-After": "0" }, 0.5, 0.55],
    ["half a minute at least, also for a date that is past", { "Retry-After": "Mon, 23 Nov 2020 12:20:00 GMT" }, 0.5, 0.55],
    ["not longer than about an hour", { "Retry-After": "999999999" }, 60, 66],
    ["by the back-off, when it asks in no known form", { "Retry-After": "tomorrow" }, 0.5, 1],
    ["by the back-off, when it asks for nothing", {}, 0.5, 1],
  ])("that says 429 is left alone %s", async (_, headers, fromMinutes, toMinutes) => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 429, body: "{}", headers })
    await api.signUp(email)
    const waitMinutes = (((await rowOf(api, email))?.nextAttemptAtMs ?? 0) - api.clock.nowMs) / MINUTE_MS
    expect(waitMinutes).toBeGreaterThanOrEqual(fromMinutes)
    expect(waitMinutes).toBeLessThanOrEqual(toMinutes)
  })

  it("says in the log that it is misconfigured, and what to look at, without any of it", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 401, body: "{}" })
    const spy = vi.spyOn(console, "log").mockImplementation(() => undefined)
    await api.signUp(email)
    const lines = spy.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("mail_misconfigured"))
    spy.mockRestore()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain("MAILCHANNELS_API_KEY")
    expect(lines[0]).not.toContain(email)
    expect(lines[0]).not.toContain("test-api-key")
  })

  it("is given up once the code in the mail has expired, without sending it", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 500, body: "" })
    await api.signUp(email)
    const before = (await api.mailsTo(email)).length
    api.clock.nowMs += 61 * MINUTE_MS
    await api.runCron()
    expect(await rowOf(api, email)).toMatchObject({ nextAttemptAtMs: null, body: null, lastFailure: "expired" })
    expect(await api.mailsTo(email)).toHaveLength(before)
  })

  it("loses the bodies of mails that expire while they wait for a later try", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 429, body: "", headers: { "Retry-After": "3600" } })
    await api.signUp(email)
    api.clock.nowMs += 60 * MINUTE_MS - 1
    await api.runCron()
    expect((await rowOf(api, email))?.body).not.toBeNull()
    api.clock.nowMs += 1
    await api.runCron()
    expect(await rowOf(api, email)).toMatchObject({ nextAttemptAtMs: null, body: null, lastFailure: "expired" })
    expect(await api.mailsTo(email)).toHaveLength(1)
  })

  it("is not asked for every mail that is due when it is down", async () => {
    const api = createTestClient()
    await api.db.delete(outbox)
    const emails = Array.from({ length: 8 }, freshEmail)
    for (const email of emails) {
      await api.planAnswer(email, { status: 500, body: "" })
      await api.signUp(email)
    }
    api.clock.nowMs += MINUTE_MS
    await api.runCron()
    const asked = async () => (await Promise.all(emails.map((email) => api.mailsTo(email)))).flat().length
    expect(await asked()).toBe(8 + 3)
    for (const email of emails) await api.planAnswer(email, { status: 202, body: SENT })
    await api.runCron()
    expect(await asked()).toBe(8 + 3 + 5)
  })
})

describe("the MailChannels mailer", () => {
  const mailer = (timeoutMs?: number) =>
    createMailChannelsMailer({ apiKey: "k", baseUrl: inject("mailUrl"), from: "a@example.com" }, timeoutMs)

  it.each<[string, PlannedAnswer]>([
    ["no answer", { status: 202, body: "{}", delayMs: 3000 }],
    ["an answer that does not end", { status: 202, body: SENT, pauseMs: 3000 }],
  ])("gives up waiting for %s after its time limit", async (_, answer) => {
    const api = createTestClient()
    const to = freshEmail()
    await api.planAnswer(to, answer)
    const expected = { sent: false, verdict: "service", failure: "timeout", retryAfter: null }
    expect(await mailer(200).send({ to, subject: "s", text: "t" })).toEqual(expected)
    await api.planAnswer(to, { ...answer, delayMs: 0, pauseMs: 10, body: SENT })
    expect(await mailer(2000).send({ to, subject: "s", text: "t" })).toEqual({ sent: true })
  })

  it.each([202, 500])("does not read an endless answer of %i to its end", async (status) => {
    const api = createTestClient()
    const to = freshEmail()
    await api.planAnswer(to, { status, body: " ".repeat(10_000), isEndless: true })
    const failure = status === 202 ? "no_usable_answer" : "status_500"
    expect(await mailer().send({ to, subject: "s", text: "t" })).toMatchObject({ sent: false, verdict: "service", failure })
  })

  it("refuses at once what it cannot even ask for", async () => {
    expect(await mailer().send({ to: "a@example.com", subject: "s", text: "" })).toMatchObject({
      sent: false,
      verdict: "refused",
      failure: "not_sendable",
    })
  })
})

describe("operators", () => {
  type MailJson = {
    id: string
    state: string
    recipient: string
    lastFailure: string | null
    canRetry: boolean
    attempts: number
  }
  type Page = { mails: MailJson[]; nextCursor: string | null }

  async function mailsOf(api: TestClient, token: string, query: string): Promise<Page> {
    const response = await api.request(`/api/ops/mails?${query}`, { token })
    expect(response.status).toBe(200)
    return response.json()
  }

  /** A sign-up whose mail the service has failed so often that it was given up. */
  async function givenUp() {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 500, body: "" })
    await api.signUp(email)
    await api.db.update(outbox).set({ attempts: 11 }).where(eq(outbox.recipient, email))
    api.clock.nowMs += MINUTE_MS
    await api.runCron()
    const { tokens } = await api.newOps()
    const row = await rowOf(api, email)
    return { api, email, token: tokens.accessToken, id: row?.id ?? "" }
  }

  it("see a mail that was given up, without text or whole address, and have it tried again once", async () => {
    const { api, email, token, id } = await givenUp()
    expect(await rowOf(api, email)).toMatchObject({ nextAttemptAtMs: null, sentAtMs: null, attempts: 12 })
    const response = await api.request("/api/ops/mails?state=dead", { token })
    const text = await response.text()
    expect(text).not.toContain(email)
    expect(text).not.toContain(await api.codeFor(email))
    const mail = (JSON.parse(text) as Page).mails.find((one) => one.id === id)
    expect(mail).toMatchObject({ state: "dead", recipient: "p…@example.com", lastFailure: "status_500", canRetry: true })

    await api.planAnswer(email, { status: 202, body: SENT })
    const retried = await api.request(`/api/ops/mails/${id}/retry`, { method: "POST", token })
    expect(retried.status).toBe(202)
    expect(await rowOf(api, email)).toMatchObject({ sentAtMs: api.clock.nowMs, body: null })
    expect((await mailsOf(api, token, "state=sent")).mails.map((one) => one.id)).toContain(id)
    expect((await mailsOf(api, token, "state=dead")).mails.map((one) => one.id)).not.toContain(id)
    expect((await rowsOfKind(api, "mail.retried")).filter(({ subjectId }) => subjectId === id)).toHaveLength(1)
    expect(await api.problem(`/api/ops/mails/${id}/retry`, { method: "POST", token })).toMatchObject({
      code: "mail_not_retryable",
    })
  })

  it("cannot have a mail sent that has expired, and nothing of it is kept", async () => {
    const { api, email, token, id } = await givenUp()
    expect((await rowOf(api, email))?.body).not.toBeNull()
    api.clock.nowMs += 60 * MINUTE_MS
    const fresh = (await api.newOps()).tokens.accessToken
    expect(await api.problem(`/api/ops/mails/${id}/retry`, { method: "POST", token: fresh })).toMatchObject({
      code: "mail_not_retryable",
    })
    await api.runCron()
    expect(await rowOf(api, email)).toMatchObject({ body: null, lastFailure: "status_500", sentAtMs: null })
    expect(token).not.toBe(fresh)
  })

  it("cannot have a mail sent that was refused itself", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 400, body: "" })
    await api.signUp(email)
    const { tokens } = await api.newOps()
    const { id = "" } = (await rowOf(api, email)) ?? {}
    const path = `/api/ops/mails/${id}/retry`
    expect(await api.problem(path, { method: "POST", token: tokens.accessToken })).toMatchObject({ code: "mail_not_retryable" })
    for (const unknown of [crypto.randomUUID(), "x"])
      expect(await api.problem(`/api/ops/mails/${unknown}/retry`, { method: "POST", token: tokens.accessToken })).toMatchObject({
        code: "not_found",
        detail: "There is no such mail.",
      })
  })

  it("bring forward a mail that waits, but never one that is being sent", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.planAnswer(email, { status: 403, body: "", headers: { "Retry-After": "1800" } })
    await api.signUp(email)
    const { tokens } = await api.newOps()
    const { id = "" } = (await rowOf(api, email)) ?? {}
    await api.planAnswer(email, { status: 202, body: SENT })
    const retry = () => api.request(`/api/ops/mails/${id}/retry`, { method: "POST", token: tokens.accessToken })
    await api.db
      .update(outbox)
      .set({ nextAttemptAtMs: api.clock.nowMs + MINUTE_MS })
      .where(eq(outbox.id, id))
    expect((await retry()).status).toBe(202)
    expect(await api.mailsTo(email)).toHaveLength(1)
    await api.db
      .update(outbox)
      .set({ nextAttemptAtMs: api.clock.nowMs + MINUTE_MS + 1 })
      .where(eq(outbox.id, id))
    expect((await retry()).status).toBe(202)
    expect(await api.mailsTo(email)).toHaveLength(2)
  })

  it("leaf through them, newest first", async () => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    await api.db.delete(outbox)
    for (let i = 0; i < 5; i++) {
      await api.signUp(freshEmail())
      api.clock.nowMs += 1000
    }
    const seen: string[] = []
    let cursor = ""
    do {
      const page = await mailsOf(api, tokens.accessToken, `state=sent&limit=2${cursor}`)
      seen.push(...page.mails.map(({ id }) => id))
      cursor = page.nextCursor === null ? "" : `&cursor=${page.nextCursor}`
    } while (cursor !== "")
    const rows = (await api.db.select().from(outbox)).sort((a, b) => b.createdAtMs - a.createdAtMs)
    expect(seen).toEqual(rows.map(({ id }) => id))
    expect((await mailsOf(api, tokens.accessToken, "")).mails).toEqual([])
    expect(await api.problem("/api/ops/mails?state=all", { token: tokens.accessToken })).toMatchObject({
      code: "validation_failed",
    })
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
