// Sessions: rotation, reuse, ends, and that all of it acts on the next request.
import { describe, expect, it } from "vitest"
import { auditEvents, refreshTokens, sessions, users } from "../../src/db/schema.ts"
import { createDeps } from "../../src/deps.ts"
import { fromHex, toBase64url } from "../../src/crypto/bytes.ts"
import { signAccessToken } from "../../src/crypto/access-token.ts"
import { sealHandle } from "../../src/crypto/verify-handle.ts"
import { sealLinkToken } from "../../src/crypto/link-token.ts"
import { newId } from "../../src/ids.ts"
import { LIMITS } from "../../src/domain/limits.ts"
import { REFRESH_REUSE_GRACE_MS, SESSION_ABSOLUTE_MS, SESSION_IDLE_MS } from "../../src/domain/sessions.ts"
import { PASSWORD, type RequestOptions, type TestClient, type Tokens, createTestClient } from "../support/client.ts"

const refresh = (api: TestClient, refreshToken: string): Promise<Response> =>
  api.request("/api/auth/refresh", { json: { refreshToken } })
/** The kinds of all audit rows about a session, oldest first. */
const rowsOf = async (api: TestClient, sessionId: string) =>
  (await api.db.select().from(auditEvents).orderBy(auditEvents.atMs)).filter(({ subjectId }) => subjectId === sessionId)
/** What happened to a session; refused refreshes are counted apart. */
const auditOf = async (api: TestClient, sessionId: string): Promise<string[]> =>
  (await rowsOf(api, sessionId)).map(({ kind }) => kind).filter((kind) => kind !== "session.refresh_refused")
/** Why refreshes were refused; once a minute is noted. */
const refusalsOf = async (api: TestClient, sessionId: string): Promise<(string | null)[]> =>
  (await rowsOf(api, sessionId)).filter(({ kind }) => kind === "session.refresh_refused").map(({ reason }) => reason)
const sessionIdOf = async (api: TestClient, token: string): Promise<string> =>
  (await list(api, token)).find(({ current }) => current)?.id ?? ""

type SessionJson = {
  id: string
  label: string
  current: boolean
  createdAt: string
  lastUsedAt: string
  expiresAt: string
}
async function list(api: TestClient, token: string): Promise<SessionJson[]> {
  const response = await api.request("/api/auth/sessions", { token })
  if (response.status !== 200) throw new Error(`sessions: ${await response.text()}`)
  return (await response.json<{ sessions: SessionJson[] }>()).sessions
}
const isAlive = async (api: TestClient, accessToken: string): Promise<boolean> =>
  (await api.request("/api/auth/me", { token: accessToken })).status === 200

describe("refresh tokens", () => {
  it("are exchanged for a new pair, each once", async () => {
    const api = createTestClient()
    const { tokens, email } = await api.newClient()
    const response = await refresh(api, tokens.refreshToken)
    expect(response.status).toBe(200)
    const next = await response.json<Tokens>()
    expect(next.refreshToken).not.toBe(tokens.refreshToken)
    const me = await api.request("/api/auth/me", { token: next.accessToken })
    expect(await me.json()).toMatchObject({ user: { email, role: "client" } })
    expect((await refresh(api, next.refreshToken)).status).toBe(200)
  })

  it("used again soon are refused but end nothing: it may be a client's own second try", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const next = await (await refresh(api, tokens.refreshToken)).json<Tokens>()
    api.clock.nowMs += REFRESH_REUSE_GRACE_MS
    expect((await refresh(api, tokens.refreshToken)).status).toBe(401)
    expect(await isAlive(api, next.accessToken)).toBe(true)
    expect((await refresh(api, next.refreshToken)).status).toBe(200)
  })

  it("used again later end the whole session, for thief and owner", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const next = await (await refresh(api, tokens.refreshToken)).json<Tokens>()
    api.clock.nowMs += REFRESH_REUSE_GRACE_MS + 1
    expect((await refresh(api, tokens.refreshToken)).status).toBe(401)
    expect(await isAlive(api, next.accessToken)).toBe(false)
    expect((await refresh(api, next.refreshToken)).status).toBe(401)
  })

  it("B10: of parallel tries let exactly one win, and leave one living successor", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const responses = await Promise.all(Array.from({ length: 8 }, () => refresh(api, tokens.refreshToken)))
    const winners = responses.filter(({ status }) => status === 200)
    expect(winners).toHaveLength(1)
    expect(responses.filter(({ status }) => status === 401)).toHaveLength(7)
    const next = await winners[0]?.json<Tokens>()
    expect(await auditOf(api, await sessionIdOf(api, tokens.accessToken))).toEqual(["session.started", "session.refreshed"])
    expect((await refresh(api, next?.refreshToken ?? "")).status).toBe(200)
  })

  it("B10: that lose the race after they were looked up change nothing, and the family lives", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    // Both have read the token as unused before either claims it.
    const { db } = api
    let arrived = 0
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const batch = db.batch.bind(db)
    const slow = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        if (++arrived === 2) open()
        await gate
        return batch(...args)
      },
    })
    const racing = createTestClient({}, { db: slow })
    const responses = await Promise.all([refresh(racing, tokens.refreshToken), refresh(racing, tokens.refreshToken)])
    expect(arrived).toBeGreaterThanOrEqual(2)
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 401])
    const id = await sessionIdOf(api, tokens.accessToken)
    expect(await auditOf(api, id)).toEqual(["session.started", "session.refreshed"])
    expect(await refusalsOf(api, id)).toEqual(["raced"])
    expect((await api.db.select().from(refreshTokens)).filter((row) => row.sessionId === id)).toHaveLength(2)
    const next = await responses.find(({ status }) => status === 200)?.json<Tokens>()
    expect(await isAlive(api, next?.accessToken ?? "")).toBe(true)
    expect((await refresh(api, next?.refreshToken ?? "")).status).toBe(200)
  })

  it("B11: that lose the race against the end of their session give no new pair", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const id = await sessionIdOf(api, tokens.accessToken)
    const { db } = api
    const batch = db.batch.bind(db)
    const late = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        await db.$client.prepare("update sessions set revoked_at_ms = 1 where id = ?").bind(id).run()
        return batch(...args)
      },
    })
    expect((await refresh(createTestClient({}, { db: late }), tokens.refreshToken)).status).toBe(401)
    expect(await auditOf(api, id)).toEqual(["session.started"])
    expect(await refusalsOf(api, id)).toEqual(["raced"])
  })

  it("B14: are stored as hashes only", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const rows = await api.db.select().from(refreshTokens)
    expect(rows.every(({ hash }) => /^[0-9a-f]{64}$/.test(hash))).toBe(true)
    expect(JSON.stringify(rows)).not.toContain(tokens.refreshToken)
    // What is stored cannot be shown in a token's place.
    for (const refreshToken of rows.map(({ hash }) => hash).slice(-3)) {
      expect((await refresh(api, refreshToken)).status).toBe(401)
      expect((await refresh(api, toBase64url(fromHex(refreshToken) ?? new Uint8Array(32)))).status).toBe(401)
    }
    expect((await refresh(api, tokens.refreshToken)).status).toBe(200)
  })

  it.each(["", "x", "A".repeat(43), "A".repeat(42)])("like %j are refused", async (refreshToken) => {
    expect(await createTestClient().problem("/api/auth/refresh", { json: { refreshToken } })).toMatchObject({
      status: 401,
      code: "invalid_token",
    })
  })

  it("N2: are exchanged sixty times in a quarter of an hour by one session, and old ones use nothing up", async () => {
    const api = createTestClient()
    const [own, other] = [await api.newClient(), await api.newClient()]
    const { quota, windowMs } = LIMITS["session-refresh"]
    let { refreshToken } = own.tokens
    for (let i = 0; i < quota; i++) {
      const response = await refresh(api, refreshToken)
      expect(response.status).toBe(200)
      if (i === 0) for (let again = 0; again < 3; again++) expect((await refresh(api, refreshToken)).status).toBe(401)
      ;({ refreshToken } = await response.json<Tokens>())
    }
    const refused = await refresh(api, refreshToken)
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, String(windowMs / 1000)])
    expect((await refresh(api, other.tokens.refreshToken)).status).toBe(200)
    api.clock.nowMs += windowMs
    expect((await refresh(api, refreshToken)).status).toBe(200)
  })

  it("B13: die after two idle weeks, and after a month however often they are used", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const idle = await api.newClient()
    api.clock.nowMs += SESSION_IDLE_MS
    expect((await refresh(api, idle.tokens.refreshToken)).status).toBe(401)

    const busy = createTestClient()
    busy.clock.nowMs = api.clock.nowMs
    let { refreshToken } = (await busy.newClient()).tokens
    const start = busy.clock.nowMs
    while (busy.clock.nowMs + SESSION_IDLE_MS / 2 < start + SESSION_ABSOLUTE_MS) {
      busy.clock.nowMs += SESSION_IDLE_MS / 2
      const response = await refresh(busy, refreshToken)
      expect(response.status).toBe(200)
      refreshToken = (await response.json<Tokens>()).refreshToken
    }
    busy.clock.nowMs = start + SESSION_ABSOLUTE_MS
    expect((await refresh(busy, refreshToken)).status).toBe(401)
    expect(tokens.refreshToken).not.toBe(refreshToken)
  })
})

describe("B11: a session ends on the next request", () => {
  it.each<[string, (api: TestClient, who: { email: string; tokens: Tokens }) => Promise<unknown>]>([
    ["by logout", (api, { tokens }) => api.request("/api/auth/logout", { method: "POST", token: tokens.accessToken })],
    [
      "when the account is disabled",
      (api, { email }) => api.db.$client.prepare("update users set disabled_at_ms = 1 where email = ?").bind(email).run(),
    ],
    [
      "when the account is deleted",
      (api, { email }) => api.db.$client.prepare("delete from users where email = ?").bind(email).run(),
    ],
  ])("%s", async (_, end) => {
    const api = createTestClient()
    const who = await api.newClient()
    const other = await api.newClient()
    expect(await isAlive(api, who.tokens.accessToken)).toBe(true)
    await end(api, who)
    expect(await isAlive(api, who.tokens.accessToken)).toBe(false)
    expect((await refresh(api, who.tokens.refreshToken)).status).toBe(401)
    expect(await isAlive(api, other.tokens.accessToken)).toBe(true)
  })

  it("but logout leaves the person's other sessions alone", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const second = await api.logIn("client", email)
    await api.request("/api/auth/logout", { method: "POST", token: tokens.accessToken })
    expect(await isAlive(api, second.accessToken)).toBe(true)
  })
})

describe("B13: a session's absolute end", () => {
  it("also ends access tokens that would still be valid by themselves", async () => {
    const api = createTestClient()
    const start = api.clock.nowMs
    let { refreshToken } = (await api.newClient()).tokens
    for (let at = start + SESSION_IDLE_MS - 1; at < start + SESSION_ABSOLUTE_MS; at += SESSION_IDLE_MS - 1) {
      api.clock.nowMs = at
      ;({ refreshToken } = await (await refresh(api, refreshToken)).json<Tokens>())
    }
    api.clock.nowMs = start + SESSION_ABSOLUTE_MS - 1
    const { accessToken, refreshToken: last } = await (await refresh(api, refreshToken)).json<Tokens>()
    expect(await isAlive(api, accessToken)).toBe(true)
    api.clock.nowMs += 1
    expect(await api.problem("/api/auth/me", { token: accessToken })).toMatchObject({ status: 401, code: "invalid_token" })
    expect((await refresh(api, last)).status).toBe(401)
  })
})

describe("a disabled account", () => {
  it("B11: cannot log in, refresh or use its access token; enabled again it can log in", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const set = (sql: string): Promise<unknown> => api.db.$client.prepare(sql).bind(email).run()
    await set("update users set disabled_at_ms = 1 where email = ?")
    const json = { email, password: PASSWORD }
    expect(await api.problem("/api/client/login", { json })).toMatchObject({ status: 401, code: "invalid_credentials" })
    const refreshed = await api.problem("/api/auth/refresh", { json: { refreshToken: tokens.refreshToken } })
    expect(refreshed).toMatchObject({ status: 401, code: "invalid_token" })
    expect(await api.problem("/api/auth/me", { token: tokens.accessToken })).toMatchObject({ status: 401, code: "invalid_token" })
    await set("update users set disabled_at_ms = null where email = ?")
    await api.logIn("client", email)
  })
})

describe("kinds of token", () => {
  it("are never interchangeable", async () => {
    const api = createTestClient()
    const { tokens, email } = await api.newClient()
    const deps = await createDeps(api.env, {
      now: () => api.clock.nowMs,
      request: { id: newId(), clientAddress: null },
      afterwards: () => undefined,
      log: () => undefined,
    })
    const [user] = (await api.db.select().from(users)).filter((row) => row.email === email)
    const userId = user?.id ?? ""
    const expiresAtSeconds = Math.floor(api.clock.nowMs / 1000) + 60
    const link = await sealLinkToken(deps.keys.linkKeys, { linkId: newId(), userId, fileId: newId(), expiresAtSeconds })
    const handle = await sealHandle(deps.keys.handleKeys, newId())
    for (const token of [tokens.refreshToken, link, handle]) {
      expect(await api.problem("/api/auth/me", { token })).toMatchObject({ status: 401, code: "invalid_token" })
    }
    expect(await isAlive(api, tokens.accessToken)).toBe(true)
    for (const refreshToken of [tokens.accessToken.slice(0, 200), link.slice(0, 200), handle]) {
      expect((await refresh(api, refreshToken)).status).toBe(401)
    }
    expect((await refresh(api, tokens.refreshToken)).status).toBe(200)
    for (const token of [tokens.refreshToken, handle]) {
      const response = await api.problem(`/download-file/${token}`, { token: tokens.accessToken })
      expect(response).toMatchObject({ status: 404, code: "link_not_found" })
    }
  })

  it("B8: an access token of somebody else's session, or of none, opens nothing", async () => {
    const api = createTestClient()
    const [one, two] = [await api.newClient(), await api.newClient()]
    const deps = await createDeps(api.env, {
      now: () => api.clock.nowMs,
      request: { id: newId(), clientAddress: null },
      afterwards: () => undefined,
      log: () => undefined,
    })
    const idOf = async (email: string) => (await api.db.select().from(users)).find((row) => row.email === email)?.id ?? ""
    const sign = (userId: string, sessionId: string) =>
      signAccessToken(deps.keys.accessTokenKeys, deps.policy.publicOrigin, { userId, sessionId }, api.clock.nowMs)
    const sessionId = await sessionIdOf(api, one.tokens.accessToken)
    expect(await isAlive(api, await sign(await idOf(two.email), sessionId))).toBe(false)
    expect(await isAlive(api, await sign(await idOf(one.email), newId()))).toBe(false)
    expect(await isAlive(api, await sign(await idOf(one.email), sessionId))).toBe(true)
  })
})

describe("the list of own sessions", () => {
  const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
  const logInAs = async (api: TestClient, email: string, userAgent: string): Promise<Tokens> => {
    const headers = { "User-Agent": userAgent }
    return (await api.request("/api/client/login", { json: { email, password: PASSWORD }, headers })).json()
  }

  it("shows every live one with what tells them apart, and nothing else", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const start = api.clock.nowMs
    api.clock.nowMs += 1000
    const browser = await logInAs(api, email, FIREFOX)
    await api.newClient()
    api.clock.nowMs += 60_000
    expect((await refresh(api, browser.refreshToken)).status).toBe(200)
    const iso = (ms: number): string => new Date(ms).toISOString()
    expect(await list(api, tokens.accessToken)).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        label: "Firefox on Linux",
        current: false,
        createdAt: iso(start + 1000),
        lastUsedAt: iso(start + 61_000),
        expiresAt: iso(start + 61_000 + SESSION_IDLE_MS),
      },
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        label: "unknown",
        current: true,
        createdAt: iso(start),
        lastUsedAt: iso(start),
        expiresAt: iso(start + SESSION_IDLE_MS),
      },
    ])
  })

  it("leaves out what is over: ended, idle too long, or at its absolute end", async () => {
    const api = createTestClient()
    const { email, tokens: idle } = await api.newClient()
    const ended = await api.logIn("client", email)
    await api.request("/api/auth/logout", { method: "POST", token: ended.accessToken })
    expect(await list(api, idle.accessToken)).toHaveLength(1)
    api.clock.nowMs += SESSION_IDLE_MS - 1
    const fresh = await api.logIn("client", email)
    expect(await list(api, fresh.accessToken)).toHaveLength(2)
    api.clock.nowMs += 1
    expect(await list(api, fresh.accessToken)).toHaveLength(1)
  })

  it("comes in pages", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    await api.logIn("client", email)
    await api.logIn("client", email)
    const seen: string[] = []
    for (let cursor: string | null = ""; cursor !== null;) {
      const query = cursor === "" ? "?limit=2" : `?limit=2&cursor=${cursor}`
      const response = await api.request(`/api/auth/sessions${query}`, { token: tokens.accessToken })
      const page = await response.json<{ sessions: SessionJson[]; nextCursor: string | null }>()
      seen.push(...page.sessions.map(({ id }) => id))
      cursor = page.nextCursor
    }
    expect(new Set(seen).size).toBe(3)
    expect(seen).toHaveLength(3)
    for (const [query, field] of [
      ["limit=0", "limit"],
      ["cursor=x", "cursor"],
      ["sort=label", "sort"],
    ]) {
      const problem = await api.problem(`/api/auth/sessions?${query ?? ""}`, { token: tokens.accessToken })
      expect(problem).toMatchObject({ status: 422, errors: [{ field }] })
    }
  })

  it("keeps no address of the network, and of a hostile User-Agent only a clean word", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const { accessToken } = await logInAs(api, email, `evil<script>alert(1)</script>/1 ${"x".repeat(5000)}`)
    expect((await list(api, accessToken))[0]?.label).toBe("unknown")
    expect(JSON.stringify(await api.db.select().from(sessions))).not.toContain("2001:db8")
  })
})

describe("ending own sessions", () => {
  const end = (api: TestClient, token: string, id: string, options: RequestOptions = {}): Promise<Response> =>
    api.request(`/api/auth/sessions/${id}`, { method: "DELETE", token, ...options })

  it("one by its id, on the next request; again, somebody else's and unknown ones are alike", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const second = await api.logIn("client", email)
    const stranger = await api.newClient()
    const [id, foreign] = [await sessionIdOf(api, second.accessToken), await sessionIdOf(api, stranger.tokens.accessToken)]
    const shapes = new Set<string>()
    for (const other of [foreign, newId()]) {
      const problem = await (await end(api, tokens.accessToken, other)).json<Record<string, unknown>>()
      shapes.add(JSON.stringify({ ...problem, instance: "", requestId: "" }))
    }
    expect([...shapes]).toHaveLength(1)
    expect([...shapes][0]).toContain('"code":"not_found"')
    expect(await isAlive(api, stranger.tokens.accessToken)).toBe(true)
    const response = await end(api, tokens.accessToken, id)
    expect([response.status, response.headers.get("set-cookie")]).toEqual([204, null])
    expect(await isAlive(api, second.accessToken)).toBe(false)
    expect((await refresh(api, second.refreshToken)).status).toBe(401)
    expect(await isAlive(api, tokens.accessToken)).toBe(true)
    expect((await end(api, tokens.accessToken, id)).status).toBe(404)
    expect((await end(api, tokens.accessToken, "x")).status).toBe(404)
    expect(await auditOf(api, id)).toEqual(["session.started", "session.ended"])
  })

  it("the current one too, which clears a browser's cookies", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const response = await end(api, tokens.accessToken, await sessionIdOf(api, tokens.accessToken))
    expect(response.status).toBe(204)
    const cookies = response.headers.getSetCookie()
    expect(cookies.map((cookie) => cookie.split("=")[0])).toEqual(["__Host-sealpost_access", "__Host-sealpost_refresh"])
    expect(cookies.every((cookie) => cookie.includes("Max-Age=0"))).toBe(true)
    expect(await isAlive(api, tokens.accessToken)).toBe(false)
  })

  it("everywhere, or everywhere else", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const second = await api.logIn("client", email)
    const stranger = await api.newClient()
    const others = await api.request("/api/auth/sessions?except=current", { method: "DELETE", token: tokens.accessToken })
    expect([others.status, others.headers.get("set-cookie")]).toEqual([200, null])
    expect(await isAlive(api, second.accessToken)).toBe(false)
    expect(await isAlive(api, tokens.accessToken)).toBe(true)
    const third = await api.logIn("client", email)
    const wrong = { method: "DELETE", token: tokens.accessToken }
    expect(await api.problem("/api/auth/sessions?except=others", wrong)).toMatchObject({
      status: 422,
      errors: [{ field: "except" }],
    })
    const all = await api.request("/api/auth/sessions", { method: "DELETE", token: tokens.accessToken })
    expect([all.status, all.headers.getSetCookie().length]).toEqual([200, 2])
    for (const { accessToken, refreshToken } of [tokens, third]) {
      expect(await isAlive(api, accessToken)).toBe(false)
      expect((await refresh(api, refreshToken)).status).toBe(401)
    }
    expect(await isAlive(api, stranger.tokens.accessToken)).toBe(true)
    await api.logIn("client", email)
  })

  it("L7: by a browser's cookie only from our own pages", async () => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const login = await api.request("/api/client/login", { json: { email, password: PASSWORD, cookies: true } })
    const cookie = login.headers
      .getSetCookie()
      .map((text) => text.split(";")[0])
      .join("; ")
    const options = (origin: string): RequestOptions => ({ method: "DELETE", headers: { Cookie: cookie, Origin: origin } })
    expect(await api.problem("/api/auth/sessions", options("https://evil.test"))).toMatchObject({
      status: 403,
      code: "cross_site",
    })
    expect((await api.request("/api/auth/me", { headers: { Cookie: cookie } })).status).toBe(200)
    expect((await api.request("/api/auth/sessions", options("https://sealpost.test"))).status).toBe(200)
    expect((await api.request("/api/auth/me", { headers: { Cookie: cookie } })).status).toBe(401)
  })
})
