import { and, asc, eq, inArray, lt, notExists, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { blobs, discardedObjects, uploads } from "./schema.ts"

export type UploadRow = typeof uploads.$inferSelect

const isNoResumable = sql`not exists (select 1 from resumable_uploads r where r.state in ('open', 'received')
  and (r.object_key = ${uploads.objectKey} or r.tail_key = ${uploads.objectKey}))`

export const insertUpload = (db: Db, upload: typeof uploads.$inferInsert) => db.insert(uploads).values(upload)

export const setMultipartId = (db: Db, objectKey: string, multipartId: string) =>
  db.update(uploads).set({ multipartId }).where(eq(uploads.objectKey, objectKey))

export const deleteUpload = (db: Db, objectKey: string) => db.delete(uploads).where(eq(uploads.objectKey, objectKey))

/** Uploads begun before then, but not the objects of resumable ones, which have a time of their own. */
export const listUploadsBefore = (db: Db, startedBeforeMs: number, limit: number) =>
  db
    .select()
    .from(uploads)
    .where(and(lt(uploads.startedAtMs, startedBeforeMs), isNoResumable))
    .orderBy(asc(uploads.startedAtMs))
    .limit(limit)
    .all()

/** One of them, if it is among them. */
export const findUploadBefore = (db: Db, objectKey: string, startedBeforeMs: number) =>
  db
    .select()
    .from(uploads)
    .where(and(eq(uploads.objectKey, objectKey), lt(uploads.startedAtMs, startedBeforeMs), isNoResumable))
    .get()

/** Notes the object of an upload that the same batch gives up, unless a file owns it. */
export const discardObjectOfUpload = (db: Db, objectKey: string, atMs: number) =>
  db
    .insert(discardedObjects)
    .select(
      db
        .select({ objectKey: uploads.objectKey, discardedAtMs: sql<number>`${atMs}`.as("discarded_at_ms") })
        .from(uploads)
        .where(
          and(
            eq(uploads.objectKey, objectKey),
            notExists(db.select().from(blobs).where(eq(blobs.objectKey, objectKey))),
            isNoResumable,
          ),
        ),
    )
    .onConflictDoNothing()

export const listDiscardedObjects = (db: Db, limit: number) => db.select().from(discardedObjects).limit(limit).all()

export const forgetDiscardedObject = (db: Db, objectKey: string) =>
  db.delete(discardedObjects).where(eq(discardedObjects.objectKey, objectKey))

/**
 * Which of these objects somebody answers for: a file, an upload under way, or the list of what is to be deleted.
 * @param objectKeys - at most 30: each stands three times among D1's 100 parameters
 */
export async function findOwnedObjects(db: Db, objectKeys: readonly string[]): Promise<Set<string>> {
  const keys = [...objectKeys]
  const rows = await db
    .select({ objectKey: blobs.objectKey })
    .from(blobs)
    .where(inArray(blobs.objectKey, keys))
    .unionAll(db.select({ objectKey: uploads.objectKey }).from(uploads).where(inArray(uploads.objectKey, keys)))
    .unionAll(
      db
        .select({ objectKey: discardedObjects.objectKey })
        .from(discardedObjects)
        .where(inArray(discardedObjects.objectKey, keys)),
    )
  return new Set(rows.map(({ objectKey }) => objectKey))
}
