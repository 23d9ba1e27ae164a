// Notices: from the rows that say what has become true (grants, memberships, downloads, dates of expiry) to rows that
// say who is to be told, in bounded steps. Each step is one batch: the notices, the mails they make due, and the mark
// on what they come from. A notice exists once for file, client and kind, so steps may be repeated or run at once.
import { type SQL, and, eq, isNull, sql } from "drizzle-orm"
import { EVERYONE } from "./audiences.ts"
import type { Db, Statement } from "./client.ts"
import { type NoticeKind, downloads, fileGrants, files, groupMembers, noticeBundles, notices } from "./schema.ts"
import { isMuted, mayBeTold } from "./notifications.ts"

export type { NoticeKind }

/** Ids in one parameter. */
const each = (ids: readonly string[]) => sql`json_each(${JSON.stringify(ids)})`

/** A select of file_id, client_id, recipient_id, expiry_ms and since_ms, when it became true: who might be told what. */
type Pairs = SQL

/** How mails wait for more to say. */
export type BundleTimes = { nowMs: number; quietMs: number; longestMs: number }

/** Notices of a kind for all of the pairs that may have one and have none, and the mails to their recipients. */
function insertNotices(db: Db, kind: NoticeKind, pairs: Pairs, { quietMs, longestMs }: BundleTimes) {
  const fresh = sql`(select p.file_id, p.client_id, p.recipient_id, p.expiry_ms, p.since_ms from (${pairs}) p
    where ${mayBeTold(sql`p.recipient_id`, kind)} and not ${isMuted(sql`p.file_id`, kind)}
      and exists (select 1 from files f where f.id = p.file_id)
      and not exists (select 1 from notices n where n.file_id = p.file_id and n.client_id = p.client_id and n.kind = ${kind} and n.expiry_ms >= p.expiry_ms))`
  return [
    db
      .insert(noticeBundles)
      .select(
        sql`select recipient_id, ${kind}, min(since_ms), min(min(since_ms) + ${longestMs}, max(since_ms) + ${quietMs}), 1 from ${fresh} where true group by recipient_id`,
      )
      .onConflictDoUpdate({
        target: [noticeBundles.recipientId, noticeBundles.kind],
        set: {
          firstAtMs: sql`min(${noticeBundles.firstAtMs}, excluded.first_at_ms)`,
          dueAtMs: sql`min(min(${noticeBundles.firstAtMs}, excluded.first_at_ms) + ${longestMs}, max(${noticeBundles.dueAtMs}, excluded.due_at_ms))`,
          changes: sql`${noticeBundles.changes} + 1`,
        },
      }),
    db
      .insert(notices)
      .select(sql`select file_id, client_id, ${kind}, recipient_id, since_ms, expiry_ms, null, null from ${fresh} where true`)
      .onConflictDoUpdate({
        target: [notices.fileId, notices.clientId, notices.kind],
        set: { createdAtMs: sql`excluded.created_at_ms`, expiryMs: sql`excluded.expiry_ms`, settledAtMs: null, mailId: null },
        setWhere: sql`${notices.expiryMs} < excluded.expiry_ms`,
      }),
  ] as const satisfies readonly Statement[]
}

export type Grant = { fileId: string; audience: string }
/** Grants or memberships that stand at the same place, and can therefore be taken on together. */
export type GrantSource = { audience: string; isDirect: boolean; announcedTo: string }

/** The oldest grant that not all have notices of. */
export async function nextGrantSource(db: Db): Promise<GrantSource | undefined> {
  const [row] = await db.all<{ audience: string; isDirect: number; announcedTo: string }>(sql`
    select audience, client_id is not null as isDirect, announced_to as announcedTo
    from file_grants indexed by file_grants_unannounced where announced_at_ms is null order by granted_at_ms limit 1`)
  return row === undefined ? undefined : { ...row, isDirect: row.isDirect === 1 }
}

/** Grants to single clients that there are no notices of. */
export const listDirectGrants = (db: Db, limit: number) =>
  db.all<Grant>(sql`
    select file_id as fileId, audience from file_grants indexed by file_grants_unannounced
    where announced_at_ms is null and client_id is not null order by granted_at_ms limit ${limit}`)

/** Notices for these clients of these files. */
export const announceDirectGrants = (db: Db, grants: readonly Grant[], times: BundleTimes) => {
  const list = sql`json_each(${JSON.stringify(grants.map(({ fileId, audience }) => [fileId, audience]))})`
  const pairs = sql`select g.file_id, g.client_id, g.client_id as recipient_id, 0 as expiry_ms, g.granted_at_ms as since_ms
    from ${list} x join file_grants g on g.file_id = x.value ->> 0 and g.audience = x.value ->> 1 where g.client_id is not null`
  return [
    ...insertNotices(db, "file_available", pairs, times),
    db
      .update(fileGrants)
      .set({ announcedAtMs: times.nowMs })
      .where(
        sql`(${fileGrants.fileId}, ${fileGrants.audience}) in (select value ->> 0, value ->> 1 from ${list}) and ${fileGrants.announcedAtMs} is null`,
      ),
  ] as const
}

/** Files that were given to the group, or to everyone, and whose telling has come to the same client. */
export const listFilesOfSource = (db: Db, { audience, announcedTo }: GrantSource, limit: number) =>
  db.all<{ id: string }>(sql`
    select file_id as id from file_grants indexed by file_grants_unannounced
    where announced_at_ms is null and audience = ${audience} and announced_to = ${announcedTo} order by granted_at_ms limit ${limit}`)

/** The next clients of everyone, or of a group, in the order of their ids. */
export const listClientsOfSource = (db: Db, { audience, announcedTo }: GrantSource, limit: number) =>
  audience === EVERYONE
    ? // By id, not by role: a page is read from its beginning.
      db.all<{ id: string }>(sql`select id from users where +role = 'client' and id > ${announcedTo} order by id limit ${limit}`)
    : db.all<{ id: string }>(
        sql`select user_id as id from group_members where group_id = ${audience} and user_id > ${announcedTo} order by user_id limit ${limit}`,
      )

/** How far a step has come: up to this id, or to the end. */
export type Progress = { to: string; isEnd: boolean }

const marks = ({ to, isEnd }: Progress, nowMs: number) => ({ announcedTo: to, ...(isEnd ? { announcedAtMs: nowMs } : {}) })

/**
 * Notices for these clients of these files, which are for everyone or for a group of theirs. What is for everyone is
 * no news to whoever signed up after it.
 */
export const announceGrants = (
  db: Db,
  source: GrantSource,
  step: { fileIds: readonly string[]; clientIds: readonly string[]; progress: Progress },
  times: BundleTimes,
) => {
  const isOld = source.audience === EVERYONE ? sql`u.created_at_ms <= g.granted_at_ms` : sql`true`
  const pairs = sql`select g.file_id, u.id as client_id, u.id as recipient_id, 0 as expiry_ms, g.granted_at_ms as since_ms
    from ${each(step.fileIds)} x join file_grants g on g.file_id = x.value and g.audience = ${source.audience}
      cross join ${each(step.clientIds)} y join users u on u.id = y.value where ${isOld}`
  return [
    ...insertNotices(db, "file_available", pairs, times),
    db
      .update(fileGrants)
      .set(marks(step.progress, times.nowMs))
      .where(
        and(
          sql`${fileGrants.fileId} in (select value from ${each(step.fileIds)})`,
          eq(fileGrants.audience, source.audience),
          isNull(fileGrants.announcedAtMs),
          eq(fileGrants.announcedTo, source.announcedTo),
        ),
      ),
  ] as const
}

export type MemberSource = { groupId: string; announcedTo: string }

/** The oldest membership that there are not notices of all files of. */
export async function nextMemberSource(db: Db): Promise<MemberSource | undefined> {
  const [row] = await db.all<MemberSource>(sql`
    select group_id as groupId, announced_to as announcedTo from group_members indexed by group_members_unannounced
    where announced_at_ms is null order by added_at_ms limit 1`)
  return row
}

/** Members who joined the group, and whose telling has come to the same file. */
export const listMembersOfSource = (db: Db, { groupId, announcedTo }: MemberSource, limit: number) =>
  db.all<{ id: string }>(sql`
    select user_id as id from group_members indexed by group_members_unannounced
    where announced_at_ms is null and group_id = ${groupId} and announced_to = ${announcedTo} order by added_at_ms limit ${limit}`)

/** The group's next files, in the order of their ids. */
export const listFilesOfGroup = (db: Db, { groupId, announcedTo }: MemberSource, limit: number) =>
  db.all<{ id: string }>(sql`
    select file_id as id from file_grants indexed by file_grants_group
    where group_id = ${groupId} and file_id > ${announcedTo} order by file_id limit ${limit}`)

/** Notices for these new members of these files of their group. */
export const announceMemberships = (
  db: Db,
  source: MemberSource,
  step: { fileIds: readonly string[]; clientIds: readonly string[]; progress: Progress },
  times: BundleTimes,
) => {
  const pairs = sql`select x.value as file_id, m.user_id as client_id, m.user_id as recipient_id, 0 as expiry_ms, m.added_at_ms as since_ms
    from ${each(step.fileIds)} x cross join ${each(step.clientIds)} y join group_members m on m.group_id = ${source.groupId} and m.user_id = y.value`
  return [
    ...insertNotices(db, "file_available", pairs, times),
    db
      .update(groupMembers)
      .set(marks(step.progress, times.nowMs))
      .where(
        and(
          eq(groupMembers.groupId, source.groupId),
          sql`${groupMembers.userId} in (select value from ${each(step.clientIds)})`,
          isNull(groupMembers.announcedAtMs),
          eq(groupMembers.announcedTo, source.announcedTo),
        ),
      ),
  ] as const
}

/** Downloads that came to an end, and that there are no notices of. */
export const listUnreportedDownloads = (db: Db, limit: number) =>
  db.all<{ id: string }>(sql`
    select link_id as id from downloads indexed by downloads_unreported
    where delivered_at_ms is not null and reported_at_ms is null order by delivered_at_ms limit ${limit}`)

/** Notices of these deliveries for the files' owners: one for file and client, ever. */
export const reportDeliveries = (db: Db, linkIds: readonly string[], times: BundleTimes) => {
  const pairs = sql`select d.file_id, d.user_id as client_id, f.owner_id as recipient_id, 0 as expiry_ms, min(d.delivered_at_ms) as since_ms
    from ${each(linkIds)} x join downloads d on d.link_id = x.value join files f on f.id = d.file_id
    group by d.file_id, d.user_id`
  return [
    ...insertNotices(db, "file_delivered", pairs, times),
    db
      .update(downloads)
      .set({ reportedAtMs: times.nowMs })
      .where(sql`${downloads.linkId} in (select value from ${each(linkIds)})`),
  ] as const
}

/** Everybody whom a file is for, once; of what is for everyone perhaps only those whom it was news to. */
export const recipientsOf = (fileId: SQL, isNewsOnly: boolean): SQL => {
  const isNews = isNewsOnly ? sql`e.created_at_ms <= g.granted_at_ms` : sql`true`
  return sql`(select client_id as id from file_grants where file_id = ${fileId} and client_id is not null
    union select m.user_id from file_grants g cross join group_members m where g.file_id = ${fileId} and m.group_id = g.group_id
    union select e.id from file_grants g cross join users e where g.file_id = ${fileId} and g.audience = ${EVERYONE} and e.role = 'client' and ${isNews})`
}

/** Has the client received all of the version that is current? */
export const hasCurrent = (fileId: SQL, clientId: SQL): SQL =>
  sql`exists (select 1 from downloads d join files v on v.id = d.file_id and v.version = d.version
    where d.file_id = ${fileId} and d.user_id = ${clientId} and d.delivered_at_ms is not null)`

export type ExpiringFile = { id: string; ownerId: string; expiresAtMs: number; toldTo: string }

/** The file that expires next, before the end of the lead time, and not everybody has been told. */
export async function nextExpiringFile(db: Db, nowMs: number, untilMs: number): Promise<ExpiringFile | undefined> {
  const [row] = await db.all<ExpiringFile>(sql`
    select id, owner_id as ownerId, expires_at_ms as expiresAtMs, expiry_told_to as toldTo from files indexed by files_expiry_untold
    where expires_at_ms > expiry_told_ms and deleted_at_ms is null and expires_at_ms > ${nowMs} and expires_at_ms <= ${untilMs} order by expires_at_ms limit 1`)
  return row
}

/**
 * The next clients, in the order of their ids, who have not got the file and have not just been told of it.
 * @param toldSinceMs - whoever was told since then knows the date
 */
export const listClientsToRemind = (db: Db, fileId: string, query: { after: string; toldSinceMs: number; limit: number }) =>
  db.all<{ id: string }>(sql`
    select r.id from ${recipientsOf(sql`${fileId}`, true)} r where r.id > ${query.after} and not ${hasCurrent(sql`${fileId}`, sql`r.id`)}
      and not exists (select 1 from notices n where n.file_id = ${fileId} and n.client_id = r.id and n.kind = 'file_available'
        and (n.settled_at_ms is null or n.mail_id is not null) and coalesce(n.settled_at_ms, ${query.toldSinceMs}) >= ${query.toldSinceMs})
    order by r.id limit ${query.limit}`)

/** Reminders for these clients and, with the first of them, the report for the owner. */
export const announceExpiry = (
  db: Db,
  file: ExpiringFile,
  step: { clientIds: readonly string[]; isFirst: boolean; isEnd: boolean; toldTo: string },
  times: BundleTimes,
) => {
  const { id, expiresAtMs } = file
  const reminders = sql`select ${id} as file_id, y.value as client_id, y.value as recipient_id, ${expiresAtMs} as expiry_ms, ${times.nowMs} as since_ms from ${each(step.clientIds)} y`
  const report = sql`select id as file_id, owner_id as client_id, owner_id as recipient_id, ${expiresAtMs} as expiry_ms, ${times.nowMs} as since_ms from files where id = ${id}`
  return [
    ...insertNotices(db, "expiry_reminder", reminders, times),
    ...(step.isFirst ? insertNotices(db, "expiry_report", report, times) : []),
    db
      .update(files)
      .set(step.isEnd ? { expiryToldMs: expiresAtMs, expiryToldTo: "" } : { expiryToldTo: step.toldTo })
      .where(and(eq(files.id, id), eq(files.expiresAtMs, expiresAtMs), eq(files.expiryToldTo, file.toldTo))),
  ] as const
}

/**
 * When a mail told somebody of a file, as part of a larger question; null as long as none did, also while it waits in the
 * outbox or was given up there. Of mails that the outbox has forgotten only those that went out are still named.
 */
export const toldAtMs = (fileId: SQL, clientId: SQL, kind: NoticeKind): SQL =>
  sql`(select n.settled_at_ms from notices n left join outbox o on o.id = n.mail_id where n.file_id = ${fileId} and n.client_id = ${clientId}
    and n.kind = ${kind} and n.mail_id is not null and (o.id is null or o.sent_at_ms is not null))`

/** Notices name no mail any more that was given up: before the outbox forgets it. From the mails, which are few. */
export const forgetDeadMails = (db: Db, createdBeforeMs: number) =>
  db
    .update(notices)
    .set({ mailId: null })
    .where(
      sql`(file_id, client_id, kind) in (select n.file_id, n.client_id, n.kind
        from outbox o indexed by outbox_created cross join users u on u.email_key = lower(o.recipient)
        cross join notices n on n.client_id = u.id and n.mail_id = o.id
        where o.created_at_ms < ${createdBeforeMs} and o.next_attempt_at_ms is null and o.sent_at_ms is null)`,
    )
