// The audit trail: who did what to what. The statement goes into the batch of the change that it records,
// so neither can exist without the other. Ids only: no addresses, names, tokens or codes.
import { insertAuditEvent } from "../db/audit.ts"
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
  | "account.disabled"
  | "account.enabled"
  | "account.deleted"
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
  | "session.token_reused"
  | "session.ended"
  | "sessions.ended"
  | "file.uploaded"
  | "file.deleted"
  | "file.unreadable"
  | "file.download_limit_set"
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
