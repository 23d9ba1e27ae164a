// The versions of a file, as its owner sees, deletes and restores them. Sending the next one: uploads.ts, publication.ts.
import { runBatch } from "../db/client.ts"
import {
  type VersionRow,
  deleteOldVersion,
  discardObjectOfOldVersion,
  hasOldVersion,
  listVersions,
  selectVersion,
} from "../db/versions.ts"
import { AppError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, positionAt } from "./cursor.ts"
import { withContent } from "./content.ts"
import { type ListedFile, type SealedRow, discardObject, findOwnFile, mayManage, requireThere } from "./files.ts"
import type { Powers } from "./powers.ts"
import { requireQuota } from "./quota.ts"
import type { Caller } from "./sessions.ts"
import { type UploadDeps, receiveVersion } from "./uploads.ts"

export type FileVersion = Pick<VersionRow, "version" | "sizeBytes" | "sha256" | "createdAtMs"> & {
  createdBy: { id: string; email: string | null } | null
  isCurrent: boolean
}

/**
 * A page of the versions of a file, newest first.
 * @throws AppError `not_found` · `validation_failed` for a cursor of another list
 */
export async function pageOfVersions(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  fileId: string,
  query: { limit: number; cursor?: string | undefined },
): Promise<{ versions: FileVersion[]; nextCursor: string | null }> {
  const { file } = await findOwnFile(deps, caller, fileId)
  const listing: Listing = { callerId: caller.userId, list: "versions", terms: { fileId } }
  const after = await positionAt(deps, listing, query.cursor)
  const beforeVersion = after === undefined ? undefined : Number(after.key)
  const rows = await listVersions(deps.db, fileId, { beforeVersion, limit: query.limit + 1 })
  const { page, next } = cutPage(rows, query.limit, ({ version }) => ({ key: version, id: fileId }))
  const versions = page.map(({ createdBy, createdByEmail, ...row }) => ({
    ...row,
    createdBy: createdBy === null ? null : { id: createdBy, email: createdByEmail },
    isCurrent: row.version === file.version,
  }))
  return { versions, nextCursor: await cursorAfter(deps, listing, next) }
}

const notFound = (): AppError => new AppError("not_found", { detail: "There is no such version of this file." })

/**
 * One version of a file that the caller may manage.
 * @param version - undefined for the current one
 * @throws AppError `not_found`
 */
export async function findOwnVersion(
  deps: Pick<Powers, "db">,
  caller: Caller,
  fileId: string,
  version: number | undefined,
): Promise<SealedRow> {
  if (version === undefined) return findOwnFile(deps, caller, fileId)
  const [row] = await selectVersion(deps.db, fileId, version)
  if (row === undefined || !mayManage(caller, row.file)) throw notFound()
  return row
}

/**
 * Deletes an old version for good: its wrapped key goes in one batch, its object follows.
 * @throws AppError `not_found` · `version_current` for the one that clients have
 */
export async function deleteOwnVersion(
  deps: Pick<Powers, "db" | "blobs" | "now" | "request" | "afterwards" | "log">,
  caller: Caller,
  fileId: string,
  version: number,
): Promise<void> {
  const { file, blob } = await findOwnVersion(deps, caller, fileId, version)
  if (file.version === version)
    throw new AppError("version_current", { detail: "This is the current version. Send a new one first, or delete the file." })
  const onlyIf = hasOldVersion(deps.db, fileId, version)
  await runBatch(deps.db, [
    auditEvent(deps, "file.version_deleted", caller.userId, fileId, { reason: `version_${String(version)}`, onlyIf }),
    discardObjectOfOldVersion(deps.db, fileId, version, deps.now()),
    deleteOldVersion(deps.db, fileId, version),
  ])
  deps.afterwards(discardObject(deps, blob.objectKey))
}

/**
 * Makes an old version current again, as the next version: its bytes, checked like any upload and sealed anew under the
 * new number, so that numbers only grow, links made before die, and limits count anew. Harmless when repeated: where the
 * current version has these very bytes, nothing changes.
 * @throws AppError `not_found` · `file_deleted` for a file in the trash · `version_conflict` when another version came
 *   first · `quota_exceeded`, `document_refused` and the like, as for an upload · `integrity_failure`
 */
export async function restoreOwnVersion(deps: UploadDeps, caller: Caller, fileId: string, version: number): Promise<ListedFile> {
  const current = await findOwnFile(deps, caller, fileId)
  const { blob } = await findOwnVersion(deps, caller, fileId, version)
  requireThere(current.file)
  if (blob.sha256 === current.blob.sha256) return { ...current.file, sha256: blob.sha256 }
  await requireQuota(deps, { userId: current.file.ownerId, newFiles: 0 }, blob.sizeBytes)
  const reason = `version_${String(version)}`
  const more = () => [auditEvent(deps, "file.version_restored", caller.userId, fileId, { reason })]
  return withContent(deps, blob, (chunks) => {
    const sent = { senderId: caller.userId, chunks, atMostBytes: blob.sizeBytes, expected: {}, idempotencyKey: null }
    return receiveVersion(deps, current, null, sent, { more })
  })
}
