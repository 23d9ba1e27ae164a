// Sessions: rotation, reuse, ends, and that all of it acts on the next request.
import { describe, expect, it } from "vitest"
import { refreshTokens } from "../../src/db/schema.ts"
import { REFRESH_REUSE_GRACE_MS, SESSION_ABSOLUTE_MS, SESSION_IDLE_MS } from "../../src/domain/sessions.ts"
import { type TestClient, type Tokens, createTestClient } from "../support/client.ts"

const refresh = (api: TestClient, refreshToken: string): Promise<Response> =>
  api.request("/api/auth/refresh", { json: { refreshToken } })
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

  it("of parallel tries let exactly one win, and leave one living successor", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const responses = await Promise.all(Array.from({ length: 8 }, () => refresh(api, tokens.refreshToken)))
    const winners = responses.filter(({ status }) => status === 200)
    expect(winners).toHaveLength(1)
    expect(responses.filter(({ status }) => status === 401)).toHaveLength(7)
    const next = await winners[0]?.json<Tokens>()
    expect((await refresh(api, next?.refreshToken ?? "")).status).toBe(200)
  })

  it("are stored as hashes only", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const rows = await api.db.select().from(refreshTokens)
    expect(rows.every(({ hash }) => /^[0-9a-f]{64}$/.test(hash))).toBe(true)
    expect(JSON.stringify(rows)).not.toContain(tokens.refreshToken)
  })

  it.each(["", "x", "A".repeat(43), "A".repeat(42)])("like %j are refused", async (refreshToken) => {
    expect(await createTestClient().problem("/api/auth/refresh", { json: { refreshToken } })).toMatchObject({
      status: 401,
      code: "invalid_token",
    })
  })

  it("die after two idle weeks, and after a month however often they are used", async () => {
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

describe("a session ends on the next request", () => {
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
