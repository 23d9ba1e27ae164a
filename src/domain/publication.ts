// The last step of every upload: the sealed, checked document becomes a file in one batch, or nothing does.
import { toHex } from "../crypto/bytes.ts"
import type { WrappedFileKey } from "../crypto/file-key.ts"
import { FORMAT_VERSION, partCount, sealedFileBytes } from "../crypto/sealed-format.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { type BlobRow, insertBlob, insertUploadedFile } from "../db/files.ts"
import { deleteUpload } from "../db/uploads.ts"
import { auditEvent } from "./audit.ts"
import type { DocumentName } from "./document-name.ts"
import type { ListedFile } from "./files.ts"
import type { Powers } from "./powers.ts"

export const FIRST_VERSION = 1

/** What is known of a document while it is being stored. */
export type Draft = { fileId: string; objectKey: string; ownerId: string; name: DocumentName; downloadLimit: number | null }

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
  }
}

/**
 * The file exists from here on, or not at all. When even the outcome is unknown, the sweeper finds out.
 * @param more - statements of the same batch
 */
export async function publish(
  deps: Pick<Powers, "db" | "now" | "request">,
  draft: Draft,
  blob: BlobRow,
  more: readonly Statement[] = [],
): Promise<ListedFile> {
  const createdAtMs = deps.now()
  const { fileId: id, ownerId, name, downloadLimit } = draft
  await runBatch(deps.db, [
    insertUploadedFile(
      deps.db,
      { id, ownerId, version: FIRST_VERSION, name: name.name, type: name.type, createdAtMs, downloadLimit },
      draft.objectKey,
    ),
    insertBlob(deps.db, blob),
    deleteUpload(deps.db, draft.objectKey),
    ...more,
    auditEvent(deps, "file.uploaded", ownerId, id),
  ])
  return { id, name: name.name, type: name.type, createdAtMs, downloadLimit, sizeBytes: blob.sizeBytes, sha256: blob.sha256 }
}
