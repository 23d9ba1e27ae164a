// The audit trail: who did what to what. The statement goes into the batch of the change that it records,
// so neither can exist without the other. Ids only: no addresses, names, tokens or codes.
import { insertAuditEvent, insertAuditEvents } from "../db/audit.ts"
import type { Powers } from "./powers.ts"
import { newId } from "../ids.ts"

export type AuditKind =
  | "account.signed_up"
  | "account.verified"
  | "verification.resent"
  | "password.reset_requested"
  | "password.reset"
  | "password.changed"
  | "password.change_refused"
  | "account.limited"
  | "session.started"
  | "session.refused"
  | "session.refreshed"
  | "session.token_reused"
  | "session.ended"
  | "file.uploaded"
  | "file.deleted"
  | "file.unreadable"
  | "file.download_limit_set"
  | "file.audience_set"
  | "file.assigned"
  | "file.unassigned"
  | "group.created"
  | "group.renamed"
  | "group.deleted"
  | "group.members_added"
  | "group.members_removed"
  | "group.members_replaced"
  | "link.minted"
  | "link.used"
  | "link.refused"
  | "link.revoked"
  | "links.revoked"

export const auditEvent = (
  deps: Pick<Powers, "db" | "now" | "request">,
  kind: AuditKind,
  actorId: string | null,
  subjectId: string | null,
) => insertAuditEvent(deps.db, { id: newId(), atMs: deps.now(), kind, actorId, subjectId, requestId: deps.request.id })

/** The same for many subjects of one change, in one statement. */
export const auditEvents = (
  deps: Pick<Powers, "db" | "now" | "request">,
  kind: AuditKind,
  actorId: string | null,
  subjectIds: readonly string[],
) =>
  insertAuditEvents(
    deps.db,
    { atMs: deps.now(), kind, actorId, requestId: deps.request.id },
    subjectIds.map((subjectId) => ({ id: newId(), subjectId })),
  )
