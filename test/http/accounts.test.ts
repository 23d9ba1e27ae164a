// Sign-up, proof of address and login as people meet them.
import { describe, expect, it } from "vitest"
import { users, verifications } from "../../src/db/schema.ts"
import { PASSWORD, createTestClient, freshEmail } from "../support/client.ts"

const verify = "/api/client/verify-email"

describe("sign-up", () => {
  it("answers with an encrypted URL, and mails the code and the link with the code in its fragment", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const response = await api.request("/api/client/signup", { json: { email, password: PASSWORD } })
    expect(response.status).toBe(202)
    const body = await response.json<{ verifyUrl: string; message: string }>()
    expect(Object.keys(body).sort()).toEqual(["message", "verifyUrl"])
    expect(body.message).toBe("success")
    expect(body.verifyUrl).toMatch(/^https:\/\/sealpost\.test\/verify-email\/[A-Za-z0-9_-]{60}$/)

    const [mail, ...others] = await api.mailsTo(email)
    expect(others).toEqual([])
    expect(mail).toMatchObject({ method: "POST", path: "/tx/v1/send?dry-run=false", headers: { "x-api-key": "test-api-key" } })
    const code = await api.codeFor(email)
    expect(mail?.body).toMatchObject({
      from: { email: "files@sealpost.test", name: "Sealpost" },
      personalizations: [{ to: [{ email }] }],
      subject: "Confirm your e-mail address",
      tracking_settings: { click_tracking: { enable: false }, open_tracking: { enable: false } },
    })
    expect(JSON.stringify(mail?.body)).toContain(`${body.verifyUrl}#${code}`)
  })

  it("looks the same for a known address, whose owner is told by mail and who keeps the account", async () => {
    const api = createTestClient()
    const known = await api.newClient()
    const [toKnown, toUnknown] = [
      await api.request("/api/client/signup", { json: { email: known.email.toUpperCase(), password: `${PASSWORD} other` } }),
      await api.request("/api/client/signup", { json: { email: freshEmail(), password: `${PASSWORD} other` } }),
    ]
    expect(toKnown.status).toBe(toUnknown.status)
    const shape = async (response: Response): Promise<string> => (await response.text()).replace(/verify-email\/[^"]*/, "…")
    expect(await shape(toKnown)).toBe(await shape(toUnknown))
    const headers = (response: Response): string[] => [...response.headers.keys()]
    expect(headers(toKnown)).toEqual(headers(toUnknown))
    const mails = await api.mailsTo(known.email.toUpperCase().replace("EXAMPLE.COM", "example.com"))
    expect(mails.map(({ body }) => (body as { subject: string }).subject)).toEqual(["You already have a Sealpost account"])
    await api.logIn("client", known.email)
    expect(await api.problem("/api/client/login", { json: { email: known.email, password: `${PASSWORD} other` } })).toMatchObject(
      {
        code: "invalid_credentials",
      },
    )
  })

  it("for a known address gives a handle that behaves like any other", async () => {
    const api = createTestClient()
    const known = await api.newClient()
    const decoy = await api.signUp(known.email)
    const real = await api.signUp(freshEmail())
    for (let i = 0; i < 11; i++) {
      const answers = await Promise.all(
        [decoy, real].map(({ handle }) => api.problem(verify, { json: { handle, code: "0000-0000" } })),
      )
      expect(answers[0]?.code).toBe(answers[1]?.code)
      expect(answers[0]?.code).toBe(i < 10 ? "wrong_code" : "verification_exhausted")
    }
  })

  it("stops mailing one address after five mails in an hour, and goes on after it", async () => {
    const api = createTestClient()
    const email = freshEmail()
    for (let i = 0; i < 7; i++) await api.signUp(email)
    expect(await api.mailsTo(email)).toHaveLength(5)
    api.clock.nowMs += 61 * 60_000
    await api.signUp(email)
    expect(await api.mailsTo(email)).toHaveLength(6)
  })

  it("makes one account of two at the same time", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await Promise.all([api.signUp(email), api.signUp(email), api.signUp(email)])
    const rows = await api.db.select().from(users)
    expect(rows.filter((user) => user.email === email)).toHaveLength(1)
    expect(
      (await api.db.select().from(verifications)).filter((row) => row.emailKey === email && row.userId !== null),
    ).toHaveLength(3)
  })

  it("gives the account the password of the sign-up whose mail was proven, not of a stranger's before or after", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.signUp(email, "the stranger's first password")
    const mine = await api.signUp(email, "my own long enough password")
    const code = await api.codeFor(email)
    await api.signUp(email, "the stranger's other password")
    expect((await api.request(verify, { json: { handle: mine.handle, code } })).status).toBe(200)
    await api.logIn("client", email, "my own long enough password")
    for (const password of ["the stranger's first password", "the stranger's other password"]) {
      expect(await api.problem("/api/client/login", { json: { email, password } })).toMatchObject({ code: "invalid_credentials" })
    }
  })

  it("never lets a resend hand the account to a stranger who signed up later", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.signUp(email, "my own long enough password")
    await api.signUp(email, "the stranger's later password")
    const before = (await api.mailsTo(email)).length
    expect((await api.request("/api/client/resend-verification", { json: { email } })).status).toBe(202)
    expect(await api.mailsTo(email)).toHaveLength(before)
    const { handle } = await api.signUp(email, "my own long enough password")
    expect((await api.request("/api/client/verify-email", { json: { handle, code: await api.codeFor(email) } })).status).toBe(200)
    await api.logIn("client", email, "my own long enough password")
  })

  it.each<[Record<string, unknown>, string, string]>([
    [{ email: "nobody" }, "email", "email"],
    [{ email: "a@b" }, "email", "email"],
    [{ email: "a b@example.com" }, "email", "email"],
    [{ email: "a@example.com\r\nBcc: b@example.com" }, "email", "email"],
    [{ email: "a@example.com,b@example.com" }, "email", "email"],
    [{ email: `${"x".repeat(65)}@example.com` }, "email", "email"],
    [{ email: ["a@example.com"] }, "email", "invalid_type"],
    [{ email: undefined }, "email", "invalid_type"],
    [{ password: "fourteen chars" }, "password", "too_short"],
    [{ password: "x".repeat(129) }, "password", "too_long"],
    [{ password: 123456789012345 }, "password", "invalid_type"],
    [{ role: "ops" }, "role", "unknown_field"],
    [{ verifiedAtMs: 1 }, "verifiedAtMs", "unknown_field"],
  ])("with %j is refused, naming field and rule", async (change, field, rule) => {
    const api = createTestClient()
    const good = { email: freshEmail(), password: PASSWORD }
    const before = (await api.db.select().from(users)).length
    const problem = await api.problem("/api/client/signup", { json: { ...good, ...change } })
    expect(problem).toMatchObject({ status: 422, code: "validation_failed", errors: [{ field, rule }] })
    expect((await api.db.select().from(users)).length).toBe(before)
    expect((await api.request("/api/client/signup", { json: good })).status).toBe(202)
  })

  it("lists every wrong field at once", async () => {
    const problem = await createTestClient().problem("/api/client/signup", { json: { email: "x", password: "y", z: 1 } })
    expect(problem.errors?.map(({ field }) => field).sort()).toEqual(["email", "password", "z"])
  })
})

describe("proof of address", () => {
  it("takes handle and code once, and says yes again when repeated", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    const code = await api.codeFor(email)
    for (const typed of [code, code, code.toLowerCase().replace("-", " ")]) {
      const response = await api.request(verify, { json: { handle, code: typed } })
      expect([response.status, await response.json()]).toEqual([200, { message: "success" }])
    }
    expect((await api.db.select().from(users)).find((user) => user.email === email)?.verifiedAtMs).toBe(api.clock.nowMs)
  })

  it("refuses a wrong code, somebody else's code, and a handle that is not one, alike", async () => {
    const api = createTestClient()
    const [mine, other] = [freshEmail(), freshEmail()]
    const { handle } = await api.signUp(mine)
    await api.signUp(other)
    const code = await api.codeFor(mine)
    const wrong = [
      { handle, code: "0000-0000" },
      { handle, code: await api.codeFor(other) },
      { handle: `${handle.slice(0, -1)}${handle.endsWith("A") ? "B" : "A"}`, code },
      { handle: handle.slice(0, 30), code },
      { handle: "x", code },
    ]
    for (const json of wrong) {
      expect(await api.problem(verify, { json })).toMatchObject({ status: 400, code: "wrong_code" })
    }
    expect((await api.request(verify, { json: { handle, code } })).status).toBe(200)
  })

  it("gives ten tries, counted exactly also when they come at once", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    const code = await api.codeFor(email)
    const answers = await Promise.all(
      Array.from({ length: 25 }, () => api.problem(verify, { json: { handle, code: "0000-0000" } })),
    )
    expect(answers.filter((answer) => answer.code === "wrong_code")).toHaveLength(10)
    expect(answers.filter((answer) => answer.code === "verification_exhausted")).toHaveLength(15)
    expect(await api.problem(verify, { json: { handle, code } })).toMatchObject({ status: 410, code: "verification_exhausted" })
  })

  it("still succeeds at the tenth try", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    for (let i = 0; i < 9; i++) await api.request(verify, { json: { handle, code: "0000-0000" } })
    expect((await api.request(verify, { json: { handle, code: await api.codeFor(email) } })).status).toBe(200)
  })

  it("works for sixty minutes; after that another mail does", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    const code = await api.codeFor(email)
    api.clock.nowMs += 60 * 60_000
    expect(await api.problem(verify, { json: { handle, code } })).toMatchObject({ status: 410, code: "verification_expired" })
    const resent = await api.request("/api/client/resend-verification", { json: { email } })
    const { verifyUrl } = await resent.json<{ verifyUrl: string }>()
    const json = { handle: verifyUrl.slice(verifyUrl.lastIndexOf("/") + 1), code: await api.codeFor(email) }
    api.clock.nowMs += 60 * 60_000 - 1
    expect((await api.request(verify, { json })).status).toBe(200)
    await api.logIn("client", email)
  })

  it("resends nothing to strangers and to the proven, and says the same", async () => {
    const api = createTestClient()
    const known = await api.newClient()
    const stranger = freshEmail()
    for (const email of [known.email, stranger]) {
      const response = await api.request("/api/client/resend-verification", { json: { email } })
      expect(response.status).toBe(202)
      expect(Object.keys(await response.json<Record<string, unknown>>()).sort()).toEqual(["message", "verifyUrl"])
    }
    expect(await api.mailsTo(stranger)).toEqual([])
    expect(await api.mailsTo(known.email)).toHaveLength(1)
  })

  it("has a page that changes nothing by being loaded", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { verifyUrl, handle } = await api.signUp(email)
    for (const method of ["GET", "HEAD", "GET"]) {
      const page = await api.request(verifyUrl, { method })
      expect(page.status).toBe(200)
      expect(page.headers.get("content-type")).toBe("text/html; charset=UTF-8")
      expect(page.headers.get("content-security-policy")).toContain("script-src 'self'")
      expect(page.headers.get("referrer-policy")).toBe("no-referrer")
    }
    expect((await api.db.select().from(users)).find((user) => user.email === email)?.verifiedAtMs).toBeNull()
    expect((await api.request(verify, { json: { handle, code: await api.codeFor(email) } })).status).toBe(200)
  })
})

describe("login", () => {
  it("tells an unproven client so, only with the right password, and gives no token", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.signUp(email)
    expect(await api.problem("/api/client/login", { json: { email, password: PASSWORD } })).toMatchObject({
      status: 403,
      code: "email_not_verified",
    })
    expect(await api.problem("/api/client/login", { json: { email, password: `${PASSWORD}x` } })).toMatchObject({
      status: 401,
      code: "invalid_credentials",
    })
  })

  it("fails alike for unknown, wrong, disabled and other-role accounts", async () => {
    const api = createTestClient()
    const client = await api.newClient()
    const ops = await api.newOps()
    const disabled = await api.newClient()
    await api.db.$client.prepare("update users set disabled_at_ms = 1 where email = ?").bind(disabled.email).run()
    const cases = [
      ["client", { email: freshEmail(), password: PASSWORD }],
      ["client", { email: "not an address", password: PASSWORD }],
      ["client", { email: client.email, password: `${PASSWORD} ` }],
      ["client", { email: client.email, password: "" }],
      ["client", { email: disabled.email, password: PASSWORD }],
      ["client", { email: ops.email, password: PASSWORD }],
      ["ops", { email: client.email, password: PASSWORD }],
    ] as const
    const bodies = new Set<string>()
    for (const [role, json] of cases) {
      const response = await api.request(`/api/${role}/login`, { json })
      expect(response.status).toBe(401)
      bodies.add((await response.text()).replaceAll(/[0-9a-f-]{36}/g, "…"))
    }
    expect(bodies.size).toBe(1)
    await api.logIn("client", client.email)
    await api.logIn("ops", ops.email)
  })

  it("gives two tokens, an access token for fifteen minutes", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    expect(Object.keys(tokens).sort()).toEqual(["accessToken", "expiresIn", "message", "refreshToken"])
    expect(tokens.expiresIn).toBe(900)
    expect((await api.request("/api/client/files", { token: tokens.accessToken })).status).toBe(200)
    api.clock.nowMs += 906_000
    expect(await api.problem("/api/client/files", { token: tokens.accessToken })).toMatchObject({
      status: 401,
      code: "invalid_token",
    })
  })
})
