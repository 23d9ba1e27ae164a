// What happens to a file after it was published: changed, put into the trash, taken out again, purged. Each statement holds
// its own condition, so that of two that race with each other one does nothing.
import { and, asc, eq, exists, sql } from "drizzle-orm"
import type { Condition, Db } from "./client.ts"
import { blobs, discardedObjects, fileGrants, files } from "./schema.ts"

/** Repeats in a file's grants what lists sort and filter by; stands in every batch that changes it. */
export const repeatInGrants = (db: Db, fileId: string) =>
  db
    .update(fileGrants)
    .set({
      nameKey: sql`(select name_key from files where id = ${fileId})`,
      sizeBytes: sql`(select size_bytes from files where id = ${fileId})`,
      expiresAtMs: sql`(select expires_at_ms from files where id = ${fileId})`,
      deletedAtMs: sql`(select deleted_at_ms from files where id = ${fileId})`,
    })
    .where(eq(fileGrants.fileId, fileId))

export type FileChanges = Partial<
  Pick<typeof files.$inferSelect, "name" | "nameKey" | "description" | "expiresAtMs" | "downloadLimit">
>

export const changeFile = (db: Db, fileId: string, changes: FileChanges, nowMs: number) =>
  db
    .update(files)
    .set({ ...changes, updatedAtMs: nowMs })
    .where(eq(files.id, fileId))

/** Which files a statement means: those that are there, those past their time, those in the trash, those there too long. */
export type Stage = { is: "there" } | { is: "expired"; nowMs: number } | { is: "trash"; deletedAtMostMs: number } | { is: "any" }

const isAt = (stage: Stage) => {
  switch (stage.is) {
    case "there":
      return sql`${files.deletedAtMs} is null`
    case "expired":
      return sql`${files.deletedAtMs} is null and ${files.expiresAtMs} <= ${stage.nowMs}`
    case "trash":
      return sql`${files.deletedAtMs} is not null and ${files.deletedAtMs} <= ${stage.deletedAtMostMs}`
    case "any":
      return sql`true`
  }
}

/** Every time is before this one. */
export const EVER_MS = Number.MAX_SAFE_INTEGER

/** Does the file stand there? */
export const isFileAt = (db: Db, fileId: string, stage: Stage): Condition =>
  exists(
    db
      .select({ id: files.id })
      .from(files)
      .where(and(eq(files.id, fileId), isAt(stage))),
  )

/** Puts a file into the trash. */
export const trashFile = (db: Db, fileId: string, stage: Stage, nowMs: number) =>
  db
    .update(files)
    .set({ deletedAtMs: nowMs })
    .where(and(eq(files.id, fileId), isAt(stage)))

/** Takes a file out of the trash. An expiry that has passed goes: it would put it back at once. */
export const restoreFile = (db: Db, fileId: string, nowMs: number) =>
  db
    .update(files)
    .set({
      deletedAtMs: null,
      expiresAtMs: sql`case when ${files.expiresAtMs} > ${nowMs} then ${files.expiresAtMs} end`,
      updatedAtMs: nowMs,
    })
    .where(and(eq(files.id, fileId), isAt({ is: "trash", deletedAtMostMs: EVER_MS })))

/** Files at that stage, those first that have been there longest. */
export const listFilesAt = (db: Db, stage: Stage, limit: number) =>
  db
    .select({ id: files.id })
    .from(files)
    .where(isAt(stage))
    .orderBy(asc(stage.is === "expired" ? files.expiresAtMs : files.deletedAtMs))
    .limit(limit)
    .all()

/** Notes the objects of all versions of a file that the same batch is about to delete. */
export const discardObjectsOfFile = (db: Db, fileId: string, stage: Stage, atMs: number) =>
  db.insert(discardedObjects).select(
    db
      .select({ objectKey: blobs.objectKey, discardedAtMs: sql<number>`${atMs}`.as("discarded_at_ms") })
      .from(blobs)
      .innerJoin(files, eq(files.id, blobs.fileId))
      .where(and(eq(files.id, fileId), isAt(stage))),
  )

/** Deletes a file and, by cascade, all its wrapped keys and links: from here on nobody can open its bytes. */
export const deleteFile = (db: Db, fileId: string, stage: Stage) => db.delete(files).where(and(eq(files.id, fileId), isAt(stage)))

export const listObjectsOfFile = (db: Db, fileId: string) =>
  db.select({ objectKey: blobs.objectKey }).from(blobs).where(eq(blobs.fileId, fileId)).all()
