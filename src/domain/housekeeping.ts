// Rows and objects that have done their work. Each kind is kept as long as somebody may still ask about it.
import { runBatch } from "../db/client.ts"
import { deleteEventsBefore } from "../db/events.ts"
import { deleteKeysBefore } from "../db/idempotency.ts"
import { deleteCountersBefore, deleteKnownPlacesBefore } from "../db/limits.ts"
import { deleteLinksBefore, deleteSelectionsBefore } from "../db/links.ts"
import { forgetDeadMails } from "../db/notices.ts"
import { deleteSettledMailsBefore, purgeExpiredMails } from "../db/outbox.ts"
import { deletePasswordResetsBefore } from "../db/password-resets.ts"
import { deleteRefreshTokensBefore, deleteSessionsBefore } from "../db/sessions.ts"
import { listDiscardedObjects } from "../db/uploads.ts"
import { deleteUnverifiedUsersBefore } from "../db/users.ts"
import { deleteVerificationsBefore } from "../db/verifications.ts"
import { discardObject } from "./files.ts"
import { EVENT_LIFETIME_MS } from "./events.ts"
import { PLACE_LIFETIME_MS } from "./limits.ts"
import type { Powers } from "./powers.ts"

const DAY_MS = 24 * 60 * 60_000

/** Expired rows stay readable for a while, so that late callers hear "expired" rather than "unknown". */
export async function sweepExpiredRows(deps: Pick<Powers, "db" | "now">): Promise<void> {
  const nowMs = deps.now()
  await runBatch(deps.db, [
    deleteVerificationsBefore(deps.db, nowMs - DAY_MS),
    deleteUnverifiedUsersBefore(deps.db, nowMs - DAY_MS),
    deletePasswordResetsBefore(deps.db, nowMs - DAY_MS),
    deleteCountersBefore(deps.db, nowMs),
    deleteKnownPlacesBefore(deps.db, nowMs - PLACE_LIFETIME_MS),
    deleteRefreshTokensBefore(deps.db, nowMs - DAY_MS),
    deleteSessionsBefore(deps.db, nowMs - DAY_MS),
    deleteLinksBefore(deps.db, nowMs - 30 * DAY_MS),
    deleteSelectionsBefore(deps.db, nowMs - 30 * DAY_MS),
    purgeExpiredMails(deps.db, nowMs),
    deleteKeysBefore(deps.db, nowMs),
    deleteEventsBefore(deps.db, nowMs - EVENT_LIFETIME_MS),
    forgetDeadMails(deps.db, nowMs - 7 * DAY_MS),
    deleteSettledMailsBefore(deps.db, nowMs - 7 * DAY_MS),
  ])
}

/** Deletes objects whose files are gone; each that fails stays for the next run. */
export async function sweepDiscardedObjects(deps: Pick<Powers, "db" | "blobs" | "log">, limit: number): Promise<void> {
  for (const { objectKey } of await listDiscardedObjects(deps.db, limit)) await discardObject(deps, objectKey)
}
