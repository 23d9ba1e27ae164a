// npm run verify [-- --persist-to DIR] [--json]
// Opens every stored file to its end and compares its digest; holds files, sealed objects and keys against each
// other. Exit code 1 when anything is wrong. Changes nothing. A deployment does the same, bit by bit, from cron.
import "./plain-errors.ts"
import { parseArgs } from "node:util"
import type { Finding, FindingKind, InspectionStep } from "../src/domain/inspection.ts"
import { DEFAULT_STATE_DIR } from "./local-state.ts"
import { withMaintenanceWorker } from "./maintenance.ts"

const { values } = parseArgs({
  options: { "persist-to": { type: "string", default: DEFAULT_STATE_DIR }, json: { type: "boolean", default: false } },
})

const sentences: Record<FindingKind, (finding: Finding) => string> = {
  damaged: ({ fileId, objectKey }) =>
    `File ${fileId ?? "?"}: its stored bytes (object ${objectKey ?? "?"}) are missing or damaged.`,
  key_unavailable: ({ fileId }) => `File ${fileId ?? "?"}: its master key is not in MASTER_KEYS. Add it again.`,
  file_without_bytes: ({ fileId }) => `File ${fileId ?? "?"}: is listed, but nothing is stored for it.`,
  orphaned_object: ({ objectKey }) => `Object ${objectKey ?? "?"}: is stored, but belongs to no file. It can be deleted.`,
}

const report = await withMaintenanceWorker(values["persist-to"], async (step) => {
  const sum = { filesOpened: 0, bytesOpened: 0, objectsListed: 0, findings: [] as Finding[] }
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

if (values.json) console.log(JSON.stringify(report))
else {
  for (const finding of report.findings) console.log(sentences[finding.kind](finding))
  const verdict = report.findings.length === 0 ? "all is well" : `${String(report.findings.length)} findings`
  console.log(
    `${String(report.filesOpened)} files with ${String(report.bytesOpened)} bytes opened, ${String(report.objectsListed)} objects seen: ${verdict}.`,
  )
}
process.exitCode = report.findings.length === 0 ? 0 : 1
