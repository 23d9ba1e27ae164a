// Drives the real app inside workerd the way a caller does: requests in, answers out, real D1, R2 and mail
// server behind it. Time stands still until a test moves it.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { inject } from "vitest"
import { createApp } from "../../src/app.ts"
import { importPepper, hashPassword } from "../../src/crypto/password.ts"
import { mapKeyRing, parseKeyRing } from "../../src/crypto/keyring.ts"
import { createDb } from "../../src/db/client.ts"
import { users } from "../../src/db/schema.ts"
import { parseEmailAddress } from "../../src/domain/email-address.ts"
import { createDeps } from "../../src/deps.ts"
import type { Powers } from "../../src/domain/powers.ts"
import { newId } from "../../src/ids.ts"
import { runScheduled } from "../../src/scheduled.ts"
import type { PlannedAnswer, RecordedRequest } from "./mail-server.ts"

export const ORIGIN = "https://sealpost.test"
export const PASSWORD = "correct horse battery staple"

export type ProblemBody = {
  type: string
  title: string
  status: number
  code: string
  detail?: string
  instance: string
  requestId: string
  errors?: { field: string; rule: string; message: string }[]
  reason?: string
  part?: string
  remedy?: string
}

export type RequestOptions = {
  method?: string
  token?: string
  json?: unknown
  body?: BodyInit
  headers?: Record<string, string>
}

export type Tokens = { accessToken: string; refreshToken: string; expiresIn: number; message: string }

let counter = 0
/** An address nobody else in this run has. */
export const freshEmail = (): string => `person${String(++counter)}.${newId().slice(0, 8)}@example.com`

/** An address in a network that nobody else in this run has. */
export function freshAddress(): string {
  const groups = newId().replaceAll("-", "")
  return `2001:db8:${groups.slice(0, 4)}:${groups.slice(4, 8)}::${groups.slice(8, 12)}`
}

/** @param powers - in place of what the app would build itself, e.g. a smaller memory budget */
export function createTestClient(overrides: Partial<Record<string, unknown>> = {}, powers: Partial<Powers> = {}) {
  const testEnv = { ...env, MAILCHANNELS_BASE_URL: inject("mailUrl"), ...overrides } as Env
  const clock = { nowMs: Date.parse("2026-11-23T12:00:00Z") }
  // A network of its own, so that no test uses up the limits of another.
  const address = freshAddress()
  const app = createApp({
    now: () => clock.nowMs,
    createDeps: async (bindings, occasion) => ({ ...(await createDeps(bindings, occasion)), ...powers }),
  })

  /** The app's own response, its body still to be read. */
  async function rawRequest(path: string, options: RequestOptions = {}, context = createExecutionContext()): Promise<Response> {
    const headers = new Headers(options.headers)
    if (options.token !== undefined) headers.set("Authorization", `Bearer ${options.token}`)
    if (options.json !== undefined && !headers.has("Content-Type")) headers.set("Content-Type", "application/json")
    if (!headers.has("CF-Connecting-IP")) headers.set("CF-Connecting-IP", address)
    if (headers.get("CF-Connecting-IP") === "") headers.delete("CF-Connecting-IP")
    const body = options.json === undefined ? options.body : JSON.stringify(options.json)
    const method = options.method ?? (body === undefined ? "GET" : "POST")
    const init = { method, headers, ...(body === undefined ? {} : { body }) }
    return app.fetch(new Request(new URL(path, ORIGIN), init), testEnv, context)
  }

  /** The response with its body read and everything done that was left for afterwards. */
  async function request(path: string, options: RequestOptions = {}): Promise<Response> {
    const context = createExecutionContext()
    const response = await rawRequest(path, options, context)
    // Read to the end first: what runs afterwards may be what fills the body.
    const bytes = await response.arrayBuffer().catch(() => null)
    await waitOnExecutionContext(context)
    const copy = new Response(bytes === null || [204, 304].includes(response.status) ? null : bytes, response)
    if (bytes === null) copy.headers.set("X-Test-Broken-Off", "yes")
    return copy
  }

  async function problem(path: string, options: RequestOptions = {}): Promise<ProblemBody> {
    const response = await request(path, options)
    return response.json()
  }

  async function mailsTo(address: string): Promise<RecordedRequest[]> {
    const response = await fetch(`${inject("mailUrl")}/requests?to=${encodeURIComponent(address)}`)
    return response.json()
  }

  /** The newest code that was mailed to an address. */
  async function codeFor(address: string): Promise<string> {
    const mail = (await mailsTo(address)).at(-1)
    const text = (mail?.body as { content?: { value: string }[] } | undefined)?.content?.[0]?.value ?? ""
    return /#([0-9A-Z]{4}-[0-9A-Z]{4})\n/.exec(text)?.[1] ?? ""
  }

  async function logIn(role: "ops" | "client", email: string, password = PASSWORD): Promise<Tokens> {
    const response = await request(`/api/${role}/login`, { json: { email, password } })
    if (response.status !== 200) throw new Error(`login: ${await response.text()}`)
    return response.json()
  }

  return {
    env: testEnv,
    clock,
    address,
    request,
    rawRequest,
    problem,
    mailsTo,
    codeFor,
    logIn,
    db: createDb(env.DB),

    async planAnswer(address: string, answer: PlannedAnswer): Promise<void> {
      await fetch(`${inject("mailUrl")}/answers/${encodeURIComponent(address)}`, { method: "PUT", body: JSON.stringify(answer) })
    },

    async signUp(email: string, password = PASSWORD): Promise<{ verifyUrl: string; handle: string }> {
      const response = await request("/api/client/signup", { json: { email, password } })
      if (response.status !== 202) throw new Error(`sign-up: ${await response.text()}`)
      const { verifyUrl } = await response.json<{ verifyUrl: string }>()
      return { verifyUrl, handle: verifyUrl.slice(verifyUrl.lastIndexOf("/") + 1) }
    },

    /** A client with a proven address, logged in. */
    async newClient(email = freshEmail()): Promise<{ email: string; tokens: Tokens }> {
      const { handle } = await this.signUp(email)
      const verified = await request("/api/client/verify-email", { json: { handle, code: await codeFor(email) } })
      if (verified.status !== 200) throw new Error(`verification: ${await verified.text()}`)
      return { email, tokens: await logIn("client", email) }
    },

    /** An ops user, put into D1 as the administrator's command does, logged in. */
    async newOps(email = freshEmail()): Promise<{ id: string; email: string; tokens: Tokens }> {
      const ring = parseKeyRing(testEnv.PASSWORD_PEPPERS)
      if (typeof ring === "string") throw new Error(ring)
      const passwordHash = await hashPassword(await mapKeyRing(ring, importPepper), PASSWORD)
      const id = newId()
      const emailKey = parseEmailAddress(email)?.key ?? ""
      const row = { id, role: "ops" as const, email, emailKey, passwordHash, createdAtMs: clock.nowMs, verifiedAtMs: clock.nowMs }
      await createDb(env.DB).insert(users).values(row)
      return { id, email, tokens: await logIn("ops", email) }
    },

    /** @param cron - the expression that fired; all jobs by default */
    async runCron(cron = ""): Promise<void> {
      const context = createExecutionContext()
      await runScheduled(testEnv, context, cron, () => clock.nowMs)
      await waitOnExecutionContext(context)
    },

    upload(token: string, bytes: Uint8Array<ArrayBuffer>, name: string): Promise<Response> {
      const form = new FormData()
      form.set("file", new File([bytes], name))
      return request("/api/ops/upload", { method: "POST", token, body: form })
    },
  }
}

export type TestClient = ReturnType<typeof createTestClient>
