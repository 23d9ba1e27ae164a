// All tables. Times are milliseconds since 1970 in columns that end in `_at_ms`; ids are lower-case UUIDs; secrets are
// never here in the clear: only hashes, keyed hashes, or keys wrapped by a key outside D1.
export * from "./schema/accounts.ts"
export * from "./schema/files.ts"
export * from "./schema/notices.ts"
export * from "./schema/records.ts"
export * from "./schema/uploads.ts"
