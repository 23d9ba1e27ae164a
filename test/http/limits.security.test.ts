// Limits: exact at the boundary and under parallel use, counted by what is asked and never by what exists, and no
// way to keep an owner out.
import { describe, expect, it } from "vitest"
import { auditEvents, limitCounters } from "../../src/db/schema.ts"
import { LIMITS, type LimitName, UNKNOWN_ADDRESS_DIVISOR, takeLimit } from "../../src/domain/limits.ts"
import { createDeps } from "../../src/deps.ts"
import { PASSWORD, type TestClient, createTestClient, freshAddress, freshEmail } from "../support/client.ts"

const login = "/api/client/login"
const forgot = "/api/auth/password/forgot"
const resend = "/api/client/resend-verification"

/** Sets every running counter of a limit, so that a test need not use it up by hand. */
const setCounters = (api: TestClient, name: LimitName, count: number): Promise<unknown> =>
  api.db.$client.prepare("update limit_counters set count = ? where key like ? || ':%'").bind(count, name).run()

const codesOf = async (responses: Promise<Response>[]): Promise<(string | undefined)[]> =>
  Promise.all(
    (await Promise.all(responses)).map(async (response) => (response.ok ? "ok" : (await response.json<{ code: string }>()).code)),
  )
const countOf = (codes: readonly (string | undefined)[], code: string): number => codes.filter((each) => each === code).length

describe("a counter", () => {
  it("N1: is exact when forty uses come at once, and starts anew after its window", async () => {
    const api = createTestClient()
    const deps = await createDeps(api.env, {
      now: () => api.clock.nowMs,
      request: { id: crypto.randomUUID(), clientAddress: null },
      afterwards: () => undefined,
      log: () => undefined,
    })
    const { quota, windowMs } = LIMITS["password-change"]
    const part = freshEmail()
    const use = async (): Promise<boolean> =>
      takeLimit(deps, "password-change", part).then(
        () => true,
        () => false,
      )
    expect((await Promise.all(Array.from({ length: 40 }, use))).filter(Boolean)).toHaveLength(quota)
    api.clock.nowMs += windowMs - 1
    expect(await use()).toBe(false)
    api.clock.nowMs += 1
    expect((await Promise.all(Array.from({ length: quota + 1 }, use))).filter(Boolean)).toHaveLength(quota)
  })

  it("holds no address", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.request(resend, { json: { email } })
    const rows = JSON.stringify(await api.db.select().from(limitCounters))
    expect(rows).toContain("signup-mail:")
    expect(rows).not.toContain(email)
    expect(rows).not.toContain("2001:db8")
  })
})

/** What each call has of its own, so that it meets no narrower limit: `email` or network `address`. */
type Call = { limit: LimitName; path: string; json: (email: string) => object; ok: string; own?: "email" | "address" }

const calls: Call[] = [
  {
    limit: "login-address",
    path: login,
    json: (email) => ({ email, password: PASSWORD }),
    ok: "invalid_credentials",
    own: "email",
  },
  { limit: "login-account-address", path: login, json: (email) => ({ email, password: PASSWORD }), ok: "invalid_credentials" },
  {
    limit: "login-account",
    path: login,
    json: (email) => ({ email, password: PASSWORD }),
    ok: "invalid_credentials",
    own: "address",
  },
  {
    limit: "signup-address",
    path: "/api/client/signup",
    json: (email) => ({ email, password: PASSWORD }),
    ok: "ok",
    own: "email",
  },
  { limit: "signup-mail-address", path: resend, json: (email) => ({ email }), ok: "ok" },
  { limit: "signup-mail", path: resend, json: (email) => ({ email }), ok: "ok", own: "address" },
  { limit: "verify-address", path: "/api/client/verify-email", json: () => ({ handle: "x", code: "y" }), ok: "wrong_code" },
  { limit: "password-address", path: forgot, json: (email) => ({ email }), ok: "ok", own: "email" },
  { limit: "reset-mail-address", path: forgot, json: (email) => ({ email }), ok: "ok" },
  { limit: "reset-mail", path: forgot, json: (email) => ({ email }), ok: "ok", own: "address" },
]

describe("every open call", () => {
  it.each(calls)(
    "N1, N2, C11: $path is limited by $limit, exactly, with Retry-After and RateLimit",
    async ({ limit, path, json, ok, own }) => {
      const api = createTestClient()
      const email = freshEmail()
      const { quota, windowMs } = LIMITS[limit]
      const send = (): Promise<Response> =>
        api.request(path, {
          json: json(own === "email" ? freshEmail() : email),
          ...(own === "address" ? { headers: { "CF-Connecting-IP": freshAddress() } } : {}),
        })
      await send()
      await setCounters(api, limit, quota - 2)
      const codes = await codesOf(Array.from({ length: 4 }, () => send()))
      expect([countOf(codes, ok), countOf(codes, "too_many_requests")]).toEqual([2, 2])
      api.clock.nowMs += windowMs - 2500
      const refused = await send()
      expect(refused.status).toBe(429)
      expect(refused.headers.get("retry-after")).toBe("3")
      expect(refused.headers.get("ratelimit-policy")).toBe(`"${limit}";q=${String(quota)};w=${String(windowMs / 1000)}`)
      expect(refused.headers.get("ratelimit")).toBe(`"${limit}";r=0;t=3`)
      api.clock.nowMs += 2500
      expect(await codesOf([send()])).toEqual([ok])
    },
  )

  it("N4: counts IPv6 by its /64, IPv4 also when it is mapped, and no other header's address", async () => {
    const api = createTestClient()
    const { quota } = LIMITS["verify-address"]
    const from = (address: string, more: Record<string, string> = {}): Promise<Response> =>
      api.request("/api/client/verify-email", {
        json: { handle: "x", code: "y" },
        headers: { "CF-Connecting-IP": address, ...more },
      })
    const network = freshAddress().replace(/::.*/, "")
    await from(`${network}::1`)
    await from("203.0.113.77")
    await setCounters(api, "verify-address", quota)
    const spoofed = { "X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.1", "True-Client-IP": "198.51.100.1" }
    const same = [
      from(`${network}:ffff:1:2:3`),
      from(`${network}::2`, spoofed),
      from("::ffff:203.0.113.77"),
      from("::ffff:cb00:714d"),
    ]
    expect(await codesOf(same)).toEqual(Array.from({ length: 4 }, () => "too_many_requests"))
    expect(await codesOf([from("203.0.113.78"), from(freshAddress())])).toEqual(["wrong_code", "wrong_code"])
  })

  it("N4: gives a strict shared bucket to whoever has no address", async () => {
    const quota = LIMITS["verify-address"].quota / UNKNOWN_ADDRESS_DIVISOR
    const api = createTestClient()
    const from = (address: string): Promise<Response> =>
      api.request("/api/client/verify-email", { json: { handle: "x", code: "y" }, headers: { "CF-Connecting-IP": address } })
    await from("")
    await setCounters(api, "verify-address", quota - 1)
    expect(await codesOf([from("not an address")])).toEqual(["wrong_code"])
    const refused = await from("")
    expect([refused.status, refused.headers.get("ratelimit-policy")]).toEqual([429, `"verify-address";q=${String(quota)};w=600`])
  })

  it("N5: is kept from floods by the runtime's binding, before anything is counted", async () => {
    const asked: string[] = []
    const flooded = createTestClient({}, { admitsFlood: (address) => Promise.resolve(asked.push(address) === 0) })
    const before = (await flooded.db.select().from(limitCounters)).length
    for (const path of [
      login,
      "/api/ops/login",
      "/api/client/signup",
      resend,
      "/api/client/verify-email",
      forgot,
      "/api/auth/password/reset",
      "/api/auth/refresh",
    ]) {
      const response = await flooded.request(path, { json: {} })
      expect([response.status, response.headers.get("retry-after")]).toEqual([429, "10"])
    }
    expect(asked).toHaveLength(8)
    expect(new Set(asked).size).toBe(1)
    expect((await flooded.db.select().from(limitCounters)).length).toBe(before)
  })

  it("N5: the binding itself answers in the local runtime", async () => {
    const key = freshAddress()
    const { env } = createTestClient()
    // Of 100 in ten seconds by the clock; that many fall into two such times at most.
    const answers = await Promise.all(Array.from({ length: 300 }, () => env.FLOOD_LIMIT.limit({ key })))
    expect(answers.filter(({ success }) => success).length).toBeGreaterThanOrEqual(100)
    expect(answers.filter(({ success }) => !success).length).toBeGreaterThan(0)
  })
})

describe("an account under attack", () => {
  /** A hundred strangers have used up its own quota. */
  async function underAttack(): Promise<{ owner: TestClient; email: string; stranger: TestClient }> {
    const owner = createTestClient()
    const { email } = await owner.newClient()
    const stranger = createTestClient()
    await stranger.request(login, { json: { email, password: `${PASSWORD} wrong` } })
    await setCounters(owner, "login-account", LIMITS["login-account"].quota)
    return { owner, email, stranger }
  }

  it("A5, N7: refuses right and wrong passwords alike, for unknown addresses too, without an oracle", async () => {
    const { email, stranger } = await underAttack()
    const unknown = freshEmail()
    await stranger.request(login, { json: { email: unknown, password: PASSWORD } })
    await setCounters(stranger, "login-account", LIMITS["login-account"].quota)
    const shapes = new Set<string>()
    for (const json of [
      { email, password: PASSWORD },
      { email, password: `${PASSWORD} wrong` },
      { email: unknown, password: PASSWORD },
    ]) {
      const response = await createTestClient().request(login, { json })
      const body = (await response.text()).replaceAll(/[0-9a-f-]{36}/g, "…")
      shapes.add(JSON.stringify([response.status, [...response.headers.keys()], response.headers.get("ratelimit"), body]))
    }
    expect([...shapes]).toHaveLength(1)
    expect([...shapes][0]).toContain("too_many_requests")
    const limited = (await stranger.db.select().from(auditEvents)).filter(({ kind }) => kind === "account.limited")
    expect(limited.length).toBeGreaterThan(0)
  })

  it("A7: lets its owner in from where there has been a login before", async () => {
    const { owner, email, stranger } = await underAttack()
    expect(await stranger.problem(login, { json: { email, password: PASSWORD } })).toMatchObject({ code: "too_many_requests" })
    await owner.logIn("client", email)
  })

  it("A7: lets its owner in from anywhere by the way of a new password", async () => {
    const { email } = await underAttack()
    const elsewhere = createTestClient()
    expect(await elsewhere.problem(login, { json: { email, password: PASSWORD } })).toMatchObject({ code: "too_many_requests" })
    await elsewhere.request(forgot, { json: { email } })
    const mail = JSON.stringify((await elsewhere.mailsTo(email)).at(-1)?.body)
    const token = /reset-password#([A-Za-z0-9_-]{43})/.exec(mail)?.[1]
    const password = "quite another long password"
    expect((await elsewhere.request("/api/auth/password/reset", { json: { token, password } })).status).toBe(200)
    await elsewhere.logIn("client", email, password)
  })

  it("a success gives back what was counted", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    await api.request(login, { json: { email, password: `${PASSWORD} wrong` } })
    await setCounters(api, "login-account-address", LIMITS["login-account-address"].quota - 1)
    await api.logIn("client", email)
    const json = { email, password: `${PASSWORD} wrong` }
    expect(await codesOf([api.request(login, { json }), api.request(login, { json })])).toEqual([
      "invalid_credentials",
      "invalid_credentials",
    ])
  })
})

describe("N8: mails to one mailbox", () => {
  it("are five for forty resends at once", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.signUp(email)
    const codes = await codesOf(Array.from({ length: 40 }, () => api.request(resend, { json: { email } })))
    expect([countOf(codes, "ok"), countOf(codes, "too_many_requests")]).toEqual([4, 36])
    expect(await api.mailsTo(email)).toHaveLength(5)
  })
})

describe("N7, N8: a mailbox whose mails are used up", () => {
  it("is refused alike from where its owner logs in and from anywhere else, account or not", async () => {
    const owner = createTestClient()
    const { email } = await owner.newClient()
    const unknown = freshEmail()
    const shapes = new Set<string>()
    for (const [path, name] of [
      [forgot, "reset-mail"],
      [resend, "signup-mail"],
    ] as const) {
      for (const address of [email, unknown]) await createTestClient().request(path, { json: { email: address } })
      await setCounters(owner, name, LIMITS[name].quota)
      for (const [from, address] of [
        [owner, email],
        [createTestClient(), email],
        [owner, unknown],
      ] as const) {
        const response = await from.request(path, { json: { email: address } })
        const body = (await response.text()).replaceAll(/[0-9a-f-]{36}/g, "…")
        shapes.add(JSON.stringify([name, response.status, response.headers.get("ratelimit-policy"), body]))
      }
      owner.clock.nowMs += LIMITS[name].windowMs
      expect((await owner.request(path, { json: { email } })).status).toBe(202)
      owner.clock.nowMs -= LIMITS[name].windowMs
    }
    expect([...shapes]).toHaveLength(2)
    for (const shape of shapes) expect(shape).toContain("429")
  })
})

describe("fifty logins at once", () => {
  it("are one hash at a time; those past the queue hear 503 with Retry-After, and others are served meanwhile", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    let succeeded = 0
    const logins = Array.from({ length: 50 }, async () => {
      const response = await api.request(login, { json: { email, password: PASSWORD } })
      if (response.ok) succeeded += 1
      return response
    })
    const me = await api.request("/api/auth/me", { token: tokens.accessToken })
    expect(me.status).toBe(200)
    expect(succeeded).toBeLessThan(8)
    const responses = await Promise.all(logins)
    const statuses = responses.map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(16)
    for (const response of responses.filter(({ status }) => status === 503)) {
      expect(response.headers.get("retry-after")).toBe("3")
      expect(await response.json()).toMatchObject({ code: "busy" })
    }
    await api.logIn("client", email)
  })
})
