import { and, eq, isNull, lt } from "drizzle-orm"
import type { Db } from "./client.ts"
import { blobs, files, links } from "./schema.ts"

export const insertLink = (db: Db, link: typeof links.$inferInsert) => db.insert(links).values(link)

/** A link with its file and bytes as they are now; nothing when link or file is gone. */
export const selectLinkedFile = (db: Db, linkId: string) =>
  db
    .select({ link: links, file: files, blob: blobs })
    .from(links)
    .innerJoin(files, eq(files.id, links.fileId))
    .innerJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, files.version)))
    .where(eq(links.id, linkId))

export const markLinkUsed = (db: Db, linkId: string, atMs: number) =>
  db
    .update(links)
    .set({ firstUsedAtMs: atMs })
    .where(and(eq(links.id, linkId), isNull(links.firstUsedAtMs)))

export const deleteLinksBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(links).where(lt(links.expiresAtMs, expiredBeforeMs))
