// What local development keeps in its state folder beside D1 and R2: the secrets that seal them, and the
// first ops account. Readable by the owner only.
import { randomInt } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { type Config, SECRET_NAMES, type SecretName, faultLines, parseConfig } from "../src/config.ts"
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

/**
 * Where a local state is, for commands that must not make one: a mistyped folder would look empty and sound.
 * @throws Error when there is none
 */
export function requireState(stateDir: string): string {
  const dir = resolve(stateDir)
  if (!existsSync(join(dir, "v3/d1"))) throw new Error(`There is no state in ${dir}.`)
  return dir
}

/**
 * The secrets of a state that is there.
 * @throws Error when the state or its secrets are not there
 */
export function keptSecrets(stateDir: string): Record<string, string> {
  const path = secretsPath(requireState(stateDir))
  if (!existsSync(path)) throw new Error(`The secrets of this state are not there: ${path}. Put the file back.`)
  return localSecrets(stateDir)
}

/** @throws Error naming every variable that is missing or unusable, and what mends it */
export function requireUsable(env: Record<string, string>): Config {
  const parsed = parseConfig(env)
  if ("config" in parsed) return parsed.config
  const lines = faultLines(parsed.faults).map((line) => `  ${line}`)
  throw new Error(`Sealpost is not set up:\n${lines.join("\n")}`)
}

export type OpsAccount = { email: string; password: string; isMade: boolean }

const accountPath = (stateDir: string): string => join(stateDir, "sealpost-ops.json")

/** Groups of five that can be read aloud; four of them are 100 random bits. */
function readablePassword(minChars: number): string {
  const alphabet = "abcdefghjkmnpqrstvwxyz23456789"
  const group = () => Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)] ?? "").join("")
  return Array.from({ length: Math.max(4, Math.ceil((minChars + 1) / 6)) }, group).join("-")
}

/** The first ops account of a local state: written down before it is made, so that a crash loses neither. */
export function firstOpsAccount(stateDir: string, minChars: number): OpsAccount {
  const path = accountPath(stateDir)
  const kept = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as OpsAccount) : null
  if (kept !== null && (kept.isMade || kept.password.length >= minChars)) return kept
  const account = { email: "ops@example.com", password: readablePassword(minChars), isMade: false }
  writePrivately(path, JSON.stringify(account))
  return account
}

export function noteOpsAccountMade(stateDir: string, account: OpsAccount): void {
  writePrivately(accountPath(stateDir), JSON.stringify({ ...account, isMade: true }))
}

const lengthPath = (stateDir: string): string => join(stateDir, "sealpost-password-min-length")

/** Writes down what `npm start` was told of it by `--var`, for commands beside it; undefined for nothing. */
export function notePasswordMinLength(stateDir: string, told: string | undefined): void {
  if (told === undefined) rmSync(lengthPath(stateDir), { force: true })
  else writePrivately(lengthPath(stateDir), told)
}

/** What the last `npm start` was told by `--var`. */
export const notedPasswordMinLength = (stateDir: string): Record<string, string> =>
  existsSync(lengthPath(stateDir)) ? { PASSWORD_MIN_LENGTH: readFileSync(lengthPath(stateDir), "utf8") } : {}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const lockPath = (stateDir: string): string => join(stateDir, "sealpost.pid")

/**
 * Keys that are wrapped under a master key which the running service has not read yet could not be opened by it.
 * @throws Error when a service runs on the state since before its secrets file was changed last
 */
export function requireCurrentService(stateDir: string): void {
  const lock = statSync(lockPath(stateDir), { throwIfNoEntry: false })
  const secrets = statSync(secretsPath(stateDir), { throwIfNoEntry: false })
  if (lock === undefined || secrets === undefined || lock.mtimeMs >= secrets.mtimeMs) return
  const pid = Number(readFileSync(lockPath(stateDir), "utf8"))
  if (!(pid > 0) || !isRunning(pid)) return
  throw new Error(
    `The service that runs on this state (process ${String(pid)}) was started before ${secretsPath(stateDir)} was last changed, and does not know what is new there. Restart it first, then rotate.`,
  )
}

/**
 * Keeps a second service away from the same state until this process ends: two would disturb each other.
 * @throws Error when one is running
 */
export function lockState(stateDir: string): void {
  const path = lockPath(stateDir)
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
