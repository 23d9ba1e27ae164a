// Groups D, E and J of the attack table for download links, row by row as tables of data: every fault beside a request
// that differs in it alone and succeeds.
import { env } from "cloudflare:workers"
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { fromBase64url, toBase64url } from "../../src/crypto/bytes.ts"
import { type LinkKey, importLinkKey, openLinkToken, sealLinkToken } from "../../src/crypto/link-token.ts"
import { type KeyRing, mapKeyRing, parseKeyRing } from "../../src/crypto/keyring.ts"
import { auditEvents, downloads, limitCounters, links, sessions, users } from "../../src/db/schema.ts"
import { LIMITS } from "../../src/domain/limits.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")
const SIZE = docx.length
const PREFIX = "/download-file/"

let api: TestClient
let ops: Awaited<ReturnType<TestClient["newOps"]>>
let client: Awaited<ReturnType<TestClient["newClient"]>>
let other: Awaited<ReturnType<TestClient["newClient"]>>
let keys: KeyRing<LinkKey>

beforeAll(async () => {
  api = createTestClient()
  ops = await api.newOps()
  client = await api.newClient()
  other = await api.newClient()
  const ring = parseKeyRing(api.env.LINK_KEYS)
  if (typeof ring === "string") throw new Error(ring)
  keys = await mapKeyRing(ring, importLinkKey)
})

async function post(query = ""): Promise<string> {
  const form = new FormData()
  form.set("file", new File([docx], "a.docx"))
  const options = { method: "POST", token: ops.tokens.accessToken, body: form }
  return (await (await api.request(`/api/ops/upload${query}`, options)).json<{ file: { id: string } }>()).file.id
}

async function mint(fileId: string, who = client): Promise<string> {
  const response = await api.request(`/api/client/download/${fileId}`, { token: who.tokens.accessToken })
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

const claimsOf = async (link: string) => {
  const claims = await openLinkToken(keys, link.slice(PREFIX.length))
  if (claims === null) throw new Error("not a link")
  return claims
}

const rowsOf = (fileId: string) => api.db.select().from(downloads).where(eq(downloads.fileId, fileId))

/** Status and code of an answer: what a client is told. */
async function told(path: string, options: RequestOptions = {}): Promise<string> {
  const response = await api.request(path, options)
  if (response.ok) return String(response.status)
  return `${String(response.status)} ${(await response.json<ProblemBody>()).code}`
}

describe("E5: every bit of a link", () => {
  it("flipped alone is 404 to its own client, in the same words", async () => {
    const fileId = await post()
    const link = await mint(fileId)
    const bytes = fromBase64url(link.slice(PREFIX.length)) ?? new Uint8Array(0)
    expect(bytes).toHaveLength(106)
    const answers = new Set<string>()
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const response = await api.request(PREFIX + toBase64url(flipped), { token: client.tokens.accessToken })
      const { type, title, status, code, detail } = await response.json<ProblemBody>()
      answers.add(JSON.stringify({ type, title, status, code, detail }))
    }
    expect([...answers].map((answer) => (JSON.parse(answer) as ProblemBody).code)).toEqual(["link_not_found"])
    expect(await rowsOf(fileId)).toEqual([])
    expect(await told(link, { token: client.tokens.accessToken })).toBe("200")
  })

  it("cut off anywhere is 404", async () => {
    const link = await mint(await post())
    for (let length = 0; length < 142; length++) {
      const cut = link.slice(0, PREFIX.length + length)
      expect(await told(cut, { token: client.tokens.accessToken }), String(length)).toMatch(/^404 (link_)?not_found$/)
    }
    expect(await told(link, { token: client.tokens.accessToken })).toBe("200")
  })
})

describe("E4: claims altered alone, under the genuine key", () => {
  const id = "00000000-0000-4000-8000-000000000001"
  it.each<[string, (claims: Awaited<ReturnType<typeof claimsOf>>) => Partial<Awaited<ReturnType<typeof claimsOf>>>, string]>([
    ["nothing", () => ({}), "200"],
    ["the link", () => ({ linkId: id }), "404 link_not_found"],
    ["the user", () => ({ userId: id }), "403 link_not_yours"],
    ["the file", () => ({ fileId: id }), "404 link_not_found"],
    ["the expiry, into the past", () => ({ expiresAtSeconds: 1 }), "410 link_expired"],
  ])("%s", async (_, change, answer) => {
    const fileId = await post()
    const claims = await claimsOf(await mint(fileId))
    const altered = PREFIX + (await sealLinkToken(keys, { ...claims, ...change(claims) }))
    expect(await told(altered, { token: client.tokens.accessToken })).toBe(answer)
    expect(await rowsOf(fileId)).toHaveLength(answer === "200" ? 1 : 0)
  })

  it("another file of the same client is not opened by a link for the first", async () => {
    const [first, second] = [await post(), await post()]
    const claims = await claimsOf(await mint(first))
    const moved = PREFIX + (await sealLinkToken(keys, { ...claims, fileId: second }))
    expect(await told(moved, { token: client.tokens.accessToken })).toBe("404 link_not_found")
  })
})

describe("E1, E2, D1: who presents a link", () => {
  /** Each changes the world for one request and may put it back. */
  const cases: [string, string, () => Promise<RequestOptions> | RequestOptions][] = [
    ["its client", "200", () => ({ token: client.tokens.accessToken })],
    ["nobody", "401 authentication_required", () => ({})],
    ["an empty Bearer", "401 invalid_token", () => ({ headers: { Authorization: "Bearer " } })],
    ["Basic credentials", "401 invalid_token", () => ({ headers: { Authorization: "Basic eDp5" } })],
    ["a refresh token", "401 invalid_token", () => ({ token: client.tokens.refreshToken })],
    ["another client", "403 link_not_yours", () => ({ token: other.tokens.accessToken })],
    ["the file's owner", "403 link_not_yours", () => ({ token: ops.tokens.accessToken })],
    [
      "an ended session",
      "401 invalid_token",
      async () => {
        const { accessToken: token } = await api.logIn("client", client.email)
        await api.request("/api/auth/logout", { method: "POST", token })
        return { token }
      },
    ],
    [
      "a session past its absolute end",
      "401 invalid_token",
      async () => {
        const { accessToken: token } = await api.logIn("client", client.email)
        const [newest] = (await api.db.select().from(sessions)).slice(-1)
        await api.db
          .update(sessions)
          .set({ expiresAtMs: api.clock.nowMs })
          .where(eq(sessions.id, newest?.id ?? ""))
        return { token }
      },
    ],
  ]
  it.each(cases)("%s: %s, and only success consumes", async (_, answer, prepare) => {
    const fileId = await post("?downloadLimit=1")
    const link = await mint(fileId)
    const options = await prepare()
    const response = await api.request(link, options)
    const text = await response.clone().text()
    expect(response.ok ? "200" : `${String(response.status)} ${(JSON.parse(text) as ProblemBody).code}`).toBe(answer)
    expect(await rowsOf(fileId)).toHaveLength(answer === "200" ? 1 : 0)
    if (answer !== "200") {
      expect(response.headers.get("content-disposition")).toBeNull()
      expect(text).not.toContain("a.docx")
      expect(await told(link, { token: client.tokens.accessToken })).toBe("200")
    }
  })
})

describe("E11, E13: what changes while a download runs acts on its next range", () => {
  const first = { Range: "bytes=0-99" }
  const next = { Range: "bytes=100-199" }
  const set = (values: Partial<typeof users.$inferInsert>) => (email: string) =>
    api.db.update(users).set(values).where(eq(users.email, email))
  it.each<[string, string, (email: string, token: string, link: string, fileId: string) => Promise<unknown>]>([
    ["nothing", "206", () => Promise.resolve()],
    ["logout", "401 invalid_token", (_, token) => api.request("/api/auth/logout", { method: "POST", token })],
    ["the account disabled", "401 invalid_token", set({ disabledAtMs: 1 })],
    ["the account no longer verified", "403 forbidden", set({ verifiedAtMs: null })],
    ["the account made ops", "403 forbidden", set({ role: "ops" })],
    ["the account deleted", "401 invalid_token", (email) => api.db.delete(users).where(eq(users.email, email))],
    [
      "the link withdrawn by its client",
      "410 link_revoked",
      async (_, token, link) => {
        const { linkId } = await claimsOf(link)
        expect((await api.request(`/api/client/links/${linkId}`, { method: "DELETE", token })).status).toBe(204)
      },
    ],
    [
      "the link withdrawn by ops",
      "410 link_revoked",
      async (_, __, ___, fileId) => {
        const options = { method: "DELETE", token: ops.tokens.accessToken }
        expect(await (await api.request(`/api/ops/links?file=${fileId}`, options)).json()).toMatchObject({ revoked: 1 })
      },
    ],
    [
      "the file deleted",
      "404 link_not_found",
      (_, __, ___, fileId) => api.request(`/api/ops/files/${fileId}`, { method: "DELETE", token: ops.tokens.accessToken }),
    ],
  ])("%s: %s", async (_, answer, change) => {
    const someone = await api.newClient()
    const token = someone.tokens.accessToken
    const fileId = await post()
    const link = await mint(fileId, someone)
    expect((await api.request(link, { token, headers: first })).status).toBe(206)
    await change(someone.email, token, link, fileId)
    const response = await api.request(link, { token, headers: next })
    const body = response.ok ? null : await response.json<ProblemBody>()
    expect(body === null ? String(response.status) : `${String(response.status)} ${body.code}`).toBe(answer)
  })

  it("and when the link expires between two ranges", async () => {
    const link = await mint(await post())
    expect((await api.request(link, { token: client.tokens.accessToken, headers: first })).status).toBe(206)
    const before = api.clock.nowMs
    api.clock.nowMs += 3_600_000
    const { accessToken: token } = await api.logIn("client", client.email)
    expect(await told(link, { token, headers: next })).toBe("410 link_expired")
    api.clock.nowMs -= 1
    expect(await told(link, { token, headers: next })).toBe("206")
    api.clock.nowMs = before
  })
})

describe("E8: how long a link may be asked to live", () => {
  it.each([
    ["1", "200"],
    ["3600", "200"],
    ["3601", "422 validation_failed"],
    ["0", "422 validation_failed"],
    ["-1", "422 validation_failed"],
    ["1.5", "422 validation_failed"],
    ["1e3", "422 validation_failed"],
    ["0x10", "422 validation_failed"],
    ["%2B5", "422 validation_failed"],
    ["", "422 validation_failed"],
    ["999999999999999999999", "422 validation_failed"],
    ["NaN", "422 validation_failed"],
    ["5&expiresIn=6", "422 validation_failed"],
    ["5&other=6", "422 validation_failed"],
  ])("?expiresIn=%s: %s", async (wish, answer) => {
    const fileId = await post()
    const before = await api.db.$count(links, eq(links.fileId, fileId))
    expect(await told(`/api/client/download/${fileId}?expiresIn=${wish}`, { token: client.tokens.accessToken })).toBe(answer)
    expect((await api.db.$count(links, eq(links.fileId, fileId))) - before).toBe(answer === "200" ? 1 : 0)
  })
})

describe("N2: making links", () => {
  it("is limited for each client, exactly, and for nobody else", async () => {
    const someone = await api.newClient()
    const fileId = await post()
    const ask = (who: typeof someone) => told(`/api/client/download/${fileId}`, { token: who.tokens.accessToken })
    const keys = async (): Promise<string[]> => (await api.db.select().from(limitCounters)).map(({ key }) => key)
    const known = await keys()
    expect(await ask(someone)).toBe("200")
    const [key] = (await keys()).filter((text) => text.startsWith("link-mint:") && !known.includes(text))
    const { quota } = LIMITS["link-mint"]
    await api.db
      .update(limitCounters)
      .set({ count: quota - 1 })
      .where(eq(limitCounters.key, key ?? ""))
    expect(await ask(someone)).toBe("200")
    const before = await api.db.$count(links)
    expect(await ask(someone)).toBe("429 too_many_requests")
    expect(await api.db.$count(links)).toBe(before)
    expect(await ask(client)).toBe("200")
  })
})

describe("E20, D4: other methods", () => {
  it.each<[string, RequestOptions, string]>([
    ["GET", {}, "200"],
    ["HEAD", { method: "HEAD" }, "200"],
    ["POST", { method: "POST" }, "405 method_not_allowed"],
    ["PUT", { method: "PUT" }, "405 method_not_allowed"],
    ["PATCH", { method: "PATCH" }, "405 method_not_allowed"],
    ["DELETE", { method: "DELETE" }, "405 method_not_allowed"],
    ["POST that says it is GET", { method: "POST", headers: { "X-HTTP-Method-Override": "GET" } }, "405 method_not_allowed"],
    ["GET that says it is DELETE", { headers: { "X-HTTP-Method-Override": "DELETE" } }, "200"],
  ])("%s: %s", async (_, options, answer) => {
    const fileId = await post()
    const link = await mint(fileId)
    expect(await told(link, { ...options, token: client.tokens.accessToken })).toBe(answer)
    expect(await rowsOf(fileId)).toHaveLength(answer === "200" && options.method !== "HEAD" ? 1 : 0)
  })
})

describe("the cost of a good link", () => {
  it("is one round trip of D1 before the first byte", async () => {
    const trips: string[] = []
    const counting = new Proxy(env.DB, {
      get(database, property) {
        const value: unknown = Reflect.get(database, property)
        if (typeof value !== "function") return value
        if (property === "batch") trips.push("batch")
        if (property !== "prepare") return value.bind(database) as unknown
        return (sql: string) => countingStatement(env.DB.prepare(sql))
      },
    })
    // A statement on its own is a trip when it runs; inside a batch the batch is.
    function countingStatement(statement: D1PreparedStatement): D1PreparedStatement {
      return new Proxy(statement, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property)
          if (typeof value !== "function") return value
          if (property === "bind") return (...values: unknown[]) => countingStatement(target.bind(...values))
          if (["all", "run", "first", "raw"].includes(String(property))) trips.push(String(property))
          return value.bind(target) as unknown
        },
      })
    }
    const watched = createTestClient({ DB: counting })
    const link = await mint(await post("?downloadLimit=5"))
    for (const headers of [{}, { Range: "bytes=5-9" }]) {
      trips.length = 0
      const context = createExecutionContext()
      const response = await watched.rawRequest(link, { token: client.tokens.accessToken, headers }, context)
      expect(response.ok).toBe(true)
      expect(trips).toEqual(["batch"])
      await response.arrayBuffer()
      await waitOnExecutionContext(context)
      // What was sent is noted once, at the end.
      expect(trips.length).toBeGreaterThan(1)
    }
  })
})

describe("E19: the link itself", () => {
  it("is in no table", async () => {
    const fileId = await post()
    const link = await mint(fileId)
    expect(await told(link, { token: client.tokens.accessToken })).toBe("200")
    const tables = await env.DB.prepare("select name from sqlite_master where type = 'table' and name not like '\\_cf%' escape '\\'").all<{ name: string }>() // prettier-ignore
    expect(tables.results.length).toBeGreaterThan(10)
    const token = link.slice(PREFIX.length)
    for (const { name } of tables.results) {
      const rows = JSON.stringify((await env.DB.prepare(`select * from "${name}"`).all()).results)
      expect(rows.includes(token) || rows.includes(token.slice(0, 40)), name).toBe(false)
    }
    expect((await api.db.select().from(auditEvents)).some(({ kind }) => kind === "link.minted")).toBe(true)
  })
})

describe("J: ranges of a link", () => {
  const whole = { answer: 200, from: 0, to: SIZE }
  const part = (from: number, to: number) => ({ answer: 206, from, to })
  const none = { answer: 416, from: 0, to: 0 }
  it.each<[string, string, Record<string, string>, typeof whole]>([
    ["J1", "bytes=0-0", {}, part(0, 1)],
    ["J1", "bytes=0-", {}, part(0, SIZE)],
    ["J1", "bytes=-1", {}, part(SIZE - 1, SIZE)],
    ["J1", "bytes=-0", {}, none],
    ["J1", `bytes=${String(SIZE - 1)}-`, {}, part(SIZE - 1, SIZE)],
    ["J1", `bytes=-${String(SIZE + 5)}`, {}, part(0, SIZE)],
    ["J1", `bytes=5-${String(SIZE * 9)}`, {}, part(5, SIZE)],
    ["J2", `bytes=${String(SIZE)}-`, {}, none],
    ["J2", "bytes=5-2", {}, whole],
    ["J2", "bytes=a-b", {}, whole],
    ["J2", "lines=0-5", {}, whole],
    ["J5", "bytes=0-9", { "If-Range": '"other"' }, whole],
    ["J5", "bytes=0-9", { "If-Range": "W/\"other\"" }, whole], // prettier-ignore
    ["J11", "bytes=0-9", { "Accept-Encoding": "gzip" }, part(0, 10)],
  ])("%s: %s %j", async (_, range, headers, { answer, from, to }) => {
    const link = await mint(await post())
    const response = await api.request(link, { token: client.tokens.accessToken, headers: { Range: range, ...headers } })
    expect(response.status).toBe(answer)
    if (answer === 416) {
      expect(response.headers.get("content-range")).toBe(`bytes */${String(SIZE)}`)
      expect((await response.json<ProblemBody>()).code).toBe("range_not_satisfiable")
      return
    }
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(docx.slice(from, to))
    expect(response.headers.get("content-encoding")).toBeNull()
    expect(response.headers.get("cache-control")).toBe("private, no-store, no-transform")
    expect(response.headers.get("repr-digest")).toMatch(/^sha-256=:/)
  })

  it("J5: If-Range with the right tag is the range", async () => {
    const link = await mint(await post())
    const head = await api.request(link, { method: "HEAD", token: client.tokens.accessToken })
    const headers = { Range: "bytes=0-9", "If-Range": head.headers.get("etag") ?? "" }
    expect(await told(link, { token: client.tokens.accessToken, headers })).toBe("206")
  })

  it("J4: a thousand ranges are bounded work", async () => {
    const link = await mint(await post())
    const many = Array.from({ length: 1000 }, (_, i) => `${String(i)}-${String(i)}`).join(",")
    const response = await api.request(link, { token: client.tokens.accessToken, headers: { Range: `bytes=${many}` } })
    expect(response.status).toBe(200)
    expect((await response.arrayBuffer()).byteLength).toBe(SIZE)
    const two = await api.request(link, { token: client.tokens.accessToken, headers: { Range: "bytes=0-1,5-6" } })
    expect(two.status).toBe(206)
    expect(two.headers.get("content-type")).toMatch(/^multipart\/byteranges; boundary=/)
  })

  it("J13: a file deleted while it is sent arrives whole or breaks off, never mixed", async () => {
    const large = docxOfSize(6 * 1024 * 1024)
    const { file } = await (await api.upload(ops.tokens.accessToken, large, "l.docx")).json<{ file: { id: string } }>()
    const link = await mint(file.id)
    const context = createExecutionContext()
    const response = await api.rawRequest(link, { token: client.tokens.accessToken }, context)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const first = (await reader.read()).value ?? new Uint8Array(0)
    await api.request(`/api/ops/files/${file.id}?purge=true`, { method: "DELETE", token: ops.tokens.accessToken })
    const rest: Uint8Array[] = [first]
    try {
      for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) rest.push(next.value)
    } catch {
      // Broken off: what came must still be a beginning.
    }
    await waitOnExecutionContext(context)
    let at = 0
    for (const bytes of rest) {
      expect(bytes.every((byte, i) => byte === large[at + i])).toBe(true)
      at += bytes.length
    }
    expect(first.length).toBeGreaterThan(0)
    expect(await told(link, { token: client.tokens.accessToken })).toBe("404 link_not_found")
  })
})

describe("a limit given with the upload", () => {
  it.each([
    ["?downloadLimit=1", "201"],
    ["?downloadLimit=0", "422 validation_failed"],
    ["?downloadLimit=-1", "422 validation_failed"],
    ["?downloadLimit=1.5", "422 validation_failed"],
    ["?downloadLimit=1&downloadLimit=2", "422 validation_failed"],
    ["?downloadLimits=1", "422 validation_failed"],
  ])("%s: %s", async (query, answer) => {
    const form = new FormData()
    form.set("file", new File([docx], "a.docx"))
    const options = { method: "POST", token: ops.tokens.accessToken, body: form }
    expect(await told(`/api/ops/upload${query}`, options)).toBe(answer)
  })

  it("holds from the first moment", async () => {
    const fileId = await post("?downloadLimit=1")
    const link = await mint(fileId)
    expect(await told(link, { token: client.tokens.accessToken })).toBe("200")
    expect(await told(link, { token: client.tokens.accessToken })).toBe("410 downloads_used_up")
  })
})
