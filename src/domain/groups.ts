// Groups of clients, kept by all operations users together. Who joins a group has its files from then on, who leaves
// has them no more.
import { runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { addMemberEvents, allMembersBut, membersAddedAt, theseMembers } from "../db/events.ts"
import {
  GROUP_SORTS,
  type GroupRow,
  type GroupSort,
  addMembers,
  countMembers,
  deleteGroup,
  findGroup,
  findGroupByNameKey,
  findUnknownClients,
  insertGroup,
  listGroups,
  listMembers,
  removeMembers,
  removeMembersBut,
  renameGroup,
} from "../db/groups.ts"
import { AppError, fieldError, fieldErrors } from "../errors.ts"
import { newId } from "../ids.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, positionAt } from "./cursor.ts"
import type { Powers } from "./powers.ts"
import { searchKey, searchTerm } from "./search-key.ts"
import type { Caller } from "./sessions.ts"

export { GROUP_SORTS }
export type Group = GroupRow
export type Member = Awaited<ReturnType<typeof listMembers>>[number]

type Deps = Pick<Powers, "db" | "now" | "request">

const notFound = (): AppError => new AppError("not_found", { detail: "There is no such group." })
const taken = (): AppError => fieldError("name", "taken", "There is a group of this name.")

async function requireGroup(deps: Pick<Powers, "db">, id: string): Promise<Group> {
  const group = await findGroup(deps.db, id)
  if (group === undefined) throw notFound()
  return group
}

/** Runs a change of a name; two groups never have the same one, however it is written. */
async function named<T>(change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    throw isConstraintFailure(error) ? taken() : error
  }
}

/**
 * @param name - trimmed, with single spaces (http/fields.ts)
 * @throws AppError `validation_failed`, rule `taken`
 */
export async function createGroup(deps: Deps, caller: Caller, name: string): Promise<Group> {
  const group = { id: newId(), name, nameKey: searchKey(name), createdAtMs: deps.now() }
  await named(() => runBatch(deps.db, [insertGroup(deps.db, group), auditEvent(deps, "group.created", caller.userId, group.id)]))
  return group
}

/** @throws AppError `not_found` · `validation_failed`, rule `taken` */
export async function changeGroup(deps: Deps, caller: Caller, id: string, name: string): Promise<Group> {
  const group = { ...(await requireGroup(deps, id)), name, nameKey: searchKey(name) }
  const holder = await findGroupByNameKey(deps.db, group.nameKey)
  if (holder !== undefined && holder.id !== id) throw taken()
  await named(() =>
    runBatch(deps.db, [
      renameGroup(deps.db, id, { name, nameKey: group.nameKey }),
      auditEvent(deps, "group.renamed", caller.userId, id),
    ]),
  )
  return group
}

/**
 * Deletes a group: its members lose what they had through it alone.
 * @throws AppError `not_found`
 */
export async function removeGroup(deps: Deps, caller: Caller, id: string): Promise<void> {
  await requireGroup(deps, id)
  await runBatch(deps.db, [
    addMemberEvents(deps.db, "file.removed", id, allMembersBut(id, []), deps.now()),
    deleteGroup(deps.db, id),
    auditEvent(deps, "group.deleted", caller.userId, id),
  ])
}

/** @throws AppError `not_found` */
export async function showGroup(deps: Pick<Powers, "db">, id: string): Promise<Group & { memberCount: number }> {
  return { ...(await requireGroup(deps, id)), memberCount: await countMembers(deps.db, id) }
}

/** All groups, page by page. */
export async function pageOfGroups(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  query: { limit: number; sort: GroupSort; search?: string | undefined; cursor?: string | undefined },
): Promise<{ groups: Group[]; nextCursor: string | null }> {
  const { limit, sort } = query
  const search = query.search === undefined ? undefined : searchTerm(query.search)
  const listing: Listing = { callerId: caller.userId, list: "groups", terms: { sort, search } }
  const after = await positionAt(deps, listing, query.cursor)
  const rows = await listGroups(deps.db, { sort, search, after, limit: limit + 1 })
  const { page, next } = cutPage(rows, limit, (row) => ({
    key: sort.endsWith("name") ? row.nameKey : row.createdAtMs,
    id: row.id,
  }))
  return { groups: page, nextCursor: await cursorAfter(deps, listing, next) }
}

/**
 * Members, the last added first, page by page.
 * @throws AppError `not_found`
 */
export async function pageOfMembers(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  groupId: string,
  query: { limit: number; cursor?: string | undefined },
): Promise<{ members: Member[]; nextCursor: string | null }> {
  await requireGroup(deps, groupId)
  const listing: Listing = { callerId: caller.userId, list: "members", terms: { groupId } }
  const after = await positionAt(deps, listing, query.cursor)
  const rows = await listMembers(deps.db, groupId, { after, limit: query.limit + 1 })
  const { page, next } = cutPage(rows, query.limit, ({ addedAtMs, id }) => ({ key: addedAtMs, id }))
  return { members: page, nextCursor: await cursorAfter(deps, listing, next) }
}

export type MemberChange = "add" | "remove" | "replace"

/**
 * Adds clients to a group, takes them out, or makes them its only members: all of them or, where one does not exist, none.
 * @throws AppError `not_found` · `validation_failed` naming unknown clients by their place in the list
 */
export async function changeMembers(
  deps: Deps,
  caller: Caller,
  groupId: string,
  change: MemberChange,
  clients: readonly string[],
): Promise<void> {
  await requireGroup(deps, groupId)
  const unknown = await findUnknownClients(deps.db, clients)
  if (unknown.length > 0) {
    const fields = unknown.map(({ at }) => ({
      field: `clients.${String(at)}`,
      rule: "unknown",
      message: "There is no such client.",
    }))
    throw fieldErrors(fields)
  }
  const { db } = deps
  const nowMs = deps.now()
  const add = [
    addMembers(db, groupId, clients, nowMs),
    addMemberEvents(db, "file.added", groupId, membersAddedAt(groupId, clients, nowMs), nowMs),
  ]
  const lost = (members: ReturnType<typeof theseMembers>) => addMemberEvents(db, "file.removed", groupId, members, nowMs)
  const changes = {
    add,
    remove: [lost(theseMembers(groupId, clients)), removeMembers(db, groupId, clients)],
    replace: [lost(allMembersBut(groupId, clients)), removeMembersBut(db, groupId, clients), ...add],
  }[change]
  const kind = ({ add: "group.members_added", remove: "group.members_removed", replace: "group.members_replaced" } as const)[
    change
  ]
  await runBatch(deps.db, [auditEvent(deps, kind, caller.userId, groupId), ...changes])
}
