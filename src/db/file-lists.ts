// Pages of files, read from indexes alone. What a list shows is spread over runs: for a client the files of everyone,
// their own and those of each of their groups; for each owner those for everyone and the chosen ones; each by type. In
// every order each run is a stretch of one index, and a recursive query merges the runs: SQLite takes the next row out
// of a queue that is sorted as the list is, and puts that row's successor in the same run in its place
// (sqlite.org/lang_with.html, "Controlling Depth-First Versus Breadth-First Search"). So a page costs a few reads for
// each run and each row of it, however many files there are and wherever the page begins.
import { type SQL, sql } from "drizzle-orm"
import { EVERYONE } from "./audiences.ts"
import type { Db } from "./client.ts"
import { isNamedLike } from "./name-search.ts"
import { AUDIENCES, type Audience, DOCUMENT_TYPES, type files } from "./schema.ts"

export const FILE_SORTS = ["name", "-name", "createdAt", "-createdAt", "size", "-size"] as const
export type FileSort = (typeof FILE_SORTS)[number]
export type FilePosition = { key: string | number; id: string }
type DocumentType = (typeof files.$inferSelect)["type"]

export type FileQuery = {
  sort: FileSort
  type?: DocumentType | undefined
  /** A term of domain/search-key.ts. */
  search?: string | undefined
  after?: FilePosition | undefined
  limit: number
}

/** A row of a page, or one where the walk has stopped without looking further. */
export type ListedRow = {
  id: string
  name: string
  type: DocumentType
  createdAtMs: number
  downloadLimit: number | null
  audience: Audience
  version: number
  description: string | null
  expiresAtMs: number | null
  deletedAtMs: number | null
  updatedAtMs: number
  ownerId: string
  /** Null where the list is of one owner, whom whoever asks knows. */
  ownerEmail: string | null
  sizeBytes: number
  sha256: string
  /** What the list is sorted by. */
  key: string | number
  isMatch: 0 | 1
  /** The budget of a run was used up here: what follows was not looked at. */
  isEnd: 0 | 1
  isDelivered: 0 | 1
}

/** Rows that one request looks through when it searches or filters by what no index knows. */
// Written into the SQL: D1 binds numbers as floating point, and shares of it must be whole.
export const SCAN_ROWS = 20_000

const columns = { name: "name_key", createdAt: "created_at_ms", size: "size_bytes" } as const

type Walk = {
  /** The table that is walked, and the name of its files' ids. */
  table: SQL
  id: SQL
  /** Selects the runs: owner (empty where runs are not by owner), audience and type. */
  runs: SQL
  /** Rows of a run, of the table as f and the run as s. */
  inRun: SQL
  /** What else must hold, of the row as r. */
  filters: readonly SQL[]
  /** The client whose downloads are asked for. */
  clientId: string | null
  /** Are rows of several owners in it? */
  isOfAll?: boolean
}

function walk(
  db: Db,
  { table, id, runs, inRun, filters, clientId, isOfAll = false }: Walk,
  query: FileQuery,
): Promise<ListedRow[]> {
  const { sort, after, limit } = query
  const column = sql.raw(columns[sort.replace("-", "") as keyof typeof columns])
  const [beyond, order] = sort.startsWith("-") ? [sql`<`, sql`desc`] : [sql`>`, sql`asc`]
  // Two seeks instead of one row-value comparison, for which SQLite reads through all rows that are equal in the first.
  const seek = (condition: SQL) =>
    sql`(select f.rowid from ${table} f where ${inRun} and f.type = s.type ${condition} order by f.${column} ${order}, f.${id} ${order} limit 1)`
  const beyondOf = (key: SQL, fileId: SQL) =>
    sql`coalesce(${seek(sql`and f.${column} = ${key} and f.${id} ${beyond} ${fileId}`)}, ${seek(sql`and f.${column} ${beyond} ${key}`)})`
  const row = sql`s.owner, s.audience, s.type, r.${column}, r.${id}, ${filters.length === 0 ? sql`1` : sql.join([...filters], sql` and `)}`
  const start = after === undefined ? seek(sql``) : beyondOf(sql`${after.key}`, sql`${after.id}`)
  const isDelivered = clientId === null ? sql`0` : delivered(sql`f.id`, clientId)
  return db.all<ListedRow>(sql`
    with recursive runs(owner, audience, type) as (${runs}),
    budget(rows) as (select max(200, ${sql.raw(String(SCAN_ROWS))} / (select count(*) from runs))),
    walked(owner, audience, type, key, id, ok, i) as (
      select ${row}, 1 from runs s cross join ${table} r on r.rowid = ${start}
      union all
      select ${row}, s.i + 1 from walked s cross join ${table} r on r.rowid = ${beyondOf(sql`s.key`, sql`s.id`)}
        where s.i < (select rows from budget)
      order by 4 ${order}, 5 ${order}
    ),
    page(key, id, ok, ended) as (
      select distinct key, id, ok, i = (select rows from budget) from walked
        where ok or i = (select rows from budget) limit ${limit + 2}
    )
    select f.id as "id", f.name as "name", f.type as "type", f.created_at_ms as "createdAtMs", f.download_limit as "downloadLimit",
      f.audience as "audience", f.version as "version", f.description as "description", f.expires_at_ms as "expiresAtMs",
      f.deleted_at_ms as "deletedAtMs", f.updated_at_ms as "updatedAtMs", f.owner_id as "ownerId", ${isOfAll ? sql`(select u.email from users u where u.id = f.owner_id)` : sql`null`} as "ownerEmail", f.size_bytes as "sizeBytes", b.sha256 as "sha256", p.key as "key", p.ok as "isMatch",
      p.ended as "isEnd", ${isDelivered} as "isDelivered"
    from page p cross join files f on f.id = p.id join blobs b on b.file_id = f.id and b.version = f.version
    order by p.key ${order}, p.id ${order}`)
}

/** Has the client all of the current version? */
const delivered = (fileId: SQL, clientId: string) =>
  sql`exists (select 1 from downloads d where d.file_id = ${fileId} and d.user_id = ${clientId} and d.delivered_at_ms is not null
    and d.version = (select v.version from files v where v.id = d.file_id))`

const oneOrAll = <T extends string>(one: T | undefined, all: readonly T[]) => JSON.stringify(one === undefined ? all : [one])

const searched = (search: string | undefined) => (search === undefined ? [] : [isNamedLike(sql`r.name_key`, search)])

/** Whose files: of one owner, or of every operations user, with a run more for each of them. */
export type OwnerScope = string | null

const owners = (ownerId: OwnerScope) =>
  ownerId === null ? sql`(select id as value from users where role = 'ops')` : sql`(select ${ownerId} as value)`

/** Files as their owners see them, those that are there or the trash; at most two rows more than a page, for domain/files.ts to cut. */
export const listFilesOf = (db: Db, ownerId: OwnerScope, query: FileQuery & { state?: Audience | "deleted" | undefined }) =>
  walk(
    db,
    {
      table: sql`files`,
      id: sql`id`,
      runs: sql`select o.value, a.value, t.value from ${owners(ownerId)} o
        cross join json_each(${oneOrAll(query.state === "deleted" ? undefined : query.state, AUDIENCES)}) a
        cross join json_each(${oneOrAll(query.type, DOCUMENT_TYPES)}) t`,
      // Spelled as in the index.
      inRun: sql`f.owner_id = s.owner and (f.deleted_at_ms is not null) = ${sql.raw(query.state === "deleted" ? "1" : "0")} and f.audience = s.audience`,
      filters: searched(query.search),
      clientId: null,
      isOfAll: ownerId === null,
    },
    query,
  )

/** The files that a client may have, likewise. */
export const listFilesFor = (
  db: Db,
  clientId: string,
  nowMs: number,
  query: FileQuery & { state?: "new" | "downloaded" | undefined },
) =>
  walk(
    db,
    {
      table: sql`file_grants`,
      id: sql`file_id`,
      runs: sql`select '', a.audience, t.value from (
          select ${EVERYONE} as audience union all select ${clientId} union all select group_id from group_members where user_id = ${clientId}
        ) a cross join json_each(${oneOrAll(query.type, DOCUMENT_TYPES)}) t`,
      inRun: sql`f.audience = s.audience and f.deleted_at_ms is null`,
      filters: [
        // Until cron has moved them to the trash, which costs a list nothing.
        sql`(r.expires_at_ms is null or r.expires_at_ms > ${nowMs})`,
        ...searched(query.search),
        ...(query.state === undefined
          ? []
          : [sql`${query.state === "new" ? sql`not ` : sql``}${delivered(sql`r.file_id`, clientId)}`]),
      ],
      clientId,
    },
    query,
  )
