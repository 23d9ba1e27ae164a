// Files as people know them: lists, and who may have which. What happens to them: file-life.ts, versions.ts. Their
// bytes: content.ts and uploads.ts.
import type { FileActor } from "../db/audiences.ts"
import { FILE_SORTS, type FileQuery, type FileSort, type ListedRow, listFilesFor, listFilesOf } from "../db/file-lists.ts"
import { type BlobRow, type FileRow, selectSealedFile, selectSealedFileFor } from "../db/files.ts"
import { forgetDiscardedObject } from "../db/uploads.ts"
import { findUser } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { type Listing, cursorAfter, cutWalk, positionAt } from "./cursor.ts"
import type { Powers } from "./powers.ts"
import { searchTerm } from "./search-key.ts"
import type { Caller } from "./sessions.ts"

export { FILE_SORTS }
export type { FileActor, FileSort }

/** A file as lists show it; sizes and digest are those of its current version. */
export type ListedFile = {
  id: string
  name: string
  type: FileRow["type"]
  createdAtMs: number
  /** How often each client may download it; null for no limit. */
  downloadLimit: number | null
  audience: FileRow["audience"]
  version: number
  description: string | null
  expiresAtMs: number | null
  deletedAtMs: number | null
  updatedAtMs: number
  sizeBytes: number
  sha256: string
}

/** A file as its owner sees it. */
export type OwnFile = ListedFile & {
  owner: { id: string; email: string }
  /** expired: gone for clients, and on its way to the trash. */
  state: "live" | "expired" | "deleted"
  /** When the trash gives it up for good; null for a file that is not there. */
  purgeAtMs: number | null
}

/** What may be asked of a list of files. */
export type FileListQuery<State extends string> = {
  limit: number
  sort: FileSort
  /** As the caller wrote it: part of a name. */
  search?: string | undefined
  type?: FileRow["type"] | undefined
  state?: State | undefined
  cursor?: string | undefined
}

export type FilePage<File extends ListedFile = ListedFile> = { files: File[]; nextCursor: string | null }

async function pageOfFiles<State extends string>(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  list: string,
  { limit, sort, type, state, cursor, ...query }: FileListQuery<State>,
  walk: (query: FileQuery & { state: State | undefined }) => Promise<ListedRow[]>,
): Promise<{ page: ListedRow[]; nextCursor: string | null }> {
  const search = query.search === undefined ? undefined : searchTerm(query.search)
  const listing: Listing = { callerId: caller.userId, list, terms: { sort, type, state, search } }
  const after = await positionAt(deps, listing, cursor)
  const { page, next } = cutWalk(await walk({ sort, type, search, after, limit, state }), limit)
  return { page, nextCursor: await cursorAfter(deps, listing, next) }
}

const listedFile = (row: ListedRow): ListedFile => ({
  id: row.id,
  name: row.name,
  type: row.type,
  createdAtMs: row.createdAtMs,
  downloadLimit: row.downloadLimit,
  audience: row.audience,
  version: row.version,
  description: row.description,
  expiresAtMs: row.expiresAtMs,
  deletedAtMs: row.deletedAtMs,
  updatedAtMs: row.updatedAtMs,
  sizeBytes: row.sizeBytes,
  sha256: row.sha256,
})

/** What its owner is told of a file besides. */
export function ownFile(deps: Pick<Powers, "now" | "policy">, file: ListedFile, owner: OwnFile["owner"]): OwnFile {
  const { deletedAtMs, expiresAtMs } = file
  const isExpired = expiresAtMs !== null && expiresAtMs <= deps.now()
  const purgeAtMs = deletedAtMs === null ? null : deletedAtMs + deps.policy.deleteGraceMs
  return { ...file, owner, state: deletedAtMs !== null ? "deleted" : isExpired ? "expired" : "live", purgeAtMs }
}

/** Of whose files a list is, in the words of a request: the caller's own when nothing is said. */
export type OwnerWish = "all" | (string & {}) | undefined

/**
 * @returns the owner's id; null for all owners
 * @throws AppError `forbidden` for others' files without the permission
 */
export function ownerScope(caller: Pick<Caller, "userId" | "managesAllFiles">, owner: OwnerWish): string | null {
  if (owner === undefined || owner === caller.userId) return caller.userId
  if (!caller.managesAllFiles)
    throw new AppError("forbidden", { detail: "This needs the permission to manage everybody's files." })
  return owner === "all" ? null : owner
}

/**
 * A page of the caller's own files, or of others' that they may manage.
 * @throws AppError `validation_failed` for a cursor of another list · `forbidden` for others' files without the permission
 */
export async function pageOfOwnFiles(
  deps: Pick<Powers, "db" | "keys" | "now" | "policy">,
  caller: Caller,
  { owner, ...query }: FileListQuery<FileRow["audience"] | "deleted"> & { owner?: OwnerWish },
): Promise<FilePage<OwnFile>> {
  const ownerId = ownerScope(caller, owner)
  const list = ownerId === null ? "all files" : `files of ${ownerId}`
  const [{ page, nextCursor }, known] = await Promise.all([
    pageOfFiles(deps, caller, list, query, (walk) => listFilesOf(deps.db, ownerId, walk)),
    ownerId === null || ownerId === caller.userId ? caller : findUser(deps.db, ownerId),
  ])
  const files = page.map((row) =>
    ownFile(deps, listedFile(row), { id: row.ownerId, email: row.ownerEmail ?? known?.email ?? "" }),
  )
  return { files, nextCursor }
}

export type ClientFileState = "new" | "downloaded"
export type ClientFile = ListedFile & { state: ClientFileState }

/**
 * A page of the files that are for the caller, a client.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfFilesFor(
  deps: Pick<Powers, "db" | "keys" | "now">,
  caller: Caller,
  query: FileListQuery<ClientFileState>,
): Promise<FilePage<ClientFile>> {
  const { page, nextCursor } = await pageOfFiles(deps, caller, "files", query, (walk) =>
    listFilesFor(deps.db, caller.userId, deps.now(), walk),
  )
  const files = page.map((row) => ({
    ...listedFile(row),
    state: row.isDelivered === 1 ? ("downloaded" as const) : ("new" as const),
  }))
  return { files, nextCursor }
}

/** A file with what opens it. */
export type SealedRow = { file: FileRow; blob: BlobRow }

const notFound = (): AppError => new AppError("not_found", { detail: "There is no such file." })

/** A file that is for this client; any other is indistinguishable from a missing one, by the same single question. */
export async function findFileFor(deps: Pick<Powers, "db" | "now">, clientId: string, id: string): Promise<SealedRow> {
  const [row] = await selectSealedFileFor(deps.db, id, clientId, deps.now())
  if (row === undefined) throw notFound()
  return row
}

/**
 * A file that the actor may manage, in the trash or not: their own, or everybody's with the permission. Any other is
 * indistinguishable from a missing one, by the same single question.
 */
export async function findOwnFile(deps: Pick<Powers, "db">, actor: FileActor, id: string): Promise<SealedRow> {
  const [row] = await selectSealedFile(deps.db, id)
  if (row === undefined || !mayManage(actor, row.file)) throw notFound()
  return row
}

/** May the actor do with the file what its owner may? */
export const mayManage = ({ userId, managesAllFiles }: FileActor, { ownerId }: Pick<FileRow, "ownerId">): boolean =>
  managesAllFiles || ownerId === userId

/** @throws AppError `file_deleted` for a file in the trash */
export function requireThere({ deletedAtMs }: Pick<FileRow, "deletedAtMs">): void {
  if (deletedAtMs === null) return
  throw new AppError("file_deleted", { detail: "This file is in the trash. Restore it first: POST /api/ops/files/{id}/restore" })
}

/** Deletes an object that no file owns any more. What fails here the sweeper tries again. */
export async function discardObject(deps: Pick<Powers, "db" | "blobs" | "log">, objectKey: string): Promise<void> {
  try {
    await deps.blobs.delete(objectKey)
    await forgetDiscardedObject(deps.db, objectKey)
  } catch (error) {
    deps.log("discard_failed", { error: error instanceof Error ? error.name : "unknown" })
  }
}
