// npm run keys:rotate [-- --persist-to DIR] [--json]
// Wraps every file's key under the first key of MASTER_KEYS. Put a new key first, restart the service, then run
// this; the old key can go when nothing is left under it. A deployment does the same from cron.
import "./plain-errors.ts"
import type { RotationStep } from "../src/domain/rotation.ts"
import { DEFAULT_STATE_DIR, requireCurrentService } from "./local-state.ts"
import { readArguments, withMaintenanceWorker } from "./maintenance.ts"

const USAGE = `Usage: npm run keys:rotate [-- --persist-to DIR] [--json]

  --persist-to DIR  the local state whose keys are wrapped anew (default ${DEFAULT_STATE_DIR})
  --json            the result as JSON`

const { stateDir, isJson } = readArguments(USAGE)

const sentences: Record<RotationStep["failed"][number]["reason"], string> = {
  unknown_key: "its master key is not in MASTER_KEYS. Add it again.",
  wrapped_key: "its wrapped key does not open: the row was changed, or the master key of that id is another one than it was.",
  commitment: "the commitment in its row does not belong to its key: the row was changed.",
  row: "its row in the database was changed.",
}

const total = await withMaintenanceWorker(stateDir, async (step) => {
  requireCurrentService(stateDir)
  const sum: RotationStep = { rewrapped: 0, failed: [], left: 0 }
  for (;;) {
    const { rewrapped, failed, left } = (await step("/rotate")) as RotationStep
    sum.rewrapped += rewrapped
    Object.assign(sum, { failed, left })
    if (process.stderr.isTTY) process.stderr.write(`\r${String(sum.rewrapped)} keys wrapped anew, ${String(left)} left `)
    if (rewrapped === 0) return sum
  }
})

if (isJson) console.log(JSON.stringify(total))
else {
  const noun = total.rewrapped === 1 ? "key" : "keys"
  console.log(`${String(total.rewrapped)} ${noun} wrapped anew; ${String(total.left)} left under older master keys.`)
  for (const { fileId, reason } of total.failed) console.log(`File ${fileId}: ${sentences[reason]}`)
}
process.exitCode = total.left === 0 ? 0 : 1
