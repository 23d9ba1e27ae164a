// What cron does: everything that a request left for later, each job on its own, each with a budget.
import { createDeps } from "./deps.ts"
import { keepAuditTrail } from "./domain/audit-trail.ts"
import { ageFiles } from "./domain/file-life.ts"
import { sweepDiscardedObjects, sweepExpiredRows } from "./domain/housekeeping.ts"
import { continueInspection } from "./domain/inspection.ts"
import { mailNotices } from "./domain/notice-bundles.ts"
import { makeNotices } from "./domain/notices.ts"
import { drainOutbox } from "./domain/outbox.ts"
import type { Powers } from "./domain/powers.ts"
import { rotateKeys } from "./domain/rotation.ts"
import { expireUploads, finishReceivedUploads } from "./domain/resumable-completion.ts"
import { sweepUploads } from "./domain/uploads.ts"
import { errorFacts, logLine } from "./log.ts"
import { newId } from "./ids.ts"

const SWEEP_LIMIT = 100
/** Each may have to be read back. */
const FINISH_LIMIT = 10
const ROTATION_LIMIT = 500
const INSPECTION_BUDGET_BYTES = 32 * 1024 * 1024

const jobs: Record<string, (deps: Powers) => Promise<unknown>> = {
  // What is to be said, who is to be mailed, and then the mails.
  notices: makeNotices,
  noticeMails: mailNotices,
  outbox: drainOutbox,
  receivedUploads: (deps) => finishReceivedUploads(deps, FINISH_LIMIT),
  expiredUploads: (deps) => expireUploads(deps, SWEEP_LIMIT),
  uploads: (deps) => sweepUploads(deps, SWEEP_LIMIT),
  files: (deps) => ageFiles(deps, SWEEP_LIMIT),
  discardedObjects: (deps) => sweepDiscardedObjects(deps, SWEEP_LIMIT),
  expiredRows: sweepExpiredRows,
  rotation: (deps) => rotateKeys(deps, ROTATION_LIMIT),
  inspection: (deps) => continueInspection(deps, INSPECTION_BUDGET_BYTES),
  // Last, to take in what the others have written.
  auditTrail: keepAuditTrail,
}

/** Runs all jobs; one that fails does not keep the others from running. */
export async function runScheduled(
  env: Env,
  context: Pick<ExecutionContext, "waitUntil">,
  now: () => number = Date.now,
): Promise<void> {
  const requestId = newId()
  const deps = await createDeps(env, {
    now,
    request: { id: requestId, clientAddress: null },
    afterwards: (work) => {
      context.waitUntil(work)
    },
    log: (event, facts) => {
      logLine(event, { requestId, ...facts })
    },
  })
  for (const [job, run] of Object.entries(jobs)) {
    try {
      await run(deps)
    } catch (error) {
      logLine("job_failed", { requestId, job, ...errorFacts(error) })
    }
  }
}
