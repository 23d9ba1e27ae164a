import { type AnyColumn, type SQL, and, eq, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { type Audience, fileGrants, files, groups, users } from "./schema.ts"

export type { Audience }

/** An operations user as the owner of files, or as one who may do with all files what their owners may. */
export type FileActor = { userId: string; managesAllFiles: boolean }

/** May the actor manage files of that owner? */
export const isManagedBy = (ownerId: AnyColumn | SQL, { userId, managesAllFiles }: FileActor): SQL =>
  managesAllFiles ? sql`(${ownerId} is not null)` : sql`(${ownerId} = ${userId})`

export const EVERYONE = "everyone"

/** Ids in one parameter, however many: D1 takes a hundred parameters in all. */
const each = (ids: readonly string[]) => sql`json_each(${JSON.stringify(ids)})`

/** Is the file neither in the trash nor past its time? At this moment, not when cron has seen it. */
const isThere = (fileId: AnyColumn | SQL, nowMs: number): SQL =>
  sql`exists (select 1 from files live where live.id = ${fileId} and live.deleted_at_ms is null and (live.expires_at_ms is null or live.expires_at_ms > ${nowMs}))`

/**
 * Is the file the client's by one of the ways in, whether it is there or not? Asks for each way in turn, so that it costs
 * as much as the client has groups and nothing more with other people's grants.
 */
export const isGranted = (fileId: AnyColumn | SQL, userId: AnyColumn | SQL): SQL => sql`(
  exists (select 1 from file_grants g where g.file_id = ${fileId} and g.audience = ${EVERYONE})
  or exists (select 1 from file_grants g where g.file_id = ${fileId} and g.audience = ${userId})
  or exists (select 1 from group_members m cross join file_grants g where m.user_id = ${userId} and g.file_id = ${fileId} and g.audience = m.group_id))`

/**
 * May the client have the file, now? The one condition of whatever clients do with files: never of a file that is
 * expired or in the trash.
 */
export const isFor = (fileId: AnyColumn | SQL, userId: AnyColumn | SQL, nowMs: number): SQL =>
  sql`(${isThere(fileId, nowMs)} and ${isGranted(fileId, userId)})`

export const setAudience = (db: Db, fileId: string, audience: Audience) =>
  db.update(files).set({ audience }).where(eq(files.id, fileId))

/** Takes a file off everybody but these (ids of clients and groups, or EVERYONE). */
export const deleteGrantsBut = (db: Db, fileId: string, audiences: readonly string[]) =>
  db
    .delete(fileGrants)
    .where(and(eq(fileGrants.fileId, fileId), sql`${fileGrants.audience} not in (select value from ${each(audiences)})`))

/** Gives a file to everyone. */
export const grantEveryone = (db: Db, fileId: string, grantedAtMs: number) =>
  db
    .insert(fileGrants)
    .select(
      sql`select f.id, ${EVERYONE}, null, null, ${grantedAtMs}, f.type, f.created_at_ms, f.name_key, f.size_bytes, f.expires_at_ms, f.deleted_at_ms, null, '' from files f where f.id = ${fileId} and f.audience = ${EVERYONE}`,
    )
    .onConflictDoNothing()

/** Gives chosen files to clients: every one to every one, in one statement. What is given already stays as it is. */
export const grantClients = (db: Db, fileIds: readonly string[], clientIds: readonly string[], grantedAtMs: number) =>
  db
    .insert(fileGrants)
    .select(
      sql`select f.id, u.id, u.id, null, ${grantedAtMs}, f.type, f.created_at_ms, f.name_key, f.size_bytes, f.expires_at_ms, f.deleted_at_ms, null, ''
        from ${each(fileIds)} x join files f on f.id = x.value cross join ${each(clientIds)} y join users u on u.id = y.value
        where f.audience = 'chosen' and u.role = 'client'`,
    )
    .onConflictDoNothing()

/** The same for groups. */
export const grantGroups = (db: Db, fileIds: readonly string[], groupIds: readonly string[], grantedAtMs: number) =>
  db
    .insert(fileGrants)
    .select(
      sql`select f.id, g.id, null, g.id, ${grantedAtMs}, f.type, f.created_at_ms, f.name_key, f.size_bytes, f.expires_at_ms, f.deleted_at_ms, null, ''
        from ${each(fileIds)} x join files f on f.id = x.value cross join ${each(groupIds)} y join "groups" g on g.id = y.value
        where f.audience = 'chosen'`,
    )
    .onConflictDoNothing()

/** Takes all these files off all these clients and groups. */
export const deleteGrants = (db: Db, fileIds: readonly string[], audiences: readonly string[]) =>
  db
    .delete(fileGrants)
    .where(
      sql`${fileGrants.fileId} in (select value from ${each(fileIds)}) and ${fileGrants.audience} in (select value from ${each(audiences)})`,
    )

/** Changes nothing; but where one of the files is for everyone by now, NOT NULL breaks the whole batch. */
export const confirmChosen = (db: Db, fileIds: readonly string[]) =>
  db
    .update(files)
    .set({ audience: sql`case when ${files.audience} = 'chosen' then ${files.audience} else null end` })
    .where(sql`${files.id} in (select value from ${each(fileIds)})`)

export type AssignmentFault = { field: "files" | "clients" | "groups"; at: number; rule: "unknown" | "for_everyone" }

/** What of an assignment there is not, or is a file that the actor may not manage, or is no chosen one. */
export const findAssignmentFaults = (
  db: Db,
  actor: FileActor,
  ids: { files: readonly string[]; clients: readonly string[]; groups: readonly string[] },
) =>
  db.all<AssignmentFault>(sql`
    select 'files' as field, x.key as at, case when ${isManagedBy(sql`f.owner_id`, actor)} then 'for_everyone' else 'unknown' end as rule
      from ${each(ids.files)} x left join files f on f.id = x.value
      where f.id is null or not ${isManagedBy(sql`f.owner_id`, actor)} or f.audience <> 'chosen'
    union all select 'clients', x.key, 'unknown' from ${each(ids.clients)} x left join users u on u.id = x.value and u.role = 'client' where u.id is null
    union all select 'groups', x.key, 'unknown' from ${each(ids.groups)} x left join "groups" g on g.id = x.value where g.id is null`)

/** Clients and groups that a file was chosen for, in the order of their ids. */
export const listGrants = (db: Db, fileId: string, query: { afterId: string | undefined; limit: number }) =>
  db
    .select({
      audience: fileGrants.audience,
      grantedAtMs: fileGrants.grantedAtMs,
      clientId: fileGrants.clientId,
      email: users.email,
      groupName: groups.name,
    })
    .from(fileGrants)
    .leftJoin(users, eq(users.id, fileGrants.clientId))
    .leftJoin(groups, eq(groups.id, fileGrants.groupId))
    .where(
      and(
        eq(fileGrants.fileId, fileId),
        sql`${fileGrants.audience} <> ${EVERYONE}`,
        query.afterId === undefined ? undefined : sql`${fileGrants.audience} > ${query.afterId}`,
      ),
    )
    .orderBy(fileGrants.audience)
    .limit(query.limit)
    .all()
