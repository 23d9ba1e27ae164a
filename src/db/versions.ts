// The versions of a file: each one row of `blobs` with an object of its own. Numbers only grow; the greatest is current.
import { and, desc, eq, exists, sql } from "drizzle-orm"
import type { Condition, Db } from "./client.ts"
import { type PublicationTerms, isHeld } from "./files.ts"
import { fitsBytes } from "./quota.ts"
import { blobs, discardedObjects, files, users } from "./schema.ts"

/** What one version takes the place of, and by what right. */
export type Replacement = {
  fileId: string
  /** The version that was current when the new one was sealed. */
  from: number
  ownerId: string
  actorId: string
  sizeBytes: number
  updatedAtMs: number
  objectKey: string
}

/**
 * Makes the next version current, if the one that it was made after still is, the file is not in the trash, its upload's
 * row is there, there is room, and the actor may. Where one of that is not so, NOT NULL breaks the whole batch: of any
 * number of parallel versions one gets the number.
 */
export const replaceVersion = (db: Db, to: Replacement, terms: PublicationTerms) => {
  const holds = and(
    eq(files.version, to.from),
    sql`${files.deletedAtMs} is null`,
    sql`(${files.ownerId} = ${to.actorId} or exists (select 1 from users m where m.id = ${to.actorId} and m.manages_all_files = 1))`,
    sql`exists (select 1 from uploads u where u.object_key = ${to.objectKey})`,
    fitsBytes(to.ownerId, to.sizeBytes, terms.quota, terms.resumable?.id),
    isHeld(to.actorId, terms),
  )
  return db
    .update(files)
    .set({
      version: sql`case when ${holds} then ${to.from + 1} else null end`,
      sizeBytes: to.sizeBytes,
      updatedAtMs: to.updatedAtMs,
    })
    .where(eq(files.id, to.fileId))
}

/** A file with one of its versions. */
export const selectVersion = (db: Db, fileId: string, version: number) =>
  db
    .select({ file: files, blob: blobs })
    .from(files)
    .innerJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, version)))
    .where(eq(files.id, fileId))

/** Newest first, with whoever sent each. */
export const listVersions = (db: Db, fileId: string, query: { beforeVersion: number | undefined; limit: number }) =>
  db
    .select({
      version: blobs.version,
      sizeBytes: blobs.sizeBytes,
      sha256: blobs.sha256,
      createdAtMs: blobs.createdAtMs,
      createdBy: blobs.createdBy,
      createdByEmail: users.email,
    })
    .from(blobs)
    .leftJoin(users, eq(users.id, blobs.createdBy))
    .where(
      and(
        eq(blobs.fileId, fileId),
        query.beforeVersion === undefined ? undefined : sql`${blobs.version} < ${query.beforeVersion}`,
      ),
    )
    .orderBy(desc(blobs.version))
    .limit(query.limit)
    .all()

export type VersionRow = Awaited<ReturnType<typeof listVersions>>[number]

const isOldVersion = (fileId: string, version: number) =>
  and(
    eq(blobs.fileId, fileId),
    eq(blobs.version, version),
    sql`${blobs.version} < (select version from files where id = ${fileId})`,
  )

/** Is there something for `deleteOldVersion` to delete? */
export const hasOldVersion = (db: Db, fileId: string, version: number): Condition =>
  exists(db.select({ version: blobs.version }).from(blobs).where(isOldVersion(fileId, version)))

/** Notes the object of an old version that the same batch is about to delete. */
export const discardObjectOfOldVersion = (db: Db, fileId: string, version: number, atMs: number) =>
  db.insert(discardedObjects).select(
    db
      .select({ objectKey: blobs.objectKey, discardedAtMs: sql<number>`${atMs}`.as("discarded_at_ms") })
      .from(blobs)
      .where(isOldVersion(fileId, version)),
  )

/** Deletes an old version with its wrapped key; never the current one. */
export const deleteOldVersion = (db: Db, fileId: string, version: number) => db.delete(blobs).where(isOldVersion(fileId, version))
