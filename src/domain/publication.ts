// The last step of every upload: the sealed, checked document becomes a file in one batch, or nothing does.
import { randomBytes, toHex } from "../crypto/bytes.ts"
import type { WrappedFileKey } from "../crypto/file-key.ts"
import { FORMAT_VERSION, partCount, sealedFileBytes } from "../crypto/sealed-format.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { addFileEvents } from "../db/events.ts"
import { type BlobRow, type PublicationTerms, insertBlob, insertUploadedFile } from "../db/files.ts"
import { repeatInGrants } from "../db/file-life.ts"
import { deleteUpload } from "../db/uploads.ts"
import { confirmOps, findUser } from "../db/users.ts"
import { replaceVersion } from "../db/versions.ts"
import { AppError } from "../errors.ts"
import { type ChosenAudience, grantsOfNewFile } from "./audiences.ts"
import { auditEvent } from "./audit.ts"
import type { ContentDigests } from "./digests.ts"
import type { DocumentName } from "./document-name.ts"
import { type ListedFile, type SealedRow, findOwnFile, requireThere } from "./files.ts"
import { NOTIFICATIONS, type Notification, notificationsOfNewFile } from "./notifications.ts"
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
  /** Who sends it: the owner, but for a version by somebody who manages others' files. */
  ownerId: string
  name: DocumentName
  downloadLimit: number | null
  /** Whom the file is for from its first moment on. */
  audience: ChosenAudience
  description?: string | null
  expiresAtMs?: number | null
  /** What is told about it; left out, everything. */
  notify?: readonly Notification[]
  /** The file, and the bytes of it, that this will be the next version of. */
  replaces?: SealedRow
}

/** The number of the version that a draft becomes. */
export const versionOf = ({ replaces }: Draft): number => (replaces === undefined ? FIRST_VERSION : replaces.file.version + 1)

/** The row of a draft's bytes once they are sealed. */
export function blobRow(draft: Draft, stored: ContentDigests & { sizeBytes: number; wrapped: WrappedFileKey }): BlobRow {
  return {
    fileId: draft.fileId,
    version: versionOf(draft),
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
    crc32: stored.crc32,
    createdAtMs: 0,
    createdBy: draft.ownerId,
  }
}

/** What an upload adds to the batch that publishes it. */
export type Occasion = Pick<PublicationTerms, "resumable" | "idempotency"> & { more?: (file: ListedFile) => readonly Statement[] }

type Deps = Pick<Powers, "db" | "now" | "request" | "policy">

/**
 * The file, or its next version, exists from here on, or not at all. When even the outcome is unknown, the sweeper finds out.
 * @returns null when the terms did not hold: the sweeper, another request, or the owner has ended the upload
 * @throws AppError `quota_exceeded`, or `forbidden` when its sender is no operations user any more; of a version also `not_found`,
 *   `file_deleted`, `version_conflict`; nothing is published then either
 */
export function publish(deps: Deps, draft: Draft, blob: BlobRow, occasion: Occasion = {}): Promise<ListedFile | null> {
  const { replaces } = draft
  return replaces === undefined ? publishFile(deps, draft, blob, occasion) : publishVersion(deps, draft, replaces, blob, occasion)
}

async function publishFile(deps: Deps, draft: Draft, blob: BlobRow, { more, ...held }: Occasion): Promise<ListedFile | null> {
  const createdAtMs = deps.now()
  const { fileId: id, ownerId, name, downloadLimit } = draft
  const { audience } = draft.audience
  const { sizeBytes, sha256 } = blob
  const { description = null, expiresAtMs = null } = draft
  const times = { createdAtMs, updatedAtMs: createdAtMs, expiresAtMs, deletedAtMs: null }
  const known = { id, name: name.name, type: name.type, ...times, downloadLimit, audience, sizeBytes, description }
  const file = { ...known, version: FIRST_VERSION, sha256 }
  const row = { ...known, ownerId, version: FIRST_VERSION, nameKey: searchKey(name.name) }
  try {
    await runBatch(deps.db, [
      confirmOps(deps.db, ownerId),
      insertUploadedFile(deps.db, row, draft.objectKey, { sizeBytes, quota: deps.policy, ...held }),
      insertBlob(deps.db, { ...blob, createdAtMs }),
      ...grantsOfNewFile(deps, id, draft.audience),
      ...notificationsOfNewFile(deps, id, draft.notify ?? NOTIFICATIONS),
      addFileEvents(deps.db, "file.added", id, createdAtMs),
      deleteUpload(deps.db, draft.objectKey),
      ...(more?.(file) ?? []),
      auditEvent(deps, "file.uploaded", ownerId, id),
    ])
    return file
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    const fault = await quotaFault(deps, { userId: ownerId, newFiles: 1 }, sizeBytes, held.resumable?.id)
    if (fault !== null) throw fault
    await requireSender(deps, ownerId)
    return null
  }
}

async function requireSender(deps: Pick<Powers, "db">, id: string) {
  const sender = await findUser(deps.db, id)
  if (sender?.role === "ops" && sender.disabledAtMs === null) return sender
  throw new AppError("forbidden", { detail: "This account may not upload any more; nothing was kept." })
}

/** Recipients, audience and limits stay; links to the version before are dead from the same moment on. */
async function publishVersion(
  deps: Deps,
  draft: Draft,
  { file: old, blob: oldBlob }: SealedRow,
  blob: BlobRow,
  { more, ...held }: Occasion,
): Promise<ListedFile | null> {
  const nowMs = deps.now()
  const { ownerId: actorId, objectKey } = draft
  const { sizeBytes, sha256 } = blob
  const { id: fileId, ownerId } = old
  // Never in the same second as the version before, so that no date stands for two documents.
  const createdAtMs = Math.max(nowMs, (Math.floor(oldBlob.createdAtMs / 1000) + 1) * 1000)
  const file = { ...old, version: blob.version, sizeBytes, sha256, updatedAtMs: nowMs }
  const to = { fileId, from: old.version, ownerId, actorId, sizeBytes, updatedAtMs: nowMs, objectKey }
  try {
    await runBatch(deps.db, [
      confirmOps(deps.db, actorId),
      replaceVersion(deps.db, to, { sizeBytes, quota: deps.policy, ...held }),
      insertBlob(deps.db, { ...blob, createdAtMs }),
      repeatInGrants(deps.db, fileId),
      addFileEvents(deps.db, "file.version_added", fileId, nowMs),
      deleteUpload(deps.db, objectKey),
      ...(more?.(file) ?? []),
      auditEvent(deps, "file.version_added", actorId, fileId, { reason: `version_${String(blob.version)}` }),
    ])
    return file
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    const fault = await quotaFault(deps, { userId: ownerId, newFiles: 0 }, sizeBytes, held.resumable?.id)
    if (fault !== null) throw fault
    await requireReplaceable(deps, actorId, fileId, old.version)
    return null
  }
}

/**
 * The file, and its current bytes, that somebody sends the next version of.
 * @param version - the one that it shall take the place of
 * @throws AppError `forbidden`, `not_found`, `file_deleted`, or `version_conflict` when another version came first
 */
export async function requireReplaceable(
  deps: Pick<Powers, "db">,
  actorId: string,
  fileId: string,
  version: number,
): Promise<SealedRow> {
  const { managesAllFiles } = await requireSender(deps, actorId)
  const current = await findOwnFile(deps, { userId: actorId, managesAllFiles: managesAllFiles === 1 }, fileId)
  requireThere(current.file)
  if (current.file.version === version) return current
  throw new AppError("version_conflict", {
    detail: "Another version came first; this one was not kept. Look at it, and send yours again.",
  })
}
