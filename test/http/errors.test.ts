// Errors as callers meet them: RFC 9457 everywhere, nothing internal in them, security headers on all.
import { env } from "cloudflare:workers"
import { describe, expect, it, vi } from "vitest"
import { createApp } from "../../src/app.ts"
import { routeTable } from "../../src/http/middleware/known-route.ts"
import { PASSWORD, type ProblemBody, type RequestOptions, createTestClient, freshEmail } from "../support/client.ts"

const login = { email: "a@example.com", password: PASSWORD }

async function expectProblem(response: Response, status: number, code: string): Promise<ProblemBody> {
  expect(response.status).toBe(status)
  expect(response.headers.get("content-type")).toBe("application/problem+json; charset=utf-8")
  const body = await response.json<ProblemBody>()
  expect(body).toMatchObject({ type: `urn:sealpost:problem:${code}`, status, code, title: expect.any(String) as string })
  expect(body.requestId).toBe(response.headers.get("x-request-id"))
  expect(body.instance).toBe(`urn:uuid:${body.requestId}`)
  return body
}

describe("requests that are wrong as such", () => {
  it.each<[string, string, RequestOptions, number, string]>([
    ["an unknown route", "/nope", {}, 404, "not_found"],
    ["an unknown route under a guard", "/api/ops/nope", {}, 404, "not_found"],
    ["a trailing slash", "/api/ops/login/", { json: login }, 404, "not_found"],
    ["a double slash", "/api//ops/login", { json: login }, 404, "not_found"],
    ["other case", "/API/ops/login", { json: login }, 404, "not_found"],
    ["a debugging path", "/__scheduled", {}, 404, "not_found"],
    ["a repository", "/.git/config", {}, 404, "not_found"],
    ["broken percent-encoding", "/%zz", {}, 404, "not_found"],
    [
      "malformed JSON",
      "/api/ops/login",
      { method: "POST", body: "{", headers: { "Content-Type": "application/json" } },
      400,
      "malformed_json",
    ],
    ["no body", "/api/ops/login", { method: "POST", headers: { "Content-Type": "application/json" } }, 400, "malformed_json"],
    [
      "a byte order mark",
      "/api/ops/login",
      { method: "POST", body: `\ufeff${JSON.stringify(login)}`, headers: { "Content-Type": "application/json" } },
      401,
      "invalid_credentials",
    ],
    [
      "JSON without an object",
      "/api/ops/login",
      { method: "POST", body: "null", headers: { "Content-Type": "application/json" } },
      422,
      "validation_failed",
    ],
    [
      "deep JSON",
      "/api/ops/login",
      { method: "POST", body: "[".repeat(8000), headers: { "Content-Type": "application/json" } },
      400,
      "malformed_json",
    ],
    [
      "__proto__",
      "/api/ops/login",
      {
        method: "POST",
        body: `{"email":"a@example.com","password":"x","__proto__":{"role":"ops"}}`,
        headers: { "Content-Type": "application/json" },
      },
      422,
      "validation_failed",
    ],
    [
      "P1, M10: a name given twice",
      "/api/ops/login",
      {
        method: "POST",
        body: `{"email":"a@example.com","password":"x","email":"b@example.com"}`,
        headers: { "Content-Type": "application/json" },
      },
      400,
      "malformed_json",
    ],
    [
      "P1, M10: bytes that are not UTF-8",
      "/api/ops/login",
      {
        method: "POST",
        body: Uint8Array.from([...new TextEncoder().encode('{"email":"a@example.com","password":"'), 0xff, 0x22, 0x7d]),
        headers: { "Content-Type": "application/json" },
      },
      400,
      "malformed_json",
    ],
    [
      "a form instead of JSON",
      "/api/ops/login",
      { method: "POST", body: new URLSearchParams(login) },
      415,
      "unsupported_media_type",
    ],
    [
      "JSON said to be text",
      "/api/ops/login",
      { method: "POST", body: JSON.stringify(login), headers: { "Content-Type": "text/plain" } },
      415,
      "unsupported_media_type",
    ],
    [
      "JSON in another charset",
      "/api/ops/login",
      { method: "POST", body: JSON.stringify(login), headers: { "Content-Type": "application/json; charset=utf-16" } },
      415,
      "unsupported_media_type",
    ],
    [
      "no content type",
      "/api/ops/login",
      { method: "POST", body: new Blob([JSON.stringify(login)]) },
      415,
      "unsupported_media_type",
    ],
    ["too much JSON", "/api/ops/login", { json: { ...login, password: "x".repeat(20_000) } }, 413, "payload_too_large"],
    [
      "too much JSON without a length",
      "/api/ops/login",
      { method: "POST", body: new Blob(["x".repeat(20_000)]).stream(), headers: { "Content-Type": "application/json" } },
      413,
      "payload_too_large",
    ],
    ["a wrong password", "/api/ops/login", { json: login }, 401, "invalid_credentials"],
    ["nobody", "/api/client/files", {}, 401, "authentication_required"],
    ["a token of nobody", "/api/client/files", { token: "x" }, 401, "invalid_token"],
  ])("%s", async (_, path, options, status, code) => {
    await expectProblem(await createTestClient().request(path, options), status, code)
  })

  it("challenge with every 401 (RFC 9110 section 11.6.1)", async () => {
    const api = createTestClient()
    expect((await api.request("/api/client/files")).headers.get("www-authenticate")).toBe("Bearer")
    expect((await api.request("/api/client/files", { token: "x" })).headers.get("www-authenticate")).toBe(
      'Bearer error="invalid_token"',
    )
    expect((await api.request("/api/ops/login", { json: login })).headers.get("www-authenticate")).toBe("Bearer")
  })

  it.each([
    "Bearer",
    "Bearer ",
    "bearer TOKEN",
    "Bearer  TOKEN",
    "Token TOKEN",
    "Basic TOKEN",
    "Bearer TOKEN,Bearer TOKEN",
    "Bearer TOKEN x",
  ])("B8: refuse the header %j, and accept the same token in the right one", async (header) => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const headers = { Authorization: header.replaceAll("TOKEN", tokens.accessToken) }
    await expectProblem(await api.request("/api/auth/me", { headers }), 401, "invalid_token")
    expect((await api.request("/api/auth/me", { token: tokens.accessToken })).status).toBe(200)
  })
})

describe("every route", () => {
  const routes = routeTable(createApp())
  const concrete = (pattern: string): string => pattern.replace(/:\w+/, crypto.randomUUID())

  it.each(routes)("$pattern answers other methods with 405 and Allow, and OPTIONS with 204", async ({ pattern, methods }) => {
    const api = createTestClient()
    const allow = [...methods, "OPTIONS"].sort().join(", ")
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"].filter((name) => !methods.has(name))) {
      const response = await api.request(concrete(pattern), { method })
      const problem = await expectProblem(response, 405, "method_not_allowed")
      expect(response.headers.get("allow")).toBe(allow)
      expect(problem.detail).toContain(allow)
    }
    const options = await api.request(concrete(pattern), {
      method: "OPTIONS",
      headers: { Origin: "https://evil.test", "Access-Control-Request-Method": "POST" },
    })
    expect([options.status, options.headers.get("allow")]).toEqual([204, allow])
    expect(options.headers.get("access-control-allow-origin")).toBeNull()
  })

  it.each(routes)("$pattern carries the security headers whatever it answers", async ({ pattern, methods }) => {
    const api = createTestClient()
    for (const method of [...methods, "OPTIONS", "DELETE"]) {
      const { headers } = await api.request(concrete(pattern), { method })
      expect(headers.get("x-content-type-options")).toBe("nosniff")
      expect(headers.get("strict-transport-security")).toBe("max-age=63072000; includeSubDomains")
      expect(headers.get("referrer-policy")).toBe("no-referrer")
      expect(headers.get("content-security-policy")).toMatch(/frame-ancestors 'none'/)
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin")
      expect(headers.get("cache-control")).toMatch(/no-store/)
      expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/)
      expect(headers.get("x-powered-by")).toBeNull()
    }
  })
})

describe("roles", () => {
  it("cannot be changed by method override, header or field", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const headers = { "X-HTTP-Method-Override": "DELETE", "X-Role": "ops", "X-Original-URL": "/api/ops/files" }
    expect((await api.request("/api/client/files?_method=DELETE", { token: tokens.accessToken })).status).toBe(422)
    expect((await api.request("/api/client/files", { token: tokens.accessToken, headers })).status).toBe(200)
    await expectProblem(await api.request("/api/ops/files", { token: tokens.accessToken, headers }), 403, "forbidden")
  })

  it("a token of a client who is no longer verified opens nothing", async () => {
    const api = createTestClient()
    const { tokens, email } = await api.newClient()
    await api.db.$client.prepare("update users set verified_at_ms = null where email = ?").bind(email).run()
    await expectProblem(await api.request("/api/client/files", { token: tokens.accessToken }), 403, "forbidden")
  })
})

describe("a deployment", () => {
  it.each([
    "MASTER_KEYS",
    "LINK_KEYS",
    "JWT_KEYS",
    "PASSWORD_PEPPERS",
    "HANDLE_KEYS",
    "AUDIT_KEYS",
    "TOTP_KEYS",
    "MAIL_TRANSPORT",
    "MAILCHANNELS_API_KEY",
    "PUBLIC_ORIGIN",
  ])("without %s answers everything with 503, naming it and what mends it", async (name) => {
    const api = createTestClient({ [name]: undefined })
    for (const path of ["/healthz", "/api/client/files", "/download-file/x"]) {
      const problem = await expectProblem(await api.request(path), 503, "misconfigured")
      expect(problem.detail).toContain(`${name} is missing`)
    }
    expect((await createTestClient().request("/healthz")).status).toBe(200)
  })

  it("whose database or store does not answer is not healthy", async () => {
    const broken = new Proxy(
      {},
      {
        get: () => () => {
          throw new Error("secret detail: token abcdefghijklmnopqrstuvwxyz")
        },
      },
    )
    for (const binding of ["DB", "BLOBS"]) {
      const response = await createTestClient({ [binding]: broken }).request("/healthz")
      expect(response.headers.get("retry-after")).toBe("5")
      await expectProblem(response, 503, "busy")
    }
  })

  it.each([
    "D1_ERROR: Network connection lost.",
    "D1 DB is overloaded. Requests queued for too long.",
    "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
    "D1_ERROR: database is locked: SQLITE_BUSY",
    "D1_ERROR: Failed to get session commit token: internal error; reference = x",
  ])("whose database says %j answers 503 with its code and a time to come back", async (message) => {
    const spy = vi.spyOn(console, "log").mockImplementation(() => undefined)
    const refuse = (): Promise<never> => Promise.reject(new Error(message))
    const statement: Record<string, unknown> = { run: refuse, all: refuse, raw: refuse, first: refuse }
    statement["bind"] = () => statement
    const response = await createTestClient({ DB: { prepare: () => statement, batch: refuse } }).request("/api/ops/login", {
      json: login,
    })
    spy.mockRestore()
    expect(response.headers.get("retry-after")).toBe("5")
    await expectProblem(response, 503, "database_unavailable")
  })

  it("whose database refuses a statement has a fault of ours", async () => {
    const spy = vi.spyOn(console, "log").mockImplementation(() => undefined)
    const refuse = (): Promise<never> => Promise.reject(new Error("D1_ERROR: no such table: users: SQLITE_ERROR"))
    const statement: Record<string, unknown> = { run: refuse, all: refuse, raw: refuse, first: refuse }
    statement["bind"] = () => statement
    const response = await createTestClient({ DB: { prepare: () => statement, batch: refuse } }).request("/api/ops/login", {
      json: login,
    })
    spy.mockRestore()
    await expectProblem(response, 500, "internal")
  })

  it("says nothing of an unexpected fault to the caller, and nothing secret to the log", async () => {
    const spy = vi.spyOn(console, "log").mockImplementation(() => undefined)
    const broken = new Proxy(env.DB, {
      get: () => () => {
        throw new Error(`near "x": someone@example.com ${"s3cr3t".repeat(8)}`)
      },
    })
    const response = await createTestClient({ DB: broken }).request("/api/ops/login", { json: login })
    const lines = spy.mock.calls.map(([line]) => String(line))
    spy.mockRestore()
    const problem = await expectProblem(response, 500, "internal")
    expect(JSON.stringify(problem)).not.toMatch(/near|s3cr3t|example\.com|at /)
    const fault = lines.find((line) => line.includes('"event":"fault"')) ?? ""
    expect(fault).toContain(problem.requestId)
    expect(fault).toContain("POST /api/ops/login")
    expect(lines.join()).not.toMatch(/s3cr3t|someone@example\.com/)
  })
})

describe("the log", () => {
  it("of a whole journey holds no password, token, code, link, address or file name", async () => {
    const lines: string[] = []
    const spies = (["log", "info", "warn", "error", "debug"] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation((...args: unknown[]) => void lines.push(args.map(String).join(" "))),
    )
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    const code = await api.codeFor(email)
    await api.request("/api/client/verify-email", { json: { handle, code: "0000-0000" } })
    await api.request("/api/client/verify-email", { json: { handle, code } })
    const tokens = await api.logIn("client", email)
    await api.request("/api/client/login", { json: { email, password: `${PASSWORD}wrong` } })
    const ops = await api.newOps()
    const { realDocument } = await import("../support/documents.ts")
    const { file } = await (
      await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), "merger plans.xlsx")
    ).json<{ file: { id: string } }>()
    const link = await (
      await api.request(`/api/client/download/${file.id}`, { token: tokens.accessToken })
    ).json<{ "download-link": string }>()
    await api.request(link["download-link"], { token: tokens.accessToken })
    await api.request(`${link["download-link"].slice(0, -1)}_`, { token: tokens.accessToken })
    await api.request("/api/auth/refresh", { json: { refreshToken: tokens.refreshToken } })
    for (const spy of spies) spy.mockRestore()
    const log = lines.join("\n")
    expect(lines.length).toBeGreaterThan(10)
    expect(log).toContain('"operation":"GET /download-file/:token","status":200')
    const token = link["download-link"].split("/").at(-1) ?? "?"
    const secrets = [
      PASSWORD,
      code,
      code.replace("-", ""),
      handle,
      email,
      ops.email,
      tokens.accessToken,
      tokens.refreshToken,
      token,
      token.slice(0, 40),
      "merger plans",
      api.env.JWT_KEYS,
    ]
    for (const secret of secrets) expect(log.includes(secret), secret.slice(0, 12)).toBe(false)
  })
})
