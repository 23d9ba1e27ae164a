// What local development keeps in its state folder beside D1 and R2: the secrets that seal them, and the
// first ops account. Readable by the owner only.
import { randomInt } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { SECRET_NAMES, type SecretName } from "../src/config.ts"
import { newKeyRingEntry } from "../src/crypto/keyring.ts"

export const DEFAULT_STATE_DIR = ".wrangler/state"

/** Who local mails are from. */
export const LOCAL_MAIL_FROM = "Sealpost <sealpost@example.com>"

export const secretsPath = (stateDir: string): string => join(stateDir, "sealpost.env")

export const newSecrets = (): Record<SecretName, string> =>
  Object.fromEntries(SECRET_NAMES.map((name) => [name, newKeyRingEntry(1)])) as Record<SecretName, string>

/** Whole or not at all, so that a crash leaves no half file to seal data with. */
function writePrivately(path: string, text: string): void {
  const draft = `${path}.${String(process.pid)}.tmp`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}

/** Reads `NAME=value` lines. */
export function parseEnvFile(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const line of text.split("\n")) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line.trim())
    if (match?.[1] !== undefined) values[match[1]] = match[2] ?? ""
  }
  return values
}

/** Secrets that came with a later version: a state that is older gains them. All others, once lost, are lost. */
const ADDED_LATER: readonly SecretName[] = ["AUDIT_KEYS", "TOTP_KEYS"]

/** The local secrets, made on first use and kept: with new ones, old files could not be read. */
export function localSecrets(stateDir: string): Record<string, string> {
  mkdirSync(resolve(stateDir), { recursive: true, mode: 0o700 })
  const path = secretsPath(stateDir)
  if (!existsSync(path)) {
    const lines = Object.entries(newSecrets()).map(([name, value]) => `${name}=${value}`)
    writePrivately(path, `# Secrets of this local state. Without them its files cannot be read.\n${lines.join("\n")}\n`)
  }
  const text = readFileSync(path, "utf8")
  const kept = parseEnvFile(text)
  const missing = ADDED_LATER.filter((name) => kept[name] === undefined)
  if (missing.length === 0) return kept
  const lines = missing.map((name) => `${name}=${newKeyRingEntry(1)}`)
  writePrivately(path, `${text.trimEnd()}\n${lines.join("\n")}\n`)
  return parseEnvFile(readFileSync(path, "utf8"))
}

export type OpsAccount = { email: string; password: string; isMade: boolean }

const accountPath = (stateDir: string): string => join(stateDir, "sealpost-ops.json")

/** Four groups that can be read aloud; 100 random bits. */
function readablePassword(): string {
  const alphabet = "abcdefghjkmnpqrstvwxyz23456789"
  const group = () => Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)] ?? "").join("")
  return Array.from({ length: 4 }, group).join("-")
}

/** The first ops account of a local state: written down before it is made, so that a crash loses neither. */
export function firstOpsAccount(stateDir: string): OpsAccount {
  const path = accountPath(stateDir)
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as OpsAccount
  const account = { email: "ops@example.com", password: readablePassword(), isMade: false }
  writePrivately(path, JSON.stringify(account))
  return account
}

export function noteOpsAccountMade(stateDir: string, account: OpsAccount): void {
  writePrivately(accountPath(stateDir), JSON.stringify({ ...account, isMade: true }))
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/**
 * Keeps a second service away from the same state until this process ends: two would disturb each other.
 * @throws Error when one is running
 */
export function lockState(stateDir: string): void {
  const path = join(stateDir, "sealpost.pid")
  const holder = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0
  if (holder > 0 && holder !== process.pid && isRunning(holder)) {
    throw new Error(
      `Sealpost is running on this state already (process ${String(holder)}). Stop it, or give another folder: --persist-to DIR`,
    )
  }
  writeFileSync(path, String(process.pid))
  process.on("exit", () => {
    rmSync(path, { force: true })
  })
}
