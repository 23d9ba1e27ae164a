// npm run audit:export -- --format ndjson|csv [--out FILE] [--since DATE] [--persist-to DIR | --remote]
// Writes the audit trail for people and other tools, sealed rows first, in order. Checks nothing: npm run audit:verify does.
import "./plain-errors.ts"
import { createWriteStream, existsSync } from "node:fs"
import { once } from "node:events"
import { finished } from "node:stream/promises"
import { parseArgs } from "node:util"
import type { SignedRow } from "../src/domain/audit-check.ts"
import { withTrail } from "./audit-trail.ts"
import { csvRecord } from "../src/protocol/csv.ts"
import { DEFAULT_STATE_DIR } from "./local-state.ts"

const USAGE = `Usage: npm run audit:export -- --format ndjson|csv [--out FILE] [--since DATE] [--persist-to DIR | --remote]

  --format F        ndjson: one JSON object in each line; csv: RFC 4180, with a header, safe to open in a spreadsheet
  --out FILE        a new file (default: standard output)
  --since DATE      only rows from then on, e.g. 2026-11-01 or 2026-11-01T08:00:00Z
  --persist-to DIR  the local state to read (default ${DEFAULT_STATE_DIR})
  --remote          the deployed database, instead of a local one`

const COLUMNS = [
  "seq",
  "at",
  "kind",
  "result",
  "reason",
  "actorId",
  "subjectId",
  "place",
  "requestId",
  "id",
  "mac",
  "chain",
] as const

/** Beyond what a date can say, for what somebody wrote over a row. */
const isoTime = (atMs: number): string => (Math.abs(atMs) <= 8.64e15 ? new Date(atMs).toISOString() : "")

function recordOf(row: SignedRow): Record<(typeof COLUMNS)[number], string | number | null> {
  const { seq, kind, result, reason, actorId, subjectId, place, requestId, id, mac, chain } = row
  return { seq, at: isoTime(row.atMs), kind, result, reason, actorId, subjectId, place, requestId, id, mac, chain }
}

const lines = {
  ndjson: (row: SignedRow): string => `${JSON.stringify(recordOf(row))}\n`,
  csv: (row: SignedRow): string => {
    const record = recordOf(row)
    return csvRecord(COLUMNS.map((column) => record[column]))
  },
}

const { values } = parseArgs({
  options: {
    format: { type: "string" },
    out: { type: "string" },
    since: { type: "string" },
    "persist-to": { type: "string", default: DEFAULT_STATE_DIR },
    remote: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})

async function main(): Promise<void> {
  const { format, since } = values
  if (format !== "ndjson" && format !== "csv") throw new Error(USAGE)
  // Never over a file that is there: it may be an earlier export.
  if (values.out !== undefined && existsSync(values.out))
    throw new Error(`${values.out} is there already and stays as it is. Name a new file.`)
  const sinceMs = since === undefined ? -Infinity : Date.parse(since)
  if (Number.isNaN(sinceMs)) throw new Error(`--since: ${JSON.stringify(since)} is not a date, e.g. 2026-11-01.`)
  await withTrail(values.remote ? "remote" : { stateDir: values["persist-to"] }, async (trail) => {
    const out = values.out === undefined ? process.stdout : createWriteStream(values.out, { mode: 0o600, flags: "wx" })
    const write = async (line: string): Promise<void> => {
      if (!out.write(line)) await once(out, "drain")
    }
    let count = 0
    if (format === "csv") await write(csvRecord(COLUMNS))
    for (const part of [trail.sealed(), trail.unsealed()])
      for await (const row of part) {
        if (row.atMs < sinceMs) continue
        await write(lines[format](row))
        count++
      }
    if (values.out === undefined) return
    out.end()
    await finished(out)
    console.log(`Written: ${values.out} (${String(count)} ${count === 1 ? "row" : "rows"})`)
  })
}

if (values.help) console.log(USAGE)
else await main()
