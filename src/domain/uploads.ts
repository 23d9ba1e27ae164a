// Receiving a document: cut into parts as it streams in, sealed part by part, checked, and published in one
// batch. Small documents (one part) are checked before anything is stored. Whatever a fault leaves behind has
// a row in `uploads` first and is removed by the sweeper (sweepUploads).
import { createFileKey } from "../crypto/file-key.ts"
import { partAssociatedData, sealedFileBytes } from "../crypto/sealed-format.ts"
import { sealStream } from "../crypto/sealed-stream.ts"
import { runBatch } from "../db/client.ts"
import type { BlobRow } from "../db/files.ts"
import {
  type UploadRow,
  deleteUpload,
  discardObjectOfUpload,
  findUploadBefore,
  insertUpload,
  listUploadsBefore,
  setMultipartId,
} from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { memorySource } from "../office/byte-source.ts"
import type { StoredPart } from "../blobs/store.ts"
import { FOR_EVERYONE, type ChosenAudience } from "./audiences.ts"
import { type Digests, type ExpectedDigests, createDigests, digestMismatch } from "./digests.ts"
import { parseDocumentName, requireTypeOf } from "./document-name.ts"
import { requireCleanScan, requireDocument, requireStart } from "./document-check.ts"
import { type ContentDeps, contentSource, withContentStream } from "./content.ts"
import { requireFuture } from "./file-life.ts"
import { type ListedFile, type SealedRow, discardObject, requireThere } from "./files.ts"
import { answerIdempotently, claimIdempotencyKey, forgetIdempotencyKey, keyInUse, repeatAnswer } from "./idempotency.ts"
import type { MemoryLease } from "./memory.ts"
import type { Notification } from "./notifications.ts"
import { type Part, type PartBuffers, admitUpload, createPartWriter, cutIntoParts } from "./parts.ts"
import type { Powers } from "./powers.ts"
import { type Draft, type Occasion, blobRow, newObjectKey, publish, versionOf } from "./publication.ts"
import { SEEN_BYTES, type SeenEntries, blocksOf, createSeenEntries } from "./seen-entries.ts"
import { newId } from "../ids.ts"

export type UploadDeps = ContentDeps & Pick<Powers, "policy" | "scanner">

/** Longer than any upload can run, so that the sweeper never touches a live one. */
const ABANDONED_AFTER_MS = 24 * 60 * 60_000

/** A document on its way in. */
export type SentDocument = {
  senderId: string
  chunks: AsyncIterable<Uint8Array>
  /** No more than that will come, e.g. because the whole request is no longer. */
  atMostBytes: number
  /** Digests that the client announced; the document must have them. */
  expected: ExpectedDigests
  /** The client's own name for this request: sent again, it makes no second file. */
  idempotencyKey: string | null
}

/** What a new file is published with. */
export type NewFile = {
  /** The name as the client gave it. */
  sentName: string
  /** How often each client may download the file; null for no limit. */
  downloadLimit: number | null
  /** Whom it is for from its first moment on. */
  audience: ChosenAudience
  description: string | null
  expiresAtMs: number | null
  /** What is told about it. */
  notify: readonly Notification[]
}

/**
 * Receives, seals, checks and publishes one document.
 * @throws AppError `unsupported_document`, `document_refused`, `validation_failed`, `payload_too_large`, `digest_mismatch`,
 *   `quota_exceeded`, `scanner_unavailable`, `idempotency_key_in_use`, `idempotency_key_reused`; nothing is stored then · `busy` when too many transfers are running
 */
export async function receiveDocument(deps: UploadDeps, { sentName, ...file }: NewFile, sent: SentDocument): Promise<ListedFile> {
  const name = parseDocumentName(sentName)
  return receive(deps, { ...file, fileId: newId(), objectKey: newObjectKey(), ownerId: sent.senderId, name }, sent)
}

/**
 * Receives a document of the same type as the next version of a file that its sender may manage. The file keeps its id,
 * name, recipients and terms.
 * @param sentName - the name as the client gave it, if it did: only its type matters
 * @param occasion - what else becomes true with it
 * @throws AppError as for a new file, and `not_found`, `file_deleted`, `version_conflict` when another version came first
 */
export async function receiveVersion(
  deps: UploadDeps,
  replaces: SealedRow,
  sentName: string | null,
  sent: SentDocument,
  occasion: Pick<Occasion, "more"> = {},
): Promise<ListedFile> {
  const { id: fileId, name, type, downloadLimit } = replaces.file
  requireTypeOf(replaces.file, sentName)
  const known = { fileId, objectKey: newObjectKey(), ownerId: sent.senderId, name: { name, type }, downloadLimit }
  return receive(deps, { ...known, audience: FOR_EVERYONE, replaces }, sent, occasion)
}

async function receive(
  deps: UploadDeps,
  draft: Draft,
  upload: SentDocument,
  occasion: Pick<Occasion, "more"> = {},
): Promise<ListedFile> {
  const { ownerId } = draft
  const { idempotencyKey } = upload
  if (idempotencyKey === null) return receiveDraft(deps, draft, upload, occasion)
  const claim = await claimIdempotencyKey(deps, ownerId, idempotencyKey)
  if (claim.kind === "answered") return repeatAnswer(claim, draft, upload.chunks, deps.policy.maxFileBytes)
  try {
    const more = (file: ListedFile) => [answerIdempotently(deps, ownerId, claim, draft, file), ...(occasion.more?.(file) ?? [])]
    return await receiveDraft(deps, draft, upload, { idempotency: claim, more })
  } catch (error) {
    // The client may try again with what it has mended. If the file appeared all the same, its answer stays.
    await forgetIdempotencyKey(deps, ownerId, claim)
    throw error
  }
}

async function receiveDraft(deps: UploadDeps, draft: Draft, upload: SentDocument, occasion: Occasion): Promise<ListedFile> {
  requireFuture(deps, draft.expiresAtMs ?? null)
  if (draft.replaces !== undefined) requireThere(draft.replaces.file)
  const { lease, buffers } = await admitUpload(deps, Math.min(upload.atMostBytes, deps.policy.maxFileBytes), SEEN_BYTES)
  try {
    const blob = await storeContent(deps, draft, upload, buffers, lease)
    return await publishOrRemove(deps, draft, blob, occasion)
  } finally {
    lease.release()
  }
}

/** What certainly was not published is removed; where even that is unknown, the sweeper finds out. */
async function publishOrRemove(deps: UploadDeps, draft: Draft, blob: BlobRow, occasion: Occasion): Promise<ListedFile> {
  let refusal: AppError | null = null
  try {
    const file = await publish(deps, draft, blob, occasion)
    if (file !== null) return file
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    refusal = error
  }
  await removeUpload(deps, draft.objectKey, null, true).catch(() => {
    deps.log("upload_cleanup_failed")
  })
  throw refusal ?? (occasion.idempotency === undefined ? new TypeError("the upload was given up") : keyInUse())
}

async function storeContent(
  deps: UploadDeps,
  draft: Draft,
  upload: SentDocument,
  buffers: PartBuffers,
  lease: MemoryLease,
): Promise<BlobRow> {
  const parts = cutIntoParts(upload.chunks, deps.policy.maxFileBytes, buffers.plain)
  try {
    const first = await parts.next()
    if (first.done === true) throw new TypeError("a stream has at least one part")
    await requireStart(memorySource(first.value.plaintext), draft.name.type)
    const digest = createDigests(upload.expected)
    if (first.value.isLast) return await storeSmall(deps, draft, first.value, digest, buffers, lease)
    return await storeLarge(deps, draft, first.value, parts, digest, buffers, lease)
  } finally {
    await parts.return()
    lease.giveBack(buffers.plain.buffer)
  }
}

async function storeSmall(
  deps: UploadDeps,
  draft: Draft,
  part: Part,
  digest: Digests,
  buffers: PartBuffers,
  lease: MemoryLease,
): Promise<BlobRow> {
  await requireDocument(deps, memorySource(part.plaintext), draft.name.type)
  digest.update(part.plaintext)
  if (!digest.matches()) throw digestMismatch("Repr-Digest")
  const [sha256, crc32] = [digest.sha256Hex(), digest.crc32()]
  const facts = { type: draft.name.type, sizeBytes: part.plaintext.length, sha256 }
  const scan = await requireCleanScan(deps, facts, (use) => use(part.plaintext))
  const version = { fileId: draft.fileId, fileVersion: versionOf(draft) }
  const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
  const associatedData = partAssociatedData({ ...version, partIndex: 0, isLastPart: true })
  const sealed = await sealStream(fileKey, associatedData, part.plaintext, buffers.sealed)
  await insertUpload(deps.db, { objectKey: draft.objectKey, ownerId: draft.ownerId, startedAtMs: deps.now() })
  await cleaningUp(deps, draft, null, () => deps.blobs.put(draft.objectKey, sealed))
  lease.giveBack(buffers.sealed.buffer)
  return { ...blobRow(draft, { sizeBytes: part.plaintext.length, sha256, crc32, wrapped }), scan }
}

async function storeLarge(
  deps: UploadDeps,
  draft: Draft,
  first: Part,
  rest: AsyncGenerator<Part, void>,
  digest: Digests,
  buffers: PartBuffers,
  lease: MemoryLease,
): Promise<BlobRow> {
  await insertUpload(deps.db, { objectKey: draft.objectKey, ownerId: draft.ownerId, startedAtMs: deps.now() })
  const multipartId = await cleaningUp(deps, draft, null, () => deps.blobs.startMultipart(draft.objectKey))
  return cleaningUp(deps, draft, multipartId, async () => {
    await setMultipartId(deps.db, draft.objectKey, multipartId)
    const seen = createSeenEntries(blocksOf(buffers.beside))
    const watch = { digest, seen }
    const { parts, ...sealed } = await sealParts(deps, draft, multipartId, first, rest, watch, buffers)
    if (!digest.matches()) throw digestMismatch("Repr-Digest")
    const isWhole = await deps.blobs.completeMultipart(draft.objectKey, multipartId, parts, sealedFileBytes(sealed.sizeBytes))
    if (!isWhole) throw new TypeError("parts of a running upload are gone")
    const row = blobRow(draft, { ...sealed, sha256: digest.sha256Hex(), crc32: digest.crc32() })
    // The sealed buffer has done its work; the check reads through a smaller one out of the same share.
    lease.giveBack(buffers.sealed.buffer)
    await requireDocument(deps, seen.over(await contentSource(deps, row, lease)), draft.name.type)
    lease.giveBack(buffers.beside.buffer)
    const facts = { type: draft.name.type, sizeBytes: row.sizeBytes, sha256: row.sha256 }
    const scan = await requireCleanScan(deps, facts, (use) => withContentStream(deps, row, lease, use))
    return { ...row, scan }
  })
}

async function sealParts(
  deps: UploadDeps,
  draft: Draft,
  multipartId: string,
  first: Part,
  rest: AsyncGenerator<Part, void>,
  watch: { digest: Digests; seen: SeenEntries },
  buffers: PartBuffers,
) {
  const version = { fileId: draft.fileId, fileVersion: versionOf(draft) }
  const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
  const parts: StoredPart[] = []
  const writer = createPartWriter(
    deps,
    { objectKey: draft.objectKey, multipartId },
    { fileKey, version },
    buffers.sealed,
    (part) => {
      parts.push(part)
    },
  )
  let sizeBytes = 0
  let index = 0
  try {
    for (let part: Part | undefined = first; part !== undefined; part = (await rest.next()).value ?? undefined) {
      watch.digest.update(part.plaintext)
      watch.seen.see(part.plaintext, sizeBytes)
      sizeBytes += part.plaintext.length
      await writer.write({ ...part, index, number: index + 1 })
      index++
    }
    await writer.finish()
  } finally {
    // Also after a fault: the buffer must not be lent to somebody else while R2 still reads it.
    await writer.idle()
  }
  return { parts, sizeBytes, wrapped }
}

/** Runs a step; when it fails, removes what the upload has stored so far. Never after publishing began. */
async function cleaningUp<T>(deps: UploadDeps, draft: Draft, multipartId: string | null, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    // After a refusal nothing is left. After a fault of R2 a write may still land later: then the row stays for the sweeper.
    const isRefusal = error instanceof AppError
    await removeUpload(deps, draft.objectKey, multipartId, isRefusal).catch(() => {
      deps.log("upload_cleanup_failed")
    })
    throw error
  }
}

async function removeUpload(
  deps: Pick<Powers, "db" | "blobs">,
  objectKey: string,
  multipartId: string | null,
  isRowDone: boolean,
): Promise<void> {
  if (multipartId !== null) await deps.blobs.abortMultipart(objectKey, multipartId)
  await deps.blobs.delete(objectKey)
  if (isRowDone) await deleteUpload(deps.db, objectKey)
}

type SweepDeps = Pick<Powers, "db" | "blobs" | "now" | "log">

async function giveUp(deps: SweepDeps, { objectKey, multipartId }: UploadRow): Promise<boolean> {
  try {
    if (multipartId !== null) await deps.blobs.abortMultipart(objectKey, multipartId)
    await runBatch(deps.db, [discardObjectOfUpload(deps.db, objectKey, deps.now()), deleteUpload(deps.db, objectKey)])
    return true
  } catch (error) {
    deps.log("upload_sweep_failed", { error: error instanceof Error ? error.name : "unknown" })
    return false
  }
}

/**
 * Gives up what uploads left behind that died on the way; sweepDiscardedObjects deletes the objects. In one batch an
 * object either is published (publish needs the upload's row) or is discarded, so no file can lose its bytes, however
 * slow its upload was. Safe to run twice and at once; one upload that cannot be given up does not stop the others.
 */
export async function sweepUploads(deps: SweepDeps, limit: number): Promise<number> {
  let given = 0
  for (const row of await listUploadsBefore(deps.db, deps.now() - ABANDONED_AFTER_MS, limit)) {
    if (await giveUp(deps, row)) given++
  }
  return given
}

/** Removes, at once, those of these objects that were left to the sweeper. What fails, or dies, it does later. */
export async function giveUpObjects(deps: SweepDeps, objectKeys: readonly (string | null)[]): Promise<void> {
  try {
    for (const objectKey of objectKeys) {
      const row = objectKey === null ? undefined : await findUploadBefore(deps.db, objectKey, deps.now() - ABANDONED_AFTER_MS)
      if (row !== undefined && (await giveUp(deps, row))) await discardObject(deps, row.objectKey)
    }
  } catch (error) {
    deps.log("upload_sweep_failed", { error: error instanceof Error ? error.name : "unknown" })
  }
}
