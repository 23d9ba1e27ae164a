// Tables of uploads under way.
import { sql } from "drizzle-orm"
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core"
import { users } from "./accounts.ts"
import { AUDIENCES } from "./files.ts"

/** An object that R2 may hold while no file owns it: written before the bytes, gone with publication. */
export const uploads = sqliteTable(
  "uploads",
  {
    objectKey: text("object_key").primaryKey(),
    ownerId: text("owner_id").notNull(),
    /** R2's multipart upload, once there is one. */
    multipartId: text("multipart_id"),
    startedAtMs: integer("started_at_ms").notNull(),
  },
  (table) => [index("uploads_started").on(table.startedAtMs)],
)

export const RESUMABLE_STATES = ["open", "received", "done", "refused", "expired"] as const
export type ResumableState = (typeof RESUMABLE_STATES)[number]

/**
 * An upload that takes many requests. Its sealed object has a row in `uploads` as long as it is no file, and so has its
 * tail. Rows stay until their time is over, so that whoever comes late hears what became of the upload.
 */
export const resumableUploads = sqliteTable(
  "resumable_uploads",
  {
    id: text().primaryKey(),
    ownerId: text("owner_id")
      .notNull()
      .references(() => users.id),
    /** Whose quota it counts against: its owner's, or, of a version, that of its file's owner. */
    chargedTo: text("charged_to").notNull().default(""),
    /** The file that it will be, or, with `replaces_version`, that it will be a version of. */
    fileId: text("file_id").notNull(),
    /** The version of a file that it takes the place of; null for a new file. */
    replacesVersion: integer("replaces_version"),
    objectKey: text("object_key").notNull(),
    name: text().notNull(),
    type: text({ enum: ["docx", "xlsx", "pptx"] }).notNull(),
    downloadLimit: integer("download_limit"),
    /** Whom the file will be for. */
    audience: text({ enum: AUDIENCES }).notNull().default("everyone"),
    /** Ids of the clients and groups, where they are chosen: `{clients, groups}` as JSON. */
    recipients: text(),
    /** What else the file will be published with: `{description, expiresAtMs, notify}` as JSON. Null for nothing said. */
    terms: text(),
    /** `Upload-Metadata` as it was sent. */
    metadata: text().notNull(),
    /** What the client announced, hex. */
    expectedSha256: text("expected_sha256"),
    /** Null as long as the client has not said it. */
    lengthBytes: integer("length_bytes"),
    /** What is durably here: `parts` whole parts, and the rest in the tail. */
    offsetBytes: integer("offset_bytes").notNull().default(0),
    parts: integer().notNull().default(0),
    /** R2 part number that nobody may have used yet. */
    nextPart: integer("next_part").notNull().default(1),
    /** Object with the sealed bytes after the last whole part; null when there are none. */
    tailKey: text("tail_key"),
    /** `received`: every byte is here, the document is being checked. Later ones hold no bytes and no key. */
    state: text({ enum: RESUMABLE_STATES }).notNull(),
    /** Why it was refused: the code of a problem and what the client was told. */
    refusalCode: text("refusal_code"),
    refusalDetail: text("refusal_detail"),
    /** What else the problem says, for programs: `{refusal, fields}` as JSON. */
    refusalFacts: text("refusal_facts"),
    keyId: integer("key_id").notNull(),
    /** 40 bytes, hex; empty once the file has it, or nobody needs it any more. */
    wrappedKey: text("wrapped_key").notNull(),
    commitment: text().notNull(),
    /** The request that is working on it, and until when it is believed to live. */
    holder: text(),
    heldUntilMs: integer("held_until_ms"),
    createdAtMs: integer("created_at_ms").notNull(),
    expiresAtMs: integer("expires_at_ms").notNull(),
  },
  (table) => [
    index("resumable_uploads_owner").on(table.ownerId, table.state),
    index("resumable_uploads_charged").on(table.chargedTo, table.state),
    index("resumable_uploads_expiry").on(table.expiresAtMs),
    // For cron: few of all are under way.
    index("resumable_uploads_live")
      .on(table.expiresAtMs, table.state, table.keyId)
      .where(sql`state in ('open', 'received')`),
    uniqueIndex("resumable_uploads_object").on(table.objectKey),
    index("resumable_uploads_tail").on(table.tailKey),
  ],
)

/** A part of a resumable upload that R2 holds and that counts. */
export const resumableParts = sqliteTable(
  "resumable_parts",
  {
    uploadId: text("upload_id")
      .notNull()
      .references(() => resumableUploads.id, { onDelete: "cascade" }),
    /** From 1, ascending with the document, but with gaps. */
    number: integer().notNull(),
    etag: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.uploadId, table.number] })],
)

/** Uploads that their clients may send again under the same key without a second file. */
export const idempotencyKeys = sqliteTable(
  "idempotency_keys",
  {
    ownerId: text("owner_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    key: text().notNull(),
    /** The request that is at work under this key; null once there is an answer. */
    holder: text(),
    heldUntilMs: integer("held_until_ms"),
    /** SHA-256 of everything that makes the request what it is, hex. */
    fingerprint: text(),
    /** The file of the first answer, as JSON. */
    answer: text(),
    expiresAtMs: integer("expires_at_ms").notNull(),
  },
  (table) => [primaryKey({ columns: [table.ownerId, table.key] }), index("idempotency_keys_expiry").on(table.expiresAtMs)],
)
