// Sessions of browsers (SECURITY-BAR L7, L8): cookies that other sites cannot use.
import { describe, expect, it } from "vitest"
import { realDocument } from "../support/documents.ts"
import { ORIGIN, PASSWORD, createTestClient } from "../support/client.ts"

async function browser() {
  const api = createTestClient()
  const { email } = await api.newClient()
  const login = await api.request("/api/client/login", { json: { email, password: PASSWORD, cookies: true } })
  const set = login.headers.getSetCookie()
  const cookie = set.map((line) => line.split(";")[0]).join("; ")
  return { api, login, set, cookie }
}

describe("L8: a session in cookies", () => {
  it("is in two __Host- cookies that no script reads, and nowhere in the body", async () => {
    const { login, set } = await browser()
    expect(Object.keys(await login.json<object>()).sort()).toEqual(["expiresIn", "message"])
    expect(set).toHaveLength(2)
    for (const line of set) {
      expect(line).toMatch(/^__Host-sealpost_(?:access|refresh)=[^;]+;/)
      for (const part of ["Path=/", "HttpOnly", "Secure", "SameSite=Strict"]) expect(line.split("; ")).toContain(part)
      expect(line).not.toMatch(/Domain/i)
    }
  })

  it("lists files, makes a link and downloads through it", async () => {
    const { api, cookie } = await browser()
    const ops = await api.newOps()
    const docx = realDocument("npm-docx.docx")
    const { file } = await (await api.upload(ops.tokens.accessToken, docx, "a.docx")).json<{ file: { id: string } }>()
    const minted = await api.request(`/api/client/download/${file.id}`, { headers: { Cookie: cookie } })
    const { pathname } = new URL((await minted.json<{ "download-link": string }>())["download-link"])
    const got = await api.request(pathname, { headers: { Cookie: cookie } })
    expect(new Uint8Array(await got.arrayBuffer())).toEqual(docx)
    expect(await api.problem(pathname)).toMatchObject({ code: "authentication_required" })
  })

  it("is refreshed and ended by cookie alone", async () => {
    const { api, cookie } = await browser()
    const headers = { Cookie: cookie, Origin: ORIGIN }
    const refreshed = await api.request("/api/auth/refresh", { json: {}, headers })
    expect(refreshed.status).toBe(200)
    const next = refreshed.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ") // prettier-ignore
    expect(next).not.toBe(cookie)
    const out = await api.request("/api/auth/logout", { method: "POST", headers: { Cookie: next, Origin: ORIGIN } })
    expect(out.headers.getSetCookie().every((line) => line.includes("Max-Age=0"))).toBe(true)
    expect(await api.problem("/api/auth/me", { headers: { Cookie: next } })).toMatchObject({ code: "invalid_token" })
  })

  it.each<[string, string | undefined, string | undefined]>([
    ["another site", "https://evil.example", "cross-site"],
    ["a sibling host", "https://other.sealpost.test", "same-site"],
    ["a null origin", "null", undefined],
    ["the plain-text twin", ORIGIN.replace("https", "http"), undefined],
    ["no origin at all", undefined, undefined],
    ["an origin that contradicts the fetch metadata", ORIGIN, "cross-site"],
  ])("L7: changes nothing for %s", async (_, origin, site) => {
    const { api, cookie } = await browser()
    const headers = {
      Cookie: cookie,
      ...(origin === undefined ? {} : { Origin: origin }),
      ...(site === undefined ? {} : { "Sec-Fetch-Site": site }),
    }
    expect(await api.problem("/api/auth/logout", { method: "POST", headers })).toMatchObject({
      status: 403,
      code: "cross_site",
      detail: expect.stringContaining(`"Origin: ${ORIGIN}"`) as string,
    })
    expect(await api.problem("/api/auth/refresh", { json: {}, headers })).toMatchObject({ status: 403, code: "cross_site" })
    const own = { Cookie: cookie, Origin: ORIGIN, "Sec-Fetch-Site": "same-origin" }
    expect((await api.request("/api/auth/logout", { method: "POST", headers: own })).status).toBe(200)
  })

  it.each<[string, Record<string, string>]>([
    ["another site's page", { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }],
    ["a sibling host's page", { Origin: "https://other.sealpost.test", "Sec-Fetch-Site": "same-site" }],
    ["a page without an origin", { Origin: "null" }],
    ["another site, as the fetch metadata tell", { "Sec-Fetch-Site": "cross-site" }],
  ])("L7: is not given to %s, which would log its visitor in to an account of its choice", async (_, headers) => {
    const api = createTestClient()
    const { email } = await api.newClient()
    const json = { email, password: PASSWORD, cookies: true }
    const refused = await api.request("/api/client/login", { json, headers })
    expect([refused.status, refused.headers.get("set-cookie")]).toEqual([403, null])
    expect(await refused.json()).toMatchObject({ code: "cross_site" })
    const own = { Origin: ORIGIN, "Sec-Fetch-Site": "same-origin" }
    expect((await api.request("/api/client/login", { json, headers: own })).headers.getSetCookie()).toHaveLength(2)
  })

  it("B8: is not taken from a cookie without the prefix, or with white space before it", async () => {
    const { api, cookie } = await browser()
    for (const fake of [
      cookie.replaceAll("__Host-", ""),
      cookie.replaceAll("__Host-", "\u00a0__Host-"),
      cookie.replaceAll("__Host-", "__host-"),
    ]) {
      expect(await api.problem("/api/auth/me", { headers: { Cookie: fake } }), fake).toMatchObject({
        code: "authentication_required",
      })
    }
    expect((await api.request("/api/auth/me", { headers: { Cookie: cookie } })).status).toBe(200)
  })
})
