// The audit trail's rows and the record of its two ends. What they mean: domain/audit.ts, domain/audit-trail.ts.
import { type SQL, and, asc, gt, isNotNull, isNull, lt, lte, sql } from "drizzle-orm"
import type { Condition, Db, Statement } from "./client.ts"
import { auditEvents, auditHead } from "./schema.ts"

export type AuditEventRow = typeof auditEvents.$inferSelect
export type AuditHeadRow = typeof auditHead.$inferSelect

/** A row that is not in the chain yet. */
export type UnsealedRow = Omit<AuditEventRow, "seq" | "chain">

/** @param onlyIf - no row where one of them is false in the moment of the write, after what the batch did before */
export function insertAuditEvent(db: Db, event: UnsealedRow, onlyIf: readonly Condition[]): Statement {
  if (onlyIf.length === 0) return db.insert(auditEvents).values(event)
  const { id, atMs, kind, actorId, subjectId, requestId, place, result, reason, mac } = event
  // Columns in the table's order, as Drizzle names them.
  const values: SQL = sql`select ${id}, ${atMs}, ${kind}, ${actorId}, ${subjectId}, ${requestId}, ${place}, ${result}, ${reason}, ${mac}, null, null`
  return db.insert(auditEvents).select(sql`${values} where ${sql.join([...onlyIf], sql` and `)}`)
}

/** One row for each subject of one change, in one statement with one parameter. */
export function insertAuditEvents(db: Db, events: readonly UnsealedRow[]): Statement {
  // Columns in the table's order, as Drizzle names them.
  const names = ["id", "atMs", "kind", "actorId", "subjectId", "requestId", "place", "result", "reason", "mac"]
  const values = names.map((name) => sql`value ->> ${sql.raw(`'${name}'`)}`)
  return db
    .insert(auditEvents)
    .select(sql`select ${sql.join(values, sql`, `)}, null, null from json_each(${JSON.stringify(events)})`)
}

/** No row says the same of the same since then. */
export const isNotRecordedSince = (event: Pick<UnsealedRow, "kind" | "actorId" | "subjectId">, sinceMs: number): Condition =>
  sql`not exists (select 1 from audit_events where subject_id is ${event.subjectId} and kind = ${event.kind} and actor_id is ${event.actorId} and at_ms > ${sinceMs})`

export const findAuditHead = (db: Db) => db.select().from(auditHead).get()

export async function hasSealedRows(db: Db): Promise<boolean> {
  const row = await db.select({ id: auditEvents.id }).from(auditEvents).where(isNotNull(auditEvents.seq)).limit(1).get()
  return row !== undefined
}

export async function hasRowsBefore(db: Db, atMs: number): Promise<boolean> {
  const row = await db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.atMs, atMs)).limit(1).get()
  return row !== undefined
}

/** Rows that wait for their place in the chain, in the order in which they were written. */
export const listUnsealedRows = (db: Db, limit: number) =>
  db
    .select()
    .from(auditEvents)
    .where(isNull(auditEvents.seq))
    .orderBy(sql`rowid`)
    .limit(limit)
    .all()

/** The first head. Breaks the batch when there is one. */
export const insertAuditHead = (db: Db, head: Omit<AuditHeadRow, "id">) => db.insert(auditHead).values({ ...head, id: 1 })

/** The next head in place of exactly this one. Where that has changed meanwhile, NOT NULL breaks the whole batch. */
export const exchangeAuditHead = (db: Db, oldMac: string, head: Omit<AuditHeadRow, "id">) =>
  db.update(auditHead).set({ ...head, mac: sql`case when ${auditHead.mac} = ${oldMac} then ${head.mac} else null end` })

/** Gives rows their places, all in one statement with one parameter. */
export const placeRows = (db: Db, places: readonly { id: string; seq: number; chain: string }[]) =>
  db
    .update(auditEvents)
    .set({ seq: sql`place.value ->> 'seq'`, chain: sql`place.value ->> 'chain'` })
    .from(sql`json_each(${JSON.stringify(places)}) as place`)
    .where(and(sql`${auditEvents.id} = place.value ->> 'id'`, isNull(auditEvents.seq)))

/** Sealed rows with places above one, in order. */
export const listSealedRows = (db: Db, afterSeq: number, limit: number) =>
  db.select().from(auditEvents).where(gt(auditEvents.seq, afterSeq)).orderBy(asc(auditEvents.seq)).limit(limit).all()

export const deleteSealedRowsTo = (db: Db, seq: number) => db.delete(auditEvents).where(lte(auditEvents.seq, seq))
