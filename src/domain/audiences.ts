// Whom a file is for: everyone, or chosen clients and groups. Its owner decides, for one file or for many at once, and
// every change acts on the next request: lists, links and downloads ask the same table of grants.
import {
  type AssignmentFault,
  type Audience,
  EVERYONE,
  confirmChosen,
  deleteGrants,
  deleteGrantsBut,
  findAssignmentFaults,
  grantClients,
  grantEveryone,
  grantGroups,
  listGrants,
  setAudience,
} from "../db/audiences.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { addGrantEvents, addOwnerEvents, addWithdrawalEvents, addWithdrawalEventsBut } from "../db/events.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { type FieldError, fieldErrors } from "../errors.ts"
import { auditEvent, auditEvents } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, positionAt } from "./cursor.ts"
import { type FileActor, findOwnFile } from "./files.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

/** Everyone, or these and nobody else. */
export type ChosenAudience = { audience: Audience; clients: readonly string[]; groups: readonly string[] }

export const FOR_EVERYONE: ChosenAudience = { audience: "everyone", clients: [], groups: [] }

type Deps = Pick<Powers, "db" | "now" | "request">

const sentences: Record<AssignmentFault["rule"], (field: AssignmentFault["field"]) => string> = {
  // The same for somebody else's file as for none.
  unknown: (field) =>
    ({ files: "You have no such file.", clients: "There is no such client.", groups: "There is no such group." })[field],
  for_everyone: () => "This file is for everyone. Make its audience chosen first.",
}

const toFieldError = ({ field, at, rule }: AssignmentFault): FieldError => ({
  field: `${field}.${String(at)}`,
  rule,
  message: sentences[rule](field),
})

type Assignment = { files: readonly string[]; clients: readonly string[]; groups: readonly string[] }

async function requireAssignable(deps: Pick<Powers, "db">, actor: FileActor, assignment: Assignment): Promise<void> {
  const faults = await findAssignmentFaults(deps.db, actor, assignment)
  if (faults.length > 0) throw fieldErrors(faults.map(toFieldError))
}

const NOBODY: FileActor = { userId: "", managesAllFiles: false }

/**
 * Do all these clients and groups exist?
 * @throws AppError `validation_failed`, naming each that does not by its place in the list
 */
export const requireRecipients = (deps: Pick<Powers, "db">, { clients, groups }: ChosenAudience): Promise<void> =>
  requireAssignable(deps, NOBODY, { files: [], clients, groups })

const grants = (
  { db }: Pick<Powers, "db">,
  files: readonly string[],
  { audience, clients, groups }: ChosenAudience,
  nowMs: number,
): Statement[] => [
  ...(audience === "everyone" ? files.map((id) => grantEveryone(db, id, nowMs)) : []),
  ...(clients.length === 0 ? [] : [grantClients(db, files, clients, nowMs)]),
  ...(groups.length === 0 ? [] : [grantGroups(db, files, groups, nowMs)]),
]

/** Gives a file that the same batch has just inserted its audience. Clients and groups that are gone by now are left out. */
export const grantsOfNewFile = (deps: Pick<Powers, "db" | "now">, fileId: string, audience: ChosenAudience): Statement[] =>
  grants(deps, [fileId], audience, deps.now())

/**
 * Decides anew whom one of the actor's files is for.
 * @throws AppError `not_found` · `validation_failed` for clients and groups that do not exist
 */
export async function changeAudience(deps: Deps, actor: FileActor, fileId: string, audience: ChosenAudience): Promise<void> {
  await findOwnFile(deps, actor, fileId)
  await requireRecipients(deps, audience)
  const kept = audience.audience === "everyone" ? [EVERYONE] : [...audience.clients, ...audience.groups]
  const nowMs = deps.now()
  await runBatch(deps.db, [
    setAudience(deps.db, fileId, audience.audience),
    addWithdrawalEventsBut(deps.db, fileId, kept, nowMs),
    deleteGrantsBut(deps.db, fileId, kept),
    ...grants(deps, [fileId], audience, nowMs),
    addGrantEvents(deps.db, [fileId], kept, nowMs),
    addOwnerEvents(deps.db, "file.changed", [fileId], nowMs),
    auditEvent(deps, "file.audience_set", actor.userId, fileId),
  ])
}

/**
 * Gives many of the actor's files to many clients and groups, or takes them off: all of it in one batch, or nothing.
 * Only for files whose audience is chosen, because a file for everyone is neither given nor taken so.
 * @returns how many single grants that has changed
 * @throws AppError `validation_failed` naming every file, client and group that there is not
 */
export async function assign(deps: Deps, actor: FileActor, mode: "add" | "remove", assignment: Assignment): Promise<number> {
  const { files, clients, groups } = assignment
  await requireAssignable(deps, actor, assignment)
  const nowMs = deps.now()
  const audiences = [...clients, ...groups]
  const [before, changes, after] =
    mode === "add"
      ? [
          [],
          grants(deps, files, { audience: "chosen", clients, groups }, nowMs),
          [addGrantEvents(deps.db, files, audiences, nowMs)],
        ]
      : [[addWithdrawalEvents(deps.db, files, audiences, nowMs)], [deleteGrants(deps.db, files, audiences)], []]
  const told = addOwnerEvents(deps.db, "file.changed", files, nowMs)
  const trail = auditEvents(deps, mode === "add" ? "file.assigned" : "file.unassigned", actor.userId, files)
  try {
    const results = await deps.db.batch([confirmChosen(deps.db, files), trail, told, ...before, ...changes, ...after])
    const counted = results.slice(3 + before.length, 3 + before.length + changes.length)
    return counted.reduce((sum: number, result) => sum + (result as D1Result).meta.changes, 0)
  } catch (error) {
    // Made a file for everyone in between: then the second look says which. Whatever else it was is not ours.
    if (isConstraintFailure(error)) await requireAssignable(deps, actor, assignment)
    throw error
  }
}

export type Recipient = { kind: "client" | "group"; id: string; name: string; grantedAtMs: number }

/**
 * Whom one of the caller's files is for, page by page in the order of their ids.
 * @throws AppError `not_found` · `validation_failed` for a cursor of another list
 */
export async function pageOfAudience(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  fileId: string,
  query: { limit: number; cursor?: string | undefined },
): Promise<{ audience: Audience; recipients: Recipient[]; nextCursor: string | null }> {
  const { file } = await findOwnFile(deps, caller, fileId)
  const listing: Listing = { callerId: caller.userId, list: "audience", terms: { fileId } }
  const after = await positionAt(deps, listing, query.cursor)
  const rows = await listGrants(deps.db, fileId, { afterId: after?.id, limit: query.limit + 1 })
  const { page, next } = cutPage(rows, query.limit, ({ audience }) => ({ key: "", id: audience }))
  const recipients = page.map((row) => ({
    kind: row.clientId === null ? ("group" as const) : ("client" as const),
    id: row.audience,
    name: row.email ?? row.groupName ?? "",
    grantedAtMs: row.grantedAtMs,
  }))
  return { audience: file.audience, recipients, nextCursor: await cursorAfter(deps, listing, next) }
}
