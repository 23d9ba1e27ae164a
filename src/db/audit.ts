import type { Db } from "./client.ts"
import { auditEvents } from "./schema.ts"

export const insertAuditEvent = (db: Db, event: typeof auditEvents.$inferInsert) => db.insert(auditEvents).values(event)
