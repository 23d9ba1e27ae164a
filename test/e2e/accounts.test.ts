// The README's calls about accounts, as they stand there, and the commands for ops accounts, against `npm start`.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { PROJECT_DIR, type CommandResult, type Service, freePort, printedAccount, run, startService } from "./service.ts"

const CLIENT = { email: "client@example.net", password: "a password of fifteen or more" }
const NEW_PASSWORD = "quite another long password"
/** Good but for its 17 characters: the service is told to ask for 18. */
const TOO_SHORT = "x7-Kq9.Lm2/vB4wT5"

let stateDir: string
let service: Service

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "sealpost-accounts-"))
  service = await startService(["--persist-to", stateDir, "--var", "PASSWORD_MIN_LENGTH:18"], await freePort())
})

afterAll(async () => {
  await service.stop()
  rmSync(stateDir, { recursive: true, force: true })
})

async function post(path: string, json: object): Promise<Response> {
  const headers = { "Content-Type": "application/json" }
  return fetch(`${service.origin}${path}`, { method: "POST", headers, body: JSON.stringify(json) })
}

/** What a newcomer pastes: the blocks that are marked, with the names that the journey has set. */
function accountsScript(): { json: string; blocks: string } {
  const readme = readFileSync(join(PROJECT_DIR, "README.md"), "utf8")
  const blocks = Array.from(readme.matchAll(/<!-- accounts -->\n\n```sh\n([^]*?)```/g), ([, block = ""]) => block)
  const json = /^json\(\) .*$/m.exec(readme)?.[0] ?? ""
  expect(blocks.length).toBeGreaterThanOrEqual(5)
  return { json, blocks: blocks.join("\n") }
}

async function signUpClient(): Promise<void> {
  const { verifyUrl } = await (await post("/api/client/signup", CLIENT)).json<{ verifyUrl: string }>()
  const code = (): string | undefined => /#([0-9A-Z]{4}-[0-9A-Z]{4})/.exec(service.output())?.[1]
  for (let i = 0; i < 100 && code() === undefined; i++) await new Promise((wake) => setTimeout(wake, 50))
  const verified = await post("/api/client/verify-email", { handle: verifyUrl.split("/").at(-1), code: code() })
  expect(verified.status).toBe(200)
}

describe("the README's calls about accounts", () => {
  it("work as they stand there", async () => {
    await signUpClient()
    const account = printedAccount(service.output())
    const { accessToken } = await (await post("/api/ops/login", account)).json<{ accessToken: string }>()
    const { json, blocks } = accountsScript()
    const names = { BASE: service.origin, OPS_EMAIL: account.email, OPS_PASSWORD: account.password, OPS_TOKEN: accessToken }
    const env = { ...names, CLIENT_EMAIL: CLIENT.email }
    const { code, stdout, stderr } = await run("bash", ["-eu", "-c", `${json}\n${blocks}`], { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout).toContain('"current":true')
    expect(stdout).toContain("deleted: 204")
    expect(stdout.match(/^(?:[0-9A-HJKMNP-TV-Z]{6}-){3}[0-9A-HJKMNP-TV-Z]{6}$/gm)).toHaveLength(10)
    expect(stdout).toContain('"code":"second_factor_required"')
    expect(stdout.trim().endsWith('{"message":"success"}')).toBe(true)
    expect(await post("/api/client/login", CLIENT)).toMatchObject({ status: 401 })
    expect(await post("/api/ops/login", account)).toMatchObject({ status: 200 })
  })
})

describe("commands for ops accounts, beside the running service", () => {
  const command = (name: string, args: readonly string[], password?: string): Promise<CommandResult> =>
    run("npm", ["run", "--silent", `ops:${name}`, "--", ...args, "--persist-to", stateDir], {
      ...(password === undefined ? {} : { env: { OPS_PASSWORD: password } }),
    })
  const me = async (token: string): Promise<number> =>
    (await fetch(`${service.origin}/api/auth/me`, { headers: { Authorization: `Bearer ${token}` } })).status
  const logIn = async (account: object): Promise<{ accessToken: string; refreshToken: string }> =>
    (await post("/api/ops/login", account)).json()

  it("shut out at once, let in again, and say what there is", async () => {
    const account = printedAccount(service.output())
    const { accessToken, refreshToken } = await logIn(account)
    expect(await me(accessToken)).toBe(200)
    expect(await command("disable", [account.email.toUpperCase()])).toMatchObject({ code: 0, stderr: "" })
    expect(await me(accessToken)).toBe(401)
    expect((await post("/api/auth/refresh", { refreshToken })).status).toBe(401)
    expect(await post("/api/ops/login", account)).toMatchObject({ status: 401 })
    const listed = await command("list", ["--json"])
    expect(JSON.parse(listed.stdout)).toMatchObject([{ email: account.email, hasSecondFactor: false }])
    expect(listed.stdout).not.toContain('"disabledAtMs":null')
    expect((await command("disable", [account.email])).stdout).toContain("disabled already; nothing was changed")
    expect(await command("enable", [account.email])).toMatchObject({ code: 0, stderr: "" })
    expect(await me(accessToken)).toBe(401)
    expect(await me((await logIn(account)).accessToken)).toBe(200)
  })

  it("set another password, and leave the second factor on unless told to remove it", async () => {
    const account = printedAccount(service.output())
    const { accessToken } = await logIn(account)
    const bearer = { Authorization: `Bearer ${accessToken}`, "Content-Type": "application/json" }
    const call = async (path: string, json: object): Promise<Record<string, string>> =>
      (await fetch(`${service.origin}${path}`, { method: "POST", headers: bearer, body: JSON.stringify(json) })).json()
    const { secret } = await call("/api/auth/totp/enroll", { password: account.password })
    const { TOTP } = await import("otpauth")
    const confirmed = await call("/api/auth/totp/confirm", { code: new TOTP({ secret: secret ?? "" }).generate() })
    expect(confirmed).toMatchObject({ message: "success" })

    const short = await command("reset-password", [account.email], TOO_SHORT)
    expect(short).toMatchObject({ code: 1 })
    expect(short.stderr).toContain("at least 18 characters")
    expect(await me(accessToken)).toBe(200)
    const reset = await command("reset-password", [account.email], NEW_PASSWORD)
    expect(reset).toMatchObject({ code: 0, stderr: "" })
    expect(reset.stdout).toContain("The second factor stays.")
    expect(reset.stdout).not.toContain(NEW_PASSWORD)
    expect(await me(accessToken)).toBe(401)
    const fresh = { ...account, password: NEW_PASSWORD }
    expect(await post("/api/ops/login", account)).toMatchObject({ status: 401 })
    expect(await (await post("/api/ops/login", fresh)).json()).toMatchObject({ code: "second_factor_required" })
    const removed = await command("reset-password", [account.email, "--remove-totp"], NEW_PASSWORD)
    expect(removed.stdout).toContain("The second factor is removed.")
    expect(await me((await logIn(fresh)).accessToken)).toBe(200)
  })

  it("make accounts by the password rules that the service itself has", async () => {
    const email = "second@example.com"
    const signUp = await post("/api/client/signup", { email, password: TOO_SHORT })
    expect(await signUp.json()).toMatchObject({ errors: [{ field: "password", rule: "too_short" }] })
    const short = await command("create", ["--email", email], TOO_SHORT)
    expect(short).toMatchObject({ code: 1, stderr: "The password needs at least 18 characters.\n" })
    expect(await post("/api/ops/login", { email, password: TOO_SHORT })).toMatchObject({ status: 401 })
    expect(await command("create", ["--email", email], `${TOO_SHORT}z`)).toMatchObject({ code: 0, stderr: "" })
    expect(await post("/api/ops/login", { email, password: `${TOO_SHORT}z` })).toMatchObject({ status: 200 })
  })

  it("let manage everybody's files and take that away, on the next request", async () => {
    const account = { ...printedAccount(service.output()), password: NEW_PASSWORD }
    const { accessToken } = await logIn(account)
    const all = async (): Promise<number> =>
      (await fetch(`${service.origin}/api/ops/files?owner=all`, { headers: { Authorization: `Bearer ${accessToken}` } })).status
    expect(await all()).toBe(403)
    expect(await command("grant", [account.email, "manage-all-files"])).toMatchObject({ code: 0, stderr: "" })
    expect(await all()).toBe(200)
    expect((await command("list", [])).stdout).toContain("  manage-all-files  ")
    const listed = JSON.parse((await command("list", ["--json"])).stdout) as { email: string; managesAllFiles: boolean }[]
    expect(listed.filter(({ managesAllFiles }) => managesAllFiles).map(({ email }) => email)).toEqual([account.email])
    expect(listed.length).toBeGreaterThan(1)
    expect((await command("grant", [account.email, "manage-all-files"])).stdout).toContain("already; nothing was changed")
    expect(await command("revoke", [account.email, "manage-all-files"])).toMatchObject({ code: 0, stderr: "" })
    expect(await all()).toBe(403)
    expect((await command("list", [])).stdout).not.toContain("manage-all-files")
  })

  it("refuse what is no ops account, and what is not understood, changing nothing", async () => {
    for (const [name, args, message] of [
      ["disable", ["nobody@example.com"], "There is no ops account of nobody@example.com"],
      ["disable", ["nobody"], "is not an e-mail address"],
      ["disable", [], "Usage:"],
      ["enable", ["a@example.com", "b@example.com"], "Usage:"],
      ["enable", ["a@example.com", "--remove-totp"], "Usage:"],
      ["list", ["--secrets", "x.json"], "--secrets goes with"],
      ["grant", ["nobody@example.com", "manage-all-files"], "There is no ops account of nobody@example.com"],
      ["grant", ["nobody@example.com", "everything"], "There is no such permission"],
      ["grant", ["nobody@example.com"], "Usage:"],
      ["disable", ["nobody@example.com", "manage-all-files"], "Usage:"],
    ] as const) {
      const result = await command(name, args)
      expect(result).toMatchObject({ code: 1 })
      expect(result.stderr).toContain(message)
      expect(result.stderr).not.toContain("    at ")
    }
  })
})

describe("B16: two requests on one connection", () => {
  /** Everything that comes back for two requests that are sent at once. */
  function pipelined(first: string, second: string): Promise<string> {
    const { hostname, port } = new URL(service.origin)
    const request = (authorization: string, end: string): string =>
      `GET /api/auth/me HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: ${authorization}\r\n${end}\r\n`
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname)
      let text = ""
      socket.on("data", (chunk: Buffer) => (text += chunk.toString()))
      socket.on("error", reject)
      socket.on("close", () => {
        resolve(text)
      })
      socket.write(request(first, "") + request(second, "Connection: close\r\n"))
    })
  }

  it("know nothing of each other: neither a broken login nor a good one lasts", async () => {
    const { email } = printedAccount(service.output())
    const { accessToken } = await (
      await post("/api/ops/login", { email, password: NEW_PASSWORD })
    ).json<{ accessToken: string }>()
    const statuses = (text: string): (string | undefined)[] =>
      Array.from(text.matchAll(/HTTP\/1\.1 (\d{3})/g), ([, status]) => status)
    const good = `Bearer ${accessToken}`
    for (const broken of ["Bearer", "AWS4-HMAC-SHA256 Credential=ops/", `Basic ${btoa(`${email}:x`)}`, "Bearer x.y.z"]) {
      expect(statuses(await pipelined(broken, good)), broken).toEqual(["401", "200"])
      expect(statuses(await pipelined(good, broken)), broken).toEqual(["200", "401"])
    }
  })
})
