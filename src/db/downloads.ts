import { and, eq, sql } from "drizzle-orm"
import { isFor } from "./audiences.ts"
import type { Db } from "./client.ts"
import { blobs, downloads, files, links, sessions, users } from "./schema.ts"
import { isLiveSession } from "./sessions.ts"

export type DownloadRow = typeof downloads.$inferSelect

/**
 * What must hold of a document, still unknown, for a request to be sent bytes of it. Null where it does not care.
 * `range` is where its ranges begin, and whether they may come to the whole document all the same; it applies only to
 * the document that `onlyOf` names, if it names one.
 */
export type SendTerms = {
  sha256In: readonly string[] | null
  sha256NotIn: readonly string[] | null
  createdAtMostSeconds: number | null
  createdAfterSeconds: number | null
  range: {
    first: number
    suffixBytes: number
    mayBeWhole: boolean
    onlyOf: { sha256: string } | { createdSeconds: number } | null
  } | null
}

const createdSeconds = sql`(${blobs.createdAtMs} / 1000)`
// One parameter for any number of tags: D1 takes a hundred in all.
const anyOf = (values: readonly string[]) => sql`(select value from json_each(${JSON.stringify(values)}))`

function rangeIsOff(range: NonNullable<SendTerms["range"]>) {
  if (range.onlyOf === null) return sql`false`
  if ("sha256" in range.onlyOf) return sql`${blobs.sha256} <> ${range.onlyOf.sha256}`
  return sql`${createdSeconds} <> ${range.onlyOf.createdSeconds}`
}

const holds = ({ sha256In, sha256NotIn, createdAtMostSeconds, createdAfterSeconds, range }: SendTerms) =>
  and(
    sha256In === null ? undefined : sql`${blobs.sha256} in ${anyOf(sha256In)}`,
    sha256NotIn === null ? undefined : sql`${blobs.sha256} not in ${anyOf(sha256NotIn)}`,
    createdAtMostSeconds === null ? undefined : sql`${createdSeconds} <= ${createdAtMostSeconds}`,
    createdAfterSeconds === null ? undefined : sql`${createdSeconds} > ${createdAfterSeconds}`,
    range === null ? undefined : sql`(${rangeIsOff(range)} or ${range.first} < ${blobs.sizeBytes} or ${range.suffixBytes} > 0)`,
  )

const beginsAtStart = ({ range }: SendTerms) =>
  range === null || range.mayBeWhole
    ? sql`true`
    : sql`(${rangeIsOff(range)} or ${range.first} = 0 or ${range.suffixBytes} >= ${blobs.sizeBytes})`

/** How many downloads of the link's version the user has begun: a limit counts anew with each version. */
export const claimsUsed = sql<number>`(select count(*) from downloads used where used.file_id = ${links.fileId} and used.user_id = ${links.userId} and used.version = ${links.version})`

export type Claim = {
  sessionId: string
  linkId: string
  userId: string
  fileId: string
  nowMs: number
  terms: SendTerms
  requestId: string
  /** Until when the request is believed to live, if it is one that sends from the first byte on. */
  heldUntilMs: number
}

/**
 * Claims the link's download, or joins it, if at this moment everything allows it: session and user, link and file,
 * that the link's version is still the file's, that the file is for the user, what the request's conditions and range come to, and the limit. One statement, so that of any number of parallel
 * requests no more than the limit claim. Under a limit one request at a time may send from the first byte on, and none
 * once the document was delivered; later ranges always join.
 */
export const claimDownload = (db: Db, claim: Claim) => {
  const isHeld = sql`${files.downloadLimit} is not null and ${beginsAtStart(claim.terms)}`
  return db
    .insert(downloads)
    .select(
      db
        .select({
          linkId: links.id,
          fileId: links.fileId,
          userId: links.userId,
          version: files.version,
          name: files.name,
          sizeBytes: blobs.sizeBytes,
          sha256: blobs.sha256,
          startedAtMs: sql<number>`${claim.nowMs}`.as("started_at_ms"),
          requests: sql<number>`1`.as("requests"),
          joinedBy: sql<string>`${claim.requestId}`.as("joined_by"),
          holder: sql<string | null>`case when ${isHeld} then ${claim.requestId} end`.as("holder"),
          heldUntilMs: sql<number | null>`case when ${isHeld} then ${claim.heldUntilMs} end`.as("held_until_ms"),
          served: sql<string>`'[]'`.as("served"),
          servedBytes: sql<number>`0`.as("served_bytes"),
          lastServedAtMs: sql<number | null>`null`.as("last_served_at_ms"),
          deliveredAtMs: sql<number | null>`null`.as("delivered_at_ms"),
          reportedAtMs: sql<number | null>`null`.as("reported_at_ms"),
        })
        .from(sessions)
        .innerJoin(users, eq(users.id, sessions.userId))
        .innerJoin(links, and(eq(links.id, claim.linkId), eq(links.userId, users.id)))
        .innerJoin(files, eq(files.id, links.fileId))
        .innerJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, files.version)))
        .where(
          and(
            isLiveSession(claim.sessionId, claim.nowMs),
            eq(users.id, claim.userId),
            eq(users.role, "client"),
            sql`${users.verifiedAtMs} is not null`,
            eq(files.id, claim.fileId),
            eq(links.version, files.version),
            isFor(files.id, users.id, claim.nowMs),
            sql`${links.revokedAtMs} is null and ${links.expiresAtMs} > ${claim.nowMs}`,
            holds(claim.terms),
            sql`(${files.downloadLimit} is null or ${claimsUsed} < ${files.downloadLimit} or exists (select 1 from downloads own where own.link_id = ${links.id}))`,
          ),
        ),
    )
    .onConflictDoUpdate({
      target: downloads.linkId,
      set: {
        requests: sql`${downloads.requests} + 1`,
        joinedBy: sql`excluded.joined_by`,
        holder: sql`coalesce(excluded.holder, ${downloads.holder})`,
        heldUntilMs: sql`coalesce(excluded.held_until_ms, ${downloads.heldUntilMs})`,
      },
      setWhere: sql`excluded.holder is null or (${downloads.deliveredAtMs} is null and (${downloads.holder} is null or ${downloads.heldUntilMs} <= ${claim.nowMs}))`,
    })
}

/** Takes back the share of a request that was sent nothing after all; the claim goes with the last one. */
export const leaveDownload = (db: Db, linkId: string, holder: string) =>
  [
    db
      .update(downloads)
      .set({
        requests: sql`${downloads.requests} - 1`,
        holder: sql`nullif(${downloads.holder}, ${holder})`,
      })
      .where(eq(downloads.linkId, linkId)),
    db.delete(downloads).where(and(eq(downloads.linkId, linkId), sql`${downloads.requests} <= 0`)),
  ] as const

/** Says that the request which sends from the first byte on is still alive. */
export const renewHold = (db: Db, linkId: string, holder: string, heldUntilMs: number) =>
  db
    .update(downloads)
    .set({ heldUntilMs })
    .where(and(eq(downloads.linkId, linkId), eq(downloads.holder, holder)))

/** More separate pieces than anybody needs are dropped, the shortest first: the record may say too little, never too much. */
const MAX_PIECES = 256

/**
 * Adds the ranges that a request was sent to the union of those sent so far, in one statement: sorted by start, a range
 * begins a new piece where it starts after everything before it has ended. Ends the request's hold.
 */
export const recordServed = (
  db: Db,
  linkId: string,
  served: readonly (readonly [start: number, end: number])[],
  holder: string,
  nowMs: number,
) => {
  const union = sql`
    with spans(s, e) as (
      select json_extract(value, '$[0]'), json_extract(value, '$[1]') from downloads, json_each(downloads.served) where link_id = ${linkId}
      union all select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each(${JSON.stringify(served)})
    ),
    reached(s, e, prev) as (
      select s, e, max(e) over (order by s, e rows between unbounded preceding and 1 preceding) from spans
    ),
    numbered(s, e, piece) as (
      select s, e, sum(prev is null or s > prev) over (order by s, e rows unbounded preceding) from reached
    ),
    pieces(s, e) as (
      select min(s), max(e) from numbered group by piece order by max(e) - min(s) desc limit ${MAX_PIECES}
    )`
  const bytes = sql`(${union} select coalesce(sum(e - s), 0) from pieces)`
  const sizeBytes = sql`(select size_bytes from blobs where blobs.file_id = downloads.file_id and blobs.version = downloads.version)`
  return db
    .update(downloads)
    .set({
      served: sql`(${union} select json_group_array(json_array(s, e)) from (select s, e from pieces order by s))`,
      servedBytes: bytes,
      lastServedAtMs: nowMs,
      deliveredAtMs: sql`coalesce(${downloads.deliveredAtMs}, case when ${bytes} = ${sizeBytes} then ${nowMs} end)`,
      holder: sql`nullif(${downloads.holder}, ${holder})`,
    })
    .where(eq(downloads.linkId, linkId))
}
