// npm run audit:verify [-- --persist-to DIR | --remote --secrets FILE] [--expect SEQ/CHAIN] [--json]
// Checks every signature of the audit trail and the chain that joins its rows (docs/audit-format.md). Changes nothing.
// Exit code 1 when anything is wrong; the first row that is wrong is named.
import "./plain-errors.ts"
import { parseArgs } from "node:util"
import { type RememberedHead, checkTrail } from "../src/domain/audit-check.ts"
import { type AuditReport, auditLines } from "./audit-report.ts"
import { type TrailReader, auditKeys, withTrail } from "./audit-trail.ts"
import { DEFAULT_STATE_DIR } from "./local-state.ts"

const USAGE = `Usage: npm run audit:verify [-- --persist-to DIR | --remote --secrets FILE] [--expect SEQ/CHAIN] [--json]

  --persist-to DIR    the local state to check (default ${DEFAULT_STATE_DIR})
  --remote            the deployed database, instead of a local one
  --secrets FILE      with --remote: the deployment's secrets as JSON (or set AUDIT_KEYS)
  --expect SEQ/CHAIN  an end of the trail that was printed or logged (audit_head) before: shows whether all of it is still there
  --json              the report as JSON`

/** Pruning moves the beginning; so often a check starts anew for it. */
const MAX_TRIES = 3

function parseExpected(text: string | undefined): RememberedHead | null {
  if (text === undefined) return null
  const [, seq, chain] = /^(\d{1,15})\/(\d{1,3}:[0-9a-f]*)$/.exec(text) ?? []
  if (seq === undefined || chain === undefined) throw new Error(`--expect: ${JSON.stringify(text)} is not SEQ/CHAIN.\n${USAGE}`)
  return { seq: Number(seq), chain }
}

async function check(trail: TrailReader, keys: Awaited<ReturnType<typeof auditKeys>>, expected: RememberedHead | null) {
  const head = await trail.head()
  const report: AuditReport = { ok: false, sealed: 0, unsealed: 0, pruned: head?.prunedSeq ?? 0, head: null, damage: null }
  const checker = checkTrail(keys, head, Date.now(), expected)
  if ("fault" in checker) {
    // Found in a head record that is genuine, so the trail's own end can be told.
    const isEnd = (checker.fault === "rolled_back" || checker.fault === "end_pruned") && head !== undefined
    return { ...report, damage: checker, head: isEnd ? { seq: head.lastSeq, chain: head.chain } : null }
  }
  for await (const row of trail.sealed()) {
    const damage = checker.row(row)
    if (damage !== null) return { ...report, damage }
    report.sealed++
    report.head = { seq: row.seq ?? 0, chain: row.chain ?? "" }
  }
  const damage = checker.end(await trail.head())
  if (damage !== null) return { ...report, damage }
  for await (const row of trail.unsealed()) {
    const forged = checker.row(row)
    if (forged !== null) return { ...report, damage: forged }
    report.unsealed++
  }
  return { ...report, ok: true, head: report.head ?? (head === undefined ? null : { seq: head.lastSeq, chain: head.chain }) }
}

const { values } = parseArgs({
  options: {
    "persist-to": { type: "string", default: DEFAULT_STATE_DIR },
    remote: { type: "boolean", default: false },
    secrets: { type: "string" },
    expect: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})

async function main(): Promise<void> {
  const place = values.remote ? "remote" : { stateDir: values["persist-to"] }
  const expected = parseExpected(values.expect)
  const keys = await auditKeys(place, values.secrets)
  const report = await withTrail(place, async (trail) => {
    for (let attempt = 1; ; attempt++) {
      const found = await check(trail, keys, expected)
      const isPruned = found.damage !== null && (await trail.head())?.prunedSeq !== found.pruned
      if (!isPruned || attempt === MAX_TRIES) return found
    }
  })
  if (values.json) console.log(JSON.stringify(report))
  else for (const line of auditLines(report)) console.log(line)
  process.exitCode = report.ok ? 0 : 1
}

if (values.help) console.log(USAGE)
else await main()
