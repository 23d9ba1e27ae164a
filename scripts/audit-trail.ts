// Reads the audit trail for audit-verify.ts and audit-export.ts, page by page, from a local state or from the deployed
// database. Reads only; the service may run meanwhile.
import { readFileSync } from "node:fs"
import { type AuditKeys, importAuditKey } from "../src/crypto/audit-mac.ts"
import { mapKeyRing, parseKeyRing } from "../src/crypto/keyring.ts"
import type { SignedHead, SignedRow } from "../src/domain/audit-check.ts"
import { type Rows, withDatabase } from "./database.ts"
import { keptSecrets, requireState } from "./local-state.ts"

const PAGE = 1000

type Query = (sql: string) => Promise<Rows>

/** What somebody wrote over the numbers and texts of a row shows as damage, not as a fault of ours. */
const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))
const textOrNull = (value: unknown): string | null => (value === null ? null : text(value))
const number = (value: unknown): number => (typeof value === "number" ? value : NaN)

const toRow = (row: Record<string, unknown>): SignedRow => ({
  id: text(row["id"]),
  atMs: number(row["at_ms"]),
  kind: text(row["kind"]),
  actorId: textOrNull(row["actor_id"]),
  subjectId: textOrNull(row["subject_id"]),
  place: textOrNull(row["place"]),
  result: text(row["result"]),
  reason: textOrNull(row["reason"]),
  requestId: textOrNull(row["request_id"]),
  mac: text(row["mac"]),
  seq: row["seq"] === null ? null : number(row["seq"]),
  chain: textOrNull(row["chain"]),
})

const toHead = (row: Record<string, unknown>): SignedHead => ({
  lastSeq: number(row["last_seq"]),
  chain: text(row["chain"]),
  prunedSeq: number(row["pruned_seq"]),
  prunedChain: text(row["pruned_chain"]),
  updatedAtMs: number(row["updated_at_ms"]),
  mac: text(row["mac"]),
})

export type TrailReader = {
  head(): Promise<SignedHead | undefined>
  /** Rows that have a place, in the order of their places. */
  sealed(): AsyncGenerator<SignedRow, void>
  /** Rows that wait for their place, in the order in which they were written. */
  unsealed(): AsyncGenerator<SignedRow, void>
}

async function* pages(query: Query, where: string, by: "seq" | "rowid"): AsyncGenerator<SignedRow, void> {
  for (let condition = where; ;) {
    const page = await query(
      `select rowid as row_number, * from audit_events where ${condition} order by ${by} limit ${String(PAGE)}`,
    )
    for (const row of page) yield toRow(row)
    const last = page.at(-1)?.[by === "seq" ? "seq" : "row_number"]
    if (page.length < PAGE || typeof last !== "number") return
    condition = `${where} and ${by} > ${String(last)}`
  }
}

const readerOf = (query: Query): TrailReader => ({
  async head() {
    const [row] = await query("select * from audit_head order by id limit 1")
    return row === undefined ? undefined : toHead(row)
  },
  sealed: () => pages(query, "seq is not null", "seq"),
  unsealed: () => pages(query, "seq is null", "rowid"),
})

/** The local state or the deployed database. */
export function withTrail<T>(place: { stateDir: string } | "remote", work: (trail: TrailReader) => Promise<T>): Promise<T> {
  return withDatabase(place === "remote" ? place : { persistTo: requireState(place.stateDir) }, (database) =>
    work(readerOf(async (sql) => (await database.batch([sql]))[0] ?? [])),
  )
}

/**
 * The keys that the trail is signed with: the local state's own; a deployment's from its secrets file or the environment.
 * @throws Error saying what is missing
 */
export async function auditKeys(place: { stateDir: string } | "remote", secretsFile: string | undefined): Promise<AuditKeys> {
  const secrets =
    place !== "remote"
      ? keptSecrets(place.stateDir)
      : secretsFile === undefined
        ? process.env
        : (JSON.parse(readFileSync(secretsFile, "utf8")) as Record<string, unknown>)
  const value = secrets["AUDIT_KEYS"]
  if (typeof value !== "string" || value === "")
    throw new Error("--remote needs the deployment's AUDIT_KEYS: name the secrets file with --secrets, or set the variable.")
  const ring = parseKeyRing(value)
  if (typeof ring === "string") throw new Error(`AUDIT_KEYS is not usable: ${ring}.`)
  return mapKeyRing(ring, importAuditKey)
}
