// Env → Settings + Secrets, parsed once with zod: the only reader of raw environment values. Whatever is
// missing, short, guessable or used twice refuses to start, all faults together, each naming its variable
// and what mends it. Never quotes a value. Pure, so that `npm start` and `npm run doctor` use it as well.
import { z } from "zod"
import { toHex } from "./crypto/bytes.ts"
import { type KeyRing, parseKeyRing } from "./crypto/keyring.ts"
import { AppError } from "./errors.ts"

export const SECRET_NAMES = [
  "MASTER_KEYS",
  "LINK_KEYS",
  "JWT_KEYS",
  "PASSWORD_PEPPERS",
  "HANDLE_KEYS",
  "TOTP_KEYS",
  "AUDIT_KEYS",
] as const
export type SecretName = (typeof SECRET_NAMES)[number]
export type Secrets = Record<SecretName, KeyRing<Uint8Array<ArrayBuffer>>>

export type MailSettings =
  { transport: "console"; from: string } | { transport: "mailchannels"; from: string; apiKey: string; baseUrl: string }

export type Config = {
  /** Scheme, host and port that people reach us under; every link is built from it, never from `Host`. */
  publicOrigin: string
  mail: MailSettings
  maxFileBytes: number
  linkLifetimeSeconds: number
  memoryBudgetBytes: number
  passwordMinChars: number
  auditRetentionDays: number
  requireTotpForOps: boolean
  /** What documents may bring along. */
  documents: DocumentSettings
  /** Asked about every document before it is published; null for nobody. */
  scanner: ScannerSettings | null
  quotaBytes: number
  quotaFiles: number
  uploadExpiryMs: number
  deleteGraceMs: number
}

export type DocumentSettings = { externalRelationships: boolean; embeddedObjects: boolean; activeX: boolean; dde: boolean }
export type ScannerSettings = { url: string; timeoutMs: number }

/** One thing that keeps Sealpost from starting. */
export type ConfigFault = { variable: string; fault: string; remedy: string }

const MAILCHANNELS_URL = "https://api.mailchannels.net"
const DAY_SECONDS = 24 * 60 * 60
const isLoopback = (url: URL): boolean => ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)

const origin = z.string().refine((text) => {
  const url = URL.parse(text)
  return url !== null && url.origin === text && (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url)))
})

const baseUrl = z.string().refine((text) => {
  const url = URL.parse(text)
  return url !== null && (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url)))
})

/** A whole number in decimal digits, as environment variables carry it. */
const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max))

/** "true" or "false", also without quotes in wrangler.toml. */
const flag = z
  .enum(["true", "false"])
  .default("false")
  .transform((text) => text === "true")
const FLAG_REMEDY = 'set it to "true" to allow this in documents, or leave it out'

const MAIL_FROM = /^(?:[^<>\p{Cc}]{1,100}<)?[^\s<>@,;]+@[^\s<>@,;]+\.[^\s<>@,;]+>?$/u

const settings = {
  PUBLIC_ORIGIN: {
    schema: origin,
    remedy: 'set it to the address people use, e.g. "https://files.example.com" (https, or http on localhost; no path)',
  },
  MAIL_TRANSPORT: {
    schema: z.enum(["mailchannels", "console"]),
    remedy: 'set it to "mailchannels" ("console" works only where PUBLIC_ORIGIN is this machine)',
  },
  MAIL_FROM: { schema: z.string().regex(MAIL_FROM), remedy: 'set it to the sender, e.g. "Sealpost <files@example.com>"' },
  MAILCHANNELS_API_KEY: {
    schema: z.string().min(8).optional(),
    remedy: "make one in the MailChannels console, then: npx wrangler secret put MAILCHANNELS_API_KEY",
  },
  MAILCHANNELS_BASE_URL: {
    schema: baseUrl.default(MAILCHANNELS_URL),
    remedy: `leave it out for ${MAILCHANNELS_URL}, or give an https URL`,
  },
  MAX_FILE_BYTES: {
    schema: integer(1, 5 * 2 ** 30).default(2 * 2 ** 30),
    remedy: "give a whole number of bytes, at most 5368709120",
  },
  LINK_LIFETIME_SECONDS: {
    schema: integer(1, 7 * DAY_SECONDS).default(60 * 60),
    remedy: "give a whole number of seconds, at most 604800 (seven days)",
  },
  MEMORY_BUDGET_MIB: {
    schema: integer(16, 1024).default(80),
    remedy: "give a whole number of MiB from 16; an isolate has 128 MB for everything",
  },
  OPS_QUOTA_BYTES: {
    schema: integer(0, 999_999_999_999_999).default(0),
    remedy: "give a whole number of bytes that each operations user may store, or 0 for no limit",
  },
  OPS_QUOTA_FILES: {
    schema: integer(0, 999_999_999).default(0),
    remedy: "give a whole number of files that each operations user may store, or 0 for no limit",
  },
  UPLOAD_EXPIRY_HOURS: {
    schema: integer(1, 144).default(24),
    remedy: "give a whole number of hours from 1 to 144: R2 drops parts after seven days",
  },
  DELETE_GRACE_DAYS: {
    schema: integer(0, 365).default(7),
    remedy: "give a whole number of days from 0 (deleted files are gone at once) to 365",
  },
  PASSWORD_MIN_LENGTH: {
    schema: integer(8, 64).default(15),
    remedy: "give a whole number of characters from 8 to 64; NIST SP 800-63B-4 asks for 15 where a password is all there is",
  },
  AUDIT_RETENTION_DAYS: {
    schema: integer(1, 3650).default(400),
    remedy: "give a whole number of days from 1 to 3650",
  },
  REQUIRE_TOTP_FOR_OPS: {
    schema: z.enum(["true", "false"]).default("false"),
    remedy: 'set it to "true" or "false"',
  },
  ALLOW_EXTERNAL_RELATIONSHIPS: { schema: flag, remedy: FLAG_REMEDY },
  ALLOW_EMBEDDED_OBJECTS: { schema: flag, remedy: FLAG_REMEDY },
  ALLOW_ACTIVEX: { schema: flag, remedy: FLAG_REMEDY },
  ALLOW_DDE: { schema: flag, remedy: FLAG_REMEDY },
  SCANNER_URL: {
    schema: baseUrl.optional(),
    remedy: "leave it out to scan nothing, or give the https URL that takes documents (docs/documents.md)",
  },
  SCANNER_TIMEOUT_MS: {
    schema: integer(100, 120_000).default(30_000),
    remedy: "give a whole number of milliseconds from 100 to 120000",
  },
} as const
type Settings = { [K in keyof typeof settings]: z.output<(typeof settings)[K]["schema"]> }

/** What mends a ring must never make anybody throw away the only key that something is sealed under. */
const ringRemedies = {
  missing: (name: SecretName) => `put the one that was in use back; a new deployment makes it with: npm run secrets -- ${name}`,
  unusable: (name: SecretName) =>
    `mend this entry and keep every key that was in use; a fresh one for another id, to put in front: npm run secrets -- ${name} --id 2`,
  reused: (name: SecretName, id: number) =>
    `put another key in place of entry ${String(id)} and keep the others: npm run secrets -- ${name} --id ${String(id)}`,
}

function readSettings(env: Record<string, unknown>, faults: ConfigFault[]): Settings {
  const values: Record<string, unknown> = {}
  for (const [variable, { schema, remedy }] of Object.entries(settings)) {
    const value = env[variable]
    // Numbers and truth values without quotes in wrangler.toml arrive as such.
    const raw = value === "" ? undefined : typeof value === "number" || typeof value === "boolean" ? String(value) : value
    const parsed = schema.safeParse(raw)
    if (parsed.success) values[variable] = parsed.data
    else faults.push({ variable, fault: raw === undefined ? "is missing" : "is not usable", remedy })
  }
  return values as Settings
}

function readSecrets(env: Record<string, unknown>, faults: ConfigFault[]): Secrets {
  const rings: Partial<Secrets> = {}
  const owner = new Map<string, SecretName>()
  for (const variable of SECRET_NAMES) {
    const raw = env[variable]
    const ring = typeof raw === "string" ? parseKeyRing(raw) : "empty"
    if (typeof ring === "string") {
      faults.push(
        ring === "empty"
          ? { variable, fault: "is missing", remedy: ringRemedies.missing(variable) }
          : { variable, fault: `is not usable: ${ring}`, remedy: ringRemedies.unusable(variable) },
      )
      continue
    }
    rings[variable] = ring
    for (const [id, key] of ring.byId) {
      const other = owner.get(toHex(key))
      if (other !== undefined) {
        const fault = `reuses a key of ${other}; every purpose needs its own`
        faults.push({ variable, fault, remedy: ringRemedies.reused(variable, id) })
      }
      owner.set(toHex(key), variable)
    }
  }
  return rings as Secrets
}

function mailSettings(values: Settings, faults: ConfigFault[]): MailSettings {
  if (values.MAIL_TRANSPORT === "mailchannels" && values.MAILCHANNELS_API_KEY !== undefined) {
    const { MAILCHANNELS_API_KEY: apiKey, MAILCHANNELS_BASE_URL: url } = values
    return { transport: "mailchannels", from: values.MAIL_FROM, apiKey, baseUrl: url }
  }
  if (values.MAIL_TRANSPORT === "mailchannels") {
    faults.push({ variable: "MAILCHANNELS_API_KEY", fault: "is missing", remedy: settings.MAILCHANNELS_API_KEY.remedy })
  }
  const url = URL.parse(values.PUBLIC_ORIGIN)
  if (values.MAIL_TRANSPORT === "console" && url !== null && !isLoopback(url)) {
    const fault = "is console, which shows codes in the log, on a public origin"
    faults.push({ variable: "MAIL_TRANSPORT", fault, remedy: settings.MAIL_TRANSPORT.remedy })
  }
  return { transport: "console", from: values.MAIL_FROM }
}

/**
 * Reads a whole environment.
 * @returns the configuration, or every fault at once
 */
export function parseConfig(env: Record<string, unknown>): { config: Config; secrets: Secrets } | { faults: ConfigFault[] } {
  const faults: ConfigFault[] = []
  const values = readSettings(env, faults)
  const secrets = readSecrets(env, faults)
  const mail = mailSettings(values, faults)
  if (faults.length > 0) return { faults }
  return {
    config: {
      publicOrigin: values.PUBLIC_ORIGIN,
      mail,
      maxFileBytes: values.MAX_FILE_BYTES,
      linkLifetimeSeconds: values.LINK_LIFETIME_SECONDS,
      memoryBudgetBytes: values.MEMORY_BUDGET_MIB * 2 ** 20,
      passwordMinChars: values.PASSWORD_MIN_LENGTH,
      auditRetentionDays: values.AUDIT_RETENTION_DAYS,
      requireTotpForOps: values.REQUIRE_TOTP_FOR_OPS === "true",
      documents: {
        externalRelationships: values.ALLOW_EXTERNAL_RELATIONSHIPS,
        embeddedObjects: values.ALLOW_EMBEDDED_OBJECTS,
        activeX: values.ALLOW_ACTIVEX,
        dde: values.ALLOW_DDE,
      },
      scanner: values.SCANNER_URL === undefined ? null : { url: values.SCANNER_URL, timeoutMs: values.SCANNER_TIMEOUT_MS },
      quotaBytes: values.OPS_QUOTA_BYTES,
      quotaFiles: values.OPS_QUOTA_FILES,
      uploadExpiryMs: values.UPLOAD_EXPIRY_HOURS * 60 * 60_000,
      deleteGraceMs: values.DELETE_GRACE_DAYS * DAY_SECONDS * 1000,
    },
    secrets,
  }
}

/**
 * The fewest characters of a new password, by the same rule, for commands that choose one beside the service.
 * @throws AppError `misconfigured`
 */
export function readPasswordMinChars(env: Record<string, unknown>): number {
  const faults: ConfigFault[] = []
  const { PASSWORD_MIN_LENGTH } = readSettings({ PASSWORD_MIN_LENGTH: env["PASSWORD_MIN_LENGTH"] }, faults)
  const own = faults.filter(({ variable }) => variable === "PASSWORD_MIN_LENGTH")
  if (own.length > 0) throw new AppError("misconfigured", { detail: faultLines(own).join(" · ") })
  return PASSWORD_MIN_LENGTH
}

/** The faults as sentences for an operator. */
export const faultLines = (faults: readonly ConfigFault[]): string[] =>
  faults.map(({ variable, fault, remedy }) => `${variable} ${fault}: ${remedy}`)

/** As `parseConfig`, but throws `misconfigured` naming variables and remedies. */
export function readConfig(env: Record<string, unknown>): { config: Config; secrets: Secrets } {
  const result = parseConfig(env)
  if ("config" in result) return result
  throw new AppError("misconfigured", { detail: `Sealpost is not set up. ${faultLines(result.faults).join(" · ")}` })
}
