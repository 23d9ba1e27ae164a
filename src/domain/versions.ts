// The versions of a file, as its owner sees and deletes them. Sending the next one: uploads.ts, publication.ts.
import { runBatch } from "../db/client.ts"
import {
  type VersionRow,
  deleteOldVersion,
  discardObjectOfOldVersion,
  hasOldVersion,
  listVersions,
  selectVersion,
} from "../db/versions.ts"
import { AppError, fieldError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, positionAt } from "./cursor.ts"
import { parseDocumentName } from "./document-name.ts"
import { type SealedRow, discardObject, findOwnFile, mayManage } from "./files.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

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

/**
 * The name that the next version of a file was sent under only matters for its type.
 * @throws AppError `validation_failed`, or as for every name
 */
export function requireTypeOf({ type }: Pick<SealedRow["file"], "type">, sentName: string | null): void {
  if (sentName !== null && parseDocumentName(sentName).type !== type)
    throw fieldError("file", "type_changed", `This file is a .${type}, and so must its next version be.`)
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
