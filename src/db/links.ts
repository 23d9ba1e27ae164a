import { type Column, type SQL, and, desc, eq, exists, getTableColumns, gt, inArray, isNull, lt, not, sql } from "drizzle-orm"
import { isFor } from "./audiences.ts"
import type { Condition, Db } from "./client.ts"
import {
  type Claim,
  type DownloadRow,
  type SelectionClaim,
  claimDownload,
  claimSelection,
  claimsUsed,
  isAlone,
} from "./downloads.ts"
import { addStartEvents, isClaimedBy } from "./events.ts"
import type { BlobRow, FileRow } from "./files.ts"
import { blobs, downloads, files, links, selections, sessions, users } from "./schema.ts"
import { type CallerRow, callerColumns, isLiveSession } from "./sessions.ts"

export type LinkRow = typeof links.$inferSelect

/** A link for the version that is current in the moment of the write. Breaks the batch where the file is gone. */
export const insertLink = (db: Db, link: Omit<typeof links.$inferInsert, "version">) =>
  db.insert(links).values({ ...link, version: sql`(select version from files where id = ${link.fileId})` })

/** Who is asking by which link for what: null where link, file or download are not there (any more). */
export type LinkAccess = {
  caller: CallerRow
  link: LinkRow | null
  file: FileRow | null
  blob: BlobRow | null
  download: DownloadRow | null
  /** Is the file for the caller, now? */
  isForCaller: boolean
  /** Downloads of the link's version that its user has begun, where they are limited. */
  claimsUsed: number
  /** How many files the link's selection has; null for a link that is none of a selection's. */
  selectionFiles: number | null
}

/** Columns under names that no other table shares: a batch hands rows back by name, and equal names overwrite each other. */
function named(prefix: string, columns: Record<string, Column | SQL>): Record<string, SQL.Aliased> {
  return Object.fromEntries(
    Object.entries(columns).map(([key, column]) => [`${prefix}.${key}`, sql`${column}`.as(`${prefix}.${key}`)]),
  )
}

/** The columns of one prefix as the row that they were; null when its id is, because the join found nothing. */
function rowOf<T>(row: Record<string, unknown>, prefix: string, idKey: keyof T & string): T | null {
  const start = `${prefix}.`
  if (row[start + idKey] === null) return null
  const entries = Object.entries(row).filter(([key]) => key.startsWith(start))
  return Object.fromEntries(entries.map(([key, value]) => [key.slice(start.length), value])) as T
}

const selectAccess = (db: Db, sessionId: string, which: SQL | undefined, nowMs: number) =>
  db
    .select({
      ...named("caller", callerColumns),
      ...named("link", getTableColumns(links)),
      ...named("file", getTableColumns(files)),
      ...named("blob", getTableColumns(blobs)),
      ...named("download", getTableColumns(downloads)),
      isForCaller: sql<0 | 1>`${isFor(files.id, users.id, nowMs)}`.as("is_for_caller"),
      claimsUsed: sql<number>`${claimsUsed}`.as("claims_used"),
      selectionFiles: sql<number | null>`${selections.fileCount}`.as("selection_files"),
    })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .leftJoin(links, which)
    .leftJoin(selections, eq(selections.id, links.selectionId))
    .leftJoin(files, eq(files.id, links.fileId))
    .leftJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, files.version)))
    .leftJoin(downloads, eq(downloads.linkId, links.id))
    .where(isLiveSession(sessionId, nowMs))

function accessOf(row: Record<string, unknown> | undefined): LinkAccess | undefined {
  const caller = row === undefined ? null : rowOf<CallerRow>(row, "caller", "sessionId")
  if (row === undefined || caller === null) return undefined
  return {
    caller,
    link: rowOf<LinkRow>(row, "link", "id"),
    file: rowOf<FileRow>(row, "file", "id"),
    blob: rowOf<BlobRow>(row, "blob", "fileId"),
    download: rowOf<DownloadRow>(row, "download", "linkId"),
    isForCaller: row["isForCaller"] === 1,
    claimsUsed: row["claimsUsed"] as number,
    selectionFiles: row["selectionFiles"] as number | null,
  }
}

/** Looks only. Nothing at all without a live session. */
export async function findLinkAccess(db: Db, sessionId: string, linkId: string, nowMs: number): Promise<LinkAccess | undefined> {
  const [row] = await selectAccess(db, sessionId, isAlone(linkId), nowMs)
  return accessOf(row)
}

/** Claims or joins the download, tells its owner of the claim, and looks, in one round trip and one transaction. */
export async function claimLinkAccess(db: Db, claim: Claim): Promise<LinkAccess | undefined> {
  const [, , rows] = await db.batch([
    claimDownload(db, claim),
    addStartEvents(db, [claim.linkId], claim.nowMs, isClaimedBy(claim.requestId)),
    selectAccess(db, claim.sessionId, isAlone(claim.linkId), claim.nowMs),
  ])
  return accessOf(rows[0])
}

const selectSelection = (db: Db, sessionId: string, selectionId: string, nowMs: number) =>
  selectAccess(db, sessionId, sql`${links.selectionId} = ${selectionId}`, nowMs).orderBy(links.place)

/**
 * Looks at all links of a selection, in their places. One row without a link when there are none any more; nothing at
 * all without a live session.
 */
export async function findSelectionAccess(db: Db, sessionId: string, selectionId: string, nowMs: number): Promise<LinkAccess[]> {
  return (await selectSelection(db, sessionId, selectionId, nowMs).all()).flatMap((row) => accessOf(row) ?? [])
}

/**
 * Claims or joins the downloads of a selection, tells the owner of the file that is sent first, and looks, in one round
 * trip and one transaction. Of the other files it is told when some of them was sent (domain/downloads.ts).
 */
export async function claimSelectionAccess(db: Db, claim: SelectionClaim): Promise<LinkAccess[]> {
  const linkIds = claim.parts.flatMap(({ linkId, isSent }) => (isSent ? [linkId] : [])).slice(0, 1)
  const [, , rows] = await db.batch([
    claimSelection(db, claim),
    addStartEvents(db, linkIds, claim.nowMs, isClaimedBy(claim.requestId)),
    selectSelection(db, claim.sessionId, claim.selectionId, claim.nowMs),
  ])
  return rows.flatMap((row) => accessOf(row) ?? [])
}

/** Where a page of links begins: after this one, newest first. */
export type LinkPosition = { key: string | number; id: string }

/** Which links: a client's own, or those of an owner's files, narrowed to a file or a client. */
export type LinkScope = { userId?: string; ownerId?: string; fileId?: string }

const inScope = ({ userId, ownerId, fileId }: LinkScope) =>
  and(
    userId === undefined ? undefined : eq(links.userId, userId),
    ownerId === undefined ? undefined : eq(links.ownerId, ownerId),
    fileId === undefined ? undefined : eq(links.fileId, fileId),
  )

const isLive = (nowMs: number) => and(isNull(links.revokedAtMs), gt(links.expiresAtMs, nowMs))

/** No deployment lets links live longer (LINK_LIFETIME_SECONDS in config.ts). */
const MAX_LIFETIME_MS = 604_800_000

/** Live links that still open something, newest first, by keyset, with what came of them. */
export const listLinks = (db: Db, scope: LinkScope, query: { after?: LinkPosition | undefined; limit: number; nowMs: number }) =>
  db
    .select({
      id: links.id,
      fileId: links.fileId,
      fileName: files.name,
      selectionId: links.selectionId,
      clientId: users.id,
      clientEmail: users.email,
      createdAtMs: links.createdAtMs,
      expiresAtMs: links.expiresAtMs,
      sizeBytes: blobs.sizeBytes,
      startedAtMs: downloads.startedAtMs,
      servedBytes: downloads.servedBytes,
      deliveredAtMs: downloads.deliveredAtMs,
    })
    .from(links)
    .innerJoin(users, eq(users.id, links.userId))
    .innerJoin(files, eq(files.id, links.fileId))
    .innerJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, files.version)))
    .leftJoin(downloads, eq(downloads.linkId, links.id))
    .where(
      and(
        inScope(scope),
        isLive(query.nowMs),
        // So that a page does not wade through links that have long expired.
        gt(links.createdAtMs, query.nowMs - MAX_LIFETIME_MS),
        eq(links.version, files.version),
        isFor(links.fileId, links.userId, query.nowMs),
        query.after === undefined
          ? undefined
          : sql`(${links.createdAtMs}, ${links.id}) < (${query.after.key}, ${query.after.id})`,
      ),
    )
    .orderBy(desc(links.createdAtMs), desc(links.id))
    .limit(query.limit)
    .all()

export type ListedLinkRow = Awaited<ReturnType<typeof listLinks>>[number]

/** Is there such a link in the scope, live or not? */
export const findLinkInScope = (db: Db, scope: LinkScope, id: string) =>
  db
    .select({ id: links.id })
    .from(links)
    .where(and(eq(links.id, id), inScope(scope)))
    .get()

const liveLinks = (scope: LinkScope, id: string | null, nowMs: number) =>
  sql`(${and(id === null ? undefined : eq(links.id, id), inScope(scope), isLive(nowMs))})`

const selectionsOf = (db: Db, scope: LinkScope, id: string | null, nowMs: number) =>
  db
    .select({ selectionId: links.selectionId })
    .from(links)
    .where(liveLinks(scope, id, nowMs))

/** The links that `revokeSelectionsOf` and `revokeLinks` withdraw, before they do. */
export const linksToRevoke = (db: Db, scope: LinkScope, id: string | null, nowMs: number): Condition =>
  sql`(${liveLinks(scope, id, nowMs)} or ${and(inArray(links.selectionId, selectionsOf(db, scope, id, nowMs)), isLive(nowMs))})`

/** Is there anything for `revokeLinks` to withdraw? */
export const hasLiveLinks = (db: Db, scope: LinkScope, id: string | null, nowMs: number): Condition =>
  exists(
    db
      .select({ id: links.id })
      .from(links)
      .where(liveLinks(scope, id, nowMs)),
  )

/** Withdraws the live links of a scope, or the one of that id; hands back the ids. */
export const revokeLinks = (db: Db, scope: LinkScope, id: string | null, nowMs: number) =>
  db
    .update(links)
    .set({ revokedAtMs: nowMs })
    .where(liveLinks(scope, id, nowMs))
    .returning({ id: links.id })

/**
 * Withdraws what else belongs to the selections of those links, whosever files they are: their one link is worth nothing
 * any more. For a batch, before {@link revokeLinks}.
 */
export const revokeSelectionsOf = (db: Db, scope: LinkScope, id: string | null, nowMs: number) =>
  db
    .update(links)
    .set({ revokedAtMs: nowMs })
    .where(and(inArray(links.selectionId, selectionsOf(db, scope, id, nowMs)), not(liveLinks(scope, id, nowMs)), isLive(nowMs)))

/** A client's downloads of a version of a file so far. */
export async function countDownloads(db: Db, fileId: string, version: number, userId: string): Promise<number> {
  const ofVersion = and(eq(downloads.fileId, fileId), eq(downloads.userId, userId), eq(downloads.version, version))
  return db.$count(downloads, ofVersion)
}

export const deleteLinksBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(links).where(lt(links.expiresAtMs, expiredBeforeMs))

/** With the links that belong to them. */
export const deleteSelectionsBefore = (db: Db, expiredBeforeMs: number) =>
  db.delete(selections).where(lt(selections.expiresAtMs, expiredBeforeMs))
