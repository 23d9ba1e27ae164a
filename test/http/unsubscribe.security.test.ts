// RFC 8058: whoever has the mail can refuse such mails with one click and no login; whoever only looks changes nothing;
// whoever forges a link meets no database at all.
import { env } from "cloudflare:workers"
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { createConsoleMailer } from "../../src/mail/console.ts"
import { rowsOfKind } from "../support/audit.ts"
import { countedDb } from "../support/counted-db.ts"
import { type ProblemBody, createTestClient } from "../support/client.ts"
import { type NoticeWorld, type Person, createNoticeWorld } from "../support/notices.ts"

let world: NoticeWorld
let ann: Person
let path: string

beforeAll(async () => {
  world = await createNoticeWorld()
})
beforeEach(async () => {
  world.api.clock.nowMs = world.startMs
  ann = await world.newPerson()
  await world.newFile(`clients=${ann.id}`)
  await world.later(2)
  const [mail] = await world.mailsTo(ann)
  path = new URL(mail?.headers["List-Unsubscribe"]?.slice(1, -1) ?? "").pathname
})

const ONE_CLICK = new URLSearchParams({ "List-Unsubscribe": "One-Click" })
const UNDO = new URLSearchParams({ "List-Unsubscribe": "Undo" })
const post = (body: BodyInit, headers: Record<string, string> = {}, at = path) =>
  world.api.request(at, { method: "POST", body, headers })

const off = async () =>
  (
    await env.DB.prepare("select kind from notification_preferences where user_id = ?").bind(ann.id).all<{ kind: string }>()
  ).results.map(({ kind }) => kind)

describe("every notification", () => {
  it("says in its headers and in its last line where to refuse it, at our own address", async () => {
    const [mail] = await world.mailsTo(ann)
    expect(mail?.headers).toEqual({
      "List-Unsubscribe": `<https://sealpost.test${path}>`,
      "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    })
    expect(path).toMatch(/^\/unsubscribe\/[\w-]{62}$/)
    expect(mail?.text.endsWith(`\nhttps://sealpost.test${path}`)).toBe(true)
    expect(mail?.text.match(/https?:\/\/[^/\s]+/g)).toEqual(["https://sealpost.test", "https://sealpost.test"])
    const row = await env.DB.prepare("select body, unsubscribe_url, sent_at_ms from outbox where recipient = ?")
      .bind(ann.email)
      .first()
    expect(row).toEqual({ body: null, unsubscribe_url: null, sent_at_ms: world.api.clock.nowMs })
  })

  it("and no mail about an account does", async () => {
    const client = await world.api.newClient()
    expect((await world.mailsTo(client)).map(({ headers }) => headers)).toEqual([{}])
  })

  it("shows them in the terminal as well, where mails are shown there", async () => {
    let shown = ""
    const mailer = createConsoleMailer("Sealpost <a@example.com>", (text) => (shown = text))
    await mailer.send({ to: "b@example.com", subject: "s", text: "t", unsubscribeUrl: "http://localhost/unsubscribe/x" })
    expect(shown).toContain(
      "\nList-Unsubscribe: <http://localhost/unsubscribe/x>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n\nt\n",
    )
    await mailer.send({ to: "b@example.com", subject: "s", text: "t" })
    expect(shown).not.toContain("Unsubscribe")
  })
})

describe("one click", () => {
  it.each([
    ["urlencoded", () => new URLSearchParams(ONE_CLICK)],
    [
      "multipart",
      () => {
        const form = new FormData()
        form.set("List-Unsubscribe", "One-Click")
        return form
      },
    ],
  ])("refuses that kind of mail at once, without a login (%s)", async (_, body) => {
    const twin = await world.newPerson()
    const response = await post(body())
    expect([response.status, response.headers.get("location"), response.headers.get("set-cookie")]).toEqual([200, null, null])
    expect(await off()).toEqual(["file_available"])
    world.api.clock.nowMs = world.startMs
    await world.newFile(`clients=${ann.id},${twin.id}`)
    await world.later(2)
    expect([(await world.mailsTo(ann)).length, (await world.mailsTo(twin)).length]).toEqual([1, 1])
  })

  it("says nothing of whose mail it was, whether or not the account exists", async () => {
    const there = await (await post(ONE_CLICK)).text()
    expect(there).not.toMatch(new RegExp(`${ann.id}|${ann.email}|@`))
    await world.call("DELETE", `/api/ops/clients/${ann.id}`)
    const gone = await post(ONE_CLICK)
    expect([gone.status, await gone.text()]).toEqual([200, there])
    expect(await off()).toEqual([])
  })

  it("repeated is harmless, leaves one row in the trail, and can be undone", async () => {
    const rows = async () =>
      (await rowsOfKind(world.api, "account.notifications_set")).filter(({ subjectId }) => subjectId === ann.id)
    await Promise.all([post(ONE_CLICK), post(ONE_CLICK), post(ONE_CLICK)])
    expect((await rows()).map(({ actorId, reason }) => [actorId, reason])).toEqual([[null, "unsubscribe_link"]])
    expect((await post(UNDO)).status).toBe(200)
    expect(await off()).toEqual([])
    await post(UNDO)
    expect((await rows()).map(({ reason }) => reason)).toEqual(["unsubscribe_link", "unsubscribe_undone"])
  })

  it.each<[string, () => BodyInit, Record<string, string>, number, string]>([
    ["another value", () => new URLSearchParams({ "List-Unsubscribe": "Yes" }), {}, 422, "validation_failed"],
    ["no field", () => new URLSearchParams({ a: "b" }), {}, 422, "validation_failed"],
    [
      "the field twice",
      () => new URLSearchParams("List-Unsubscribe=One-Click&List-Unsubscribe=Undo"),
      {},
      422,
      "validation_failed",
    ],
    ["JSON", () => `{"List-Unsubscribe":"One-Click"}`, { "Content-Type": "application/json" }, 415, "unsupported_media_type"],
    ["no type", () => new Blob(["List-Unsubscribe=One-Click"]), {}, 415, "unsupported_media_type"],
    ["a broken form", () => "x", { "Content-Type": "multipart/form-data; boundary=y" }, 400, "malformed_request"],
    ["a long form", () => new URLSearchParams({ "List-Unsubscribe": "x".repeat(5000) }), {}, 413, "payload_too_large"],
  ])("with %s is refused and changes nothing", async (_, body, headers, status, code) => {
    const response = await post(body(), headers)
    expect([response.status, (await response.json<ProblemBody>()).code]).toEqual([status, code])
    expect(await off()).toEqual([])
    expect((await post(ONE_CLICK)).status).toBe(200)
    expect(await off()).toEqual(["file_available"])
  })
})

describe("looking", () => {
  it.each(["GET", "HEAD", "OPTIONS"])("by %s changes nothing and asks no database", async (method) => {
    const counted = countedDb(env.DB)
    const response = await createTestClient({ DB: counted.db }).request(path, { method })
    expect(response.ok).toBe(true)
    expect(counted.seen.calls).toBe(0)
    expect(await off()).toEqual([])
  })

  it("shows a page that works without a script and sends to itself alone", async () => {
    const response = await world.api.request(path)
    const html = await response.text()
    expect(response.headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    expect(response.headers.get("content-type")).toMatch(/^text\/html/)
    expect(html).not.toMatch(/<script|onclick|https?:|@/)
    expect(html).toContain(`<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">`)
    const after = await (await post(ONE_CLICK)).text()
    expect(after).toContain(`name="List-Unsubscribe" value="Undo"`)
  })
})

describe("a link that is none of ours", () => {
  const forged = (): [string, string][] => {
    const token = path.slice(path.lastIndexOf("/") + 1)
    const flip = (at: number) => `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`
    return [
      ["altered at its beginning", flip(0)],
      ["altered in the middle", flip(30)],
      ["altered near its end", flip(60)],
      ["cut", token.slice(0, -1)],
      ["extended", `${token}A`],
      ["made up", "A".repeat(62)],
      ["no token at all", "x"],
      ["very long", "A".repeat(5000)],
    ]
  }

  it("is answered 404, the same for all, without any call to D1", async () => {
    const spy = vi.spyOn(console, "log").mockImplementation(() => undefined)
    const answers = new Set<string>()
    for (const [kind, token] of forged()) {
      for (const [method, body] of [["GET"], ["POST", ONE_CLICK], ["POST", UNDO]] as [string, URLSearchParams?][]) {
        const counted = countedDb(env.DB)
        const api = createTestClient({ DB: counted.db })
        const response = await api.request(`/unsubscribe/${token}`, { method, ...(body === undefined ? {} : { body }) })
        const problem = { ...(await response.json<ProblemBody>()), requestId: "", instance: "" }
        expect([kind, method, response.status, problem.code, counted.seen.calls]).toEqual([kind, method, 404, "not_found", 0])
        answers.add(JSON.stringify(problem))
      }
    }
    // Its twin, which is ours, does ask, and no line of the log names a token.
    const counted = countedDb(env.DB)
    const real = await createTestClient({ DB: counted.db }).request(path, { method: "POST", body: ONE_CLICK })
    const lines = spy.mock.calls.join("\n")
    spy.mockRestore()
    expect([real.status, counted.seen.calls > 0, answers.size]).toEqual([200, true, 1])
    expect(lines).toContain("POST /unsubscribe/:token")
    expect(lines).not.toContain(path.slice(13, 40))
  })

  it("nor does the token open anything else, or another's link this", async () => {
    const token = path.slice(path.lastIndexOf("/") + 1)
    expect((await world.api.request("/api/auth/me", { token })).status).toBe(401)
    expect((await world.api.request(`/download-file/${token}`, { token: world.ops.tokens.accessToken })).status).toBe(404)
    const { handle } = await world.api.signUp("somebody@example.org")
    expect((await post(ONE_CLICK, {}, `/unsubscribe/${handle}`)).status).toBe(404)
  })
})
