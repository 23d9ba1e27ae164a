// Sign-up, proof of address and login as people meet them.
import { describe, expect, it } from "vitest"
import { users, verifications } from "../../src/db/schema.ts"
import { AppError } from "../../src/errors.ts"
import { PASSWORD, createTestClient, freshEmail } from "../support/client.ts"

const verify = "/api/client/verify-email"
const resend = "/api/client/resend-verification"
const handleIn = (verifyUrl: string): string => verifyUrl.slice(verifyUrl.lastIndexOf("/") + 1)
const mailboxInCapitals = (email: string): string => email.toUpperCase().replace("EXAMPLE.COM", "example.com")

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

  it("A4: looks the same for a known address, whose owner is told by mail and who keeps the account", async () => {
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
  })

  it("A1: and a login tell nothing: the password of a pending sign-up is answered alike, account or not", async () => {
    const api = createTestClient()
    const known = await api.newClient()
    const fresh = freshEmail()
    const bodies = new Set<string>()
    for (const email of [known.email, fresh]) {
      await createTestClient().signUp(email, `${PASSWORD} other`)
      const json = { email, password: `${PASSWORD} other` }
      const response = await api.request("/api/client/login", { json })
      expect(response.status).toBe(403)
      bodies.add((await response.text()).replaceAll(/[0-9a-f-]{36}/g, "…"))
      expect(await api.problem("/api/ops/login", { json })).toMatchObject({ code: "invalid_credentials" })
      expect(await api.problem("/api/client/login", { json: { email, password: `${PASSWORD} third` } })).toMatchObject({
        code: "invalid_credentials",
      })
    }
    expect(bodies.size).toBe(1)
    expect([...bodies][0]).toContain("email_not_verified")
  })

  it("A1: neither does it tell when the owner proves the address meanwhile", async () => {
    const email = freshEmail()
    const [stranger, owner] = [createTestClient(), createTestClient()]
    const theirs = await stranger.signUp(email, "the stranger's own password")
    const mine = await owner.signUp(email)
    const proof = { handle: mine.handle, code: await owner.codeFor(email) }
    const wrong = { handle: theirs.handle, code: "0000-0000" }
    const probe = async (): Promise<string[]> => [
      (await stranger.problem("/api/client/login", { json: { email, password: "the stranger's own password" } })).code,
      (await stranger.problem(verify, { json: wrong })).code,
    ]
    const before = await probe()
    expect((await owner.request(verify, { json: proof })).status).toBe(200)
    expect(await probe()).toEqual(before)
    expect(before).toEqual(["email_not_verified", "wrong_code"])
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

  it("N8: mails one mailbox five times an hour from one network, in whatever case it is written, and says so", async () => {
    const api = createTestClient()
    const email = freshEmail()
    for (let i = 0; i < 5; i++) await api.signUp(i % 2 === 0 ? email : email.toUpperCase())
    const response = await api.request("/api/client/signup", { json: { email, password: PASSWORD } })
    expect(response.headers.get("retry-after")).toBe("3600")
    expect(await response.json()).toMatchObject({ status: 429, code: "too_many_requests" })
    expect((await api.db.select().from(verifications)).filter((row) => row.emailKey === email)).toHaveLength(5)
    await api.signUp(freshEmail())
    api.clock.nowMs += 60 * 60_000
    await api.signUp(email)
    expect([...(await api.mailsTo(email)), ...(await api.mailsTo(mailboxInCapitals(email)))]).toHaveLength(6)
  })

  it("N8: counts what goes to one mailbox under any number of tags as mails to that mailbox", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const tagged = (tag: string): string => email.replace("@", `+${tag}@`)
    const json = (tag: string) => ({ email: tagged(tag), password: PASSWORD })
    for (let i = 0; i < 5; i++) await api.signUp(tagged(String(i)))
    for (const tag of ["5", "a+b"])
      expect(await api.problem("/api/client/signup", { json: json(tag) })).toMatchObject({ code: "too_many_requests" })
    expect(await api.problem(resend, { json: { email } })).toMatchObject({ code: "too_many_requests" })
    // Another mailbox, and nothing but a tag: that is whoever's name begins so.
    await api.signUp(freshEmail().replace("@", "+5@"))
    await api.signUp(`+${email}`)
  })

  it("N8: keeps the mails of a stranger from using up those of the owner", async () => {
    const email = freshEmail()
    const [stranger, owner] = [createTestClient(), createTestClient()]
    for (let i = 0; i < 5; i++) await stranger.request(resend, { json: { email } })
    expect(await stranger.problem(resend, { json: { email } })).toMatchObject({ code: "too_many_requests" })
    await owner.signUp(email)
    expect(await owner.codeFor(email)).not.toBe("")
  })

  it("makes an account only when the address is proven, and one of two proofs at the same time", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const first = await api.signUp(email)
    const firstCode = await api.codeFor(email)
    const second = await api.signUp(email, `${PASSWORD} two`)
    const secondCode = await api.codeFor(email)
    const accounts = async () => (await api.db.select().from(users)).filter((user) => user.emailKey === email)
    expect(await accounts()).toEqual([])
    const answers = await Promise.all([
      api.request(verify, { json: { handle: first.handle, code: firstCode } }),
      api.request(verify, { json: { handle: second.handle, code: secondCode } }),
    ])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 410])
    expect(await accounts()).toHaveLength(1)
    await api.logIn("client", email, answers[0].status === 200 ? PASSWORD : `${PASSWORD} two`)
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
      expect(await api.problem("/api/client/login", { json: { email, password } })).toMatchObject({ code: "email_not_verified" })
    }
  })

  it("A1: for a day its password is answered alike, after a resend, a proof and a new password, as that of an unknown address", async () => {
    const api = createTestClient()
    const [known, unknown] = [freshEmail(), freshEmail()]
    for (const email of [known, unknown]) {
      await api.signUp(email)
      await api.request(resend, { json: { email } })
    }
    const answer = async (email: string): Promise<string> => {
      const response = await api.request("/api/client/login", { json: { email, password: PASSWORD } })
      return `${String(response.status)} ${(await response.text()).replaceAll(/[0-9a-f-]{36}/g, "…")}`
    }
    expect(await answer(known)).toBe(await answer(unknown))
    const again = await api.request(resend, { json: { email: known } })
    const handle = handleIn((await again.json<{ verifyUrl: string }>()).verifyUrl)
    expect((await api.request(verify, { json: { handle, code: await api.codeFor(known) } })).status).toBe(200)
    const { accessToken: token } = await api.logIn("client", known)
    const json = { currentPassword: PASSWORD, newPassword: "quite another long password" }
    expect((await api.request("/api/auth/password/change", { token, json })).status).toBe(200)
    expect(await answer(known)).toContain("email_not_verified")
    expect(await answer(known)).toBe(await answer(unknown))
    api.clock.nowMs += 24 * 60 * 60_000
    expect(await answer(known)).toContain("invalid_credentials")
    expect(await answer(known)).toBe(await answer(unknown))
  })

  it("after several sign-ups resends a code that counts with the password of one of them, for that one", async () => {
    const email = freshEmail()
    const [stranger, owner] = [createTestClient(), createTestClient()]
    await owner.signUp(email, "my own long enough password")
    await stranger.signUp(email, "the stranger's later password")
    const before = (await owner.mailsTo(email)).length
    const response = await stranger.request(resend, { json: { email } })
    const handle = handleIn((await response.json<{ verifyUrl: string }>()).verifyUrl)
    expect(await owner.mailsTo(email)).toHaveLength(before + 1)
    const json = { handle, code: await owner.codeFor(email) }
    expect(await owner.problem(verify, { json })).toMatchObject({ status: 403, code: "password_required" })
    expect(await stranger.problem(verify, { json })).toMatchObject({ status: 403, code: "password_required" })
    expect(await owner.problem(verify, { json: { ...json, password: "neither of the two passwords" } })).toMatchObject({
      status: 403,
      code: "wrong_password",
    })
    expect((await owner.request(verify, { json: { ...json, password: "my own long enough password" } })).status).toBe(200)
    await owner.logIn("client", email, "my own long enough password")
  })

  it("cannot be finished from elsewhere without its password, so a stranger's mail makes no stranger the owner", async () => {
    const email = freshEmail()
    const [stranger, owner] = [createTestClient(), createTestClient()]
    const { handle } = await stranger.signUp(email, "the stranger's own password")
    const json = { handle, code: await owner.codeFor(email) }
    expect(await owner.problem(verify, { json })).toMatchObject({
      status: 403,
      code: "password_required",
      errors: [{ field: "password", rule: "required" }],
    })
    expect(await owner.problem(verify, { json: { ...json, password: PASSWORD } })).toMatchObject({ code: "wrong_password" })
    expect((await owner.db.select().from(users)).filter((user) => user.emailKey === email)).toEqual([])
    // The twin: whoever signed up, now in another network.
    expect((await owner.request(verify, { json: { ...json, password: "the stranger's own password" } })).status).toBe(200)
  })

  it("without a network address is not taken for one from the same place", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const from = (address: string) => ({ headers: { "CF-Connecting-IP": address } })
    const proof = async (address: string) => {
      const response = await api.request("/api/client/signup", { json: { email, password: PASSWORD }, ...from(address) })
      const { verifyUrl } = await response.json<{ verifyUrl: string }>()
      return { handle: verifyUrl.slice(verifyUrl.lastIndexOf("/") + 1), code: await api.codeFor(email) }
    }
    const nowhere = await proof("")
    expect(await api.problem(verify, { json: nowhere, ...from("") })).toMatchObject({ status: 403, code: "password_required" })
    // The twin: the same, with an address.
    const somewhere = await proof("192.0.2.77")
    expect((await api.request(verify, { json: somewhere, ...from("192.0.2.77") })).status).toBe(200)
  })

  it.each<[Record<string, unknown>, string, string]>([
    [{ email: "nobody" }, "email", "email"],
    [{ email: "a@b" }, "email", "email"],
    [{ email: "a b@example.com" }, "email", "email"],
    [{ email: "a@example.com\r\nBcc: b@example.com" }, "email", "email"],
    [{ email: "a@example.com,b@example.com" }, "email", "email"],
    [{ email: `${"x".repeat(65)}@example.com` }, "email", "email"],
    [{ email: `x@${"example.".repeat(40)}com` }, "email", "email"],
    [{ email: '"quoted local"@example.com' }, "email", "email"],
    [{ email: "p\u0430yments@example.com" }, "email", "email"],
    [{ email: "Name <a@example.com>" }, "email", "email"],
    [{ email: ["a@example.com"] }, "email", "invalid_type"],
    [{ email: undefined }, "email", "invalid_type"],
    [{ password: "fourteen chars" }, "password", "too_short"],
    [{ password: "x".repeat(129) }, "password", "too_long"],
    [{ password: 123456789012345 }, "password", "invalid_type"],
    [{ role: "ops" }, "role", "unknown_field"],
    [{ verifiedAtMs: 1 }, "verifiedAtMs", "unknown_field"],
  ])("A10, A13: with %j is refused, naming field and rule", async (change, field, rule) => {
    const api = createTestClient()
    const good = { email: freshEmail(), password: PASSWORD }
    const before = (await api.db.select().from(users)).length
    const problem = await api.problem("/api/client/signup", { json: { ...good, ...change } })
    expect(problem).toMatchObject({ status: 422, code: "validation_failed", errors: [{ field, rule }] })
    expect((await api.db.select().from(users)).length).toBe(before)
    expect((await api.request("/api/client/signup", { json: good })).status).toBe(202)
  })

  it("A13: to a domain of look-alike letters is another address than the one it looks like, mailed to its ASCII form alone", async () => {
    const api = createTestClient()
    const local = freshEmail().split("@")[0] ?? ""
    const ascii = `${local}@xn--exmple-4nf.com`
    const { handle } = await api.signUp(`${local}@ex\u0430mple.com`)
    const mails = await api.mailsTo(ascii)
    expect(mails).toMatchObject([{ body: { personalizations: [{ to: [{ email: ascii }] }] } }])
    expect(await api.mailsTo(`${local}@example.com`)).toEqual([])
    expect((await api.request(verify, { json: { handle, code: await api.codeFor(ascii) } })).status).toBe(200)
    await api.logIn("client", ascii.toUpperCase())
  })

  it("lists every wrong field at once", async () => {
    const problem = await createTestClient().problem("/api/client/signup", { json: { email: "x", password: "y", z: 1 } })
    expect(problem.errors?.map(({ field }) => field).sort()).toEqual(["email", "password", "z"])
  })
})

describe("proof of address", () => {
  it("C1, C8: takes handle and code once, whoever sends them first, and says yes again when repeated", async () => {
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

  it("C2: refuses a wrong code, somebody else's code, and a handle that is not one, alike", async () => {
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

  it("C11: gives ten tries, counted exactly also when they come at once", async () => {
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

  it("counts no try that a full hash queue keeps from being finished", async () => {
    const email = freshEmail()
    const [stranger, owner] = [createTestClient(), createTestClient()]
    const { handle } = await stranger.signUp(email)
    const json = { handle, code: await owner.codeFor(email), password: PASSWORD }
    const refuse = (): never => {
      throw new AppError("busy", { retryAfterSeconds: 3 })
    }
    const hashing = { requireRoom: refuse, takeTurn: refuse, usage: { waiting: 16, hashing: 1, peakHashing: 1 } }
    const full = createTestClient({}, { hashing })
    for (let i = 0; i < 12; i++) expect(await full.problem(verify, { json })).toMatchObject({ status: 503, code: "busy" })
    expect((await owner.request(verify, { json })).status).toBe(200)
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

  it("A4: resends nothing to strangers and to the proven, and says the same", async () => {
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

  it("A4: resends nothing to the disabled either, and says the same", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    await api.db.$client.prepare("update users set disabled_at_ms = 1 where email = ?").bind(email).run()
    const before = (await api.mailsTo(email)).length
    const response = await api.request("/api/client/resend-verification", { json: { email } })
    expect(response.status).toBe(202)
    const { verifyUrl } = await response.json<{ verifyUrl: string }>()
    const handle = verifyUrl.slice(verifyUrl.lastIndexOf("/") + 1)
    expect(await api.problem(verify, { json: { handle, code: "0000-0000" } })).toMatchObject({ status: 400, code: "wrong_code" })
    expect(await api.mailsTo(email)).toHaveLength(before)
    // The twin: somebody who has not proven the address yet.
    const pending = freshEmail()
    await api.signUp(pending)
    await api.request("/api/client/resend-verification", { json: { email: pending } })
    expect(await api.mailsTo(pending)).toHaveLength(2)
  })

  it("C4: leaves earlier codes good when more mails are sent, until one is used; past the limit none is sent", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    const proofs = [{ handle, code: await api.codeFor(email) }]
    for (let i = 0; i < 4; i++) {
      const response = await api.request(resend, { json: { email } })
      const { verifyUrl } = await response.json<{ verifyUrl: string }>()
      proofs.push({ handle: handleIn(verifyUrl), code: await api.codeFor(email) })
    }
    const refused = await api.request(resend, { json: { email } })
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "3600"])
    expect(await api.mailsTo(email)).toHaveLength(5)
    expect((await api.request(verify, { json: proofs[1] })).status).toBe(200)
    for (const json of [proofs[0], proofs[2], proofs[4]]) {
      expect(await api.problem(verify, { json })).toMatchObject({ status: 410, code: "verification_expired" })
    }
    expect((await api.db.select().from(users)).filter((user) => user.emailKey === email)).toHaveLength(1)
  })

  it("C7, C10: has a page that changes nothing by being loaded, and loads and tells nothing elsewhere", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { verifyUrl, handle } = await api.signUp(email)
    for (const method of ["GET", "HEAD", "GET"]) {
      const page = await api.request(verifyUrl, { method })
      expect(page.status).toBe(200)
      expect(page.headers.get("content-type")).toBe("text/html; charset=UTF-8")
      expect(page.headers.get("content-security-policy")).toContain("script-src 'self'")
      expect(page.headers.get("content-security-policy")).toContain("form-action 'none'")
      const html = await page.text()
      if (method === "GET") expect(html).toContain('method="post"')
      expect(html.replaceAll(/(?:src|href)="\/[a-z.-]+"/g, "")).not.toMatch(/src=|href=|https?:/)
      expect(page.headers.get("referrer-policy")).toBe("no-referrer")
    }
    expect((await api.db.select().from(users)).filter((user) => user.email === email)).toEqual([])
    expect((await api.request(verify, { json: { handle, code: await api.codeFor(email) } })).status).toBe(200)
  })
})

describe("login", () => {
  it("A1: tells an unproven client so, only with the right password, and gives no token", async () => {
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

  it("A1: fails alike for unknown, wrong, disabled and other-role accounts", async () => {
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
