import { type SQL, and, asc, desc, eq, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { lastSeq } from "./events.ts"
import { isNamedLike } from "./name-search.ts"
import { groupMembers, groups, users } from "./schema.ts"

export type GroupRow = typeof groups.$inferSelect

export const GROUP_SORTS = ["name", "-name", "createdAt", "-createdAt"] as const
export type GroupSort = (typeof GROUP_SORTS)[number]

const each = (ids: readonly string[]) => sql`json_each(${JSON.stringify(ids)})`

/** Breaks the batch where the name is taken. */
export const insertGroup = (db: Db, group: GroupRow) => db.insert(groups).values(group)

/** Breaks the batch where the name is taken. */
export const renameGroup = (db: Db, id: string, name: { name: string; nameKey: string }) =>
  db.update(groups).set(name).where(eq(groups.id, id))

/** With it go its memberships and what files it was given, by cascade. */
export const deleteGroup = (db: Db, id: string) => db.delete(groups).where(eq(groups.id, id))

export const findGroup = (db: Db, id: string) => db.select().from(groups).where(eq(groups.id, id)).get()

export const findGroupByNameKey = (db: Db, nameKey: string) => db.select().from(groups).where(eq(groups.nameKey, nameKey)).get()

export async function countMembers(db: Db, groupId: string): Promise<number> {
  return db.$count(groupMembers, eq(groupMembers.groupId, groupId))
}

/** Groups in one of their orders, by keyset. */
export function listGroups(
  db: Db,
  query: {
    sort: GroupSort
    search?: string | undefined
    after?: { key: string | number; id: string } | undefined
    limit: number
  },
) {
  const { sort, search, after } = query
  const column = sort.endsWith("name") ? groups.nameKey : groups.createdAtMs
  const isDescending = sort.startsWith("-")
  const order = isDescending ? desc : asc
  const beyond: SQL = isDescending ? sql`<` : sql`>`
  return db
    .select()
    .from(groups)
    .where(
      and(
        search === undefined ? undefined : isNamedLike(groups.nameKey, search),
        after === undefined ? undefined : sql`(${column}, ${groups.id}) ${beyond} (${after.key}, ${after.id})`,
      ),
    )
    .orderBy(order(column), order(groups.id))
    .limit(query.limit)
    .all()
}

/** Adds clients; who is in already stays as they are. */
export const addMembers = (db: Db, groupId: string, clientIds: readonly string[], addedAtMs: number) =>
  db
    .insert(groupMembers)
    .select(
      sql`select g.id, u.id, ${addedAtMs}, null, '', ${lastSeq} from "groups" g cross join ${each(clientIds)} x join users u on u.id = x.value where g.id = ${groupId} and u.role = 'client'`,
    )
    .onConflictDoNothing()

export const removeMembers = (db: Db, groupId: string, clientIds: readonly string[]) =>
  db
    .delete(groupMembers)
    .where(and(eq(groupMembers.groupId, groupId), sql`${groupMembers.userId} in (select value from ${each(clientIds)})`))

export const removeMembersBut = (db: Db, groupId: string, clientIds: readonly string[]) =>
  db
    .delete(groupMembers)
    .where(and(eq(groupMembers.groupId, groupId), sql`${groupMembers.userId} not in (select value from ${each(clientIds)})`))

/** Which places in a list of ids name no client. */
export const findUnknownClients = (db: Db, clientIds: readonly string[]) =>
  db.all<{ at: number }>(
    sql`select x.key as at from ${each(clientIds)} x left join users u on u.id = x.value and u.role = 'client' where u.id is null`,
  )

/** Members, the last added first, by keyset. */
export const listMembers = (
  db: Db,
  groupId: string,
  query: { after?: { key: string | number; id: string } | undefined; limit: number },
) =>
  db
    .select({ id: users.id, email: users.email, addedAtMs: groupMembers.addedAtMs })
    .from(groupMembers)
    .innerJoin(users, eq(users.id, groupMembers.userId))
    .where(
      and(
        eq(groupMembers.groupId, groupId),
        query.after === undefined
          ? undefined
          : sql`(${groupMembers.addedAtMs}, ${groupMembers.userId}) < (${query.after.key}, ${query.after.id})`,
      ),
    )
    .orderBy(desc(groupMembers.addedAtMs), desc(groupMembers.userId))
    .limit(query.limit)
    .all()
