// What leaves a row in the audit trail, and how often.
import { describe, expect, it } from "vitest"
import { auditEvents } from "../../src/db/schema.ts"
import { ONCE_MS } from "../../src/domain/audit.ts"
import { LIMITS } from "../../src/domain/limits.ts"
import { REFRESH_REUSE_GRACE_MS } from "../../src/domain/sessions.ts"
import { rowsOfKind, trailDamage } from "../support/audit.ts"
import { PASSWORD, type TestClient, createTestClient, freshEmail } from "../support/client.ts"
import { realDocument } from "../support/documents.ts"
import { enrol } from "../support/totp.ts"

const login = "/api/client/login"
const wrong = `${PASSWORD} wrong`

/** Rows of a kind that came while something was done. */
async function newRows(api: TestClient, kind: string, act: () => Promise<unknown>) {
  const before = new Set((await rowsOfKind(api, kind)).map(({ id }) => id))
  await act()
  return (await rowsOfKind(api, kind)).filter(({ id }) => !before.has(id))
}

const userId = async (api: TestClient, token: string): Promise<string> =>
  (await (await api.request("/api/auth/me", { token })).json<{ user: { id: string } }>()).user.id

describe("refused logins", () => {
  it("each leave a row that says why, of whom if there is somebody", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const pending = freshEmail()
    await api.signUp(pending)
    const rows = await newRows(api, "session.refused", async () => {
      await api.request(login, { json: { email, password: wrong } })
      await api.request(login, { json: { email: freshEmail(), password: PASSWORD } })
      await api.request("/api/ops/login", { json: { email, password: PASSWORD } })
      await api.request(login, { json: { email: pending, password: PASSWORD } })
      await api.db.$client.prepare("update users set disabled_at_ms = 1 where email = ?").bind(email).run()
      await api.request(login, { json: { email, password: PASSWORD } })
      await api.db.$client.prepare("update users set disabled_at_ms = null where email = ?").bind(email).run()
    })
    const id = await userId(api, tokens.accessToken)
    expect(rows.map(({ reason, subjectId, result, actorId }) => [reason, subjectId, result, actorId])).toEqual([
      ["wrong_password", id, "refused", null],
      ["unknown_address", null, "refused", null],
      ["other_role", id, "refused", null],
      ["address_not_proven", null, "refused", null],
      ["account_disabled", id, "refused", null],
    ])
  })
})

describe("verifications", () => {
  it("that fail leave a row each while they concern a genuine handle, and none otherwise", async () => {
    const api = createTestClient()
    const email = freshEmail()
    const { handle } = await api.signUp(email)
    const verify = (code: string, of = handle, password?: string) =>
      api.request("/api/client/verify-email", { json: { handle: of, code, ...(password === undefined ? {} : { password }) } })
    const rows = await newRows(api, "verification.refused", async () => {
      await verify("0000-0000", `${handle.slice(0, -4)}AAAA`)
      await verify("0000-0000")
      const elsewhere = createTestClient()
      const json = { handle, code: await api.codeFor(email), password: wrong }
      await elsewhere.request("/api/client/verify-email", { json })
      for (let i = 0; i < 8; i++) await verify("0000-0001")
      await verify(await api.codeFor(email))
      api.clock.nowMs += 61 * 60_000
      await verify("0000-0000")
    })
    expect(rows.map(({ reason }) => reason)).toEqual([
      "wrong_code",
      "wrong_password",
      ...Array.from({ length: 8 }, () => "wrong_code"),
      "exhausted",
      "expired",
    ])
    expect(new Set(rows.map(({ subjectId }) => subjectId)).size).toBe(1)
    expect(JSON.stringify(rows)).not.toContain(email)
  })
})

describe("resets", () => {
  it("that are refused leave a row that says why", async () => {
    const api = createTestClient()
    const { email, tokens } = await api.newClient()
    const id = await userId(api, tokens.accessToken)
    const tokenOf = async (): Promise<string> => {
      await api.request("/api/auth/password/forgot", { json: { email } })
      return /reset-password#([A-Za-z0-9_-]{43})/.exec(JSON.stringify((await api.mailsTo(email)).at(-1)?.body))?.[1] ?? ""
    }
    const reset = (token: string) =>
      api.request("/api/auth/password/reset", { json: { token, password: "quite another long password" } })
    const rows = await newRows(api, "password.reset_refused", async () => {
      await reset("A".repeat(43))
      const token = await tokenOf()
      expect((await reset(token)).status).toBe(200)
      await reset(token)
      const late = await tokenOf()
      api.clock.nowMs += 31 * 60_000
      await reset(late)
    })
    expect(rows.map(({ reason, subjectId }) => [reason, subjectId])).toEqual([
      ["unknown_token", null],
      ["used", id],
      ["expired", id],
    ])
  })
})

describe("refreshes", () => {
  it("leave one row for the one that wins, and say once a minute that others were refused", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const refresh = () => api.request("/api/auth/refresh", { json: { refreshToken: tokens.refreshToken } })
    const won: unknown[] = []
    const refused = await newRows(api, "session.refresh_refused", async () => {
      won.push(...(await newRows(api, "session.refreshed", () => Promise.all(Array.from({ length: 8 }, refresh)))))
    })
    expect(won).toHaveLength(1)
    expect(refused).toHaveLength(1)
    expect(["raced", "used_just_now"]).toContain(refused[0]?.reason)
    expect(await newRows(api, "session.refresh_refused", refresh)).toHaveLength(0)
    api.clock.nowMs += REFRESH_REUSE_GRACE_MS + 1
    expect(await newRows(api, "session.token_reused", refresh)).toHaveLength(1)
    api.clock.nowMs += ONCE_MS
    const over = await newRows(api, "session.refresh_refused", () => Promise.all([refresh(), refresh(), refresh()]))
    expect(over.map(({ reason }) => reason)).toEqual(["session_over"])
  })
})

describe("limits", () => {
  it("that are reached leave one row in a window, whatever comes after", async () => {
    const api = createTestClient()
    const email = freshEmail()
    await api.signUp(email)
    const resend = () => api.request("/api/client/resend-verification", { json: { email } })
    const quota = LIMITS["signup-mail-address"].quota
    const rows = await newRows(api, "limit.reached", () => Promise.all(Array.from({ length: quota + 10 }, resend)))
    expect(rows.map(({ reason, result, actorId, subjectId }) => [reason, result, actorId, subjectId])).toEqual([
      ["signup-mail-address", "refused", null, null],
    ])
    api.clock.nowMs += LIMITS["signup-mail-address"].windowMs
    expect(await newRows(api, "limit.reached", resend)).toEqual([])
  })
})

describe("what callers can repeat at will", () => {
  it("leaves one row a minute: somebody else's link, a withdrawn one, the other role's calls", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const [owner, other] = [await api.newClient(), await api.newClient()]
    const upload = await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), "a.xlsx")
    const { file } = await upload.json<{ file: { id: string } }>()
    const link = await (
      await api.request(`/api/client/download/${file.id}`, { token: owner.tokens.accessToken })
    ).json<{ "download-link": string }>()
    const thrice = (path: string, token: string) => async () => {
      for (let i = 0; i < 3; i++) await api.request(path, { token })
    }
    const foreign = thrice(link["download-link"], other.tokens.accessToken)
    expect((await newRows(api, "link.refused", foreign)).map(({ reason }) => reason)).toEqual(["other_client"])
    api.clock.nowMs += ONCE_MS
    expect(await newRows(api, "link.refused", foreign)).toHaveLength(1)
    await api.request("/api/client/links", { method: "DELETE", token: owner.tokens.accessToken })
    const withdrawn = thrice(link["download-link"], owner.tokens.accessToken)
    expect((await newRows(api, "link.refused", withdrawn)).map(({ reason }) => reason)).toEqual(["withdrawn"])
    const forbidden = await newRows(api, "access.refused", thrice("/api/ops/files", other.tokens.accessToken))
    expect(forbidden.map(({ reason, actorId }) => [reason, actorId])).toEqual([
      ["client", await userId(api, other.tokens.accessToken)],
    ])
  })

  it("leaves one row a minute for wrong recovery codes of somebody logged in", async () => {
    const api = createTestClient()
    const token = (await api.newClient()).tokens.accessToken
    await enrol(api, token)
    const guess = async (): Promise<void> => {
      for (let i = 0; i < 15; i++) {
        const json = { code: "0".repeat(24) }
        expect(await api.problem("/api/auth/totp/recovery-codes", { token, json })).toMatchObject({ code: "wrong_second_factor" })
      }
    }
    const rows = await newRows(api, "second_factor.change_refused", guess)
    expect(rows.map(({ reason }) => reason)).toEqual(["unknown_recovery_code"])
    api.clock.nowMs += ONCE_MS
    expect(await newRows(api, "second_factor.change_refused", guess)).toHaveLength(1)
  })

  it("leaves a row for what was ended or withdrawn, and none where there is nothing left to end", async () => {
    const api = createTestClient()
    const ops = await api.newOps()
    const { email, tokens } = await api.newClient()
    const upload = await api.upload(ops.tokens.accessToken, realDocument("openpyxl.xlsx"), "a.xlsx")
    const { file } = await upload.json<{ file: { id: string } }>()
    const token = tokens.accessToken
    const mint = (): Promise<Response> => api.request(`/api/client/download/${file.id}`, { token })
    const thrice = (path: string) => async () => {
      for (let i = 0; i < 3; i++) expect((await api.request(path, { method: "DELETE", token })).ok).toBe(true)
    }
    const others = thrice("/api/auth/sessions?except=current")
    expect(await newRows(api, "sessions.ended", others)).toHaveLength(0)
    await api.logIn("client", email)
    expect(await newRows(api, "sessions.ended", others)).toHaveLength(1)

    const all = thrice("/api/client/links")
    expect(await newRows(api, "links.revoked", all)).toHaveLength(0)
    await mint()
    expect(await newRows(api, "links.revoked", all)).toHaveLength(1)
    await mint()
    const { links } = await (await api.request("/api/client/links", { token })).json<{ links: { id: string }[] }>()
    expect(await newRows(api, "link.revoked", thrice(`/api/client/links/${links[0]?.id ?? ""}`))).toHaveLength(1)
  })

  it("leaves no row at all for what nobody can have: forged links, tokens and handles", async () => {
    const api = createTestClient()
    const { tokens } = await api.newClient()
    const before = (await api.db.select().from(auditEvents)).length
    await api.request("/api/client/files", { token: "x" })
    await api.request(`/download-file/${"A".repeat(120)}`, { token: tokens.accessToken })
    await api.request("/api/auth/refresh", { json: { refreshToken: "A".repeat(43) } })
    await api.request("/nope")
    expect((await api.db.select().from(auditEvents)).length).toBe(before)
    expect(await trailDamage(api)).toBeNull()
  })
})
