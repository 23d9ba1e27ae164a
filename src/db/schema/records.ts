// Tables that accounts and documents have in common: mails, the audit trail, how far jobs have come.
import { index, integer, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core"
import { sql } from "drizzle-orm"

/** Mails to send. The body is purged as soon as it is sent, refused or out of date. */
export const outbox = sqliteTable(
  "outbox",
  {
    id: text().primaryKey(),
    kind: text().notNull(),
    recipient: text().notNull(),
    subject: text().notNull(),
    body: text(),
    /** Where whoever does not want such mails says so (RFC 8058); goes with the body. */
    unsubscribeUrl: text("unsubscribe_url"),
    createdAtMs: integer("created_at_ms").notNull(),
    /** After this the mail would be of no use. */
    expiresAtMs: integer("expires_at_ms").notNull(),
    attempts: integer().notNull().default(0),
    /** When it may be tried (again); also the lease of the try that is under way. Null once settled. */
    nextAttemptAtMs: integer("next_attempt_at_ms"),
    sentAtMs: integer("sent_at_ms"),
    /** Why the last try failed: a short code, never a response body. */
    lastFailure: text("last_failure"),
  },
  (table) => [
    index("outbox_due").on(table.nextAttemptAtMs),
    index("outbox_recipient").on(table.recipient, table.createdAtMs),
    index("outbox_created").on(table.createdAtMs, table.id),
    // For cron.
    index("outbox_expiry")
      .on(table.expiresAtMs)
      .where(sql`body is not null`),
  ],
)

/**
 * Who did what to what, when, from where, with what result (docs/audit-format.md). Append-only; written, signed, in the
 * same batch as the change it records, and given its place in the chain soon after.
 */
export const auditEvents = sqliteTable(
  "audit_events",
  {
    id: text().primaryKey(),
    atMs: integer("at_ms").notNull(),
    kind: text().notNull(),
    actorId: text("actor_id"),
    subjectId: text("subject_id"),
    requestId: text("request_id"),
    /** Pseudonym of the network address, hex. */
    place: text(),
    result: text().notNull().default("ok"),
    /** A short code, never free text. */
    reason: text(),
    /** Signature of all of the above. Empty in rows of older versions until they are taken into the chain. */
    mac: text().notNull().default(""),
    /** Place in the chain, from 1 without gaps; null until sealed. */
    seq: integer(),
    /** Signature over the chain value before, this row and its place. */
    chain: text(),
  },
  (table) => [
    index("audit_events_at").on(table.atMs),
    index("audit_events_subject").on(table.subjectId),
    uniqueIndex("audit_events_seq").on(table.seq),
    index("audit_events_unsealed")
      .on(table.id)
      .where(sql`${table.seq} is null`),
  ],
)

/** Where the chain of the audit trail begins and ends: one row, signed. */
export const auditHead = sqliteTable("audit_head", {
  /** Always 1. */
  id: integer().primaryKey(),
  lastSeq: integer("last_seq").notNull(),
  /** Chain value of the last row. */
  chain: text().notNull(),
  /** Rows up to here are gone, after AUDIT_RETENTION_DAYS. */
  prunedSeq: integer("pruned_seq").notNull(),
  /** Chain value of the last row that is gone. */
  prunedChain: text("pruned_chain").notNull(),
  updatedAtMs: integer("updated_at_ms").notNull(),
  mac: text().notNull(),
})

/** How far jobs have come that take many runs. */
export const jobCursors = sqliteTable("job_cursors", {
  job: text().primaryKey(),
  /** Null at the start of a new round. */
  cursor: text(),
  updatedAtMs: integer("updated_at_ms").notNull(),
})

/**
 * That something has changed, for whom to look at it: written in the batch of the change, so that the order of `seq` is
 * that of the changes. Ids only; what is told of them is looked up when it is read. Swept after some days.
 */
export const events = sqliteTable(
  "events",
  {
    seq: integer().primaryKey({ autoIncrement: true }),
    /** As in `file_grants`: "everyone", the id of a client or a group; or the id of an ops user, or "ops" for all of them. */
    audience: text().notNull(),
    kind: text().notNull(),
    fileId: text("file_id"),
    clientId: text("client_id"),
    linkId: text("link_id"),
    atMs: integer("at_ms").notNull(),
  },
  (table) => [
    index("events_audience").on(table.audience, table.seq),
    index("events_at").on(table.atMs),
    // Of each link it is said once that its download has begun, and once that it is complete.
    uniqueIndex("events_download")
      .on(table.linkId, table.kind)
      .where(sql`kind in ('download.started', 'download.delivered')`),
  ],
)
