// Second factors: enrolled, asked for, used once, recovered, removed; and every way around them closed.
import { beforeEach, describe, expect, it } from "vitest"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { auditEvents, recoveryCodes, totpFactors, users } from "../../src/db/schema.ts"
import { createDeps } from "../../src/deps.ts"
import { checkLogin } from "../../src/domain/accounts.ts"
import { parseEmailAddress } from "../../src/domain/email-address.ts"
import { LIMITS } from "../../src/domain/limits.ts"
import { startSession } from "../../src/domain/sessions.ts"
import { ENROLMENT_LIFETIME_MS } from "../../src/domain/totp.ts"
import { newId } from "../../src/ids.ts"
import { rowsOfKind } from "../support/audit.ts"
import { PASSWORD, type ProblemBody, type TestClient, type Tokens, createTestClient } from "../support/client.ts"
import { type Enrolled, enrol, totpCode } from "../support/totp.ts"

const STEP_MS = 30_000
const enrolPath = "/api/auth/totp/enroll"
const confirmPath = "/api/auth/totp/confirm"
const codesPath = "/api/auth/totp/recovery-codes"
const totpPath = "/api/auth/totp"

let api: TestClient
beforeEach(() => {
  api = createTestClient()
})

type LoginAnswer = Partial<ProblemBody & Tokens>
async function logIn(email: string, code?: string, role = "client", at = api): Promise<LoginAnswer> {
  const json = { email, password: PASSWORD, ...(code === undefined ? {} : { code }) }
  return (await at.request(`/api/${role}/login`, { json })).json()
}

const isAlive = async (token: string | undefined): Promise<boolean> =>
  (await api.request("/api/auth/me", { token: token ?? "" })).status === 200

const subjectsTo = async (email: string): Promise<string[]> =>
  (await api.mailsTo(email)).map(({ body }) => (body as { subject: string }).subject)

async function auditOf(email: string): Promise<string[]> {
  const id = (await api.db.select().from(users)).find((row) => row.email === email)?.id
  return (await api.db.select().from(auditEvents)).filter((row) => row.subjectId === id).map(({ kind }) => kind)
}

/** A client with a second factor whose next code is fresh. */
async function guarded(): Promise<{ email: string; token: string; factor: Enrolled }> {
  const { email, tokens } = await api.newClient()
  const factor = await enrol(api, tokens.accessToken)
  api.clock.nowMs += STEP_MS
  return { email, token: tokens.accessToken, factor }
}

const now = (factor: Enrolled): Promise<string> => factor.code(api.clock.nowMs)
const wrong = async (factor: Enrolled): Promise<string> =>
  String((Number(await now(factor)) + 500_000) % 1_000_000).padStart(6, "0")

describe("enrolling", () => {
  it.each(["client", "ops"] as const)("guards the login of %s from the confirmation on, and tells the person", async (role) => {
    const { email, tokens } = role === "ops" ? await api.newOps() : await api.newClient()
    const other = await api.logIn(role, email)
    const token = tokens.accessToken
    const response = await api.request(enrolPath, { token, json: { password: PASSWORD } })
    expect(response.headers.get("cache-control")).toBe("no-store")
    const { secret, otpauthUri } = await response.json<{ secret: string; otpauthUri: string }>()
    expect(secret).toMatch(/^[A-Z2-7]{32}$/)
    expect(otpauthUri).toMatch(/^otpauth:\/\/totp\/Sealpost:/)
    expect(new URL(otpauthUri).searchParams.get("secret")).toBe(secret)
    // Until it is confirmed nothing is guarded.
    expect(await logIn(email, undefined, role)).toMatchObject({ message: "success" })

    const code = await totpCode(secret, api.clock.nowMs)
    const confirmed = await (await api.request(confirmPath, { token, json: { code } })).json<{ recoveryCodes: string[] }>()
    expect(new Set(confirmed.recoveryCodes).size).toBe(10)
    expect(await isAlive(token)).toBe(true)
    expect(await isAlive(other.accessToken)).toBe(false)
    expect(await (await api.request("/api/auth/me", { token })).json()).toMatchObject({ user: { secondFactor: "active" } })
    expect((await subjectsTo(email)).at(-1)).toBe("A second factor guards your account")
    expect(await auditOf(email)).toEqual(expect.arrayContaining(["second_factor.enrolled", "second_factor.added"]))
    api.clock.nowMs += STEP_MS
    expect(await logIn(email, undefined, role)).toMatchObject({ status: 401, code: "second_factor_required" })
    expect(await logIn(email, await totpCode(secret, api.clock.nowMs), role)).toMatchObject({ message: "success" })
  })

  it("needs a login and the password, and is limited like other checks of it", async () => {
    const { email, tokens } = await api.newClient()
    const token = tokens.accessToken
    expect(await api.problem(enrolPath, { json: { password: PASSWORD } })).toMatchObject({ code: "authentication_required" })
    expect(await api.problem(enrolPath, { token, json: {} })).toMatchObject({ status: 422, errors: [{ field: "password" }] })
    const refused = { status: 403, code: "wrong_password" }
    expect(await api.problem(enrolPath, { token, json: { password: `${PASSWORD}x` } })).toMatchObject(refused)
    expect(await api.db.select().from(totpFactors)).toEqual(
      expect.not.arrayContaining([expect.objectContaining({ createdAtMs: api.clock.nowMs, userId: await idOf(email) })]),
    )
    expect((await api.request(enrolPath, { token, json: { password: PASSWORD } })).status).toBe(200)
    for (let i = 2; i < LIMITS["password-change"].quota; i++) await api.request(enrolPath, { token, json: { password: "x" } })
    expect(await api.problem(enrolPath, { token, json: { password: PASSWORD } })).toMatchObject({ code: "too_many_requests" })
  })

  it("keeps neither secret nor recovery codes in the clear", async () => {
    const { factor } = await guarded()
    const stored = JSON.stringify([await api.db.select().from(totpFactors), await api.db.select().from(recoveryCodes)])
    expect(stored).not.toContain(factor.secret)
    for (const code of factor.recoveryCodes) {
      expect(stored).not.toContain(code)
      expect(stored).not.toContain(code.replaceAll("-", ""))
    }
  })

  it("again replaces what was not confirmed; what is active must be removed first", async () => {
    const { tokens } = await api.newClient()
    const token = tokens.accessToken
    const begin = async () =>
      (await (await api.request(enrolPath, { token, json: { password: PASSWORD } })).json<{ secret: string }>()).secret
    const [first, second] = [await begin(), await begin()]
    const confirm = async (secret: string) =>
      api.problem(confirmPath, { token, json: { code: await totpCode(secret, api.clock.nowMs) } })
    expect(await confirm(first)).toMatchObject({ status: 403, code: "wrong_second_factor" })
    expect(await confirm(second)).toMatchObject({ message: "success" })
    const active = { status: 409, code: "second_factor_active" }
    expect(await api.problem(enrolPath, { token, json: { password: PASSWORD } })).toMatchObject(active)
    expect(await confirm(second)).toMatchObject(active)
  })

  it("waits a quarter of an hour for its first code", async () => {
    const { tokens } = await api.newClient()
    const token = tokens.accessToken
    const { secret } = await (await api.request(enrolPath, { token, json: { password: PASSWORD } })).json<{ secret: string }>()
    api.clock.nowMs += ENROLMENT_LIFETIME_MS
    const confirm = async () => api.problem(confirmPath, { token, json: { code: await totpCode(secret, api.clock.nowMs) } })
    const { accessToken } = tokens
    expect(accessToken).toBe(token)
    expect(await confirm()).toMatchObject({ status: 409, code: "second_factor_not_enrolled" })
    api.clock.nowMs -= 1
    expect(await confirm()).toMatchObject({ message: "success" })
  })

  it("confirmed twice at the same moment happens once, and only those codes count", async () => {
    const { email, tokens } = await api.newClient()
    const token = tokens.accessToken
    const { secret } = await (await api.request(enrolPath, { token, json: { password: PASSWORD } })).json<{ secret: string }>()
    const code = await totpCode(secret, api.clock.nowMs)
    const responses = await Promise.all([1, 2, 3].map(() => api.request(confirmPath, { token, json: { code } })))
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 409, 409])
    const winner = await responses.find(({ status }) => status === 200)?.json<{ recoveryCodes: string[] }>()
    expect(await logIn(email, winner?.recoveryCodes[0])).toMatchObject({ message: "success" })
  })

  it("by a session that has just ended is void", async () => {
    const { email, tokens } = await api.newClient()
    const token = tokens.accessToken
    const { secret } = await (await api.request(enrolPath, { token, json: { password: PASSWORD } })).json<{ secret: string }>()
    const { db } = api
    const batch = db.batch.bind(db)
    const slow = Object.assign(Object.create(db) as typeof db, {
      batch: async (...args: Parameters<typeof db.batch>) => {
        await db.$client
          .prepare("update sessions set revoked_at_ms = 1 where user_id = ?")
          .bind(await idOf(email))
          .run()
        return batch(...args)
      },
    })
    const late = createTestClient({}, { db: slow })
    const json = { code: await totpCode(secret, api.clock.nowMs) }
    expect(await late.problem(confirmPath, { token, json })).toMatchObject({ status: 409, code: "second_factor_not_enrolled" })
    expect(await logIn(email)).toMatchObject({ message: "success" })
  })
})

const idOf = async (email: string): Promise<string> =>
  (await api.db.select().from(users)).find((row) => row.email === email)?.id ?? ""

describe("a guarded login", () => {
  it("asks for the code only after the right password", async () => {
    const { email, factor } = await guarded()
    const json = { email, password: `${PASSWORD}x` }
    const refused = { status: 401, code: "invalid_credentials" }
    expect(await api.problem("/api/client/login", { json })).toMatchObject(refused)
    expect(await api.problem("/api/client/login", { json: { ...json, code: await now(factor) } })).toMatchObject(refused)
    const asked = await api.request("/api/client/login", { json: { email, password: PASSWORD } })
    expect(asked.headers.get("www-authenticate")).toBe("Bearer")
    expect(await asked.json()).toMatchObject({ status: 401, code: "second_factor_required" })
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
    expect(await auditOf(email)).toEqual(expect.arrayContaining(["session.refused", "second_factor.asked"]))
  })

  it("ignores a code where there is no second factor", async () => {
    const { email } = await api.newClient()
    expect(await logIn(email, "000000")).toMatchObject({ message: "success" })
  })

  it("takes a code once, also when it comes twice at the same moment, and none from before it", async () => {
    const { email, factor } = await guarded()
    const earlier = await factor.code(api.clock.nowMs)
    api.clock.nowMs += STEP_MS
    const code = await now(factor)
    const answers = await Promise.all(Array.from({ length: 4 }, () => logIn(email, code)))
    expect(answers.filter(({ message }) => message === "success")).toHaveLength(1)
    expect(answers.filter((answer) => answer.code === "invalid_second_factor")).toHaveLength(3)
    const refused = { status: 401, code: "invalid_second_factor" }
    expect(await logIn(email, code)).toMatchObject(refused)
    expect(await logIn(email, earlier)).toMatchObject(refused)
    api.clock.nowMs += STEP_MS
    expect(await logIn(email, code)).toMatchObject(refused)
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
    expect(await auditOf(email)).toContain("second_factor.refused")
    const raced = (await rowsOfKind(api, "session.refused")).filter(({ reason }) => reason === "raced")
    const late = (await rowsOfKind(api, "second_factor.refused")).filter(({ reason }) => reason === "replayed_code")
    const id = await idOf(email)
    // Three that came at the same moment, whichever way each lost, and three later ones.
    expect([...raced, ...late].filter(({ subjectId }) => subjectId === id)).toHaveLength(6)
  })

  it("does not take the code that confirmed the enrolment", async () => {
    const { email, tokens } = await api.newClient()
    const factor = await enrol(api, tokens.accessToken)
    expect(await logIn(email, await now(factor))).toMatchObject({ code: "invalid_second_factor" })
    api.clock.nowMs += STEP_MS
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
  })

  it("takes a code with spaces, one step early and one step late, and no other", async () => {
    const { email, factor } = await guarded()
    const at = async (steps: number) => factor.code(api.clock.nowMs + steps * STEP_MS)
    expect(await logIn(email, await at(-2))).toMatchObject({ code: "invalid_second_factor" })
    api.clock.nowMs += STEP_MS
    expect(await logIn(email, await at(2))).toMatchObject({ code: "invalid_second_factor" })
    const late = await at(-1)
    expect(await logIn(email, `${late.slice(0, 3)} ${late.slice(3)}`)).toMatchObject({ message: "success" })
    expect(await logIn(email, await at(1))).toMatchObject({ message: "success" })
  })

  it("can be guessed at ten times an hour, exactly; the owner hears of it and gets in with a recovery code", async () => {
    const { email, factor } = await guarded()
    const { quota } = LIMITS["second-factor"]
    for (let i = 0; i < quota - 1; i++) {
      // From ever other networks, as somebody would who knows the password.
      const answer = await logIn(email, await wrong(factor), "client", elsewhere())
      expect(answer).toMatchObject({ status: 401, code: "invalid_second_factor" })
    }
    // The last one of the quota may still be right, and gives it all back.
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
    api.clock.nowMs += STEP_MS
    for (let i = 0; i < quota; i++) await logIn(email, await wrong(factor), "client", elsewhere())
    const response = await api.request("/api/client/login", { json: { email, password: PASSWORD, code: await now(factor) } })
    expect(response.headers.get("retry-after")).toBe("3600")
    expect(response.headers.get("ratelimit-policy")).toBe(`"second-factor";q=${String(quota)};w=3600`)
    expect(await response.json()).toMatchObject({ status: 429, code: "too_many_requests" })
    await logIn(email, await now(factor))
    expect((await subjectsTo(email)).filter((subject) => subject === "Somebody knows your password")).toHaveLength(1)
    expect((await auditOf(email)).filter((kind) => kind === "second_factor.limited")).toHaveLength(1)
    expect(await logIn(email, factor.recoveryCodes[0])).toMatchObject({ message: "success" })
    api.clock.nowMs += 3600_000
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
  })

  it("counts wrong codes like wrong passwords, and forgets neither before the whole login is right", async () => {
    const { email, factor } = await guarded()
    const { quota } = LIMITS["login-account-address"]
    const stranger = elsewhere()
    expect(await logIn(email, undefined, "client", stranger)).toMatchObject({ code: "second_factor_required" })
    const count = api.db.$client.prepare("update limit_counters set count = ? where key like 'login-account-address:%'")
    await count.bind(quota - 2).run()
    for (let i = 0; i < 2; i++) {
      expect(await logIn(email, undefined, "client", stranger)).toMatchObject({ code: "second_factor_required" })
    }
    expect(await logIn(email, await now(factor), "client", stranger)).toMatchObject({ status: 429, code: "too_many_requests" })
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
  })

  it("lets in by each recovery code once, and says how many are left", async () => {
    const { email, factor } = await guarded()
    const [one = "", two = ""] = factor.recoveryCodes
    const parallel = await Promise.all([logIn(email, one), logIn(email, one), logIn(email, one)])
    expect(parallel.filter(({ message }) => message === "success")).toHaveLength(1)
    expect(await logIn(email, one)).toMatchObject({ status: 401, code: "invalid_second_factor" })
    expect(await logIn(email, two.toLowerCase().replaceAll("-", " "))).toMatchObject({ message: "success" })
    const mail = (await api.mailsTo(email)).at(-1)?.body as { subject: string; content: { value: string }[] }
    expect(mail.subject).toBe("A recovery code was used")
    expect(mail.content[0]?.value).toContain("8 are left")
    expect((await auditOf(email)).filter((kind) => kind === "second_factor.recovery_code_used")).toHaveLength(2)
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
  })

  it("that is refused is told apart in the audit trail, and nowhere else", async () => {
    const { email, factor } = await guarded()
    const [recovery = ""] = factor.recoveryCodes
    const used = await now(factor)
    for (const code of [used, recovery]) expect(await logIn(email, code)).toMatchObject({ message: "success" })
    const answers = new Set<string>()
    const refused = [await wrong(factor), "no code at all", used, recovery, (await guarded()).factor.recoveryCodes[0] ?? ""]
    for (const code of refused) {
      const response = await api.request("/api/client/login", { json: { email, password: PASSWORD, code } })
      const body = (await response.text()).replaceAll(/[0-9a-f-]{36}/g, "…")
      answers.add(JSON.stringify([response.status, [...response.headers.keys()], body]))
    }
    expect(answers.size).toBe(1)
    const id = await idOf(email)
    const reasons = (await rowsOfKind(api, "second_factor.refused")).filter(({ subjectId }) => subjectId === id)
    expect(reasons.map(({ reason }) => reason)).toEqual([
      "wrong_code",
      "wrong_code",
      "replayed_code",
      "used_recovery_code",
      "unknown_recovery_code",
    ])
  })

  it("takes no recovery code of somebody else", async () => {
    const [one, two] = [await guarded(), await guarded()]
    expect(await logIn(one.email, two.factor.recoveryCodes[0])).toMatchObject({ code: "invalid_second_factor" })
    expect(await logIn(two.email, two.factor.recoveryCodes[0])).toMatchObject({ message: "success" })
  })

  it("is asked for with cookies too, and sets none before", async () => {
    const { email, factor } = await guarded()
    const json = { email, password: PASSWORD, cookies: true }
    const asked = await api.request("/api/client/login", { json })
    expect([asked.status, asked.headers.get("set-cookie")]).toEqual([401, null])
    const answered = await api.request("/api/client/login", { json: { ...json, code: await now(factor) } })
    expect([answered.status, answered.headers.getSetCookie().length]).toEqual([200, 2])
  })

  it("refuses a code that is no text, and one that is too long", async () => {
    const { email, factor } = await guarded()
    for (const code of [123456, null, ["1"], "1".repeat(65)]) {
      const json = { email, password: PASSWORD, code }
      expect(await api.problem("/api/client/login", { json })).toMatchObject({ status: 422, errors: [{ field: "code" }] })
    }
    expect(await logIn(email, await now(factor))).toMatchObject({ message: "success" })
  })
})

/** The same service, asked from a network of its own. */
function elsewhere(): TestClient {
  const other = createTestClient()
  other.clock.nowMs = api.clock.nowMs
  return other
}

describe("a way around the second factor", () => {
  const depsOf = (client: TestClient) =>
    createDeps(client.env, {
      now: () => client.clock.nowMs,
      request: { id: newId(), clientAddress: client.address },
      afterwards: () => undefined,
      log: () => undefined,
    })

  it("is not a new password: a reset leaves it on", async () => {
    const { email, factor } = await guarded()
    await api.request("/api/auth/password/forgot", { json: { email } })
    const mail = JSON.stringify((await api.mailsTo(email)).at(-1)?.body)
    const token = /reset-password#([A-Za-z0-9_-]{43})/.exec(mail)?.[1] ?? ""
    const password = `${PASSWORD} again`
    expect((await api.request("/api/auth/password/reset", { json: { token, password } })).status).toBe(200)
    const login = (code?: string) => api.problem("/api/client/login", { json: { email, password, code } })
    expect(await login()).toMatchObject({ status: 401, code: "second_factor_required" })
    expect(await login(await now(factor))).toMatchObject({ message: "success" })
  })

  it("is not a new password that gives back the guesses at the code", async () => {
    const { email, factor } = await guarded()
    for (let i = 0; i < LIMITS["second-factor"].quota; i++) await logIn(email, await wrong(factor))
    await api.request("/api/auth/password/forgot", { json: { email } })
    const mail = JSON.stringify((await api.mailsTo(email)).at(-1)?.body)
    const token = /reset-password#([A-Za-z0-9_-]{43})/.exec(mail)?.[1] ?? ""
    expect((await api.request("/api/auth/password/reset", { json: { token, password: PASSWORD } })).status).toBe(200)
    expect(await logIn(email, await now(factor))).toMatchObject({ status: 429, code: "too_many_requests" })
    expect(await logIn(email, factor.recoveryCodes[0])).toMatchObject({ message: "success" })
  })

  it("is not a session from before: it ends, and its refresh token with it", async () => {
    const { email, tokens } = await api.newClient()
    const old = await api.logIn("client", email)
    await enrol(api, tokens.accessToken)
    expect(await isAlive(old.accessToken)).toBe(false)
    const refresh = (refreshToken: string) => api.request("/api/auth/refresh", { json: { refreshToken } })
    expect((await refresh(old.refreshToken)).status).toBe(401)
    expect((await refresh(tokens.refreshToken)).status).toBe(200)
  })

  it("is not a login that was checked just before it was enrolled, nor one under a factor that was replaced", async () => {
    const { email, tokens } = await api.newClient()
    const deps = await depsOf(api)
    const address = parseEmailAddress(email)
    const early = await checkLogin(deps, "client", address, PASSWORD, null)
    const twin = await checkLogin(deps, "client", address, PASSWORD, null)
    await startSession(deps, twin, "curl")
    const factor = await enrol(api, tokens.accessToken)
    await expect(startSession(deps, early, "curl")).rejects.toMatchObject({ code: "invalid_credentials" })

    api.clock.nowMs += STEP_MS
    const checked = await checkLogin(deps, "client", address, PASSWORD, factor.recoveryCodes[0] ?? "")
    const other = await checkLogin(deps, "client", address, PASSWORD, factor.recoveryCodes[1] ?? "")
    await startSession(deps, other, "curl")
    const json = { password: PASSWORD, code: await now(factor) }
    const token = tokens.accessToken
    expect((await api.request(totpPath, { method: "DELETE", token, json })).status).toBe(200)
    await expect(startSession(deps, checked, "curl")).rejects.toMatchObject({ code: "invalid_second_factor" })
    api.clock.nowMs += STEP_MS
    await enrol(api, token)
    await expect(startSession(deps, checked, "curl")).rejects.toMatchObject({ code: "invalid_second_factor" })
  })

  it.each<[string, (factor: Enrolled) => Promise<string>]>([
    ["code", now],
    ["recovery code", (factor) => Promise.resolve(factor.recoveryCodes[0] ?? "")],
  ])("is not the same %s twice, both checked before either is used up", async (_, codeOf) => {
    const { email, factor } = await guarded()
    const deps = await depsOf(api)
    const check = async () => checkLogin(deps, "client", parseEmailAddress(email), PASSWORD, await codeOf(factor))
    const [one, two] = [await check(), await check()]
    await startSession(deps, one, "curl")
    await expect(startSession(deps, two, "curl")).rejects.toMatchObject({ code: "invalid_second_factor" })
    expect((await auditOf(email)).filter((kind) => kind === "second_factor.recovery_code_used").length).toBeLessThanOrEqual(1)
  })

  it("is not a recovery code that was checked just before all were renewed", async () => {
    const { email, token, factor } = await guarded()
    const deps = await depsOf(api)
    const checked = await checkLogin(deps, "client", parseEmailAddress(email), PASSWORD, factor.recoveryCodes[0] ?? "")
    expect((await api.request(codesPath, { token, json: { code: await now(factor) } })).status).toBe(200)
    await expect(startSession(deps, checked, "curl")).rejects.toMatchObject({ code: "invalid_second_factor" })
  })
})

describe("changing the second factor", () => {
  it("new recovery codes need a code and make the old ones worthless", async () => {
    const { email, token, factor } = await guarded()
    expect(await api.problem(codesPath, { json: { code: "1" } })).toMatchObject({ code: "authentication_required" })
    const refused = { status: 403, code: "wrong_second_factor" }
    expect(await api.problem(codesPath, { token, json: { code: await wrong(factor) } })).toMatchObject(refused)
    const code = await now(factor)
    const renewed = await (await api.request(codesPath, { token, json: { code } })).json<{ recoveryCodes: string[] }>()
    expect(new Set([...renewed.recoveryCodes, ...factor.recoveryCodes]).size).toBe(20)
    expect(await api.problem(codesPath, { token, json: { code } })).toMatchObject(refused)
    expect((await subjectsTo(email)).at(-1)).toBe("You have new recovery codes")
    expect(await logIn(email, factor.recoveryCodes[0])).toMatchObject({ code: "invalid_second_factor" })
    expect(await logIn(email, renewed.recoveryCodes[0])).toMatchObject({ message: "success" })
    expect(await auditOf(email)).toContain("second_factor.codes_renewed")
  })

  it("removing it needs password and code, ends every other session and tells the person", async () => {
    const { email, token, factor } = await guarded()
    const other = await logIn(email, await now(factor))
    api.clock.nowMs += STEP_MS
    const remove = (json: object) => api.problem(totpPath, { method: "DELETE", token, json })
    expect(await remove({ password: PASSWORD })).toMatchObject({ status: 422, errors: [{ field: "code" }] })
    expect(await remove({ code: await now(factor) })).toMatchObject({ status: 422, errors: [{ field: "password" }] })
    expect(await remove({ password: "x", code: await now(factor) })).toMatchObject({ status: 403, code: "wrong_password" })
    expect(await remove({ password: PASSWORD, code: await wrong(factor) })).toMatchObject({
      status: 403,
      code: "wrong_second_factor",
    })
    expect(await logIn(email)).toMatchObject({ code: "second_factor_required" })
    expect(await isAlive(other.accessToken)).toBe(true)
    expect(await remove({ password: PASSWORD, code: await now(factor) })).toMatchObject({ message: "success" })
    expect(await isAlive(other.accessToken)).toBe(false)
    expect(await isAlive(token)).toBe(true)
    expect((await subjectsTo(email)).at(-1)).toBe("Your second factor was removed")
    expect(await auditOf(email)).toEqual(expect.arrayContaining(["second_factor.change_refused", "second_factor.removed"]))
    expect((await api.db.select().from(recoveryCodes)).filter(({ userId }) => userId === "x")).toEqual([])
    expect(await logIn(email)).toMatchObject({ message: "success" })
    expect(await remove({ password: PASSWORD, code: "000000" })).toMatchObject({
      status: 409,
      code: "second_factor_not_enrolled",
    })
  })

  it("removing it works with a recovery code, for whoever has lost the app", async () => {
    const { email, token, factor } = await guarded()
    const json = { password: PASSWORD, code: factor.recoveryCodes[3] }
    expect((await api.request(totpPath, { method: "DELETE", token, json })).status).toBe(200)
    expect(await logIn(email)).toMatchObject({ message: "success" })
  })

  it("can be guessed at ten times an hour by a thief of the session, without shutting the owner out", async () => {
    const { email, token, factor } = await guarded()
    for (let i = 0; i < LIMITS["second-factor-change"].quota; i++) {
      await api.request(codesPath, { token, json: { code: await wrong(factor) } })
    }
    const code = await now(factor)
    expect(await api.problem(codesPath, { token, json: { code } })).toMatchObject({ status: 429, code: "too_many_requests" })
    expect(await logIn(email, code)).toMatchObject({ message: "success" })
  })

  it("takes no other field", async () => {
    const { tokens } = await api.newClient()
    const json = { password: PASSWORD, secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" }
    expect(await api.problem(enrolPath, { token: tokens.accessToken, json })).toMatchObject({
      errors: [{ field: "secret", rule: "unknown_field" }],
    })
  })
})

describe("keys of second factors", () => {
  it("are rotated at the next code; without the old one codes are not checked, and nobody is let in", async () => {
    const { email, factor } = await guarded()
    const next = newKeyRingEntry(2)
    const old = api.env.TOTP_KEYS
    const at = (ring: string): TestClient => {
      const client = createTestClient({ TOTP_KEYS: ring })
      client.clock.nowMs = api.clock.nowMs
      return client
    }
    expect(await logIn(email, await now(factor), "client", at(next))).toMatchObject({ status: 503, code: "key_unavailable" })
    expect(await logIn(email, await now(factor), "client", at(`${next},${old}`))).toMatchObject({ message: "success" })
    api.clock.nowMs += STEP_MS
    expect(await logIn(email, await now(factor), "client", at(next))).toMatchObject({ message: "success" })
    const [row] = (await api.db.select().from(totpFactors)).filter(({ keyId }) => keyId === 2)
    expect(row?.confirmedAtMs).not.toBeNull()
  })

  it("do not open a secret that was moved to another account", async () => {
    const [one, two] = [await guarded(), await guarded()]
    const move =
      "update totp_factors set sealed_secret = (select sealed_secret from totp_factors where user_id = ?1) where user_id = ?2"
    await api.db.$client
      .prepare(move)
      .bind(await idOf(one.email), await idOf(two.email))
      .run()
    const answer = await logIn(two.email, await now(one.factor))
    expect(answer).toMatchObject({ status: 503, code: "key_unavailable" })
    expect(await logIn(one.email, await now(one.factor))).toMatchObject({ message: "success" })
  })
})

describe("REQUIRE_TOTP_FOR_OPS", () => {
  const strict = (): TestClient => {
    const client = createTestClient({ REQUIRE_TOTP_FOR_OPS: "true" })
    client.clock.nowMs = api.clock.nowMs
    return client
  }

  it("leaves an ops user without a second factor only the way to one, until it is confirmed", async () => {
    const service = strict()
    const { email, tokens } = await service.newOps()
    const token = tokens.accessToken
    const calls: [string, string, unknown?][] = [
      ["GET", "/api/ops/files"],
      ["GET", "/api/ops/links"],
      ["GET", "/api/ops/clients"],
      ["POST", "/api/ops/upload"],
      ["GET", "/api/auth/sessions"],
      ["DELETE", "/api/auth/sessions"],
      ["DELETE", `/api/auth/sessions/${newId()}`],
      ["POST", "/api/auth/password/change", { currentPassword: PASSWORD, newPassword: `${PASSWORD} again` }],
    ]
    const codeOf = async ([method, path, json]: (typeof calls)[number]): Promise<string> =>
      (await service.problem(path, { method, token, ...(json === undefined ? {} : { json }) })).code
    for (const call of calls) expect([call[1], await codeOf(call)]).toEqual([call[1], "second_factor_enrollment_required"])
    expect(await service.problem("/api/ops/files", { token })).toMatchObject({ status: 403 })
    expect(await (await service.request("/api/auth/me", { token })).json()).toMatchObject({ user: { secondFactor: "required" } })
    // Refreshing gives no more.
    const refreshed = await (
      await service.request("/api/auth/refresh", { json: { refreshToken: tokens.refreshToken } })
    ).json<Tokens>()
    const again = await service.problem("/api/ops/files", { token: refreshed.accessToken })
    expect(again).toMatchObject({ code: "second_factor_enrollment_required" })

    const begun = await service.request(enrolPath, { token, json: { password: PASSWORD } })
    expect(begun.status).toBe(200)
    expect(await codeOf(["GET", "/api/ops/files"])).toBe("second_factor_enrollment_required")
    const factor = await enrol(service, token)
    expect((await service.request("/api/ops/files", { token })).status).toBe(200)
    expect((await service.request("/api/auth/sessions", { token })).status).toBe(200)
    service.clock.nowMs += STEP_MS
    const json = { password: PASSWORD, code: await factor.code(service.clock.nowMs) }
    expect((await service.request(totpPath, { method: "DELETE", token, json })).status).toBe(200)
    expect(await codeOf(["GET", "/api/ops/files"])).toBe("second_factor_enrollment_required")
    expect((await service.request("/api/auth/logout", { method: "POST", token })).status).toBe(200)
    expect(await logIn(email, undefined, "ops", service)).toMatchObject({ message: "success" })
  })

  it("asks nothing of clients, nor of ops where it is not set", async () => {
    const client = await strict().newClient()
    expect((await strict().request("/api/client/files", { token: client.tokens.accessToken })).status).toBe(200)
    const ops = await api.newOps()
    expect((await api.request("/api/ops/files", { token: ops.tokens.accessToken })).status).toBe(200)
    expect((await strict().request("/api/ops/files", { token: ops.tokens.accessToken })).status).toBe(403)
  })

  it("is true or false and nothing else", async () => {
    for (const value of ["yes", "1", "TRUE"]) {
      expect(await createTestClient({ REQUIRE_TOTP_FOR_OPS: value }).problem("/healthz")).toMatchObject({ code: "misconfigured" })
    }
    for (const value of ["true", "false", true, false, ""]) {
      expect((await createTestClient({ REQUIRE_TOTP_FOR_OPS: value }).request("/healthz")).status).toBe(200)
    }
  })
})
