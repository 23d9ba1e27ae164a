// Files as people know them: lists, who may have which, deleting. Their bytes: content.ts and uploads.ts.
import { runBatch } from "../db/client.ts"
import { type BlobRow, type FilePosition, type FileRow, deleteFile, listFiles, selectSealedFile } from "../db/files.ts"
import { discardObjectsOfFile, forgetDiscardedObject } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import type { Powers } from "./powers.ts"

export type { FilePosition }

/** A file as lists show it. */
export type ListedFile = {
  id: string
  name: string
  type: FileRow["type"]
  createdAtMs: number
  /** How often each client may download it; null for no limit. */
  downloadLimit: number | null
  sizeBytes: number
  sha256: string
}

export type FilePage = { files: ListedFile[]; next: FilePosition | null }

/** A page of files, newest first: one owner's, or with `ownerId` undefined those of everybody. */
export async function pageOfFiles(
  deps: Pick<Powers, "db">,
  query: { ownerId?: string; after?: FilePosition; limit: number },
): Promise<FilePage> {
  const rows = await listFiles(deps.db, { ...query, limit: query.limit + 1 })
  const files = rows.slice(0, query.limit)
  const last = files.at(-1)
  const next = rows.length > files.length && last !== undefined ? { createdAtMs: last.createdAtMs, id: last.id } : null
  return { files, next }
}

/** A file with what opens it. */
export type SealedRow = { file: FileRow; blob: BlobRow }

const notFound = (): AppError => new AppError("not_found", { detail: "There is no such file." })

/** Any file; a client may see all of them (audience "everyone"). */
export async function findFile(deps: Pick<Powers, "db">, id: string): Promise<SealedRow> {
  const [row] = await selectSealedFile(deps.db, id)
  if (row === undefined) throw notFound()
  return row
}

/** One of the owner's own files; somebody else's is indistinguishable from a missing one. */
export async function findOwnFile(deps: Pick<Powers, "db">, ownerId: string, id: string): Promise<SealedRow> {
  const row = await findFile(deps, id)
  if (row.file.ownerId !== ownerId) throw notFound()
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
