// Uploads that take many requests: begun, asked about, listed, given up. Their bytes: resumable-receipt.ts; their end:
// resumable-completion.ts.
import { toHex } from "../crypto/bytes.ts"
import { createFileKey } from "../crypto/file-key.ts"
import { runBatch } from "../db/client.ts"
import {
  type ResumableRow,
  countOpenResumables,
  deleteResumable,
  releaseResumableObjects,
  findResumable,
  insertResumable,
  listOpenResumables,
} from "../db/resumable-uploads.ts"
import { AppError, type ErrorCode } from "../errors.ts"
import { newId } from "../ids.ts"
import { requireRecipients } from "./audiences.ts"
import type { Charge } from "../db/quota.ts"
import { parseDocumentName, requireTypeOf } from "./document-name.ts"
import { requireFuture } from "./file-life.ts"
import { findOwnFile, requireThere } from "./files.ts"
import { tooLarge } from "./parts.ts"
import type { Powers } from "./powers.ts"
import { newObjectKey } from "./publication.ts"
import { quotaFault } from "./quota.ts"
import { type CompletionDeps, completeUpload } from "./resumable-completion.ts"
import { holding } from "./resumable-lease.ts"
import {
  type FileTerms,
  type ResumableView,
  expiryOf,
  isLeased,
  locked,
  requireUpload,
  sealedAs,
  termColumns,
  viewOf,
} from "./resumable-state.ts"
import type { Caller } from "./sessions.ts"
import { giveUpObjects } from "./uploads.ts"

export type { ResumableView }

/** Open uploads of one user: bounds what parallel ones can leave lying around. */
export const MAX_OPEN_UPLOADS = 100

export type NewUpload = {
  /** The name as the client gave it; null only for a version. */
  sentName: string | null
  /** The file that it is to be the next version of. */
  replaces: string | null
  /** Null where the client will say it later. */
  lengthBytes: number | null
  downloadLimit: number | null
  /** What else the file will be published with. */
  terms: FileTerms
  /** As sent, to be sent back. */
  metadata: string
  expectedSha256: Uint8Array | null
}

type CreateDeps = Pick<Powers, "db" | "keys" | "now" | "policy">

/** What an upload is to be: a new file, or the next version of one. */
async function subjectOf(deps: CreateDeps, caller: Caller, { sentName, replaces }: NewUpload) {
  if (replaces === null) {
    const charge: Charge = { userId: caller.userId, newFiles: 1 }
    return { ...parseDocumentName(sentName ?? ""), fileId: newId(), replacesVersion: null, charge }
  }
  const { file } = await findOwnFile(deps, caller, replaces)
  requireThere(file)
  requireTypeOf(file, sentName)
  const charge: Charge = { userId: file.ownerId, newFiles: 0 }
  return { name: file.name, type: file.type, fileId: file.id, replacesVersion: file.version, charge }
}

/**
 * Begins an upload and takes room for it.
 * @throws AppError `unsupported_document`, `validation_failed`, `payload_too_large`, `quota_exceeded`, `too_many_uploads`; of a
 *   version also `not_found`, `file_deleted`
 */
export async function createUpload(deps: CreateDeps, caller: Caller, upload: NewUpload): Promise<ResumableView> {
  const { charge, ...subject } = await subjectOf(deps, caller, upload)
  const { lengthBytes, terms } = upload
  const { userId: ownerId } = caller
  const { maxFileBytes } = deps.policy
  if (lengthBytes !== null && lengthBytes > maxFileBytes) throw tooLarge(maxFileBytes)
  requireFuture(deps, terms.expiresAtMs)
  await requireRecipients(deps, terms.audience)
  const [id, createdAtMs] = [newId(), deps.now()]
  const { wrapped } = await createFileKey(deps.keys.masterKeys, sealedAs(subject))
  const row = {
    ...subject,
    ...{ id, ownerId, objectKey: newObjectKey(), createdAtMs, lengthBytes },
    downloadLimit: upload.downloadLimit,
    ...termColumns(terms),
    metadata: upload.metadata,
    expectedSha256: upload.expectedSha256 === null ? null : toHex(upload.expectedSha256),
    keyId: wrapped.keyId,
    wrappedKey: toHex(wrapped.wrappedKey),
    commitment: toHex(wrapped.commitment),
    expiresAtMs: expiryOf(deps, createdAtMs),
  }
  await runBatch(deps.db, insertResumable(deps.db, row, charge, { ...deps.policy, maxOpen: MAX_OPEN_UPLOADS }))
  const created = await findResumable(deps.db, ownerId, id)
  if (created !== undefined) return viewOf(created)
  const fault = await quotaFault(deps, charge, lengthBytes ?? 0)
  if (fault !== null) throw fault
  const open = await countOpenResumables(deps.db, ownerId)
  const detail = `You have ${String(open)} open uploads and may have ${String(MAX_OPEN_UPLOADS)}. Finish or cancel some first.`
  throw new AppError("too_many_uploads", { detail, retryAfterSeconds: 60 })
}

/** Refusals that are none of the upload: the next request may finish it. */
const PASSING: readonly ErrorCode[] = ["busy", "scanner_unavailable"]

/**
 * How an upload stands. One that has all its bytes while nobody is checking them is finished first.
 * @throws AppError `not_found`, `upload_expired`, `upload_locked` while another request works on it, or why it was refused
 */
export async function inspectUpload(deps: CompletionDeps, ownerId: string, id: string): Promise<ResumableView> {
  const found = await requireUpload(deps, ownerId, id)
  if (isLeased(found, deps.now())) throw locked()
  if (found.state !== "received") return viewOf(found)
  try {
    await holding(deps, found, found.offsetBytes, (held) => completeUpload(deps, held))
  } catch (error) {
    if (error instanceof AppError && !PASSING.includes(error.code)) throw error
    // Stock clients begin anew after any other refusal than this, and every byte is here.
    deps.log("upload_completion_failed", { error: error instanceof Error ? error.name : "unknown" })
    throw locked()
  }
  return viewOf(await requireUpload(deps, ownerId, id))
}

/** How an upload stands at this moment, whoever is working on it. */
export const findUpload = async (deps: Pick<Powers, "db" | "now">, ownerId: string, id: string): Promise<ResumableView> =>
  viewOf(await requireUpload(deps, ownerId, id))

/** The owner's uploads under way, oldest first. */
export const listUploads = async (deps: Pick<Powers, "db">, ownerId: string): Promise<ResumableView[]> =>
  (await listOpenResumables(deps.db, ownerId)).map(viewOf)

/**
 * Gives an upload up, also under the hands of a request that is working on it. What that one may still write is swept
 * a day later.
 * @throws AppError `not_found`, `upload_complete` for one that has become a file: that is deleted as files are
 */
export async function cancelUpload(
  deps: Pick<Powers, "db" | "blobs" | "now" | "afterwards" | "log">,
  ownerId: string,
  id: string,
): Promise<void> {
  const found = await requireUpload(deps, ownerId, id)
  if (found.state === "done") throw complete(found)
  const ending = { ownerId }
  await runBatch(deps.db, [releaseResumableObjects(deps.db, id, ending, deps.now()), deleteResumable(deps.db, id, ending)])
  const left = await findResumable(deps.db, ownerId, id)
  if (left?.state === "done") throw complete(left)
  deps.afterwards(giveUpObjects(deps, [found.objectKey, found.tailKey]))
}

function complete({ fileId, replacesVersion }: ResumableRow): AppError {
  const it = replacesVersion === null ? "Delete its file" : `It is version ${String(replacesVersion + 1)} of a file. Send another`
  const call = replacesVersion === null ? `DELETE /api/ops/files/${fileId}` : `PUT /api/ops/files/${fileId}/content`
  return new AppError("upload_complete", { detail: `The upload is complete. ${it}: ${call}` })
}
