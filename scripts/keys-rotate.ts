// npm run keys:rotate [-- --persist-to DIR] [--json]
// Wraps every file's key under the first key of MASTER_KEYS. Put a new key first, restart the service, then run
// this; the old key can go when nothing is left under it. A deployment does the same from cron.
import "./plain-errors.ts"
import { parseArgs } from "node:util"
import type { RotationStep } from "../src/domain/rotation.ts"
import { DEFAULT_STATE_DIR, requireCurrentService } from "./local-state.ts"
import { withMaintenanceWorker } from "./maintenance.ts"

const { values } = parseArgs({
  options: { "persist-to": { type: "string", default: DEFAULT_STATE_DIR }, json: { type: "boolean", default: false } },
})

requireCurrentService(values["persist-to"])
const total = await withMaintenanceWorker(values["persist-to"], async (step) => {
  const sum: RotationStep = { rewrapped: 0, failed: [], left: 0 }
  for (;;) {
    const { rewrapped, failed, left } = (await step("/rotate")) as RotationStep
    sum.rewrapped += rewrapped
    Object.assign(sum, { failed, left })
    if (process.stderr.isTTY) process.stderr.write(`\r${String(sum.rewrapped)} keys wrapped anew, ${String(left)} left `)
    if (rewrapped === 0) return sum
  }
})

if (values.json) console.log(JSON.stringify(total))
else {
  console.log(`${String(total.rewrapped)} keys wrapped anew; ${String(total.left)} left under older master keys.`)
  for (const { fileId, reason } of total.failed) {
    console.log(
      reason === "unknown_key"
        ? `File ${fileId}: its master key is not in MASTER_KEYS. Add it again.`
        : `File ${fileId}: its wrapped key is damaged.`,
    )
  }
}
process.exitCode = total.left === 0 ? 0 : 1
