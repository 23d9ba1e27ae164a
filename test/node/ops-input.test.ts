// What commands for ops accounts know of PASSWORD_MIN_LENGTH: the same as the service that they work beside.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { accountSecrets, hashOpsPassword, requireEmail } from "../../scripts/ops-account.ts"
import { passwordMinChars } from "../../scripts/ops-input.ts"
import { newSecrets, notePasswordMinLength } from "../../scripts/local-state.ts"
import { readTomlVars } from "../../scripts/wrangler.ts"

const dir = mkdtempSync(join(tmpdir(), "sealpost-input-"))
afterAll(() => {
  rmSync(dir, { recursive: true, force: true })
})

describe("PASSWORD_MIN_LENGTH", () => {
  it("of a local state is what npm start was told, or the default", () => {
    const place = { persistTo: dir }
    expect(passwordMinChars(place, undefined)).toBe(15)
    notePasswordMinLength(dir, "18")
    expect(passwordMinChars(place, undefined)).toBe(18)
    notePasswordMinLength(dir, undefined)
    expect(passwordMinChars(place, undefined)).toBe(15)
    notePasswordMinLength(dir, "7")
    expect(() => passwordMinChars(place, undefined)).toThrow(/^PASSWORD_MIN_LENGTH is not usable: /)
  })

  it("of a deployment is what its secrets file says, or the default", () => {
    const file = join(dir, "deployment.secrets.json")
    writeFileSync(file, JSON.stringify(newSecrets()))
    expect(passwordMinChars("remote", file)).toBe(15)
    writeFileSync(file, JSON.stringify({ ...newSecrets(), PASSWORD_MIN_LENGTH: "20" }))
    expect(passwordMinChars("remote", file)).toBe(20)
  })

  it("is what a password is measured by, exactly, under the same rules as everybody's", async () => {
    const secrets = accountSecrets(newSecrets())
    const choice = { address: requireEmail("jo@example.com"), minChars: 17 }
    const hash = (password: string): Promise<string> => hashOpsPassword(secrets, { ...choice, password })
    await expect(hash("x7-Kq9.Lm2/vB4wT")).rejects.toThrow("The password needs at least 17 characters.")
    await expect(hash("passwordpassword!")).rejects.toThrow("easy to guess")
    await expect(hash(`x7-Kq9.Lm2/vB4wT${"z".repeat(120)}`)).rejects.toThrow("at most 128 characters")
    expect(await hash("x7-Kq9.Lm2/vB4wT5")).toContain("$scrypt$")
  })
})

describe("settings in wrangler.toml", () => {
  it("are read from [vars], however they are written there, and from nowhere else", () => {
    const toml = `name = "x"\n[vars] # ours\nA = "1" # one\nB = 2\nC = 'three'\n"D" = true\n[[r2_buckets]]\nA = "9"\n[env.x.vars]\nB = 9\n`
    expect(readTomlVars(toml)).toEqual({ A: "1", B: "2", C: "three", D: "true" })
    expect(readTomlVars("")).toEqual({})
    expect(() => readTomlVars(`vars = { A = "1" }`)).toThrow("one a line under [vars]")
  })
})
