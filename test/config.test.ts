import { describe, expect, it } from "vitest"
import { SECRET_NAMES, parseConfig, readConfig } from "../src/config.ts"
import { newKeyRingEntry } from "../src/crypto/keyring.ts"
import { AppError } from "../src/errors.ts"

const secrets = Object.fromEntries(SECRET_NAMES.map((name) => [name, newKeyRingEntry(1)]))
const deployed = {
  ...secrets,
  PUBLIC_ORIGIN: "https://files.example.com",
  MAIL_TRANSPORT: "mailchannels",
  MAIL_FROM: "Sealpost <files@example.com>",
  MAILCHANNELS_API_KEY: "a-key-from-the-console",
}
const local = { ...secrets, PUBLIC_ORIGIN: "http://localhost:8787", MAIL_TRANSPORT: "console", MAIL_FROM: "a@example.com" }

const faultsOf = (env: Record<string, unknown>): string[] => {
  const result = parseConfig(env)
  return "faults" in result ? result.faults.map(({ variable }) => variable) : []
}

describe("parseConfig", () => {
  it("takes a deployment's and a local environment, with defaults for the rest", () => {
    expect(parseConfig(deployed)).toMatchObject({
      config: {
        publicOrigin: "https://files.example.com",
        mail: { transport: "mailchannels", baseUrl: "https://api.mailchannels.net" },
        maxFileBytes: 2_147_483_648,
        linkLifetimeSeconds: 3600,
      },
    })
    expect(parseConfig(local)).toMatchObject({ config: { mail: { transport: "console" } } })
  })

  it("takes numbers as wrangler.toml may hold them", () => {
    expect(parseConfig({ ...deployed, LINK_LIFETIME_SECONDS: 7200 })).toMatchObject({ config: { linkLifetimeSeconds: 7200 } })
    expect(faultsOf({ ...deployed, LINK_LIFETIME_SECONDS: 0.5 })).toEqual(["LINK_LIFETIME_SECONDS"])
  })

  it("allows nothing in documents and asks no scanner, unless told", () => {
    const nothing = { externalRelationships: false, embeddedObjects: false, activeX: false, dde: false }
    expect(parseConfig(deployed)).toMatchObject({ config: { documents: nothing, scanner: null } })
    const told = {
      ...deployed,
      ALLOW_DDE: true,
      ALLOW_ACTIVEX: "true",
      ALLOW_EMBEDDED_OBJECTS: "false",
      SCANNER_URL: "https://s.example/",
    }
    expect(parseConfig(told)).toMatchObject({
      config: { documents: { ...nothing, dde: true, activeX: true }, scanner: { url: "https://s.example/", timeoutMs: 30_000 } },
    })
  })

  it.each([
    ["8", 8],
    ["64", 64],
    [20, 20],
    ["", 15],
  ])("takes %j as PASSWORD_MIN_LENGTH", (value, passwordMinChars) => {
    expect(parseConfig({ ...deployed, PASSWORD_MIN_LENGTH: value })).toMatchObject({ config: { passwordMinChars } })
  })

  it("names everything that is missing at once", () => {
    expect(faultsOf({})).toEqual(["PUBLIC_ORIGIN", "MAIL_TRANSPORT", "MAIL_FROM", ...SECRET_NAMES])
  })

  it.each<[Record<string, unknown>, string]>([
    [{ MASTER_KEYS: "" }, "MASTER_KEYS"],
    [{ LINK_KEYS: "1:short" }, "LINK_KEYS"],
    [{ JWT_KEYS: `1:${"A".repeat(43)}` }, "JWT_KEYS"],
    [{ HANDLE_KEYS: secrets["LINK_KEYS"] }, "HANDLE_KEYS"],
    [{ PASSWORD_PEPPERS: undefined }, "PASSWORD_PEPPERS"],
    [{ AUDIT_KEYS: undefined }, "AUDIT_KEYS"],
    [{ AUDIT_KEYS: secrets["HANDLE_KEYS"] }, "AUDIT_KEYS"],
    [{ AUDIT_RETENTION_DAYS: "0" }, "AUDIT_RETENTION_DAYS"],
    [{ AUDIT_RETENTION_DAYS: "3651" }, "AUDIT_RETENTION_DAYS"],
    ...["7", "65", "0", "-15", "15.5", "1e1", "fifteen", " "].map((value): [Record<string, unknown>, string] => [
      { PASSWORD_MIN_LENGTH: value },
      "PASSWORD_MIN_LENGTH",
    ]),
    [{ REQUIRE_TOTP_FOR_OPS: "yes" }, "REQUIRE_TOTP_FOR_OPS"],
    [{ PUBLIC_ORIGIN: "http://files.example.com" }, "PUBLIC_ORIGIN"],
    [{ PUBLIC_ORIGIN: "https://files.example.com/" }, "PUBLIC_ORIGIN"],
    [{ PUBLIC_ORIGIN: "https://files.example.com/path" }, "PUBLIC_ORIGIN"],
    [{ PUBLIC_ORIGIN: "javascript:alert(1)" }, "PUBLIC_ORIGIN"],
    [{ MAIL_TRANSPORT: undefined }, "MAIL_TRANSPORT"],
    [{ MAIL_TRANSPORT: "smtp" }, "MAIL_TRANSPORT"],
    [{ MAIL_TRANSPORT: "console" }, "MAIL_TRANSPORT"],
    [{ MAIL_FROM: "nobody" }, "MAIL_FROM"],
    [{ MAIL_FROM: "a@b.example\r\nBcc: c@d.example" }, "MAIL_FROM"],
    [{ MAILCHANNELS_API_KEY: undefined }, "MAILCHANNELS_API_KEY"],
    [{ MAILCHANNELS_BASE_URL: "http://mail.example.com" }, "MAILCHANNELS_BASE_URL"],
    [{ MAX_FILE_BYTES: "10 MB" }, "MAX_FILE_BYTES"],
    [{ ALLOW_DDE: "yes" }, "ALLOW_DDE"],
    [{ SCANNER_URL: "http://scanner.example.com" }, "SCANNER_URL"],
    [{ SCANNER_TIMEOUT_MS: "1s" }, "SCANNER_TIMEOUT_MS"],
    [{ OPS_QUOTA_BYTES: "-1" }, "OPS_QUOTA_BYTES"],
    [{ OPS_QUOTA_FILES: "1.5" }, "OPS_QUOTA_FILES"],
    [{ UPLOAD_EXPIRY_HOURS: "0" }, "UPLOAD_EXPIRY_HOURS"],
    [{ UPLOAD_EXPIRY_HOURS: "145" }, "UPLOAD_EXPIRY_HOURS"],
    [{ MAX_FILE_BYTES: "0" }, "MAX_FILE_BYTES"],
    [{ LINK_LIFETIME_SECONDS: "604801" }, "LINK_LIFETIME_SECONDS"],
    [{ LINK_LIFETIME_SECONDS: "1e3" }, "LINK_LIFETIME_SECONDS"],
  ])("refuses the good environment with only %j", (change, variable) => {
    expect(faultsOf(deployed)).toEqual([])
    expect(faultsOf({ ...deployed, ...change })).toEqual([variable])
  })

  it.each<[string | undefined, string]>([
    [undefined, "put the one that was in use back"],
    [`${newKeyRingEntry(1)},${newKeyRingEntry(1)}`, "keep every key that was in use"],
    ["2:short", "keep every key that was in use"],
  ])("never advises to replace the only key (%#)", (ring, advice) => {
    const result = parseConfig({ ...deployed, MASTER_KEYS: ring })
    const remedy = "faults" in result ? (result.faults[0]?.remedy ?? "") : ""
    expect(remedy).toContain(advice)
    expect(remedy).not.toContain("make a good one")
  })

  it("names the entry that is another ring's key", () => {
    const [, copied = ""] = (secrets["LINK_KEYS"] ?? "").split(":")
    const result = parseConfig({ ...deployed, AUDIT_KEYS: `7:${copied},${secrets["AUDIT_KEYS"] ?? ""}` })
    const remedy = "put another key in place of entry 7 and keep the others: npm run secrets -- AUDIT_KEYS --id 7"
    expect(result).toMatchObject({ faults: [{ variable: "AUDIT_KEYS", remedy }] })
  })

  it("says what mends it and never quotes a value", () => {
    const env = { ...deployed, LINK_KEYS: "1:hunter2", PUBLIC_ORIGIN: "ftp://hunter2" }
    expect(() => readConfig(env)).toThrow(AppError)
    try {
      readConfig(env)
    } catch (error) {
      const detail = error instanceof AppError ? error.options.detail : ""
      expect(detail).toContain("npm run secrets -- LINK_KEYS")
      expect(detail).toContain("PUBLIC_ORIGIN")
      expect(detail).not.toContain("hunter2")
    }
  })
})
