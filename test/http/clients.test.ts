// Clients in the hands of operations users: seen, shut out, let in again, deleted, and all of it on the next request.
import { describe, expect, it, vi } from "vitest"
import {
  auditEvents,
  downloads,
  knownPlaces,
  links,
  outbox,
  passwordResets,
  recoveryCodes,
  sessions,
  totpFactors,
  users,
  verifications,
} from "../../src/db/schema.ts"
import { newId } from "../../src/ids.ts"
import { realDocument } from "../support/documents.ts"
import { PASSWORD, type TestClient, createTestClient, freshEmail } from "../support/client.ts"
import { enrol } from "../support/totp.ts"

type ClientJson = {
  id: string
  email: string
  createdAt: string
  verifiedAt: string | null
  disabledAt: string | null
  secondFactor: boolean
}

const idOf = async (api: TestClient, email: string): Promise<string> =>
  (await api.db.select().from(users)).find((row) => row.email === email)?.id ?? ""

const post = (api: TestClient, token: string, id: string, what: "disable" | "enable"): Promise<Response> =>
  api.request(`/api/ops/clients/${id}/${what}`, { method: "POST", token })

const isAlive = async (api: TestClient, token: string): Promise<boolean> =>
  (await api.request("/api/auth/me", { token })).status === 200

const auditOf = async (api: TestClient, subjectId: string): Promise<{ kind: string; actorId: string | null }[]> =>
  (await api.db.select().from(auditEvents))
    .filter((row) => row.subjectId === subjectId)
    .map(({ kind, actorId }) => ({ kind, actorId }))

/** A client with a link to a document of an ops user. */
async function scene(api: TestClient) {
  const ops = await api.newOps()
  const client = await api.newClient()
  const uploaded = await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), "plan.xlsx")
  const { file } = await uploaded.json<{ file: { id: string } }>()
  const link = async (token: string): Promise<string> => {
    const response = await api.request(`/api/client/download/${file.id}`, { token })
    return (await response.json<{ "download-link": string }>())["download-link"]
  }
  const id = await idOf(api, client.email)
  return { ops, client, id, file, link, url: await link(client.tokens.accessToken) }
}

describe("the list of clients", () => {
  it("shows clients only, newest first, in pages, and nothing that opens anything", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const made: string[] = []
    for (let i = 0; i < 3; i++) {
      api.clock.nowMs += 1000
      made.unshift((await api.newClient()).email)
    }
    await api.db.$client.prepare("update users set disabled_at_ms = 1000 where email = ?").bind(made[1]).run()
    const seen: ClientJson[] = []
    let cursor: string | null = null
    do {
      const query: string = cursor === null ? "?limit=2" : `?limit=2&cursor=${cursor}`
      const response = await api.request(`/api/ops/clients${query}`, { token: ops.tokens.accessToken })
      const page = await response.json<{ clients: ClientJson[]; nextCursor: string | null }>()
      expect(page.clients.length).toBeLessThanOrEqual(2)
      seen.push(...page.clients)
      cursor = page.nextCursor
    } while (cursor !== null)
    const mine = seen.filter(({ email }) => made.includes(email))
    expect(mine.map(({ email }) => email)).toEqual(made)
    expect(seen.map(({ email }) => email)).not.toContain(ops.email)
    expect(mine[1]).toEqual({
      id: await idOf(api, made[1] ?? ""),
      email: made[1],
      createdAt: new Date(api.clock.nowMs - 1000).toISOString(),
      verifiedAt: new Date(api.clock.nowMs - 1000).toISOString(),
      disabledAt: "1970-01-01T00:00:01.000Z",
      secondFactor: false,
    })
  })

  it("finds one by address, in whatever case it is written, and refuses what it does not know", async () => {
    const api = createTestClient()
    const { accessToken: token } = (await api.newOps()).tokens
    const { email } = await api.newClient()
    const find = async (wanted: string) =>
      (await api.request(`/api/ops/clients?email=${encodeURIComponent(wanted)}`, { token })).json<{ clients: ClientJson[] }>()
    expect((await find(email.toUpperCase())).clients.map((client) => client.email)).toEqual([email])
    expect((await find(freshEmail())).clients).toEqual([])
    for (const [query, field] of [
      ["limit=201", "limit"],
      ["cursor=x", "cursor"],
      ["email=x", "email"],
      ["sort=email", "sort"],
      ["limit=1&limit=2", "limit"],
    ]) {
      const problem = await api.problem(`/api/ops/clients?${query ?? ""}`, { token })
      expect(problem).toMatchObject({ status: 422, errors: [{ field }] })
    }
  })

  it("shows one client by its id", async () => {
    const api = createTestClient()
    const { accessToken: token } = (await api.newOps()).tokens
    const { email } = await api.newClient()
    const response = await api.request(`/api/ops/clients/${await idOf(api, email)}`, { token })
    expect(await response.json()).toMatchObject({ client: { email, disabledAt: null, secondFactor: false } })
  })
})

describe("an id that is not a client's", () => {
  it.each([
    ["GET", ""],
    ["POST", "/disable"],
    ["POST", "/enable"],
    ["DELETE", ""],
  ])(
    "%s /api/ops/clients/{id}%s says the same of ops, unknown ids and what is no id, and changes nothing",
    async (method, path) => {
      const api = createTestClient()
      const ops = await api.newOps()
      const other = await api.newOps()
      const client = await api.newClient()
      for (const id of [ops.id, other.id, newId(), "x"]) {
        const problem = await api.problem(`/api/ops/clients/${id}${path}`, { method, token: ops.tokens.accessToken })
        expect(problem).toMatchObject({ status: 404, code: "not_found", detail: "There is no such client." })
      }
      expect(await isAlive(api, other.tokens.accessToken)).toBe(true)
      const id = await idOf(api, client.email)
      expect((await api.request(`/api/ops/clients/${id}${path}`, { method, token: ops.tokens.accessToken })).ok).toBe(true)
    },
  )
})

describe("disabling a client", () => {
  it("acts on the next request: sessions, refresh, login, links, and the next range of a running download", async () => {
    const api = createTestClient()
    const { ops, client, id, link, url } = await scene(api)
    const { accessToken: token, refreshToken } = client.tokens
    const first = await api.request(url, { token, headers: { Range: "bytes=0-9" } })
    expect(first.status).toBe(206)
    const response = await post(api, ops.tokens.accessToken, id, "disable")
    expect(await response.json()).toMatchObject({ client: { id, disabledAt: new Date(api.clock.nowMs).toISOString() } })
    const next = await api.problem(url, { token, headers: { Range: "bytes=10-19" } })
    expect(next).toMatchObject({ status: 401, code: "invalid_token" })
    expect(await isAlive(api, token)).toBe(false)
    expect((await api.request("/api/auth/refresh", { json: { refreshToken } })).status).toBe(401)
    const json = { email: client.email, password: PASSWORD }
    expect(await api.problem("/api/client/login", { json })).toMatchObject({ status: 401, code: "invalid_credentials" })

    expect((await post(api, ops.tokens.accessToken, id, "enable")).status).toBe(200)
    // Nothing from before comes back.
    expect(await isAlive(api, token)).toBe(false)
    const fresh = await api.logIn("client", client.email)
    expect(await api.problem(url, { token: fresh.accessToken })).toMatchObject({ status: 410, code: "link_revoked" })
    expect((await api.request(await link(fresh.accessToken), { token: fresh.accessToken })).status).toBe(200)
    expect((await auditOf(api, id)).filter(({ actorId }) => actorId === ops.id).map(({ kind }) => kind)).toEqual([
      "account.disabled",
      "account.enabled",
    ])
  })

  it("twice, and enabling twice, is harmless and recorded once", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const id = await idOf(api, (await api.newClient()).email)
    for (const what of ["disable", "disable", "enable", "enable"] as const) {
      expect((await post(api, ops.tokens.accessToken, id, what)).status).toBe(200)
    }
    const kinds = (await auditOf(api, id)).filter(({ actorId }) => actorId === ops.id).map(({ kind }) => kind)
    expect(kinds).toEqual(["account.disabled", "account.enabled"])
  })

  it("voids password resets that are under way", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const { email } = await api.newClient()
    await api.request("/api/auth/password/forgot", { json: { email } })
    const id = await idOf(api, email)
    await post(api, ops.tokens.accessToken, id, "disable")
    await post(api, ops.tokens.accessToken, id, "enable")
    const mail = (await api.mailsTo(email)).at(-1)
    const token = /reset-password#([A-Za-z0-9_-]{43})/.exec(JSON.stringify(mail?.body))?.[1] ?? ""
    const json = { token, password: `${PASSWORD} again` }
    expect(await api.problem("/api/auth/password/reset", { json })).toMatchObject({ status: 410, code: "reset_token_spent" })
    await api.request("/api/auth/password/forgot", { json: { email } })
    const again = /reset-password#([A-Za-z0-9_-]{43})/.exec(JSON.stringify((await api.mailsTo(email)).at(-1)?.body))?.[1] ?? ""
    expect((await api.request("/api/auth/password/reset", { json: { ...json, token: again } })).status).toBe(200)
  })

  it("reaches one who logs in with a second factor", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const { email, tokens } = await api.newClient()
    const factor = await enrol(api, tokens.accessToken)
    const id = await idOf(api, email)
    await post(api, ops.tokens.accessToken, id, "disable")
    api.clock.nowMs += 30_000
    const login = async () =>
      api.problem("/api/client/login", { json: { email, password: PASSWORD, code: await factor.code(api.clock.nowMs) } })
    expect(await login()).toMatchObject({ status: 401, code: "invalid_credentials" })
    await post(api, ops.tokens.accessToken, id, "enable")
    expect(await login()).toMatchObject({ message: "success" })
  })
})

describe("a request that is under way while its account is disabled", () => {
  it("mints no link, which would be alive again once the account is enabled", async () => {
    const api = createTestClient()
    const { ops, client, id, file } = await scene(api)
    const { db } = api
    const batch = db.batch.bind(db)
    let isFirst = true
    const late = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        if (isFirst) {
          isFirst = false
          expect((await post(api, ops.tokens.accessToken, id, "disable")).status).toBe(200)
        }
        return batch(...args)
      },
    })
    const token = client.tokens.accessToken
    const minted = (await db.select().from(links)).length
    expect((await createTestClient({}, { db: late }).request(`/api/client/download/${file.id}`, { token })).status).toBe(404)
    expect(await db.select().from(links)).toHaveLength(minted)
    // The twin: enabled again and logged in anew.
    await post(api, ops.tokens.accessToken, id, "enable")
    const fresh = await api.logIn("client", client.email)
    expect((await api.request(`/api/client/download/${file.id}`, { token: fresh.accessToken })).status).toBe(200)
    expect(await db.select().from(links)).toHaveLength(minted + 1)
  })
})

describe("deleting a client", () => {
  it("removes every trace of the person and keeps a trail of ids; the address can sign up anew", async () => {
    const api = createTestClient()
    const { ops, client, id, url } = await scene(api)
    const { accessToken: token, refreshToken } = client.tokens
    expect((await api.request(url, { token, headers: { Range: "bytes=0-9" } })).status).toBe(206)
    await enrol(api, token)
    await api.request("/api/auth/password/forgot", { json: { email: client.email } })
    // A stranger's sign-up with the same address in capitals, and its mail.
    await api.signUp(client.email.toUpperCase())
    const bystander = await api.newClient()

    const response = await api.request(`/api/ops/clients/${id}`, { method: "DELETE", token: ops.tokens.accessToken })
    expect(response.status).toBe(204)
    const everything = JSON.stringify(
      await Promise.all(
        [users, sessions, links, downloads, knownPlaces, passwordResets, totpFactors, recoveryCodes, verifications, outbox].map(
          (table) => api.db.select().from(table),
        ),
      ),
    ).toLowerCase()
    expect(everything).not.toContain(client.email.toLowerCase())
    expect(everything).not.toContain(id)
    const trail = await api.db.select().from(auditEvents)
    expect(JSON.stringify(trail).toLowerCase()).not.toContain(client.email.toLowerCase())
    expect(await auditOf(api, id)).toContainEqual({ kind: "account.deleted", actorId: ops.id })
    expect((await auditOf(api, id)).map(({ kind }) => kind)).toContain("account.verified")

    expect(await isAlive(api, token)).toBe(false)
    expect((await api.request("/api/auth/refresh", { json: { refreshToken } })).status).toBe(401)
    expect((await api.request(url, { token })).status).toBe(401)
    const json = { email: client.email, password: PASSWORD }
    expect(await api.problem("/api/client/login", { json })).toMatchObject({ code: "invalid_credentials" })
    expect(await isAlive(api, bystander.tokens.accessToken)).toBe(true)
    const again = await api.newClient(client.email)
    expect(await idOf(api, client.email)).not.toBe(id)
    expect(await api.problem(url, { token: again.tokens.accessToken })).toMatchObject({ status: 403, code: "link_not_yours" })
  })

  it("twice at the same moment happens, and is recorded, once", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const id = await idOf(api, (await api.newClient()).email)
    const options = { method: "DELETE", token: ops.tokens.accessToken }
    const responses = await Promise.all([1, 2, 3].map(() => api.request(`/api/ops/clients/${id}`, options)))
    expect(responses.map(({ status }) => status).sort()).toEqual([204, 404, 404])
    expect((await auditOf(api, id)).filter(({ kind }) => kind === "account.deleted")).toHaveLength(1)
  })

  it("leaves everything as it was when the database fails at that moment", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const { email, tokens } = await api.newClient()
    const id = await idOf(api, email)
    const { db } = api
    const batch = vi.spyOn(db, "batch").mockRejectedValueOnce(new Error("D1_ERROR: Network connection lost."))
    const options = { method: "DELETE", token: ops.tokens.accessToken }
    expect((await createTestClient({}, { db }).request(`/api/ops/clients/${id}`, options)).status).toBe(503)
    batch.mockRestore()
    expect(await isAlive(api, tokens.accessToken)).toBe(true)
    expect((await api.request(`/api/ops/clients/${id}`, options)).status).toBe(204)
  })
})

describe("a request that is under way while its account is deleted", () => {
  /** The request runs up to its last batch; then the account goes; then the batch runs. */
  async function lateBatch(api: TestClient, id: string, run: (late: TestClient) => Promise<Response>): Promise<Response> {
    const { db } = api
    const batch = db.batch.bind(db)
    const late = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        await db.$client.prepare("delete from users where id = ?").bind(id).run()
        return batch(...args)
      },
    })
    const client = createTestClient({}, { db: late })
    client.clock.nowMs = api.clock.nowMs
    return run(client)
  }

  it("starts no session, changes no password, mints no link and sends no mail", async () => {
    const api = createTestClient()
    const { ops, file } = await scene(api)
    expect(ops.id).not.toBe("")
    const cases: [string, number, (late: TestClient, email: string, token: string) => Promise<Response>][] = [
      ["login", 401, (late, email) => late.request("/api/client/login", { json: { email, password: PASSWORD } })],
      [
        "password change",
        403,
        (late, _, token) =>
          late.request("/api/auth/password/change", {
            token,
            json: { currentPassword: PASSWORD, newPassword: `${PASSWORD} again` },
          }),
      ],
      ["forgotten password", 202, (late, email) => late.request("/api/auth/password/forgot", { json: { email } })],
      ["link", 404, (late, _, token) => late.request(`/api/client/download/${file.id}`, { token })],
      ["enrolment", 409, (late, _, token) => late.request("/api/auth/totp/enroll", { token, json: { password: PASSWORD } })],
    ]
    for (const [name, status, run] of cases) {
      const { email, tokens } = await api.newClient()
      const before = (await api.mailsTo(email)).length
      const id = await idOf(api, email)
      const response = await lateBatch(api, id, (late) => run(late, email, tokens.accessToken))
      expect([name, response.status]).toEqual([name, status])
      expect((await api.mailsTo(email)).length, name).toBe(before)
      const rows = JSON.stringify([await api.db.select().from(sessions), await api.db.select().from(links)])
      expect(rows.includes(id), name).toBe(false)
      expect(
        (await api.db.select().from(outbox)).filter((mail) => mail.recipient === email && mail.kind !== "verification"),
      ).toEqual([])
    }
  })
})
