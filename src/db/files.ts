import { and, asc, count, eq, gt, isNull, lt, ne, or, sql } from "drizzle-orm"
import { isFor } from "./audiences.ts"
import type { Db } from "./client.ts"
import { type Quota, fitsQuota } from "./quota.ts"
import { blobs, files, uploads } from "./schema.ts"

export type FileRow = typeof files.$inferSelect
/** A file at its publication. */
export type NewFile = Omit<FileRow, "expiryToldMs" | "expiryToldTo">
export type BlobRow = typeof blobs.$inferSelect

const currentBlob = and(eq(blobs.fileId, files.id), eq(blobs.version, files.version))

/** A file with everything needed to open its current version. */
export const selectSealedFile = (db: Db, id: string) =>
  db.select({ file: files, blob: blobs }).from(files).innerJoin(blobs, currentBlob).where(eq(files.id, id))

/** What must hold at the moment at which a file appears. */
export type PublicationTerms = {
  sizeBytes: number
  quota: Quota
  /** The resumable upload that it comes from, and who holds it. */
  resumable?: { id: string; holder: string } | undefined
  /** The idempotency key under which it was sent, and who holds that. */
  idempotency?: { key: string; holder: string } | undefined
}

/** Are the upload and the key still the request's own? */
export const isHeld = (ownerId: string, { resumable, idempotency }: PublicationTerms) =>
  and(
    resumable === undefined
      ? undefined
      : sql`exists (select 1 from resumable_uploads r where r.id = ${resumable.id} and r.holder = ${resumable.holder} and r.state = 'received')`,
    idempotency === undefined
      ? undefined
      : sql`exists (select 1 from idempotency_keys k where k.owner_id = ${ownerId} and k.key = ${idempotency.key} and k.holder = ${idempotency.holder})`,
  )

/** The same, if it is for this client at this moment. */
export const selectSealedFileFor = (db: Db, id: string, clientId: string, nowMs: number) =>
  db
    .select({ file: files, blob: blobs })
    .from(files)
    .innerJoin(blobs, currentBlob)
    .where(and(eq(files.id, id), isFor(files.id, sql`${clientId}`, nowMs)))

/** The same of many, as far as they are for this client, in no order; with how often the client has begun to download its version, where that is limited. */
export const selectSealedFilesFor = (db: Db, ids: readonly string[], clientId: string, nowMs: number) =>
  db
    .select({
      file: files,
      blob: blobs,
      used: sql<number>`case when ${files.downloadLimit} is null then 0 else
        (select count(*) from downloads d where d.file_id = ${files.id} and d.user_id = ${clientId} and d.version = ${files.version}) end`,
    })
    .from(files)
    .innerJoin(blobs, currentBlob)
    .where(
      and(sql`${files.id} in (select value from json_each(${JSON.stringify(ids)}))`, isFor(files.id, sql`${clientId}`, nowMs)),
    )

/**
 * Adds a file, but only while its upload's row is there and the terms hold. In a batch the blob that follows then lacks
 * its file and fails the whole batch: what the sweeper has taken can no longer be published.
 */
export const insertUploadedFile = (db: Db, file: NewFile, objectKey: string, terms: PublicationTerms) =>
  db.insert(files).select(
    db
      .select({
        id: sql<string>`${file.id}`.as("id"),
        ownerId: sql<string>`${file.ownerId}`.as("owner_id"),
        version: sql<number>`${file.version}`.as("version"),
        name: sql<string>`${file.name}`.as("name"),
        type: sql<FileRow["type"]>`${file.type}`.as("type"),
        createdAtMs: sql<number>`${file.createdAtMs}`.as("created_at_ms"),
        downloadLimit: sql<number | null>`${file.downloadLimit}`.as("download_limit"),
        audience: sql<FileRow["audience"]>`${file.audience}`.as("audience"),
        nameKey: sql<string>`${file.nameKey}`.as("name_key"),
        sizeBytes: sql<number>`${file.sizeBytes}`.as("size_bytes"),
        description: sql<string | null>`${file.description}`.as("description"),
        expiresAtMs: sql<number | null>`${file.expiresAtMs}`.as("expires_at_ms"),
        deletedAtMs: sql<number | null>`null`.as("deleted_at_ms"),
        updatedAtMs: sql<number>`${file.updatedAtMs}`.as("updated_at_ms"),
        expiryToldMs: sql<number>`0`.as("expiry_told_ms"),
        expiryToldTo: sql<string>`''`.as("expiry_told_to"),
      })
      .from(uploads)
      .where(
        and(
          eq(uploads.objectKey, objectKey),
          fitsQuota(file.ownerId, terms.sizeBytes, terms.quota, terms.resumable?.id),
          isHeld(file.ownerId, terms),
        ),
      ),
  )

export const insertBlob = (db: Db, blob: BlobRow) => db.insert(blobs).values(blob)

/** Notes the CRC-32 of bytes whose row is from before it was kept. */
export const fillCrc32 = (db: Db, { fileId, version, objectKey }: BlobRow, crc32: number) =>
  db
    .update(blobs)
    .set({ crc32 })
    .where(and(eq(blobs.fileId, fileId), eq(blobs.version, version), eq(blobs.objectKey, objectKey), isNull(blobs.crc32)))

/** Is this object the bytes of a file? */
export const findBlobByObjectKey = (db: Db, objectKey: string) =>
  db.select({ fileId: blobs.fileId }).from(blobs).where(eq(blobs.objectKey, objectKey)).get()

/** Where a walk over all blobs goes on: after this one. */
export type BlobPosition = { fileId: string; version: number }

const afterBlob = (after: BlobPosition | null) =>
  after === null ? undefined : sql`(${blobs.fileId}, ${blobs.version}) > (${after.fileId}, ${after.version})`

/** All blobs in a fixed order. */
export const listBlobs = (db: Db, after: BlobPosition | null, limit: number) =>
  db.select().from(blobs).where(afterBlob(after)).orderBy(asc(blobs.fileId), asc(blobs.version)).limit(limit).all()

/** Blobs whose key is wrapped under another master key than this one. */
export const listBlobsNotUnder = (db: Db, keyId: number, after: BlobPosition | null, limit: number) =>
  db
    .select()
    .from(blobs)
    .where(and(ne(blobs.keyId, keyId), afterBlob(after)))
    .orderBy(asc(blobs.fileId), asc(blobs.version))
    .limit(limit)
    .all()

export async function countBlobsNotUnder(db: Db, keyId: number): Promise<number> {
  // Two ranges of an index; `<>` would read all of it.
  const isOther = or(lt(blobs.keyId, keyId), gt(blobs.keyId, keyId))
  const row = await db.select({ count: count() }).from(blobs).where(isOther).get()
  return row?.count ?? 0
}

/** Replaces a wrapped key, if it is still the one that was read. */
export const replaceWrappedKey = (db: Db, old: BlobRow, fresh: { keyId: number; wrappedKey: string }) =>
  db
    .update(blobs)
    .set(fresh)
    .where(
      and(
        eq(blobs.fileId, old.fileId),
        eq(blobs.version, old.version),
        eq(blobs.keyId, old.keyId),
        eq(blobs.wrappedKey, old.wrappedKey),
      ),
    )

/** Files whose current version has no bytes. */
export const listFilesWithoutBlob = (db: Db, limit: number) =>
  db.select({ id: files.id }).from(files).leftJoin(blobs, currentBlob).where(isNull(blobs.fileId)).limit(limit).all()
