// Choosing, forgetting and changing passwords.
import { describe, expect, it, vi } from "vitest"
import { hashPassword, importPepper } from "../../src/crypto/password.ts"
import { mapKeyRing, newKeyRingEntry, parseKeyRing } from "../../src/crypto/keyring.ts"
import { auditEvents, passwordResets, sessions, users } from "../../src/db/schema.ts"
import { createDeps } from "../../src/deps.ts"
import { startSession } from "../../src/domain/sessions.ts"
import { PASSWORD, type TestClient, createTestClient, freshEmail } from "../support/client.ts"

const NEW_PASSWORD = "quite another long password"
const forgot = "/api/auth/password/forgot"
const reset = "/api/auth/password/reset"
const change = "/api/auth/password/change"
const login = "/api/client/login"

const textsTo = async (api: TestClient, email: string): Promise<{ subject: string; text: string }[]> =>
  (await api.mailsTo(email)).map(({ body }) => {
    const { subject, content } = body as { subject: string; content: { value: string }[] }
    return { subject, text: content[0]?.value ?? "" }
  })

/** Asks for a reset and takes the token out of the mail. */
async function resetToken(api: TestClient, email: string): Promise<string> {
  await api.request(forgot, { json: { email } })
  const mail = (await textsTo(api, email)).at(-1)
  return /https:\/\/sealpost\.test\/reset-password#([A-Za-z0-9_-]{43})\n/.exec(mail?.text ?? "")?.[1] ?? ""
}

const isAlive = async (api: TestClient, token: string): Promise<boolean> =>
  (await api.request("/api/auth/me", { token })).status === 200

describe("a chosen password", () => {
  it.each<[string, string, string | null]>([
    ["A8: 14 characters", "x7-Kq9.Lm2/vB4", "too_short"],
    ["A8: 15 characters", "x7-Kq9.Lm2/vB4w", null],
    ["A8: 128 characters", `${"many words make a password hard to guess ".repeat(4).slice(0, 127)}!`, null],
    ["A8: 129 characters", `${"many words make a password hard to guess ".repeat(4).slice(0, 128)}!`, "too_long"],
    ["A8: 4096 characters", "many words ".repeat(400).slice(0, 4096), "too_long"],
    ["A8: NUL, emoji, right to left, spaces at both ends", "  \u0000 😀 שלום עולם  ", null],
    ["A8: half a surrogate pair", "many words make \ud800 fault", "not_text"],
    ["A11: a common one", "passwordpassword", "too_common"],
    ["A11: a common one with digits", "password123456789", "too_common"],
    ["A11: a common one in disguise", "P@ssw0rd-P@ssw0rd", "too_common"],
    ["A11: the product's name", "Sealpost-Sealpost!", "too_common"],
    ["A11: the product's name and a year", "sealpost20262026", "too_common"],
    ["A11: a walk over the keyboard", "qwertyuiopasdfgh", "too_common"],
    ["A11: one letter", "aaaaaaaaaaaaaaaa", "too_common"],
    ["A11: one short thing over and over", "x7Kq9x7Kq9x7Kq9", "too_common"],
    ["A11: words that hold a common one", "password for a blue kettle", null],
  ])("%s: %j → %s", async (_, password, rule) => {
    const api = createTestClient()
    const json = { email: freshEmail(), password }
    const response = await api.request("/api/client/signup", { json })
    if (rule === null) {
      expect(response.status).toBe(202)
      return
    }
    expect(await response.json()).toMatchObject({
      status: 422,
      code: "validation_failed",
      errors: [{ field: "password", rule }],
    })
  })

  it("A11: is not the address, nor made of its parts", async () => {
    const api = createTestClient()
    const email = `wilhelmina.vandergraaf.${freshEmail()}`
    for (const password of [email, "wilhelminavandergraaf", "Wilhelmina.Vandergraaf"]) {
      expect(await api.problem("/api/client/signup", { json: { email, password } })).toMatchObject({
        errors: [{ field: "password", rule: "too_common" }],
      })
    }
    const twin = await api.request("/api/client/signup", { json: { email: freshEmail(), password: "wilhelminavandergraaf" } })
    expect(twin.status).toBe(202)
  })

  it.each(["jo.ab-cd@ex-am.co", "a.b.c.d.e.f.g@h.example", "x1.y2.z3@q4-r5.org"])(
    "A11: is not the address, of however many short parts that is: %s",
    async (email) => {
      const api = createTestClient()
      for (const password of [email, `${email}!`.padEnd(15, "!")]) {
        expect(await api.problem("/api/client/signup", { json: { email, password } })).toMatchObject({
          errors: [{ field: "password", rule: "too_common" }],
        })
      }
      const twin = await api.request("/api/client/signup", { json: { email: freshEmail(), password: email } })
      expect(twin.status).toBe(202)
    },
  )

  it("A8: is compared whole, in one Unicode form", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const password = `  pässwörd with spaces ${"x".repeat(60)} end `
    const { handle } = await api.signUp(email, password)
    await api.request("/api/client/verify-email", { json: { handle, code: await api.codeFor(email) } })
    await api.logIn("client", email, password.normalize("NFD"))
    for (const wrong of [password.trim(), `${password.slice(0, -2)}x `, password.toUpperCase()]) {
      expect(await api.problem(login, { json: { email, password: wrong } })).toMatchObject({ code: "invalid_credentials" })
    }
  })

  it("is as long as PASSWORD_MIN_LENGTH asks for", async () => {
    const json = { email: freshEmail(), password: "x7-Kq9.Lm2/vB4wT" }
    expect(await createTestClient({ PASSWORD_MIN_LENGTH: "17" }).problem("/api/client/signup", { json })).toMatchObject({
      errors: [{ field: "password", rule: "too_short", message: "A password has at least 17 characters." }],
    })
    expect((await createTestClient({ PASSWORD_MIN_LENGTH: "16" }).request("/api/client/signup", { json })).status).toBe(202)
  })

  it("A14: in a query string or of a GET is not processed", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const query = new URLSearchParams({ email, password: PASSWORD }).toString()
    expect(await api.problem(`${login}?${query}`)).toMatchObject({ status: 405, code: "method_not_allowed" })
    expect(await api.problem(`${login}?${query}`, { json: {} })).toMatchObject({ status: 422, code: "validation_failed" })
    expect((await api.request(login, { json: { email, password: PASSWORD } })).status).toBe(200)
  })
})

describe("a stored password", () => {
  const hashOf = async (api: TestClient, email: string): Promise<string> =>
    (await api.db.select().from(users)).find((user) => user.email === email)?.passwordHash ?? ""

  it("A17: made with weaker parameters is hashed anew at the next login, and still checked before", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const ring = parseKeyRing(api.env.PASSWORD_PEPPERS)
    if (typeof ring === "string") throw new Error(ring)
    const peppers = await mapKeyRing(ring, importPepper)
    const model = (await hashOf(api, email)).replace("ln=15,r=8,p=3", "ln=14,r=8,p=2")
    const weak = await hashPassword(peppers, PASSWORD, model)
    expect(weak).toContain("$scrypt$ln=14,r=8,p=2,")
    await api.db.$client.prepare("update users set password_hash = ? where email = ?").bind(weak, email).run()
    expect(await api.problem(login, { json: { email, password: NEW_PASSWORD } })).toMatchObject({ code: "invalid_credentials" })
    expect(await hashOf(api, email)).toBe(weak)
    await api.logIn("client", email)
    expect(await hashOf(api, email)).toMatch(/^\$scrypt\$ln=15,r=8,p=3,keyid=1\$/)
    await api.logIn("client", email)
  })

  it("moves to a new pepper at the next login; under a retired one it is only a wrong password", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const stranger = freshEmail()
    const next = newKeyRingEntry(2)
    const retired = createTestClient({ PASSWORD_PEPPERS: next })
    const answers = [email, stranger].map((who) => retired.problem(login, { json: { email: who, password: PASSWORD } }))
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ status: 401, code: "invalid_credentials" })
    await createTestClient({ PASSWORD_PEPPERS: `${next},${api.env.PASSWORD_PEPPERS}` }).logIn("client", email)
    expect(await hashOf(api, email)).toContain("keyid=2$")
    await retired.logIn("client", email)
  })
})

describe("many logins right after a pepper was added", () => {
  /** A service with a new pepper, and the answers to several logins of one client at once, each with the hash after it. */
  async function together(password: string) {
    const old = createTestClient()
    const { email } = await old.newClient()
    const hashOf = async () => (await old.db.select().from(users)).find((user) => user.email === email)?.passwordHash ?? ""
    const before = await hashOf()
    const api = createTestClient({ PASSWORD_PEPPERS: `${newKeyRingEntry(2)},${old.env.PASSWORD_PEPPERS}` })
    const hashes = new Set<string>()
    const logins = Array.from({ length: 8 }, async () => {
      const { status } = await api.request(login, { json: { email, password } })
      hashes.add(await hashOf())
      return status
    })
    return { api, email, before, statuses: await Promise.all(logins), hashes: [...hashes] }
  }

  it("A17: all succeed, and hash the password anew once", async () => {
    const { api, email, statuses, hashes } = await together(PASSWORD)
    expect(statuses).toEqual(Array.from({ length: 8 }, () => 200))
    expect(hashes).toHaveLength(1)
    expect(hashes[0]).toContain("keyid=2$")
    await api.logIn("client", email)
  })

  it("A17: with a wrong password all fail, and change nothing", async () => {
    const { statuses, hashes, before } = await together(`${PASSWORD}x`)
    expect(statuses).toEqual(Array.from({ length: 8 }, () => 401))
    expect(hashes).toEqual([before])
  })

  it.each([
    ["another isolate has hashed it anew", PASSWORD, 200],
    ["its owner has changed it", NEW_PASSWORD, 401],
  ] as const)("A17: a hash that is another by the time of the rehash, because %s", async (_, meanwhile, status) => {
    const old = createTestClient()
    const { email } = await old.newClient()
    const ringText = `${newKeyRingEntry(2)},${old.env.PASSWORD_PEPPERS}`
    const ring = parseKeyRing(ringText)
    if (typeof ring === "string") throw new Error(ring)
    const other = await hashPassword(await mapKeyRing(ring, importPepper), meanwhile)
    const replace = () => old.db.$client.prepare("update users set password_hash = ? where email = ?").bind(other, email).run()
    const { db } = old
    const batch = db.batch.bind(db)
    let isFirst = true
    const late = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        if (isFirst) await replace()
        isFirst = false
        return batch(...args)
      },
    })
    const racing = createTestClient({ PASSWORD_PEPPERS: ringText }, { db: late })
    expect((await racing.request(login, { json: { email, password: PASSWORD } })).status).toBe(status)
    expect((await db.select().from(users)).find((user) => user.email === email)?.passwordHash).toBe(other)
  })

  it("A16: the password can be changed at the same moment", async () => {
    const old = createTestClient()
    const { email, tokens } = await old.newClient()
    const api = createTestClient({ PASSWORD_PEPPERS: `${newKeyRingEntry(2)},${old.env.PASSWORD_PEPPERS}` })
    const json = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
    const [changed] = await Promise.all([
      api.request(change, { token: tokens.accessToken, json }),
      api.request(login, { json: { email, password: PASSWORD } }),
    ])
    expect(changed.status).toBe(200)
    await api.logIn("client", email, NEW_PASSWORD)
  })
})

describe("a forgotten password", () => {
  it("C5: is chosen anew with the mail's link, once; every session ends, the owner is told, nobody is logged in", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const token = await resetToken(api, email)
    const rows = (await api.db.select().from(passwordResets)).map(({ hash }) => hash)
    expect(rows.every((hash) => /^[0-9a-f]{64}$/.test(hash))).toBe(true)
    const response = await api.request(reset, { json: { token, password: NEW_PASSWORD } })
    expect([response.status, await response.json()]).toEqual([200, { message: "success" }])
    expect(response.headers.get("set-cookie")).toBeNull()
    expect(await isAlive(api, tokens.accessToken)).toBe(false)
    expect((await api.request("/api/auth/refresh", { json: { refreshToken: tokens.refreshToken } })).status).toBe(401)
    expect(await api.problem(login, { json: { email, password: PASSWORD } })).toMatchObject({ code: "invalid_credentials" })
    await api.logIn("client", email, NEW_PASSWORD)
    expect((await textsTo(api, email)).at(-1)?.subject).toBe("Your password has changed")
    expect(await api.problem(reset, { json: { token, password: `${NEW_PASSWORD} again` } })).toMatchObject({
      status: 410,
      code: "reset_token_spent",
    })
    const kinds = (await api.db.select().from(auditEvents)).map(({ kind }) => kind)
    expect(kinds).toContain("password.reset_requested")
    expect(kinds.filter((kind) => kind === "password.reset")).toHaveLength(1)
  })

  it("C5: used in parallel succeeds once, and only that password counts", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const token = await resetToken(api, email)
    const passwords = Array.from({ length: 4 }, (_, i) => `${NEW_PASSWORD} ${String(i)}`)
    const responses = await Promise.all(passwords.map((password) => api.request(reset, { json: { token, password } })))
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 410, 410, 410])
    await api.logIn("client", email, passwords[responses.findIndex(({ status }) => status === 200)])
    expect((await textsTo(api, email)).filter(({ subject }) => subject === "Your password has changed")).toHaveLength(1)
  })

  it("has a link for thirty minutes", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const [inTime, late] = [await resetToken(api, email), await resetToken(api, email)]
    api.clock.nowMs += 30 * 60_000
    expect(await api.problem(reset, { json: { token: late, password: NEW_PASSWORD } })).toMatchObject({
      status: 410,
      code: "reset_token_spent",
    })
    api.clock.nowMs -= 1
    expect((await api.request(reset, { json: { token: inTime, password: NEW_PASSWORD } })).status).toBe(200)
  })

  it("C5: has links that every later change voids", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const [first, second] = [await resetToken(api, email), await resetToken(api, email)]
    const json = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
    expect((await api.request(change, { token: tokens.accessToken, json })).status).toBe(200)
    for (const token of [first, second]) {
      expect(await api.problem(reset, { json: { token, password: `${NEW_PASSWORD} again` } })).toMatchObject({
        status: 410,
        code: "reset_token_spent",
      })
    }
    const third = await resetToken(api, email)
    expect((await api.request(reset, { json: { token: third, password: `${NEW_PASSWORD} again` } })).status).toBe(200)
  })

  it("refuses a bad password without using the link up", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const token = await resetToken(api, email)
    for (const [password, rule] of [
      ["short", "too_short"],
      ["password123456789", "too_common"],
    ]) {
      expect(await api.problem(reset, { json: { token, password } })).toMatchObject({ errors: [{ field: "password", rule }] })
    }
    expect((await api.request(reset, { json: { token, password: NEW_PASSWORD } })).status).toBe(200)
  })

  it("C2: refuses what is not a token of a reset, alike", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const good = await resetToken(api, email)
    const { handle } = await api.signUp(freshEmail())
    const changed = `${good.startsWith("A") ? "B" : "A"}${good.slice(1)}`
    for (const token of ["", "x", good.slice(1), `${good}A`, changed, "A".repeat(43), handle, tokens.refreshToken]) {
      expect(await api.problem(reset, { json: { token, password: NEW_PASSWORD } })).toMatchObject({
        status: 400,
        code: "reset_token_invalid",
      })
    }
    expect((await api.request(reset, { json: { token: good, password: NEW_PASSWORD } })).status).toBe(200)
  })

  it("A4: answers the same for known, unknown and disabled; only the known get a mail, built from our own origin", async () => {
    const api = createTestClient()
    const [known, disabled] = [await api.newClient(), await api.newClient()]
    await api.db.$client.prepare("update users set disabled_at_ms = 1 where email = ?").bind(disabled.email).run()
    const stranger = freshEmail()
    const shapes = new Set<string>()
    for (const email of [known.email.toUpperCase(), stranger, disabled.email]) {
      const headers = { Host: "evil.test", "X-Forwarded-Host": "evil.test" }
      const response = await api.request(forgot, { json: { email }, headers })
      shapes.add(JSON.stringify([response.status, [...response.headers.keys()], await response.json()]))
    }
    expect([...shapes]).toHaveLength(1)
    expect([...shapes][0]).toContain("[202,")
    const mails = await textsTo(api, known.email)
    expect(mails.at(-1)?.subject).toBe("Choose a new password")
    expect(mails.at(-1)?.text).not.toContain("evil")
    expect(await api.mailsTo(stranger)).toEqual([])
    expect((await textsTo(api, disabled.email)).map(({ subject }) => subject)).not.toContain("Choose a new password")
    // One row each, whoever asked.
    const rows = await api.db.select().from(passwordResets)
    expect(rows.filter(({ userId }) => userId === null)).toHaveLength(2)
  })

  it("C7: has a page that changes nothing by being loaded and sends nothing anywhere by itself", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const token = await resetToken(api, email)
    for (const method of ["GET", "HEAD", "GET"]) {
      const page = await api.request("/reset-password", { method, headers: { "User-Agent": "SafeLinks scanner" } })
      expect(page.status).toBe(200)
      expect(page.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'")
      expect(page.headers.get("referrer-policy")).toBe("no-referrer")
      expect(page.headers.get("content-security-policy")).toContain("form-action 'none'")
      const html = await page.text()
      if (method === "GET") expect(html).toContain('method="post"')
      expect(html.replaceAll(/(?:src|href)="\/[a-z.-]+"/g, "")).not.toMatch(/src=|href=|https?:/)
    }
    expect((await api.request("/reset-password.js")).headers.get("content-type")).toBe("text/javascript; charset=utf-8")
    expect((await api.request(reset, { json: { token, password: NEW_PASSWORD } })).status).toBe(200)
  })

  it("leaves everything as it was when the database fails at the last moment", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const token = await resetToken(api, email)
    const { db } = api
    const batch = vi.spyOn(db, "batch").mockRejectedValueOnce(new Error("D1_ERROR: Network connection lost."))
    const broken = createTestClient({}, { db })
    expect(await broken.problem(reset, { json: { token, password: NEW_PASSWORD } })).toMatchObject({
      status: 503,
      code: "database_unavailable",
    })
    batch.mockRestore()
    expect(await isAlive(api, tokens.accessToken)).toBe(true)
    expect((await api.request(reset, { json: { token, password: NEW_PASSWORD } })).status).toBe(200)
  })
})

describe("a login with the old password that is still under way", () => {
  it("starts no session once the password has changed", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const [user] = (await api.db.select().from(users)).filter((row) => row.email === email)
    const deps = await createDeps(api.env, {
      now: () => api.clock.nowMs,
      request: { id: crypto.randomUUID(), clientAddress: null },
      afterwards: () => undefined,
      log: () => undefined,
    })
    const old = user?.passwordHash ?? ""
    const login = { userId: user?.id ?? "", proof: { passwordHash: old, factorId: null }, statements: [], notice: null }
    await startSession(deps, login, "curl")
    const token = await resetToken(api, email)
    expect((await api.request(reset, { json: { token, password: NEW_PASSWORD } })).status).toBe(200)
    const before = (await api.db.select().from(sessions)).length
    await expect(startSession(deps, login, "curl")).rejects.toMatchObject({ code: "invalid_credentials" })
    expect((await api.db.select().from(sessions)).length).toBe(before)
  })
})

describe("changing the password", () => {
  it("A16: needs a login and the current password; ends every other session, keeps this one, tells the owner", async () => {
    const api = createTestClient()
    const { email, tokens: other } = await api.newClient()
    const { accessToken: token } = await api.logIn("client", email)
    const json = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
    expect(await api.problem(change, { json })).toMatchObject({ status: 401, code: "authentication_required" })
    expect(await api.problem(change, { token, json: { newPassword: NEW_PASSWORD } })).toMatchObject({
      status: 422,
      errors: [{ field: "currentPassword", rule: "invalid_type" }],
    })
    expect(await api.problem(change, { token, json: { ...json, currentPassword: `${PASSWORD}x` } })).toMatchObject({
      status: 403,
      code: "wrong_password",
    })
    expect(await api.problem(change, { token, json: { ...json, newPassword: "password123456789" } })).toMatchObject({
      errors: [{ field: "newPassword", rule: "too_common" }],
    })
    expect(await isAlive(api, other.accessToken)).toBe(true)
    expect((await api.request(change, { token, json })).status).toBe(200)
    expect([await isAlive(api, token), await isAlive(api, other.accessToken)]).toEqual([true, false])
    expect((await api.request("/api/auth/refresh", { json: { refreshToken: other.refreshToken } })).status).toBe(401)
    expect((await textsTo(api, email)).at(-1)?.subject).toBe("Your password has changed")
    await api.logIn("client", email, NEW_PASSWORD)
  })

  it("A10: takes no other field", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const json = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD, role: "ops" }
    expect(await api.problem(change, { token: tokens.accessToken, json })).toMatchObject({
      errors: [{ field: "role", rule: "unknown_field" }],
    })
  })

  it("by a session that ends at the same moment changes nothing", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const { db } = api
    const batch = db.batch.bind(db)
    const id = (await db.select().from(users)).find((row) => row.email === email)?.id ?? ""
    let isOver = true
    const slow = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        const end = db.$client.prepare("update sessions set revoked_at_ms = 1 where user_id = ?").bind(id)
        if (isOver) await end.run()
        return batch(...args)
      },
    })
    const late = createTestClient({}, { db: slow })
    const json = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
    expect(await late.problem(change, { token: tokens.accessToken, json })).toMatchObject({ status: 403, code: "wrong_password" })
    // The twin: its session lives on.
    isOver = false
    const { accessToken: token } = await api.logIn("client", email)
    expect((await late.request(change, { token, json })).status).toBe(200)
  })

  it("at the same moment twice: one counts, and the other is told", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const { accessToken: token } = await api.logIn("client", email)
    const passwords = [`${NEW_PASSWORD} one`, `${NEW_PASSWORD} two`]
    const responses = await Promise.all(
      passwords.map((newPassword) => api.request(change, { token, json: { currentPassword: PASSWORD, newPassword } })),
    )
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 403])
    await api.logIn("client", email, passwords[responses.findIndex(({ status }) => status === 200)])
  })
})
