// What people, and files, are not notified of. A row is a refusal; where there is none, everything is told.
import { type SQL, and, eq, sql } from "drizzle-orm"
import type { Condition, Db } from "./client.ts"
import { NOTICE_KINDS, type NoticeKind, fileMutes, files, notificationPreferences, users } from "./schema.ts"

export { NOTICE_KINDS, type NoticeKind }

const ROLE_OF = { file_available: "client", expiry_reminder: "client", file_delivered: "ops", expiry_report: "ops" } as const

/** May the user have mails of this kind? Not when disabled, unproven, or unwilling. */
export const mayBeTold = (userId: SQL, kind: NoticeKind): SQL => sql`exists (select 1 from users t where t.id = ${userId}
  and t.role = ${ROLE_OF[kind]} and t.verified_at_ms is not null and t.disabled_at_ms is null
  and not exists (select 1 from notification_preferences o where o.user_id = t.id and o.kind = ${kind}))`

/** Is nobody to be told this about the file? */
export const isMuted = (fileId: SQL, kind: NoticeKind): SQL =>
  sql`exists (select 1 from file_mutes q where q.file_id = ${fileId} and q.kind = ${kind})`

/** Kinds that a user does not want. */
export async function listKindsOff(db: Db, userId: string): Promise<NoticeKind[]> {
  const rows = await db
    .select({ kind: notificationPreferences.kind })
    .from(notificationPreferences)
    .where(eq(notificationPreferences.userId, userId))
    .all()
  return rows.map(({ kind }) => kind)
}

const isOff = (userId: string, kind: NoticeKind): SQL =>
  sql`exists (select 1 from notification_preferences where user_id = ${userId} and kind = ${kind})`

/** Would this be a change, of somebody who is there? */
export const changesPreference = (userId: string, kind: NoticeKind, isOn: boolean): Condition =>
  sql`exists (select 1 from users where id = ${userId}) and ${isOn ? isOff(userId, kind) : sql`not ${isOff(userId, kind)}`}`

export const turnOff = (db: Db, userId: string, kind: NoticeKind, turnedOffAtMs: number) =>
  db
    .insert(notificationPreferences)
    .select(
      db
        .select({
          userId: users.id,
          kind: sql<NoticeKind>`${kind}`.as("kind"),
          turnedOffAtMs: sql<number>`${turnedOffAtMs}`.as("turned_off_at_ms"),
        })
        .from(users)
        .where(eq(users.id, userId)),
    )
    .onConflictDoNothing()

export const turnOn = (db: Db, userId: string, kind: NoticeKind) =>
  db
    .delete(notificationPreferences)
    .where(and(eq(notificationPreferences.userId, userId), eq(notificationPreferences.kind, kind)))

/** Kinds that nobody is told about a file. */
export async function listKindsMuted(db: Db, fileId: string): Promise<NoticeKind[]> {
  const rows = await db.select({ kind: fileMutes.kind }).from(fileMutes).where(eq(fileMutes.fileId, fileId)).all()
  return rows.map(({ kind }) => kind)
}

/** Mutes these kinds of a file, if it is (still) there. */
export const muteKinds = (db: Db, fileId: string, kinds: readonly NoticeKind[]) =>
  db
    .insert(fileMutes)
    .select(
      sql`select ${files.id}, x.value from json_each(${JSON.stringify(kinds)}) x join files on ${files.id} = ${fileId} where true`,
    )
    .onConflictDoNothing()

/** Lets all but these kinds be told. */
export const unmuteKindsBut = (db: Db, fileId: string, kinds: readonly NoticeKind[]) =>
  db
    .delete(fileMutes)
    .where(
      and(eq(fileMutes.fileId, fileId), sql`${fileMutes.kind} not in (select value from json_each(${JSON.stringify(kinds)}))`),
    )
