// Files as people know them: lists, who may have which, deleting. Their bytes: content.ts and uploads.ts.
import { runBatch } from "../db/client.ts"
import { FILE_SORTS, type FileQuery, type FileSort, type ListedRow, listFilesFor, listFilesOf } from "../db/file-lists.ts"
import { addFileEvents } from "../db/events.ts"
import { type BlobRow, type FileRow, deleteFile, selectSealedFile, selectSealedFileFor } from "../db/files.ts"
import { discardObjectsOfFile, forgetDiscardedObject } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutWalk, positionAt } from "./cursor.ts"
import type { Powers } from "./powers.ts"
import { searchKey } from "./search-key.ts"
import type { Caller } from "./sessions.ts"

export { FILE_SORTS }
export type { FileSort }

/** A file as lists show it. */
export type ListedFile = {
  id: string
  name: string
  type: FileRow["type"]
  createdAtMs: number
  /** How often each client may download it; null for no limit. */
  downloadLimit: number | null
  audience: FileRow["audience"]
  sizeBytes: number
  sha256: string
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
  const search = query.search === undefined ? undefined : searchKey(query.search)
  const listing: Listing = { callerId: caller.userId, list, terms: { sort, type, state, search } }
  const after = await positionAt(deps, listing, cursor)
  const { page, next } = cutWalk(await walk({ sort, type, search, after, limit, state }), limit)
  return { page, nextCursor: await cursorAfter(deps, listing, next) }
}

const listedFile = ({ id, name, type, createdAtMs, downloadLimit, audience, sizeBytes, sha256 }: ListedRow): ListedFile => ({
  id,
  name,
  type,
  createdAtMs,
  downloadLimit,
  audience,
  sizeBytes,
  sha256,
})

/**
 * A page of the caller's own files.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfOwnFiles(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  query: FileListQuery<FileRow["audience"]>,
): Promise<FilePage> {
  const { page, nextCursor } = await pageOfFiles(deps, caller, "own files", query, (walk) =>
    listFilesOf(deps.db, caller.userId, walk),
  )
  return { files: page.map(listedFile), nextCursor }
}

export type ClientFileState = "new" | "downloaded"
export type ClientFile = ListedFile & { state: ClientFileState }

/**
 * A page of the files that are for the caller, a client.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfFilesFor(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  query: FileListQuery<ClientFileState>,
): Promise<FilePage<ClientFile>> {
  const { page, nextCursor } = await pageOfFiles(deps, caller, "files", query, (walk) =>
    listFilesFor(deps.db, caller.userId, walk),
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
export async function findFileFor(deps: Pick<Powers, "db">, clientId: string, id: string): Promise<SealedRow> {
  const [row] = await selectSealedFileFor(deps.db, id, clientId)
  if (row === undefined) throw notFound()
  return row
}

/** One of the owner's own files; somebody else's is indistinguishable from a missing one. */
export async function findOwnFile(deps: Pick<Powers, "db">, ownerId: string, id: string): Promise<SealedRow> {
  const [row] = await selectSealedFile(deps.db, id)
  if (row?.file.ownerId !== ownerId) throw notFound()
  return row
}

/**
 * Deletes one of the owner's files. Its wrapped key goes in the same batch, so its bytes are unreadable at
 * once; the object follows, by the sweeper if not now.
 */
export async function deleteOwnFile(
  deps: Pick<Powers, "db" | "blobs" | "now" | "request" | "afterwards" | "log">,
  ownerId: string,
  id: string,
): Promise<void> {
  const { blob } = await findOwnFile(deps, ownerId, id)
  await runBatch(deps.db, [
    discardObjectsOfFile(deps.db, id, deps.now()),
    addFileEvents(deps.db, "file.removed", [id], deps.now()),
    deleteFile(deps.db, id),
    auditEvent(deps, "file.deleted", ownerId, id),
  ])
  deps.afterwards(discardObject(deps, blob.objectKey))
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
