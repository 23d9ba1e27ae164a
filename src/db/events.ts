// Events: rows that say that something has changed, written beside the change, and read by whoever may see it. A row
// speaks to an audience and names ids; whether its reader may see the file, and what there is to say of it, is asked
// when it is read, so that nobody is told anything of a file that is not theirs at that moment.
import { type SQL, and, lt, sql } from "drizzle-orm"
import { EVERYONE, isFor } from "./audiences.ts"
import { type Condition, type Db, type Statement, rawStatement } from "./client.ts"
import { type DOCUMENT_TYPES, type Role, events, users } from "./schema.ts"
import { isLiveSession } from "./sessions.ts"

export type FileEventKind = "file.added" | "file.changed" | "file.removed" | "file.version_added"
export type EventKind =
  | FileEventKind
  | "download.started"
  | "download.delivered"
  | "link.revoked"
  | "client.verified"
  /** More has changed than is worth naming: lists are to be fetched anew. */
  | "reset"

/** The audience of what all operations users may know. */
const ALL_OPS = "ops"

const each = (ids: readonly string[]) => sql`json_each(${JSON.stringify(ids)})`

/** The newest event there is; 0 before the first. */
export const lastSeq = sql`coalesce((select seq from events order by seq desc limit 1), 0)`

/** @param rows - selects audience, kind, file, client, link and time; D1 gives out the numbers */
const insertEvents = (db: Db, rows: SQL): Statement =>
  rawStatement(db, sql`insert into events (audience, kind, file_id, client_id, link_id, at_ms) ${rows}`)

/** The same for what is said once of each link, however often it is tried (index `events_download`). */
const insertEventsOnce = (db: Db, rows: SQL): Statement =>
  rawStatement(db, sql`insert or ignore into events (audience, kind, file_id, client_id, link_id, at_ms) ${rows}`)

/** Of the file g, given when its time was over, nobody hears anything before it is put off. */
const wasInTime = sql`(g.expires_at_ms is null or g.expires_at_ms > g.granted_at_ms)`

/**
 * Tells everybody who has a file, and its owner. Before it is deleted, or after it is there.
 * @param onlyIf - nobody when this does not hold in the moment of the write
 */
export const addFileEvents = (db: Db, kind: FileEventKind, fileId: string, nowMs: number, onlyIf: Condition = sql`true`) =>
  insertEvents(
    db,
    sql`select g.audience, ${kind}, g.file_id, null, null, ${nowMs} from file_grants g where g.file_id = ${fileId} and ${wasInTime} and ${onlyIf}
      union all select f.owner_id, ${kind}, f.id, null, null, ${nowMs} from files f where f.id = ${fileId} and ${onlyIf}`,
  )

/** Tells the owners alone. */
export const addOwnerEvents = (db: Db, kind: FileEventKind, fileIds: readonly string[], nowMs: number) =>
  insertEvents(
    db,
    sql`select f.owner_id, ${kind}, f.id, null, null, ${nowMs} from ${each(fileIds)} x join files f on f.id = x.value`,
  )

/** Tells those of these audiences that were given one of these files just now. After the grants. */
export const addGrantEvents = (db: Db, fileIds: readonly string[], audiences: readonly string[], nowMs: number) =>
  insertEvents(
    db,
    sql`select g.audience, 'file.added', g.file_id, null, null, ${nowMs} from ${each(fileIds)} x cross join ${each(audiences)} y
      cross join file_grants g on g.file_id = x.value and g.audience = y.value
      where g.granted_at_ms = ${nowMs} and g.deleted_at_ms is null and (g.expires_at_ms is null or g.expires_at_ms > ${nowMs})`,
  )

/** Those who were given the file g when it was gone never had it; those who had it when it went to the trash were told. */
const wasSeen = sql`g.deleted_at_ms is null and ${wasInTime}`

/** Tells those of these audiences that have one of these files that they lose it. Before the grants are deleted. */
export const addWithdrawalEvents = (db: Db, fileIds: readonly string[], audiences: readonly string[], nowMs: number) =>
  insertEvents(
    db,
    sql`select g.audience, 'file.removed', g.file_id, null, null, ${nowMs} from ${each(fileIds)} x cross join ${each(audiences)} y
      cross join file_grants g on g.file_id = x.value and g.audience = y.value where ${wasSeen}`,
  )

/** The same for everybody who has the file but these. */
export const addWithdrawalEventsBut = (db: Db, fileId: string, audiences: readonly string[], nowMs: number) =>
  insertEvents(
    db,
    sql`select g.audience, 'file.removed', g.file_id, null, null, ${nowMs} from file_grants g
      where g.file_id = ${fileId} and g.audience not in (select value from ${each(audiences)}) and ${wasSeen}`,
  )

/** Files of a group, and rows in all, that a change of its members is told by; past them each member is told to fetch anew. */
const FEW_FILES = 20
const FEW_ROWS = 2000

/** Members m of a group. */
export type MemberScope = SQL

export const theseMembers = (groupId: string, clientIds: readonly string[]): MemberScope =>
  sql`m.group_id = ${groupId} and m.user_id in (select value from ${each(clientIds)})`
export const allMembersBut = (groupId: string, clientIds: readonly string[]): MemberScope =>
  sql`m.group_id = ${groupId} and m.user_id not in (select value from ${each(clientIds)})`
export const membersAddedAt = (groupId: string, clientIds: readonly string[], addedAtMs: number): MemberScope =>
  sql`${theseMembers(groupId, clientIds)} and m.added_at_ms = ${addedAtMs}`

/**
 * Tells members of a group, each by themselves, that its files became theirs or are no longer: after they have joined,
 * or before they leave. Who leaves does not read the group's events any more; where one that they may not have read took
 * a file off them, they are told to fetch anew.
 */
export const addMemberEvents = (
  db: Db,
  kind: "file.added" | "file.removed",
  groupId: string,
  members: MemberScope,
  nowMs: number,
) => {
  const isLeaving = kind === "file.removed"
  // Of what was gone before they joined they do not hear.
  const wasThere = sql`g.deleted_at_ms is null and (g.expires_at_ms is null or g.expires_at_ms > ${isLeaving ? sql`m.added_at_ms` : sql`${nowMs}`})`
  const lastRemoval = sql`(select max(seq) from events where audience = ${groupId} and kind = 'file.removed')`
  const known = sql`(select
    (select count(*) from (select 1 from file_grants where audience = ${groupId} limit ${FEW_FILES + 1})) as files,
    (select count(*) from (select 1 from group_members m where ${members} limit ${FEW_ROWS + 1})) as people,
    ${isLeaving ? sql`coalesce(${lastRemoval}, 0)` : sql`0`} as removed)`
  const isNamed = sql`(n.files <= ${FEW_FILES} and n.files * n.people <= ${FEW_ROWS} and n.removed <= m.since_seq)`
  return insertEvents(
    db,
    sql`select m.user_id, ${kind}, g.file_id, null, null, ${nowMs}
        from ${known} n cross join group_members m cross join file_grants g on g.audience = ${groupId}
        where ${members} and ${isNamed} and ${wasThere}
      union all select m.user_id, 'reset', null, null, null, ${nowMs}
        from ${known} n cross join group_members m where ${members} and not ${isNamed}`,
  )
}

/** Was the download d claimed by this very request, and nothing of it sent before? */
export const isClaimedBy = (requestId: string): Condition => sql`d.joined_by = ${requestId} and d.served_bytes = 0`

/**
 * Tells owners of downloads that were begun: of each link once. After the claim.
 * @param onlyIf - of those downloads d alone of which this holds
 */
export const addStartEvents = (db: Db, linkIds: readonly string[], nowMs: number, onlyIf: Condition = sql`true`) =>
  insertEventsOnce(
    db,
    sql`select f.owner_id, 'download.started', d.file_id, d.user_id, d.link_id, ${nowMs} from downloads d join files f on f.id = d.file_id
      where d.link_id in (select value from ${each(linkIds)}) and ${onlyIf}`,
  )

/** Tells owners of those downloads that were delivered whole just now. After it was recorded. */
export const addDeliveryEvents = (db: Db, linkIds: readonly string[], nowMs: number) =>
  insertEventsOnce(
    db,
    sql`select f.owner_id, 'download.delivered', d.file_id, d.user_id, d.link_id, ${nowMs} from downloads d join files f on f.id = d.file_id
      where d.link_id in (select value from ${each(linkIds)}) and d.delivered_at_ms = ${nowMs}`,
  )

/**
 * Tells clients and owners that links are withdrawn. Before they are.
 * @param which - of the table of links
 */
export const addRevocationEvents = (db: Db, which: Condition | undefined, nowMs: number) =>
  insertEvents(
    db,
    sql`select iif(w.value = 'client', links.user_id, links.owner_id), 'link.revoked', links.file_id, links.user_id, links.id, ${nowMs}
      from links cross join json_each('["client","owner"]') w where ${which ?? sql`1`}`,
  )

/** Tells all operations users of a client who has proven an address. */
export const addClientEvent = (db: Db, clientId: string, nowMs: number) =>
  insertEvents(db, sql`select ${ALL_OPS}, 'client.verified', null, ${clientId}, null, ${nowMs}`)

/**
 * Deletes from the beginning up to the first that is younger: by the first that is there readers know whether they have
 * missed any, so clocks that disagree must leave no gap. The newest stays: by it later ones are known to follow.
 */
export const deleteEventsBefore = (db: Db, atMs: number) =>
  db
    .delete(events)
    .where(
      and(
        lt(events.seq, lastSeq),
        sql`${events.seq} < coalesce((select min(y.seq) from events y where y.at_ms >= ${atMs}), ${lastSeq})`,
      ),
    )

/** What a reader finds: where events begin and end, and one event or, with null, none. */
export type EventRow = {
  first: number
  last: number
  seq: number | null
  kind: EventKind
  atMs: number
  fileId: string | null
  clientId: string | null
  linkId: string | null
  /** Is the file the reader's to see, now? */
  isVisible: 0 | 1
  /** Of a file for everyone, from before the reader's account. */
  isBefore: 0 | 1
  name: string | null
  type: (typeof DOCUMENT_TYPES)[number] | null
  createdAtMs: number | null
  sizeBytes: number | null
  version: number | null
  description: string | null
  expiresAtMs: number | null
  sha256: string | null
}

export type EventQuery = {
  sessionId: string
  role: Role
  /** Null: only where events end. */
  since: number | null
  limit: number
  nowMs: number
}

/**
 * Events for whoever has this session, after one, in order; at least one row, and none at all when the session is over
 * or the account may not read them any more. Merged from a run for each of the reader's audiences, as lists of files
 * are; where nothing has happened at all, nothing is looked for.
 */
export function listEvents(db: Db, { sessionId, role, since, limit, nowMs }: EventQuery): Promise<EventRow[]> {
  const isClient = role === "client"
  const audiences = isClient
    ? sql`select ${EVERYONE}, 0 from me union all select id, 0 from me
        union all select m.group_id, m.since_seq from me cross join group_members m on m.user_id = me.id`
    : sql`select id, 0 from me union all select ${ALL_OPS}, 0 from me`
  const after = (audience: SQL, seq: SQL) =>
    sql`(select min(n.seq) from events n where n.audience = ${audience} and n.seq > ${seq})`
  const isVisible = isClient ? isFor(sql`f.id`, sql`me.id`, nowMs) : sql`(f.owner_id = me.id and f.deleted_at_ms is null)`
  return db.all<EventRow>(sql`
    with recursive me(id, created_at_ms) as materialized (
      select ${users.id}, ${users.createdAtMs} from sessions inner join users on users.id = sessions.user_id
        where ${isLiveSession(sessionId, nowMs)} and ${users.role} = ${role} and ${users.verifiedAtMs} is not null
    ),
    ends(first, last) as materialized (
      select coalesce((select seq from events order by seq limit 1), 0), ${lastSeq}
    ),
    audiences(audience, from_seq) as (${audiences}),
    walked(audience, seq) as (
      select a.audience, e.seq from ends cross join audiences a cross join events e on e.seq = ${after(sql`a.audience`, sql`max(${since}, a.from_seq)`)}
        where ${since} < ends.last and ${since} >= ends.first - 1
      union all
      select w.audience, e.seq from walked w cross join events e on e.seq = ${after(sql`w.audience`, sql`w.seq`)}
      order by 2 limit ${limit}
    )
    select ends.first as "first", ends.last as "last", e.seq as "seq", e.kind as "kind", e.at_ms as "atMs", e.file_id as "fileId",
      e.client_id as "clientId", e.link_id as "linkId", f.id is not null and ${isVisible} as "isVisible",
      e.audience = ${EVERYONE} and e.at_ms < me.created_at_ms as "isBefore",
      f.name as "name", f.type as "type", f.created_at_ms as "createdAtMs", f.size_bytes as "sizeBytes",
      f.version as "version", f.description as "description", f.expires_at_ms as "expiresAtMs", b.sha256 as "sha256"
    from me cross join ends left join walked w on true left join events e on e.seq = w.seq
      left join files f on f.id = e.file_id left join blobs b on b.file_id = f.id and b.version = f.version
    order by e.seq`)
}
