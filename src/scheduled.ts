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

type Jobs = Record<string, (deps: Powers) => Promise<unknown>>

/** What is to be said, who is to be mailed, and then the mails: people wait for them. */
const mailJobs: Jobs = {
  notices: makeNotices,
  noticeMails: mailNotices,
  outbox: drainOutbox,
}

const upkeepJobs: Jobs = {
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

/** By the expressions in wrangler.toml. Both are due each five minutes, and then each does its own. */
const JOBS_BY_CRON: Record<string, Jobs> = { "* * * * *": mailJobs, "*/5 * * * *": upkeepJobs }

/**
 * Runs jobs; one that fails does not keep the others from running.
 * @param cron - the expression that fired; all jobs run for one that is not known here
 */
export async function runScheduled(
  env: Env,
  context: Pick<ExecutionContext, "waitUntil">,
  cron: string,
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
  for (const [job, run] of Object.entries(JOBS_BY_CRON[cron] ?? { ...mailJobs, ...upkeepJobs })) {
    try {
      await run(deps)
    } catch (error) {
      logLine("job_failed", { requestId, job, ...errorFacts(error) })
    }
  }
}
