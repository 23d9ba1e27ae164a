// What refusals say to people: which field, what is missing, how to go on.
import { describe, expect, it } from "vitest"
import { PASSWORD, type ProblemBody, createTestClient } from "../support/client.ts"

const login = { email: "a@example.com", password: PASSWORD }

describe("a refusal", () => {
  it("of one wrong field says in detail, too, which and why; of several, where to look", async () => {
    const api = createTestClient()
    const told = async (json: unknown) => (await api.problem("/api/ops/login", { json })).detail
    expect(await told({ email: "a@example.com" })).toBe("password: A password is needed.")
    expect(await told({ ...login, role: "ops" })).toBe("role: There is no such field.")
    expect(await told({})).toBe("See errors for each field.")
    expect(await api.problem("/api/ops/login", { json: login })).toMatchObject({ code: "invalid_credentials" })
  })

  it("of a token that is over says what it was for, and how to go on", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const me = () => api.problem("/api/auth/me", { token: tokens.accessToken })
    expect((await api.request("/api/auth/me", { token: tokens.accessToken })).status).toBe(200)
    api.clock.nowMs += 16 * 60_000
    const expired = await me()
    expect([expired.code, expired.detail]).toEqual([
      "invalid_token",
      expect.stringMatching(/^The access token .* \/api\/auth\/refresh, or log in again\.$/) as string,
    ])
    const { refreshToken } = tokens
    const refresh = () => api.request("/api/auth/refresh", { json: { refreshToken } })
    expect((await refresh()).status).toBe(200)
    const used = await (await refresh()).json<ProblemBody>()
    expect([used.code, used.detail]).toEqual([
      "invalid_token",
      expect.stringMatching(/^The refresh token .* Log in again\.$/) as string,
    ])
    // Of a session that is over the same as of a token that is.
    expect((await me()).detail).toBe(expired.detail)
  })

  it("calls what is not there by its name, whether the id could be one or not", async () => {
    const api = createTestClient()
    const [ops, client] = [await api.newOps(), await api.newClient()]
    const cases = [
      ["GET", "/api/ops/files/", ops, "file"],
      ["GET", "/api/ops/uploads/", ops, "upload"],
      ["GET", "/api/ops/groups/", ops, "group"],
      ["GET", "/api/ops/clients/", ops, "client"],
      ["DELETE", "/api/ops/links/", ops, "link"],
      ["DELETE", "/api/client/links/", client, "link"],
      ["DELETE", "/api/auth/sessions/", client, "session"],
    ] as const
    for (const [method, path, { tokens }, noun] of cases)
      for (const id of ["x", crypto.randomUUID()])
        expect([path, await api.problem(path + id, { method, token: tokens.accessToken })]).toMatchObject([
          path,
          { code: "not_found", detail: `There is no such ${noun}.` },
        ])
    expect((await api.request("/api/ops/uploads", { token: ops.tokens.accessToken })).status).toBe(200)
  })
})
