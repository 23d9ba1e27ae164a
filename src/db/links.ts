import { and, eq, isNull, lt } from "drizzle-orm"
import type { Db } from "./client.ts"
import { blobs, files, links, sessions, users } from "./schema.ts"
import { callerColumns, isLiveSession } from "./sessions.ts"

export const insertLink = (db: Db, link: typeof links.$inferInsert) => db.insert(links).values(link)

/**
 * Who is asking by which link for what, in one round trip: the live session and its user, and the link with
 * its file and bytes as they are now, null where link or file is gone. Nothing at all without a live session.
 * One joined statement and not a batch: D1 hands batched rows back by column name, and names collide.
 */
export const findLinkAccess = (db: Db, sessionId: string, linkId: string, nowMs: number) =>
  db
    .select({ caller: callerColumns, link: links, file: files, blob: blobs })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .leftJoin(links, eq(links.id, linkId))
    .leftJoin(files, eq(files.id, links.fileId))
    .leftJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, files.version)))
    .where(isLiveSession(sessionId, nowMs))
    .get()

export const markLinkUsed = (db: Db, linkId: string, atMs: number) =>
  db
    .update(links)
    .set({ firstUsedAtMs: atMs })
    .where(and(eq(links.id, linkId), isNull(links.firstUsedAtMs)))

export const deleteLinksBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(links).where(lt(links.expiresAtMs, expiredBeforeMs))

export type LinkRow = typeof links.$inferSelect
