// The last step of every upload: the sealed, checked document becomes a file in one batch, or nothing does.
import { randomBytes, toHex } from "../crypto/bytes.ts"
import type { WrappedFileKey } from "../crypto/file-key.ts"
import { FORMAT_VERSION, partCount, sealedFileBytes } from "../crypto/sealed-format.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { addFileEvents } from "../db/events.ts"
import { type BlobRow, type PublicationTerms, insertBlob, insertUploadedFile } from "../db/files.ts"
import { deleteUpload } from "../db/uploads.ts"
import { confirmOps, findUser } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { type ChosenAudience, grantsOfNewFile } from "./audiences.ts"
import { auditEvent } from "./audit.ts"
import type { DocumentName } from "./document-name.ts"
import type { ListedFile } from "./files.ts"
import type { Powers } from "./powers.ts"
import { quotaFault } from "./quota.ts"
import { searchKey } from "./search-key.ts"

export const FIRST_VERSION = 1

/** Random; says nothing about the file. */
export const newObjectKey = (): string => toHex(randomBytes(20))

/** What is known of a document while it is being stored. */
export type Draft = {
  fileId: string
  objectKey: string
  ownerId: string
  name: DocumentName
  downloadLimit: number | null
  /** Whom the file is for from its first moment on. */
  audience: ChosenAudience
}

/** The row of a draft's bytes once they are sealed. */
export function blobRow(draft: Draft, stored: { sizeBytes: number; sha256: string; wrapped: WrappedFileKey }): BlobRow {
  return {
    fileId: draft.fileId,
    version: FIRST_VERSION,
    objectKey: draft.objectKey,
    format: FORMAT_VERSION,
    sizeBytes: stored.sizeBytes,
    sealedBytes: sealedFileBytes(stored.sizeBytes),
    parts: partCount(stored.sizeBytes),
    sha256: stored.sha256,
    keyId: stored.wrapped.keyId,
    wrappedKey: toHex(stored.wrapped.wrappedKey),
    commitment: toHex(stored.wrapped.commitment),
    scan: null,
  }
}

/** What an upload adds to the batch that publishes it. */
export type Occasion = Pick<PublicationTerms, "resumable" | "idempotency"> & { more?: (file: ListedFile) => readonly Statement[] }

/**
 * The file exists from here on, or not at all. When even the outcome is unknown, the sweeper finds out.
 * @returns null when the terms did not hold: the sweeper, another request, or the owner has ended the upload
 * @throws AppError `quota_exceeded`, or `forbidden` when its owner is no operations user any more; nothing is published then either
 */
export async function publish(
  deps: Pick<Powers, "db" | "now" | "request" | "policy">,
  draft: Draft,
  blob: BlobRow,
  { more, ...held }: Occasion = {},
): Promise<ListedFile | null> {
  const createdAtMs = deps.now()
  const { fileId: id, ownerId, name, downloadLimit } = draft
  const { audience } = draft.audience
  const { sizeBytes, sha256 } = blob
  const known = { id, name: name.name, type: name.type, createdAtMs, downloadLimit, audience, sizeBytes }
  const file = { ...known, sha256 }
  const row = { ...known, ownerId, version: FIRST_VERSION, nameKey: searchKey(name.name) }
  try {
    await runBatch(deps.db, [
      confirmOps(deps.db, ownerId),
      insertUploadedFile(deps.db, row, draft.objectKey, { sizeBytes, quota: deps.policy, ...held }),
      insertBlob(deps.db, blob),
      ...grantsOfNewFile(deps, id, draft.audience),
      addFileEvents(deps.db, "file.added", [id], createdAtMs),
      deleteUpload(deps.db, draft.objectKey),
      ...(more?.(file) ?? []),
      auditEvent(deps, "file.uploaded", ownerId, id),
    ])
    return file
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    const fault = await quotaFault(deps, ownerId, sizeBytes, held.resumable?.id)
    if (fault !== null) throw fault
    const owner = await findUser(deps.db, ownerId)
    if (owner?.role === "ops" && owner.disabledAtMs === null) return null
    throw new AppError("forbidden", { detail: "This account may not upload any more; nothing was kept." })
  }
}
