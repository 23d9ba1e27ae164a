// Tables. Times are milliseconds since 1970 in columns that end in `_at_ms`; ids are lower-case UUIDs;
// secrets are never here in the clear: only hashes, keyed hashes, or keys wrapped by a key outside D1.
import { check, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core"
import { sql } from "drizzle-orm"

export const ROLES = ["ops", "client"] as const
export type Role = (typeof ROLES)[number]

/** Whom a file is for: every client, or those chosen by rows of `file_grants`. */
export const AUDIENCES = ["everyone", "chosen"] as const
export type Audience = (typeof AUDIENCES)[number]

export const DOCUMENT_TYPES = ["docx", "xlsx", "pptx"] as const

export const users = sqliteTable(
  "users",
  {
    id: text().primaryKey(),
    role: text({ enum: ROLES }).notNull(),
    /** As the person wrote it, for mails. */
    email: text().notNull(),
    /** The one form in which addresses are compared (domain/email-address.ts). */
    emailKey: text("email_key").notNull(),
    /** PHC string, peppered. */
    passwordHash: text("password_hash").notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    /** Null until the address is proven. */
    verifiedAtMs: integer("verified_at_ms"),
    disabledAtMs: integer("disabled_at_ms"),
  },
  (table) => [
    uniqueIndex("users_email_key").on(table.emailKey),
    index("users_role_created").on(table.role, table.createdAtMs, table.id),
    check("users_role", sql`${table.role} in ('ops', 'client')`),
  ],
)

/** A person's second factor (RFC 6238): being enrolled, or active once it is confirmed by a first code. */
export const totpFactors = sqliteTable("totp_factors", {
  userId: text("user_id")
    .primaryKey()
    .references(() => users.id, { onDelete: "cascade" }),
  /** Of this enrolment: whoever was checked against one factor is not let in under another. */
  id: text().notNull(),
  keyId: integer("key_id").notNull(),
  /** The secret, encrypted (crypto/totp.ts), base64url. */
  sealedSecret: text("sealed_secret").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  confirmedAtMs: integer("confirmed_at_ms"),
  /** The time step of the last code that was taken: no code works twice, and none before it. */
  lastStep: integer("last_step").notNull().default(0),
})

/** For whoever has lost the device: each lets in once in place of a code. */
export const recoveryCodes = sqliteTable(
  "recovery_codes",
  {
    /** SHA-256 of user and code, hex. */
    hash: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => totpFactors.userId, { onDelete: "cascade" }),
    usedAtMs: integer("used_at_ms"),
  },
  (table) => [index("recovery_codes_user").on(table.userId)],
)

/**
 * One pending proof of address. The account itself exists only once an address is proven. Rows that are not
 * provable are decoys, so that strangers learn nothing from them.
 */
export const verifications = sqliteTable(
  "verifications",
  {
    id: text().primaryKey(),
    /** As the person wrote it; becomes the account's. */
    email: text().notNull().default(""),
    emailKey: text("email_key").notNull(),
    /** The password of this very sign-up: proving this mail makes it the account's. Null: whichever pending one is shown. */
    passwordHash: text("password_hash"),
    /** Pseudonym of the network address that signed up. From elsewhere the password is asked for as well. */
    place: text(),
    isProvable: integer("is_provable", { mode: "boolean" }).notNull().default(false),
    /** Keyed hash of the code, hex (crypto/verify-handle.ts). */
    codeMac: text("code_mac").notNull(),
    attempts: integer().notNull().default(0),
    createdAtMs: integer("created_at_ms").notNull(),
    expiresAtMs: integer("expires_at_ms").notNull(),
    usedAtMs: integer("used_at_ms"),
  },
  (table) => [
    index("verifications_email").on(table.emailKey, table.createdAtMs),
    index("verifications_expiry").on(table.expiresAtMs),
  ],
)

/** Links for choosing a new password. Rows without a user are decoys. */
export const passwordResets = sqliteTable(
  "password_resets",
  {
    /** SHA-256 of the token, hex. */
    hash: text().primaryKey(),
    userId: text("user_id").references(() => users.id, { onDelete: "cascade" }),
    createdAtMs: integer("created_at_ms").notNull(),
    expiresAtMs: integer("expires_at_ms").notNull(),
    usedAtMs: integer("used_at_ms"),
  },
  (table) => [index("password_resets_user").on(table.userId), index("password_resets_expiry").on(table.expiresAtMs)],
)

/** How often something was tried in the window that is running (domain/limits.ts). */
export const limitCounters = sqliteTable(
  "limit_counters",
  {
    /** The limit's name and a pseudonym of what it counts: no addresses. */
    key: text().primaryKey(),
    count: integer().notNull(),
    resetsAtMs: integer("resets_at_ms").notNull(),
  },
  (table) => [index("limit_counters_reset").on(table.resetsAtMs)],
)

/** Where people have logged in from: strangers' failures elsewhere do not lock them out there. */
export const knownPlaces = sqliteTable(
  "known_places",
  {
    /** Pseudonym of account and network address. */
    place: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    seenAtMs: integer("seen_at_ms").notNull(),
  },
  (table) => [index("known_places_user").on(table.userId), index("known_places_seen").on(table.seenAtMs)],
)

/** One login of one user: the family of refresh tokens that descends from it. */
export const sessions = sqliteTable(
  "sessions",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    createdAtMs: integer("created_at_ms").notNull(),
    /** The absolute end, however often it is refreshed. */
    expiresAtMs: integer("expires_at_ms").notNull(),
    revokedAtMs: integer("revoked_at_ms"),
    /** The last login or refresh. Null only in rows from before this was kept. */
    lastUsedAtMs: integer("last_used_at_ms"),
    /** What kind of client logged in (protocol/user-agent.ts): for its owner to tell sessions apart. */
    label: text().notNull().default("unknown"),
  },
  (table) => [index("sessions_user").on(table.userId), index("sessions_expiry").on(table.expiresAtMs)],
)

export const refreshTokens = sqliteTable(
  "refresh_tokens",
  {
    /** SHA-256 of the token, hex. */
    hash: text().primaryKey(),
    sessionId: text("session_id")
      .notNull()
      .references(() => sessions.id, { onDelete: "cascade" }),
    /** The idle end. */
    expiresAtMs: integer("expires_at_ms").notNull(),
    usedAtMs: integer("used_at_ms"),
    /** Hash of the token that replaced this one. */
    successor: text(),
  },
  (table) => [index("refresh_tokens_session").on(table.sessionId), index("refresh_tokens_expiry").on(table.expiresAtMs)],
)

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
  },
  // One index for each order; lists merge the runs of each audience and type (db/file-lists.ts).
  (table) => [
    index("files_owner_created").on(table.ownerId, table.audience, table.type, table.createdAtMs, table.id),
    index("files_owner_name").on(table.ownerId, table.audience, table.type, table.nameKey, table.id),
    index("files_owner_size").on(table.ownerId, table.audience, table.type, table.sizeBytes, table.id),
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
  },
  (table) => [
    primaryKey({ columns: [table.groupId, table.userId] }),
    index("group_members_added").on(table.groupId, table.addedAtMs, table.userId),
    index("group_members_user").on(table.userId, table.groupId),
  ],
)

/**
 * Who may have a file: one row for everyone, or one for each client and group that was chosen. A file with audience
 * "everyone" has exactly the one row, so that access is a matter of this table alone. Repeats what lists sort and
 * filter by, so that a page is read from an index however many files there are; whatever changes a file's name or
 * size changes it here in the same batch.
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
  },
  (table) => [
    primaryKey({ columns: [table.fileId, table.audience] }),
    index("file_grants_created").on(table.audience, table.type, table.createdAtMs, table.fileId),
    index("file_grants_name").on(table.audience, table.type, table.nameKey, table.fileId),
    index("file_grants_size").on(table.audience, table.type, table.sizeBytes, table.fileId),
    // For the cascades.
    index("file_grants_client").on(table.clientId),
    index("file_grants_group").on(table.groupId),
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
  },
  (table) => [
    primaryKey({ columns: [table.fileId, table.version] }),
    uniqueIndex("blobs_object_key").on(table.objectKey),
    index("blobs_key").on(table.keyId),
  ],
)

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
    /** What the file will be called. */
    fileId: text("file_id").notNull(),
    objectKey: text("object_key").notNull(),
    name: text().notNull(),
    type: text({ enum: ["docx", "xlsx", "pptx"] }).notNull(),
    downloadLimit: integer("download_limit"),
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
    index("resumable_uploads_expiry").on(table.expiresAtMs),
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

/** Objects whose file and key are gone; the sweeper deletes them from R2. */
export const discardedObjects = sqliteTable("discarded_objects", {
  objectKey: text("object_key").primaryKey(),
  discardedAtMs: integer("discarded_at_ms").notNull(),
})

/** A download link of one person for one file. */
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
  },
  (table) => [
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
  },
  (table) => [index("downloads_file_user").on(table.fileId, table.userId), index("downloads_user").on(table.userId)],
)

/** Mails to send. The body is purged as soon as it is sent, refused or out of date. */
export const outbox = sqliteTable(
  "outbox",
  {
    id: text().primaryKey(),
    kind: text().notNull(),
    recipient: text().notNull(),
    subject: text().notNull(),
    body: text(),
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
