// The audit trail: who did what to what, when, from where, with what result. The statement goes into the batch of the
// change that it records, so neither can exist without the other. Ids, pseudonyms and codes only: no addresses, names,
// tokens or secrets. Each row is signed here; its place in the chain it is given by audit-trail.ts.
// What is recorded how often: docs/decisions/0016.
import { type AuditRow, signRow } from "../crypto/audit-mac.ts"
import type { Keys } from "../crypto/keys.ts"
import { pseudonym } from "../crypto/pseudonym.ts"
import { type UnsealedRow, insertAuditEvent, insertAuditEvents, isNotRecordedSince } from "../db/audit.ts"
import type { Condition, Statement } from "../db/client.ts"
import { newId } from "../ids.ts"
import { UNKNOWN_ADDRESS, canonicalAddress } from "../protocol/client-address.ts"
import type { AuditPen, Powers, SealTurn } from "./powers.ts"

export type AuditKind =
  | "account.signed_up"
  | "account.verified"
  | "account.limited"
  | "account.ops_created"
  | "verification.resent"
  | "verification.refused"
  | "password.reset_requested"
  | "password.reset_refused"
  | "password.reset"
  | "password.changed"
  | "password.change_refused"
  | "account.disabled"
  | "account.enabled"
  | "account.deleted"
  | "account.notifications_set"
  | "permission.granted"
  | "permission.revoked"
  | "second_factor.asked"
  | "second_factor.refused"
  | "second_factor.limited"
  | "second_factor.change_refused"
  | "second_factor.enrolled"
  | "second_factor.added"
  | "second_factor.removed"
  | "second_factor.codes_renewed"
  | "second_factor.recovery_code_used"
  | "session.started"
  | "session.refused"
  | "session.refreshed"
  | "session.refresh_refused"
  | "session.token_reused"
  | "session.ended"
  | "access.refused"
  | "limit.reached"
  | "sessions.ended"
  | "file.uploaded"
  | "file.deleted"
  | "file.restored"
  | "file.expired"
  | "file.purged"
  | "file.renamed"
  | "file.described"
  | "file.expiry_set"
  | "file.version_added"
  | "file.version_deleted"
  | "file.version_restored"
  | "file.unreadable"
  | "file.download_limit_set"
  | "file.audience_set"
  | "file.notifications_set"
  | "file.assigned"
  | "file.unassigned"
  | "group.created"
  | "group.renamed"
  | "group.deleted"
  | "group.members_added"
  | "group.members_removed"
  | "group.members_replaced"
  | "link.minted"
  | "selection.minted"
  | "link.used"
  | "link.refused"
  | "link.revoked"
  | "links.revoked"
  | "mail.retried"
  | "audit.pruned"

export type AuditResult = "ok" | "refused" | "failed"

/** What is not "ok". */
const RESULTS: Partial<Record<AuditKind, AuditResult>> = {
  "account.limited": "refused",
  "verification.refused": "refused",
  "password.reset_refused": "refused",
  "password.change_refused": "refused",
  "session.refused": "refused",
  "session.refresh_refused": "refused",
  "session.token_reused": "refused",
  "access.refused": "refused",
  "limit.reached": "refused",
  "second_factor.refused": "refused",
  "second_factor.limited": "refused",
  "second_factor.change_refused": "refused",
  "file.unreadable": "failed",
  "link.refused": "refused",
}

/** For what callers can repeat at will: one row says it for a while. */
export const ONCE_MS = 60_000

export type AuditOptions = {
  /** Why, as a short code. */
  reason?: string
  /** No row when this does not hold in the moment of the write. */
  onlyIf?: Condition
  /** No row when there is one of the same kind, actor and subject that is younger than this. */
  oncePerMs?: number
}

export const createSealTurn = (): SealTurn => ({ takenAtMs: null, isWantedAgain: false })

/** @param clientAddress - as the edge saw it; null for cron and commands */
export async function createAuditPen(keys: Keys, clientAddress: string | null, turn: SealTurn): Promise<AuditPen> {
  const address = canonicalAddress(clientAddress)
  const place = address === UNKNOWN_ADDRESS ? null : await pseudonym(keys.peppers, "audit-place", address)
  return { keys: keys.auditKeys, place, isUsed: false, turn }
}

type AuditDeps = Pick<Powers, "db" | "now" | "request">

function signedRow(
  { request, now }: AuditDeps,
  kind: AuditKind,
  actorId: string | null,
  subjectId: string | null,
  reason: string | null,
): UnsealedRow {
  const { pen, id: requestId } = request
  const result = RESULTS[kind] ?? "ok"
  const row: AuditRow = { id: newId(), atMs: now(), kind, actorId, subjectId, place: pen.place, result, reason, requestId }
  pen.isUsed = true
  return { ...row, mac: signRow(pen.keys, row) }
}

/**
 * The statement that records one event.
 * @param actorId - the user who did it; null for strangers, cron and commands
 * @param subjectId - what it was done to
 */
export function auditEvent(
  deps: AuditDeps,
  kind: AuditKind,
  actorId: string | null,
  subjectId: string | null,
  options: AuditOptions = {},
): Statement {
  const { reason = null, onlyIf, oncePerMs } = options
  const row = signedRow(deps, kind, actorId, subjectId, reason)
  const conditions = onlyIf === undefined ? [] : [onlyIf]
  if (oncePerMs !== undefined) conditions.push(isNotRecordedSince(row, row.atMs - oncePerMs))
  return insertAuditEvent(deps.db, row, conditions)
}

/** The same for many subjects of one change, in one statement: a signed row for each. */
export const auditEvents = (deps: AuditDeps, kind: AuditKind, actorId: string | null, subjectIds: readonly string[]): Statement =>
  insertAuditEvents(
    deps.db,
    subjectIds.map((subjectId) => signedRow(deps, kind, actorId, subjectId, null)),
  )
