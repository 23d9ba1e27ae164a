import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { firstOpsAccount, localSecrets, noteOpsAccountMade, parseEnvFile, secretsPath } from "../../scripts/local-state.ts"
import { sqlText } from "../../scripts/database.ts"
import { SECRET_NAMES, parseConfig } from "../../src/config.ts"

let dir: string
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sealpost-state-"))))
afterEach(() => {
  rmSync(dir, { recursive: true })
})

describe("local secrets", () => {
  it("are good ones, made once and kept, for the owner's eyes only", () => {
    const secrets = localSecrets(join(dir, "a", "b"))
    expect(Object.keys(secrets)).toEqual([...SECRET_NAMES])
    expect(localSecrets(join(dir, "a", "b"))).toEqual(secrets)
    expect(localSecrets(join(dir, "c"))).not.toEqual(secrets)
    expect(statSync(secretsPath(join(dir, "a", "b"))).mode & 0o777).toBe(0o600)
    const env = { ...secrets, PUBLIC_ORIGIN: "http://localhost:1", MAIL_TRANSPORT: "console", MAIL_FROM: "a@b.example" }
    expect(parseConfig(env)).toHaveProperty("config")
  })

  it("gain what a later version needs, once, and keep the rest; what is lost otherwise stays lost", () => {
    const secrets = localSecrets(dir)
    const path = secretsPath(dir)
    const withoutLine = (name: string): string => readFileSync(path, "utf8").replace(new RegExp(`^${name}=.*\\n`, "m"), "")
    writeFileSync(path, withoutLine("AUDIT_KEYS"))
    const grown = localSecrets(dir)
    expect(Object.keys(grown)).toEqual([...SECRET_NAMES])
    expect(grown["AUDIT_KEYS"]).not.toBe(secrets["AUDIT_KEYS"])
    expect({ ...grown, AUDIT_KEYS: "" }).toEqual({ ...secrets, AUDIT_KEYS: "" })
    expect(localSecrets(dir)).toEqual(grown)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    writeFileSync(path, withoutLine("MASTER_KEYS"))
    expect(localSecrets(dir)).not.toHaveProperty("MASTER_KEYS")
  })

  it("are read back as written", () => {
    expect(parseEnvFile("# note\nA_B=1:x=y\n\nC=\nlower=no\n")).toEqual({ A_B: "1:x=y", C: "" })
  })
})

describe("the first ops account", () => {
  it("is written down before it is made, and stays the same", () => {
    const account = firstOpsAccount(dir, 15)
    expect(account).toMatchObject({ email: "ops@example.com", isMade: false })
    expect(account.password.length).toBeGreaterThanOrEqual(15)
    expect(firstOpsAccount(dir, 15)).toEqual(account)
    // Not made yet, and too short for what the service asks for by now.
    const longer = firstOpsAccount(dir, 64)
    expect(longer.password.length).toBeGreaterThanOrEqual(64)
    noteOpsAccountMade(dir, longer)
    expect(firstOpsAccount(dir, 15)).toEqual({ ...longer, isMade: true })
  })
})

describe("sqlText", () => {
  it.each([
    ["a", "'a'"],
    ["o'brien@example.com", "'o''brien@example.com'"],
    ["'; drop table users; --", "'''; drop table users; --'"],
    ["a\\'b", "'a\\''b'"],
  ])("of %j is %s", (text, literal) => {
    expect(sqlText(text)).toBe(literal)
  })

  it("refuses NUL, at which SQLite would stop reading", () => {
    expect(() => sqlText("a\0b")).toThrow()
  })
})
