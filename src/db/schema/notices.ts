// Tables of notifications: what somebody is to be told, when the next mail to them is due, and what they do not want.
// Ids and times only; names and addresses are looked up when a mail is written.
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core"
import { sql } from "drizzle-orm"
import { users } from "./accounts.ts"
import { files } from "./files.ts"

/** To clients: a file became theirs, or is about to expire. To its owner: a client has it, or it is about to expire. */
export const NOTICE_KINDS = ["file_available", "expiry_reminder", "file_delivered", "expiry_report"] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** Something that is said once and never again. Stays as long as file and client do. */
export const notices = sqliteTable(
  "notices",
  {
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    /** Whom it is about; for a report on a whole file its owner. */
    clientId: text("client_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    kind: text({ enum: NOTICE_KINDS }).notNull(),
    /** Whom it is said to: the client, or the file's owner. */
    recipientId: text("recipient_id").notNull(),
    /** When it became true. */
    createdAtMs: integer("created_at_ms").notNull(),
    /** The date of expiry that it speaks of: with a later one it is due again. 0 for kinds that speak of none. */
    expiryMs: integer("expiry_ms").notNull().default(0),
    /** When it was said, or turned out to be of no use. Null as long as it waits. */
    settledAtMs: integer("settled_at_ms"),
    /** The mail that said it (the outbox forgets it after some days); null where none did. */
    mailId: text("mail_id"),
  },
  (table) => [
    primaryKey({ columns: [table.fileId, table.clientId, table.kind] }),
    index("notices_client").on(table.clientId),
    index("notices_pending")
      .on(table.recipientId, table.kind, table.createdAtMs)
      .where(sql`${table.settledAtMs} is null`),
  ],
)

/** The mail that somebody is to get about all waiting notices of a kind; there is one exactly while there are such. */
export const noticeBundles = sqliteTable(
  "notice_bundles",
  {
    recipientId: text("recipient_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    kind: text({ enum: NOTICE_KINDS }).notNull(),
    firstAtMs: integer("first_at_ms").notNull(),
    /** Moves away while notices keep coming, but not for ever. */
    dueAtMs: integer("due_at_ms").notNull(),
    /** How often notices were added: a mail goes only if it says everything. */
    changes: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.recipientId, table.kind] }), index("notice_bundles_due").on(table.dueAtMs)],
)

/** Kinds that a person does not want. */
export const notificationPreferences = sqliteTable(
  "notification_preferences",
  {
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    kind: text({ enum: NOTICE_KINDS }).notNull(),
    turnedOffAtMs: integer("turned_off_at_ms").notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.kind] })],
)

/** Kinds that nobody gets about a file. */
export const fileMutes = sqliteTable(
  "file_mutes",
  {
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    kind: text({ enum: NOTICE_KINDS }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.fileId, table.kind] })],
)
