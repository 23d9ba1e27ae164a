// Tables of accounts: who may log in, by what, and how often it was tried.
import { check, index, integer, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core"
import { sql } from "drizzle-orm"

export const ROLES = ["ops", "client"] as const
export type Role = (typeof ROLES)[number]

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
    /** Ops accounts only, given by a command: may do with everybody's files what their owners may. */
    managesAllFiles: integer("manages_all_files").notNull().default(0),
  },
  (table) => [
    uniqueIndex("users_email_key").on(table.emailKey),
    index("users_role_created").on(table.role, table.createdAtMs, table.id),
    // For cron.
    index("users_unverified")
      .on(table.createdAtMs)
      .where(sql`verified_at_ms is null`),
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
