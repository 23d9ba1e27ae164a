import { sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { auditEvents } from "./schema.ts"

type AuditEvent = typeof auditEvents.$inferSelect

export const insertAuditEvent = (db: Db, event: typeof auditEvents.$inferInsert) => db.insert(auditEvents).values(event)

/** One event for each subject. */
export const insertAuditEvents = (
  db: Db,
  event: Omit<AuditEvent, "id" | "subjectId">,
  subjects: readonly { id: string; subjectId: string }[],
) =>
  db
    .insert(auditEvents)
    .select(
      sql`select json_extract(value, '$.id'), ${event.atMs}, ${event.kind}, ${event.actorId}, json_extract(value, '$.subjectId'), ${event.requestId} from json_each(${JSON.stringify(subjects)})`,
    )
