// Commands with --remote: what they do in the deployed database, through the real Wrangler and a server that stands in for
// Cloudflare's API.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { newSecrets } from "../../scripts/local-state.ts"
import { mapKeyRing, parseKeyRing } from "../../src/crypto/keyring.ts"
import { checkPassword, importPepper } from "../../src/crypto/password.ts"
import { type CommandResult, run } from "../e2e/service.ts"
import { type D1Api, startD1Api } from "../support/d1-api.ts"

const EMAIL = "o'brien@example.com"
const PASSWORD = "a password for the deployment"
const NEW_PASSWORD = "quite another; it isn't the same"

let dir: string
let api: D1Api
let secretsFile: string
const secrets = newSecrets()

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-remote-"))
  secretsFile = join(dir, "deployment.secrets.json")
  writeFileSync(secretsFile, JSON.stringify(secrets))
  api = await startD1Api()
})

afterAll(async () => {
  await api.close()
  rmSync(dir, { recursive: true })
})

const command = (script: string, args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> =>
  run(process.execPath, [`scripts/${script}.ts`, ...args, "--remote"], { env: { ...api.env, ...env }, input: "" })
const manage = (...args: string[]): Promise<CommandResult> => command("ops-manage", [...args, "--secrets", secretsFile])
const create = (env: Record<string, string> = {}): Promise<CommandResult> =>
  command("ops-create", ["--email", EMAIL, "--secrets", secretsFile], { OPS_PASSWORD: PASSWORD, ...env })

const account = () => api.sqlite.prepare("select * from users where role = 'ops'").get() as Record<string, unknown>
const kinds = () =>
  api.sqlite
    .prepare("select kind from audit_events order by rowid")
    .all()
    .map(({ kind }) => kind)

async function isPassword(password: string): Promise<boolean> {
  const ring = parseKeyRing(secrets.PASSWORD_PEPPERS)
  if (typeof ring === "string") throw new Error(ring)
  const { matches } = await checkPassword(await mapKeyRing(ring, importPepper), password, String(account()["password_hash"]))
  return matches
}

describe("ops accounts of a deployment", () => {
  it("are made only with a token that is good, once per address", async () => {
    const refused = await create({ CLOUDFLARE_API_TOKEN: "another" })
    expect(refused).toMatchObject({ code: 1, stdout: "" })
    expect(refused.stderr).toContain("Authentication error")
    expect(kinds()).toEqual([])
    expect(await create()).toEqual({ code: 0, stdout: `Ops account made: ${EMAIL}\n`, stderr: "" })
    expect(account()).toMatchObject({ email: EMAIL, role: "ops" })
    expect(await isPassword(PASSWORD)).toBe(true)
    const again = await create()
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("has an account already") as string])
    expect(kinds()).toEqual(["account.ops_created"])
  })

  it("need the deployment's secrets, and list without", async () => {
    const without = await command("ops-manage", ["disable", EMAIL], { PASSWORD_PEPPERS: "", AUDIT_KEYS: "" })
    expect([without.code, without.stderr]).toEqual([1, expect.stringContaining("PASSWORD_PEPPERS, AUDIT_KEYS") as string])
    const listed = await command("ops-manage", ["list", "--json"])
    expect(JSON.parse(listed.stdout)).toMatchObject([{ email: EMAIL, disabledAtMs: null, managesAllFiles: false }])
  })

  it("are shut out, let in, given another password and a permission, each with its row of the trail", async () => {
    expect((await manage("disable", EMAIL.toUpperCase())).stdout).toContain("is disabled; all its sessions are over")
    expect(account()["disabled_at_ms"]).not.toBeNull()
    expect((await manage("disable", EMAIL)).stdout).toContain("nothing was changed")
    expect((await manage("enable", EMAIL)).stdout).toContain("is enabled")
    expect(account()["disabled_at_ms"]).toBeNull()
    const reset = await command("ops-manage", ["reset-password", EMAIL, "--secrets", secretsFile], { OPS_PASSWORD: NEW_PASSWORD })
    expect([reset.code, reset.stdout]).toEqual([0, expect.stringContaining("New password set") as string])
    expect([await isPassword(PASSWORD), await isPassword(NEW_PASSWORD)]).toEqual([false, true])
    expect((await manage("grant", EMAIL, "manage-all-files")).stdout).toContain("may now manage everybody's files")
    expect(account()["manages_all_files"]).toBe(1)
    expect((await manage("revoke", EMAIL, "manage-all-files")).code).toBe(0)
    expect(account()["manages_all_files"]).toBe(0)
    expect(kinds()).toEqual([
      ...["account.ops_created", "account.disabled", "account.enabled", "password.reset"],
      ...["permission.granted", "permission.revoked"],
    ])
    expect(api.asked.join("\n")).not.toContain(NEW_PASSWORD)
  })
})

describe("the audit trail of a deployment", () => {
  it("is read and proven with the deployment's keys, and damage shows", async () => {
    const whole = await command("audit-verify", ["--secrets", secretsFile, "--json"])
    expect([whole.code, JSON.parse(whole.stdout)]).toEqual([0, expect.objectContaining({ ok: true, unsealed: 6 })])
    const exported = await command("audit-export", ["--format", "ndjson"])
    expect(exported.stdout.trim().split("\n")).toHaveLength(6)
    api.sqlite.exec("update audit_events set kind = 'account.enabled' where kind = 'account.disabled'")
    const damaged = await command("audit-verify", ["--secrets", secretsFile, "--json"])
    expect([damaged.code, JSON.parse(damaged.stdout)]).toEqual([1, expect.objectContaining({ ok: false })])
  })
})
