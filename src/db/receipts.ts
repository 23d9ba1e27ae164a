// Receipts: who is to have a file and what became of it, read from grants, links made and downloads as they are. A page
// is a walk in the order of the clients' ids over several runs (everyone, those chosen one by one, the members of each
// group, those who have downloaded), merged by a recursive query as in db/file-lists.ts, so that it costs a few reads
// for each row however many clients there are. What a download was of stands in its own row.
import { type SQL, and, desc, eq, sql } from "drizzle-orm"
import { EVERYONE, isFor, isGranted } from "./audiences.ts"
import type { Db } from "./client.ts"
import { toldAtMs } from "./notices.ts"
import { downloads, files, linkReceipts } from "./schema.ts"

export const RECEIPT_STATES = ["not_yet", "link_made", "started", "partial", "delivered"] as const
export type ReceiptState = (typeof RECEIPT_STATES)[number]

const each = (ids: readonly string[]) => sql`json_each(${JSON.stringify(ids)})`

/** Notes that a client has made a link for each of these files, of the version that is current. */
export const recordLinks = (db: Db, fileIds: readonly string[], userId: string, nowMs: number) =>
  db
    .insert(linkReceipts)
    .select(
      sql`select f.id, ${userId}, f.version, ${nowMs}, ${nowMs} from ${each(fileIds)} x join files f on f.id = x.value where true`,
    )
    .onConflictDoUpdate({
      target: [linkReceipts.fileId, linkReceipts.userId],
      set: {
        firstAtMs: sql`case when ${linkReceipts.version} = excluded.version then ${linkReceipts.firstAtMs} else excluded.first_at_ms end`,
        lastAtMs: sql`excluded.last_at_ms`,
        version: sql`excluded.version`,
      },
    })

/** Which receipts: of a file in the version that is current. */
export type ReceiptScope = { fileId: string; version: number }

/** A row of a page, or one where the walk has stopped without looking further. */
export type ReceiptRow = {
  id: string
  key: ""
  isMatch: 0 | 1
  isEnd: 0 | 1
  email: string
  isDisabled: 0 | 1
  state: ReceiptState
  /** Since when the file is theirs: for all clients, by themselves. Null where it is not so. */
  everyoneAtMs: number | null
  directAtMs: number | null
  /** JSON: [{id, name, atMs}, …], the groups that it is theirs through. */
  groups: string
  notifiedAtMs: number | null
  linkMadeAtMs: number | null
  lastLinkAtMs: number | null
  /** JSON: what their downloads of the current version come to. */
  current: string
  /** All downloads they have begun, of any version. */
  downloads: number
  /** JSON: [{version, deliveredAtMs, sizeBytes, sha256}, …], versions before this that they have received. */
  earlier: string
}

/** Rows that one request looks through when it filters by a state. */
const SCAN_ROWS = 10_000

const ofVersion = ({ fileId, version }: ReceiptScope, clientId: SQL) =>
  sql`d.file_id = ${fileId} and d.user_id = ${clientId} and d.version = ${version}`

/** How far a client has come with the current version. */
const stateOf = (scope: ReceiptScope, clientId: SQL) => sql`coalesce(
  (select case when max(d.delivered_at_ms) is not null then 'delivered' when max(d.served_bytes) > 0 then 'partial' when count(*) > 0 then 'started' end
    from downloads d where ${ofVersion(scope, clientId)}),
  (select 'link_made' from link_receipts l where l.file_id = ${scope.fileId} and l.user_id = ${clientId} and l.version = ${scope.version}),
  'not_yet')`

const hasDownloads = (fileId: string, clientId: SQL) =>
  sql`exists (select 1 from downloads d where d.file_id = ${fileId} and d.user_id = ${clientId})`

/** Selects the runs in which clients of a state are found: not more than need be looked through. */
function runsOf(fileId: string, state: ReceiptState | undefined): SQL {
  if (state === "link_made") return sql`select 'linked'`
  if (state !== undefined && state !== "not_yet") return sql`select 'downloaded'`
  return sql`select audience from file_grants where file_id = ${fileId} and client_id is null
    union all select 'direct' union all select 'downloaded'`
}

/** The next client of a run after one. */
// The plus keeps SQLite from reading all clients by the index of their roles.
const successor = (fileId: string, run: SQL, after: SQL) => sql`case ${run}
  when ${EVERYONE} then (select u.id from users u where u.id > ${after} and +u.role = 'client' order by u.id limit 1)
  when 'direct' then (select g.audience from file_grants g where g.file_id = ${fileId} and g.audience > ${after} and g.client_id is not null order by g.audience limit 1)
  when 'downloaded' then (select d.user_id from downloads d where d.file_id = ${fileId} and d.user_id > ${after} order by d.user_id limit 1)
  when 'linked' then (select l.user_id from link_receipts l where l.file_id = ${fileId} and l.user_id > ${after} order by l.user_id limit 1)
  else (select m.user_id from group_members m where m.group_id = ${run} and m.user_id > ${after} order by m.user_id limit 1) end`

/** Recipients of a file in the order of their ids, and who has had it from before; at most two rows more than a page. */
export function listReceipts(
  db: Db,
  scope: ReceiptScope,
  query: { state?: ReceiptState | undefined; afterId: string | undefined; limit: number },
): Promise<ReceiptRow[]> {
  const { fileId, version } = scope
  const { state, limit } = query
  const matches =
    state === undefined
      ? sql`1`
      : sql`${stateOf(scope, sql`u.id`)} = ${state} and (${isGranted(sql`${fileId}`, sql`u.id`)} or ${hasDownloads(fileId, sql`u.id`)})`
  const next = (run: SQL, after: SQL) => sql`cross join users u on u.id = ${successor(fileId, run, after)}`
  const own = sql`d.file_id = ${fileId} and d.user_id = u.id`
  return db.all<ReceiptRow>(sql`
    with recursive runs(run) as (${runsOf(fileId, state)}),
    budget(rows) as (select max(200, ${sql.raw(String(SCAN_ROWS))} / (select count(*) from runs))),
    walked(id, run, ok, i) as (
      select u.id, s.run, ${matches}, 1 from runs s ${next(sql`s.run`, sql`${query.afterId ?? ""}`)}
      union all
      select u.id, s.run, ${matches}, s.i + 1 from walked s ${next(sql`s.run`, sql`s.id`)} where s.i < (select rows from budget)
      order by 1
    ),
    page(id, ok, ended) as (
      select distinct id, ok, i = (select rows from budget) from walked where ok or i = (select rows from budget) limit ${limit + 2}
    )
    select u.id as "id", '' as "key", p.ok as "isMatch", p.ended as "isEnd", u.email as "email",
      u.disabled_at_ms is not null as "isDisabled", ${stateOf(scope, sql`u.id`)} as "state",
      (select max(g.granted_at_ms, coalesce(u.verified_at_ms, u.created_at_ms)) from file_grants g
        where g.file_id = ${fileId} and g.audience = ${EVERYONE}) as "everyoneAtMs",
      (select g.granted_at_ms from file_grants g where g.file_id = ${fileId} and g.audience = u.id) as "directAtMs",
      (select json_group_array(json_object('id', n.id, 'name', n.name, 'atMs', max(g.granted_at_ms, m.added_at_ms)))
        from group_members m cross join file_grants g on g.file_id = ${fileId} and g.audience = m.group_id
        cross join "groups" n on n.id = m.group_id where m.user_id = u.id) as "groups",
      ${toldAtMs(sql`${fileId}`, sql`u.id`, "file_available")} as "notifiedAtMs",
      l.first_at_ms as "linkMadeAtMs", l.last_at_ms as "lastLinkAtMs",
      (select json_object('startedAtMs', min(d.started_at_ms), 'servedBytes', coalesce(max(d.served_bytes), 0),
          'deliveredAtMs', min(d.delivered_at_ms), 'sizeBytes', max(d.size_bytes), 'sha256', max(d.sha256))
        from downloads d where ${own} and d.version = ${version}) as "current",
      (select count(*) from downloads d where ${own}) as "downloads",
      (select json_group_array(json_object('version', e.version, 'deliveredAtMs', e.at_ms, 'sizeBytes', e.size_bytes, 'sha256', e.sha256))
        from (select d.version, min(d.delivered_at_ms) as at_ms, max(d.size_bytes) as size_bytes, max(d.sha256) as sha256
          from downloads d where ${own} and d.version <> ${version} and d.delivered_at_ms is not null group by d.version) e) as "earlier"
    from page p cross join users u on u.id = p.id
      left join link_receipts l on l.file_id = ${fileId} and l.user_id = u.id and l.version = ${version}
    order by p.id`)
}

export type ReceiptTotals = {
  recipients: number
  notYet: number
  linkMade: number
  started: number
  partial: number
  delivered: number
}

/** The same for the whole file, counted in one statement. */
export async function countReceipts(db: Db, scope: ReceiptScope): Promise<ReceiptTotals> {
  const { fileId, version } = scope
  const counted = (state: ReceiptState) => sql`coalesce(sum(state = ${state}), 0)`
  const [row] = await db.all<ReceiptTotals>(sql`
    with recipients(id) as (
      select u.id from users u where u.role = 'client'
        and exists (select 1 from file_grants g where g.file_id = ${fileId} and g.audience = ${EVERYONE})
      union select g.client_id from file_grants g where g.file_id = ${fileId} and g.client_id is not null
      union select m.user_id from file_grants g cross join group_members m on m.group_id = g.group_id where g.file_id = ${fileId}
      union select d.user_id from downloads d where d.file_id = ${fileId}
    ),
    states(state) as (select ${stateOf({ fileId, version }, sql`r.id`)} from recipients r)
    select count(*) as "recipients", ${counted("not_yet")} as "notYet", ${counted("link_made")} as "linkMade",
      ${counted("started")} as "started", ${counted("partial")} as "partial", ${counted("delivered")} as "delivered" from states`)
  return row ?? { recipients: 0, notYet: 0, linkMade: 0, started: 0, partial: 0, delivered: 0 }
}

export type OwnerStatistics = { files: number; totalSizeBytes: number; downloads: number; delivered: number; recipients: number }

/** What an owner's files and their downloads come to, without those in the trash. */
export async function countForOwner(db: Db, ownerId: string): Promise<OwnerStatistics> {
  const [row] = await db.all<OwnerStatistics>(sql`
    with own(id, size_bytes) as materialized (
      select id, size_bytes from files where owner_id = ${ownerId} and (deleted_at_ms is not null) = 0
    ),
    audiences(audience) as materialized (select distinct g.audience from own f cross join file_grants g on g.file_id = f.id),
    recipients(id) as (
      select u.id from users u where u.role = 'client' and exists (select 1 from audiences where audience = ${EVERYONE})
      union select u.id from audiences a cross join users u on u.id = a.audience
      union select m.user_id from audiences a cross join group_members m on m.group_id = a.audience
    ),
    got(downloads, is_delivered) as (
      select count(*), max(d.delivered_at_ms is not null) from own f cross join downloads d on d.file_id = f.id
        group by d.file_id, d.user_id
    )
    select (select count(*) from own) as "files",
      (select coalesce(sum(size_bytes), 0) from own) as "totalSizeBytes",
      (select coalesce(sum(downloads), 0) from got) as "downloads",
      (select coalesce(sum(is_delivered), 0) from got) as "delivered",
      (select count(*) from recipients) as "recipients"`)
  return row ?? { files: 0, totalSizeBytes: 0, downloads: 0, delivered: 0, recipients: 0 }
}

/** A client's downloads, the last begun first, by keyset. */
export const listDownloadsBy = (
  db: Db,
  clientId: string,
  query: { after?: { key: string | number; id: string } | undefined; limit: number; nowMs: number },
) =>
  db
    .select({
      id: downloads.linkId,
      fileId: downloads.fileId,
      name: downloads.name,
      type: files.type,
      version: downloads.version,
      sizeBytes: downloads.sizeBytes,
      sha256: downloads.sha256,
      startedAtMs: downloads.startedAtMs,
      servedBytes: downloads.servedBytes,
      deliveredAtMs: downloads.deliveredAtMs,
      isAvailable: sql<0 | 1>`${isFor(downloads.fileId, downloads.userId, query.nowMs)}`,
    })
    .from(downloads)
    .innerJoin(files, eq(files.id, downloads.fileId))
    .where(
      and(
        eq(downloads.userId, clientId),
        query.after === undefined
          ? undefined
          : sql`(${downloads.startedAtMs}, ${downloads.linkId}) < (${query.after.key}, ${query.after.id})`,
      ),
    )
    .orderBy(desc(downloads.startedAtMs), desc(downloads.linkId))
    .limit(query.limit)
    .all()
