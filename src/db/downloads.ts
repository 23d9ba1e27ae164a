import { type SQL, and, eq, isNull, sql } from "drizzle-orm"
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

/**
 * How many downloads of the link's version the user has begun: a limit counts anew with each version. 0 where there is
 * none: nobody asks then, and the count would cost as many rows as there are.
 */
export const claimsUsed = sql<number>`(case when ${files.downloadLimit} is null then 0 else
  (select count(*) from downloads used where used.file_id = ${links.fileId} and used.user_id = ${links.userId} and used.version = ${links.version}) end)`

/** Who claims, when, and until when the request is believed to live, if it is one that sends from the first byte on. */
type Claimant = { sessionId: string; userId: string; nowMs: number; requestId: string; heldUntilMs: number }

/** A link by its id, which a token of its own names: none of a selection's. */
export const isAlone = (linkId: string) => and(eq(links.id, linkId), isNull(links.selectionId))

export type Claim = Claimant & { linkId: string; fileId: string; terms: SendTerms }

/** The claim of a selection: all of its links together. */
export type SelectionClaim = Claimant & {
  selectionId: string
  /** Each of its links, whether the request sends anything of the file, and whether from its first byte on. */
  parts: readonly { linkId: string; isSent: boolean; isFromStart: boolean }[]
}

/** Rows of downloads for the links that `which` names, as far as at this moment everything allows them. */
const claimable = (db: Db, claim: Claimant, which: SQL | undefined, isFromStart: SQL, more: SQL | undefined) => {
  const isHeld = sql`(${files.downloadLimit} is not null and ${isFromStart})`
  // An archive of which a part is still missing is worth nothing: until then what was delivered of it may be sent again.
  const isMore = sql`exists (select 1 from links l left join downloads d on d.link_id = l.id where l.selection_id = ${links.selectionId} and d.delivered_at_ms is null)`
  const isBeginningFree = sql`((${downloads.deliveredAtMs} is null or ${isMore}) and (${downloads.holder} is null or ${downloads.heldUntilMs} <= ${claim.nowMs}))`
  return db
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
    .innerJoin(links, and(which, eq(links.userId, users.id)))
    .innerJoin(files, eq(files.id, links.fileId))
    .innerJoin(blobs, and(eq(blobs.fileId, files.id), eq(blobs.version, files.version)))
    .leftJoin(downloads, eq(downloads.linkId, links.id))
    .where(
      and(
        isLiveSession(claim.sessionId, claim.nowMs),
        eq(users.id, claim.userId),
        eq(users.role, "client"),
        sql`${users.verifiedAtMs} is not null`,
        eq(links.version, files.version),
        isFor(files.id, users.id, claim.nowMs),
        sql`${links.revokedAtMs} is null and ${links.expiresAtMs} > ${claim.nowMs}`,
        sql`(${downloads.linkId} is not null or ${files.downloadLimit} is null or ${claimsUsed} < ${files.downloadLimit})`,
        sql`(${downloads.linkId} is null or not ${isHeld} or ${isBeginningFree})`,
        more,
      ),
    )
}

/** What a request adds to a download that was claimed before. */
const joining = {
  target: downloads.linkId,
  set: {
    requests: sql`${downloads.requests} + 1`,
    joinedBy: sql`excluded.joined_by`,
    holder: sql`coalesce(excluded.holder, ${downloads.holder})`,
    heldUntilMs: sql`coalesce(excluded.held_until_ms, ${downloads.heldUntilMs})`,
  },
}

/**
 * Claims the link's download, or joins it, if at this moment everything allows it: session and user, link and file,
 * that the link's version is still the file's, that the file is for the user, what the request's conditions and range come to, and the limit. One statement, so that of any number of parallel
 * requests no more than the limit claim. Under a limit one request at a time may send from the first byte on, and none
 * once the document was delivered; later ranges always join.
 */
export const claimDownload = (db: Db, claim: Claim) => {
  const terms = and(eq(files.id, claim.fileId), holds(claim.terms))
  return db
    .insert(downloads)
    .select(claimable(db, claim, isAlone(claim.linkId), beginsAtStart(claim.terms), terms))
    .onConflictDoUpdate(joining)
}

/**
 * The same for the links of a selection in one statement: of those files that the request sends, if all of the selection
 * could be claimed, each as if it came alone; else none.
 */
export const claimSelection = (db: Db, claim: SelectionClaim) => {
  const flags = claim.parts.map(({ linkId, isSent, isFromStart }) => [linkId, isFromStart ? 1 : 0, isSent ? 1 : 0])
  const parts = JSON.stringify(flags)
  const isFromStart = sql`(select value ->> 1 from json_each(${parts}) where value ->> 0 = ${links.id})`
  const which = eq(links.selectionId, claim.selectionId)
  const open = db.$with("open").as(claimable(db, claim, which, isFromStart, undefined))
  return db
    .insert(downloads)
    .select(
      db
        .with(open)
        .select()
        .from(open)
        .where(
          sql`(select count(*) from ${open}) = ${claim.parts.length} and ${open.linkId} in (select value ->> 0 from json_each(${parts}) where value ->> 2 = 1)`,
        ),
    )
    .onConflictDoUpdate(joining)
}

/** Ids in one parameter, however many: D1 takes a hundred parameters in all. */
const anyLink = (linkIds: readonly string[]) => sql`${downloads.linkId} in ${anyOf(linkIds)}`

/** Takes back the share of a request that was sent nothing after all; the claim goes with the last one. */
export const leaveDownloads = (db: Db, linkIds: readonly string[], holder: string) =>
  [
    db
      .update(downloads)
      .set({
        requests: sql`${downloads.requests} - 1`,
        holder: sql`nullif(${downloads.holder}, ${holder})`,
      })
      .where(anyLink(linkIds)),
    db.delete(downloads).where(and(anyLink(linkIds), sql`${downloads.requests} <= 0`)),
  ] as const

/** Says that the request which sends from the first byte on is still alive. */
export const renewHolds = (db: Db, linkIds: readonly string[], holder: string, heldUntilMs: number) =>
  db
    .update(downloads)
    .set({ heldUntilMs })
    .where(and(anyLink(linkIds), eq(downloads.holder, holder)))

/** More separate pieces than anybody needs are dropped, the shortest first: the record may say too little, never too much. */
const MAX_PIECES = 256

/** What a request was sent of a link's document. */
export type Served = { linkId: string; ranges: readonly (readonly [start: number, end: number])[] }

/**
 * Adds the ranges that a request was sent to the unions of those sent so far, in one statement for all links: sorted by
 * start, a range begins a new piece where it starts after everything before it has ended. How much it is in all stands in
 * the row itself: the version may be gone while it is still being sent.
 * @param holder - whose holds end with that, or null when it goes on
 */
export const recordServed = (db: Db, served: readonly Served[], holder: string | null, nowMs: number) => {
  const sent = JSON.stringify(served.flatMap(({ linkId, ranges }) => ranges.map(([start, end]) => [linkId, start, end])))
  const totals = sql`(
    with sent(link, s, e) as (select value ->> 0, value ->> 1, value ->> 2 from json_each(${sent})),
    spans(link, s, e) as (
      select link_id, value ->> 0, value ->> 1 from downloads, json_each(downloads.served) where link_id in (select link from sent)
      union all select link, s, e from sent
    ),
    reached(link, s, e, prev) as (
      select link, s, e, max(e) over (partition by link order by s, e rows between unbounded preceding and 1 preceding) from spans
    ),
    numbered(link, s, e, piece) as (
      select link, s, e, sum(prev is null or s > prev) over (partition by link order by s, e rows unbounded preceding) from reached
    ),
    pieces(link, s, e, rank) as (
      select link, min(s), max(e), row_number() over (partition by link order by max(e) - min(s) desc) from numbered group by link, piece
    )
    select distinct link, json_group_array(json_array(s, e)) over whole as served, sum(e - s) over whole as bytes
    from pieces where rank <= ${MAX_PIECES}
    window whole as (partition by link order by s rows between unbounded preceding and unbounded following)
  ) as total`
  return db
    .update(downloads)
    .set({
      served: sql`total.served`,
      servedBytes: sql`total.bytes`,
      lastServedAtMs: nowMs,
      deliveredAtMs: sql`coalesce(${downloads.deliveredAtMs}, case when total.bytes = ${downloads.sizeBytes} then ${nowMs} end)`,
      holder: sql`nullif(${downloads.holder}, ${holder})`,
    })
    .from(totals)
    .where(sql`${downloads.linkId} = total.link`)
}
