// Tables of documents: what is kept, for whom, under which links, and what came of them.
import { check, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core"
import { sql } from "drizzle-orm"
import { users } from "./accounts.ts"

/** Whom a file is for: every client, or those chosen by rows of `file_grants`. */
export const AUDIENCES = ["everyone", "chosen"] as const
export type Audience = (typeof AUDIENCES)[number]

export const DOCUMENT_TYPES = ["docx", "xlsx", "pptx"] as const

// As an expression of an index: what asks for it must spell it the same way.
const isThere = sql`deleted_at_ms is null`
const isInTrash = sql`(deleted_at_ms is not null)`

/** A document as people see it. Exists only once its bytes are sealed, checked and complete. */
export const files = sqliteTable(
  "files",
  {
    id: text().primaryKey(),
    ownerId: text("owner_id")
      .notNull()
      .references(() => users.id),
    /** The version that is current; its bytes are the row of `blobs` with this number. */
    version: integer().notNull(),
    name: text().notNull(),
    type: text({ enum: DOCUMENT_TYPES }).notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    /** How often each client may download it; null for no limit. */
    downloadLimit: integer("download_limit"),
    audience: text({ enum: AUDIENCES }).notNull().default("everyone"),
    /** The name as it is searched and sorted by (domain/search-key.ts). */
    nameKey: text("name_key").notNull().default(""),
    /** Of the current version: lists sort by it. */
    sizeBytes: integer("size_bytes").notNull().default(0),
    description: text(),
    /** From then on it is gone for clients. */
    expiresAtMs: integer("expires_at_ms"),
    /** When it went to the trash; null for a file that is there. */
    deletedAtMs: integer("deleted_at_ms"),
    /** When its owner last changed what it says or holds. */
    updatedAtMs: integer("updated_at_ms").notNull().default(0),
    /** The latest date of expiry of which everybody has been told (domain/notices.ts). */
    expiryToldMs: integer("expiry_told_ms").notNull().default(0),
    /** How far the telling has come: date and client id. */
    expiryToldTo: text("expiry_told_to").notNull().default(""),
  },
  // One index for each order; lists merge the runs of each audience and type (db/file-lists.ts), of files that are there
  // or of the trash, so that neither costs the other anything.
  (table) => [
    index("files_owner_created").on(table.ownerId, isInTrash, table.audience, table.type, table.createdAtMs, table.id),
    index("files_owner_name").on(table.ownerId, isInTrash, table.audience, table.type, table.nameKey, table.id),
    index("files_owner_size").on(table.ownerId, isInTrash, table.audience, table.type, table.sizeBytes, table.id),
    // For cron.
    index("files_expiry")
      .on(table.expiresAtMs)
      .where(sql`expires_at_ms is not null and deleted_at_ms is null`),
    index("files_trash")
      .on(table.deletedAtMs)
      .where(sql`deleted_at_ms is not null`),
    index("files_expiry_untold")
      .on(table.expiresAtMs)
      .where(sql`expires_at_ms > expiry_told_ms and deleted_at_ms is null`),
  ],
)

/** Clients under one name, kept by ops. */
export const groups = sqliteTable(
  "groups",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    /** The one form in which names are compared (domain/search-key.ts). */
    nameKey: text("name_key").notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
  },
  (table) => [uniqueIndex("groups_name").on(table.nameKey), index("groups_created").on(table.createdAtMs, table.id)],
)

export const groupMembers = sqliteTable(
  "group_members",
  {
    groupId: text("group_id")
      .notNull()
      .references(() => groups.id, { onDelete: "cascade" }),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    addedAtMs: integer("added_at_ms").notNull(),
    /** When there were notices of all the group's files for the member. */
    announcedAtMs: integer("announced_at_ms"),
    /** Up to which file there are. */
    announcedTo: text("announced_to").notNull().default(""),
    /** The last event of the service before they joined: of the group's events only later ones are theirs. */
    sinceSeq: integer("since_seq").notNull().default(0),
  },
  (table) => [
    primaryKey({ columns: [table.groupId, table.userId] }),
    index("group_members_unannounced")
      .on(table.addedAtMs)
      .where(sql`${table.announcedAtMs} is null`),
    index("group_members_added").on(table.groupId, table.addedAtMs, table.userId),
    index("group_members_user").on(table.userId, table.groupId),
  ],
)

/**
 * Who may have a file: one row for everyone, or one for each client and group that was chosen. A file with audience
 * "everyone" has exactly the one row, so that access is a matter of this table alone. Repeats what lists sort and
 * filter by, so that a page is read from an index however many files there are; whatever changes a file's name, size,
 * expiry or trash changes it here in the same batch (repeatInGrants in db/file-life.ts).
 */
export const fileGrants = sqliteTable(
  "file_grants",
  {
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    /** "everyone", or the id of the client or the group. */
    audience: text().notNull(),
    clientId: text("client_id").references(() => users.id, { onDelete: "cascade" }),
    groupId: text("group_id").references(() => groups.id, { onDelete: "cascade" }),
    grantedAtMs: integer("granted_at_ms").notNull(),
    type: text({ enum: DOCUMENT_TYPES }).notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    nameKey: text("name_key").notNull(),
    sizeBytes: integer("size_bytes").notNull(),
    expiresAtMs: integer("expires_at_ms"),
    deletedAtMs: integer("deleted_at_ms"),
    /** When there were notices for all whom the grant gives the file. */
    announcedAtMs: integer("announced_at_ms"),
    /** Up to which client there are. */
    announcedTo: text("announced_to").notNull().default(""),
  },
  (table) => [
    primaryKey({ columns: [table.fileId, table.audience] }),
    index("file_grants_unannounced")
      .on(table.grantedAtMs)
      .where(sql`${table.announcedAtMs} is null`),
    // Clients list no trash.
    index("file_grants_created").on(table.audience, table.type, table.createdAtMs, table.fileId).where(isThere),
    index("file_grants_name").on(table.audience, table.type, table.nameKey, table.fileId).where(isThere),
    index("file_grants_size").on(table.audience, table.type, table.sizeBytes, table.fileId).where(isThere),
    // For the cascades.
    index("file_grants_client").on(table.clientId),
    index("file_grants_group").on(table.groupId, table.fileId),
    check(
      "file_grants_audience",
      sql`${table.audience} = coalesce(${table.clientId}, ${table.groupId}, 'everyone') and (${table.clientId} is null or ${table.groupId} is null)`,
    ),
  ],
)

/** How one version's bytes are kept: the R2 object and everything needed to open it, but the master key. */
export const blobs = sqliteTable(
  "blobs",
  {
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    version: integer().notNull(),
    /** Random; says nothing about the file. */
    objectKey: text("object_key").notNull(),
    /** Version of the sealed format (crypto/sealed-format.ts). */
    format: integer().notNull(),
    sizeBytes: integer("size_bytes").notNull(),
    sealedBytes: integer("sealed_bytes").notNull(),
    parts: integer().notNull(),
    /** Of the plaintext, hex. */
    sha256: text().notNull(),
    keyId: integer("key_id").notNull(),
    /** 40 bytes, hex. */
    wrappedKey: text("wrapped_key").notNull(),
    /** 32 bytes, hex. */
    commitment: text().notNull(),
    /** What the scanner said of these bytes (domain/scanning.ts), as JSON; null when none was asked. */
    scan: text(),
    /** Of the plaintext; null in rows from before it was kept, until inspection comes by. Nothing trusts it. */
    crc32: integer(),
    /** Later, by a second or more, than that of the version before: dates tell versions apart. */
    createdAtMs: integer("created_at_ms").notNull().default(0),
    /** Who sent these bytes: an id, also when that account is gone. */
    createdBy: text("created_by"),
  },
  (table) => [
    primaryKey({ columns: [table.fileId, table.version] }),
    uniqueIndex("blobs_object_key").on(table.objectKey),
    index("blobs_key").on(table.keyId),
  ],
)

/** Objects whose file and key are gone; the sweeper deletes them from R2. */
export const discardedObjects = sqliteTable("discarded_objects", {
  objectKey: text("object_key").primaryKey(),
  discardedAtMs: integer("discarded_at_ms").notNull(),
})

/** Several files that one link fetches together, as a ZIP. Each has a row of `links` of its own, which is what counts. */
export const selections = sqliteTable(
  "selections",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    fileCount: integer("file_count").notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    expiresAtMs: integer("expires_at_ms").notNull(),
  },
  (table) => [index("selections_user").on(table.userId), index("selections_expiry").on(table.expiresAtMs)],
)

/** A download link of one person for one version of a file, alone or in a selection: with the next version it is dead. */
export const links = sqliteTable(
  "links",
  {
    id: text().primaryKey(),
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    /** The file's owner, who sees the link in lists. */
    ownerId: text("owner_id").notNull().default(""),
    createdAtMs: integer("created_at_ms").notNull(),
    expiresAtMs: integer("expires_at_ms").notNull(),
    revokedAtMs: integer("revoked_at_ms"),
    version: integer().notNull().default(1),
    /** The selection that it is a part of: then it has no token of its own. */
    selectionId: text("selection_id").references(() => selections.id, { onDelete: "cascade" }),
    /** Its place in the selection, from 0. */
    place: integer(),
  },
  (table) => [
    uniqueIndex("links_selection")
      .on(table.selectionId, table.place)
      .where(sql`${table.selectionId} is not null`),
    index("links_owner").on(table.ownerId, table.createdAtMs, table.id),
    index("links_user").on(table.userId, table.createdAtMs, table.id),
    index("links_file").on(table.fileId, table.createdAtMs, table.id),
    index("links_expiry").on(table.expiresAtMs),
  ],
)

/**
 * A download: the use of one link, claimed by its first GET and joined by all that follow. Outlives the link, which is
 * swept after its time, because it counts towards the limit and says who has received what.
 */
export const downloads = sqliteTable(
  "downloads",
  {
    linkId: text("link_id").primaryKey(),
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    version: integer().notNull(),
    /** What was downloaded, as it was then: the receipt outlives a change of the file. */
    name: text().notNull().default(""),
    sizeBytes: integer("size_bytes").notNull().default(0),
    sha256: text().notNull().default(""),
    startedAtMs: integer("started_at_ms").notNull(),
    /** GETs that were, or are being, answered with bytes. */
    requests: integer().notNull(),
    /** The request that claimed or joined last: how a request learns, in the same transaction, that it was let in. */
    joinedBy: text("joined_by").notNull(),
    /** Under a limit: the request that is sending from the first byte on, and how long it is believed to live. */
    holder: text(),
    heldUntilMs: integer("held_until_ms"),
    /** Union of the byte ranges sent, as JSON: [[start, end], …], ends exclusive, sorted, never touching. */
    served: text().notNull().default("[]"),
    servedBytes: integer("served_bytes").notNull().default(0),
    lastServedAtMs: integer("last_served_at_ms"),
    /** When the union became the whole document. */
    deliveredAtMs: integer("delivered_at_ms"),
    /** When there was a notice of the delivery for the file's owner. */
    reportedAtMs: integer("reported_at_ms"),
  },
  (table) => [
    index("downloads_file_user").on(table.fileId, table.userId),
    index("downloads_user").on(table.userId, table.startedAtMs, table.linkId),
    index("downloads_unreported")
      .on(table.deliveredAtMs)
      .where(sql`${table.deliveredAtMs} is not null and ${table.reportedAtMs} is null`),
  ],
)

/**
 * That a client has made links for a version of a file, and when: the first and the last one. Links themselves are swept
 * some time after their end. One row for each client and file, of the version that the last link was for.
 */
export const linkReceipts = sqliteTable(
  "link_receipts",
  {
    fileId: text("file_id")
      .notNull()
      .references(() => files.id, { onDelete: "cascade" }),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    version: integer().notNull(),
    firstAtMs: integer("first_at_ms").notNull(),
    lastAtMs: integer("last_at_ms").notNull(),
  },
  (table) => [primaryKey({ columns: [table.fileId, table.userId] }), index("link_receipts_user").on(table.userId)],
)
