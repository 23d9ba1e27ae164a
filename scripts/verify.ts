// npm run verify [-- --persist-to DIR] [--json]
// Opens every stored file to its end and compares its digest; holds files, sealed objects and keys against each
// other. Exit code 1 when anything is wrong. Changes nothing. A deployment does the same, bit by bit, from cron.
import "./plain-errors.ts"
import type { InspectionStep } from "../src/domain/inspection.ts"
import { DEFAULT_STATE_DIR } from "./local-state.ts"
import { readArguments, withMaintenanceWorker } from "./maintenance.ts"
import { type VerifyReport, verifyLines } from "./verify-report.ts"

const USAGE = `Usage: npm run verify [-- --persist-to DIR] [--json]

  --persist-to DIR  the local state to look through (default ${DEFAULT_STATE_DIR})
  --json            the report as JSON`

const { stateDir, isJson } = readArguments(USAGE)

const report = await withMaintenanceWorker(stateDir, async (step) => {
  const sum: VerifyReport = { filesOpened: 0, bytesOpened: 0, objectsListed: 0, findings: [] }
  for (let cursor: string | null = null, isFirst = true; isFirst || cursor !== null; isFirst = false) {
    const next = (await step(cursor === null ? "/inspect" : `/inspect?cursor=${encodeURIComponent(cursor)}`)) as InspectionStep
    sum.filesOpened += next.filesOpened
    sum.bytesOpened += next.bytesOpened
    sum.objectsListed += next.objectsListed
    sum.findings.push(...next.findings)
    cursor = next.next
    const megabytes = (sum.bytesOpened / 1e6).toFixed(0)
    if (process.stderr.isTTY)
      process.stderr.write(
        `\r${String(sum.filesOpened)} files, ${megabytes} MB opened, ${String(sum.objectsListed)} objects seen `,
      )
  }
  return sum
})

if (isJson) console.log(JSON.stringify(report))
else for (const line of verifyLines(report)) console.log(line)
process.exitCode = report.findings.length === 0 ? 0 : 1
