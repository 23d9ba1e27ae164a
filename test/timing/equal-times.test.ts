// npm run test:timing, on a machine that does nothing else. Not in the normal suite: it takes minutes, and what
// else runs beside it would be its result.
//
// Method: a whole `npm start` over loopback. For each question two kinds of request are sent one after the other in
// random order, 250 of each; each is timed from the outside. The two samples are compared by the Mann-Whitney U test
// (two-sided, normal approximation, correction for ties): it asks whether one kind tends to be slower, without
// supposing how times are distributed. A question fails when p < 0.001 in two runs one after the other, so about one
// run in a million fails for nothing. Each result is printed with medians, so that a small but certain difference
// can be told from a large one.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort, startService, type Service } from "../e2e/service.ts"
import { startMailServer } from "../support/mail-server.ts"

const SAMPLES = 250
const P_LIMIT = 0.001
/** Enough that no account meets a limit: each is asked SAMPLES / KNOWN times for each question. */
const KNOWN = 50
const PASSWORD = "correct horse battery staple"
const WRONG = "another long password for nothing"

let dir: string
let mail: Awaited<ReturnType<typeof startMailServer>>
let service: Service
const known: string[] = []
let counter = 0

const fresh = (): string => `nobody${String(++counter)}@example.org`
const randomGroup = (): string => Math.floor(Math.random() * 65_536).toString(16)

async function post(path: string, json: object, address = `2001:db8:${randomGroup()}:${randomGroup()}::1`): Promise<Response> {
  const headers = { "Content-Type": "application/json", "CF-Connecting-IP": address }
  return fetch(`${service.origin}${path}`, { method: "POST", headers, body: JSON.stringify(json) })
}

async function timeOf(path: string, json: object, status: number): Promise<number> {
  const startedMs = performance.now()
  const response = await post(path, json)
  await response.arrayBuffer()
  const tookMs = performance.now() - startedMs
  expect(response.status).toBe(status)
  return tookMs
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** Two-sided p of the Mann-Whitney U test by the normal approximation, with tied ranks shared. */
export function mannWhitneyP(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, isA: true })), ...b.map((value) => ({ value, isA: false }))]
  all.sort((x, y) => x.value - y.value)
  let rankSum = 0
  let ties = 0
  for (let from = 0; from < all.length;) {
    let to = from
    while (to < all.length && all[to]?.value === all[from]?.value) to++
    const rank = (from + 1 + to) / 2
    rankSum += all.slice(from, to).filter(({ isA }) => isA).length * rank
    ties += (to - from) ** 3 - (to - from)
    from = to
  }
  const [n, m, total] = [a.length, b.length, all.length]
  const u = rankSum - (n * (n + 1)) / 2
  const sigma = Math.sqrt(((n * m) / 12) * (total + 1 - ties / (total * (total - 1))))
  const z = Math.abs(u - (n * m) / 2) / sigma
  // Abramowitz and Stegun 26.2.17, good to 7.5e-8.
  const t = 1 / (1 + 0.2316419 * z)
  const tail = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429].reduce((sum, c, i) => sum + c * t ** (i + 1), 0)
  return Math.min(1, (2 * tail * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI))
}

async function compare(one: (i: number) => Promise<number>, other: (i: number) => Promise<number>): Promise<number> {
  const times: [number[], number[]] = [[], []]
  for (let i = 0; i < SAMPLES; i++) {
    const order = Math.random() < 0.5 ? ([0, 1] as const) : ([1, 0] as const)
    for (const which of order) times[which].push(await (which === 0 ? one : other)(i))
  }
  const p = mannWhitneyP(...times)
  console.log(`medians ${median(times[0]).toFixed(2)} and ${median(times[1]).toFixed(2)} ms, p = ${p.toFixed(4)}`)
  return p
}

async function expectEqual(one: (i: number) => Promise<number>, other: (i: number) => Promise<number>): Promise<void> {
  if ((await compare(one, other)) >= P_LIMIT) return
  expect(await compare(one, other)).toBeGreaterThanOrEqual(P_LIMIT)
}

const someone = (i: number): string => known[i % KNOWN] ?? ""

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-timing-"))
  mail = await startMailServer()
  const vars = ["MAIL_TRANSPORT:mailchannels", `MAILCHANNELS_BASE_URL:${mail.url}`, "MAILCHANNELS_API_KEY:a-key-for-the-stand-in"]
  service = await startService(["--persist-to", dir, ...vars.flatMap((each) => ["--var", each])], await freePort())
  for (let i = 0; i < KNOWN; i++) {
    const email = `known${String(i)}@example.org`
    const address = `2001:db8:${randomGroup()}:${randomGroup()}::1`
    const signedUp = await post("/api/client/signup", { email, password: PASSWORD }, address)
    const { verifyUrl } = await signedUp.json<{ verifyUrl: string }>()
    let code: string | undefined
    while (code === undefined) {
      code = /#([0-9A-Z]{4}-[0-9A-Z]{4})/.exec(
        JSON.stringify(mail.requests.filter(({ body }) => JSON.stringify(body).includes(email))),
      )?.[1]
      await new Promise((wake) => setTimeout(wake, 10))
    }
    const verified = await post("/api/client/verify-email", { handle: verifyUrl.split("/").at(-1), code }, address)
    expect(verified.status).toBe(200)
    known.push(email)
  }
})

afterAll(async () => {
  await service.stop()
  await mail.close()
  rmSync(dir, { recursive: true, force: true })
})

describe("the test itself", () => {
  it("sees a difference and sees none where there is none", () => {
    const noise = Array.from({ length: 200 }, (_, i) => (i * 7919) % 1009)
    expect(mannWhitneyP(noise, noise)).toBeGreaterThan(0.9)
    expect(
      mannWhitneyP(
        noise,
        noise.map((value) => value + 150),
      ),
    ).toBeLessThan(0.001)
  })
})

describe("V6.3.8: times do not tell whether an address has an account", () => {
  it("A2: of a login with a wrong password", async () => {
    const path = "/api/client/login"
    await expectEqual(
      (i) => timeOf(path, { email: someone(i), password: WRONG }, 401),
      () => timeOf(path, { email: fresh(), password: WRONG }, 401),
    )
  })

  it("A2: of a sign-up", async () => {
    const path = "/api/client/signup"
    await expectEqual(
      (i) => timeOf(path, { email: someone(i), password: WRONG }, 202),
      () => timeOf(path, { email: fresh(), password: WRONG }, 202),
    )
  })

  it("A4: of asking for a new password", async () => {
    const path = "/api/auth/password/forgot"
    await expectEqual(
      (i) => timeOf(path, { email: someone(i) }, 202),
      () => timeOf(path, { email: fresh() }, 202),
    )
  })

  it("A4: of asking for another mail", async () => {
    const path = "/api/client/resend-verification"
    await expectEqual(
      (i) => timeOf(path, { email: someone(i) }, 202),
      () => timeOf(path, { email: fresh() }, 202),
    )
  })
})
