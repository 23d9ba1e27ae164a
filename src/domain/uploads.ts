// Receiving a document: cut into parts as it streams in, sealed part by part, checked, and published in one
// batch. Small documents (one part) are checked before anything is stored. Whatever a fault leaves behind has
// a row in `uploads` first and is removed by the sweeper (sweepUploads).
import { type Bytes, randomBytes, toHex } from "../crypto/bytes.ts"
import { createFileKey } from "../crypto/file-key.ts"
import {
  FORMAT_VERSION,
  PART_BYTES,
  partAssociatedData,
  partCount,
  sealedFileBytes,
  streamBytes,
} from "../crypto/sealed-format.ts"
import { sealStream } from "../crypto/sealed-stream.ts"
import { runBatch } from "../db/client.ts"
import { type BlobRow, insertBlob, insertUploadedFile } from "../db/files.ts"
import { deleteUpload, discardObjectOfUpload, insertUpload, listUploadsBefore, setMultipartId } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { memorySource } from "../office/byte-source.ts"
import { checkDocument, refuseByStart } from "../office/ooxml.ts"
import type { StoredPart } from "../blobs/store.ts"
import { type ChosenAudience, grantsOfNewFile } from "./audiences.ts"
import { auditEvent } from "./audit.ts"
import { type Digests, type ExpectedDigests, createDigests, digestMismatch } from "./digests.ts"
import { type DocumentName, parseDocumentName } from "./document-name.ts"
import { refuseDocument } from "./document-refusal.ts"
import { type ContentDeps, contentSource } from "./content.ts"
import type { ListedFile } from "./files.ts"
import type { MemoryLease } from "./memory.ts"
import type { Powers } from "./powers.ts"
import { searchKey } from "./search-key.ts"
import { newId } from "../ids.ts"

export type UploadDeps = ContentDeps & Pick<Powers, "policy">

/** Longer than any upload can run, so that the sweeper never touches a live one. */
const ABANDONED_AFTER_MS = 24 * 60 * 60_000
const FIRST_VERSION = 1

type Part = { plaintext: Bytes; isLast: boolean }

/** The two buffers of an upload: a part as it came, and sealed. */
type PartBuffers = { plain: Bytes; sealed: Bytes }

/**
 * Room for a part of an upload of at most that size. Rounded up to a power of two, so that buffers of small
 * uploads have few different sizes and are reused.
 */
function bufferBytes(atMostBytes: number): number {
  return Math.min(PART_BYTES, 2 ** Math.ceil(Math.log2(Math.max(64 * 1024, atMostBytes))))
}

/**
 * Cuts a stream into parts of PART_BYTES. A full part is held back until more arrives or the stream ends,
 * because its seal says whether it is the last. All parts share `buffer`: use each before asking for more.
 * @param buffer - as long as a part, or as the whole stream where that is shorter
 */
export async function* cutIntoParts(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  buffer: Bytes = new Uint8Array(PART_BYTES),
): AsyncGenerator<Part, void> {
  let filled = 0
  let total = 0
  for await (const chunk of chunks) {
    total += chunk.length
    if (total > maxBytes) throw tooLarge(maxBytes)
    for (let taken = 0; taken < chunk.length;) {
      if (filled === buffer.length) {
        if (filled < PART_BYTES) throw new RangeError("the stream is longer than it was said to be")
        yield { plaintext: buffer, isLast: false }
        filled = 0
      }
      const piece = chunk.subarray(taken, taken + buffer.length - filled)
      buffer.set(piece, filled)
      filled += piece.length
      taken += piece.length
    }
  }
  yield { plaintext: buffer.subarray(0, filled), isLast: true }
}

export const tooLarge = (maxBytes: number): AppError =>
  new AppError("payload_too_large", { detail: `The file is larger than ${String(maxBytes)} bytes, the most that is taken here.` })

/** What is known of a document while it is being stored. */
type Draft = {
  fileId: string
  objectKey: string
  ownerId: string
  name: DocumentName
  downloadLimit: number | null
  audience: ChosenAudience
}
type Stored = { sizeBytes: number; digest: Digests; wrapped: Awaited<ReturnType<typeof createFileKey>>["wrapped"] }

export type UploadRequest = {
  ownerId: string
  /** The name as the client gave it. */
  sentName: string
  chunks: AsyncIterable<Uint8Array>
  /** No more than that will come, e.g. because the whole request is no longer. */
  atMostBytes: number
  /** Digests that the client announced; the document must have them. */
  expected: ExpectedDigests
  /** How often each client may download it; null for no limit. */
  downloadLimit: number | null
  /** Whom it is for from its first moment on. */
  audience: ChosenAudience
}

/**
 * Receives, seals, checks and publishes one document.
 * @throws AppError `unsupported_document`, `validation_failed`, `payload_too_large`, `digest_mismatch`; nothing is
 *   stored then · `busy` when too many transfers are running
 */
export async function receiveDocument(deps: UploadDeps, upload: UploadRequest): Promise<ListedFile> {
  const name = parseDocumentName(upload.sentName)
  const { ownerId, downloadLimit, audience } = upload
  const draft = { fileId: newId(), objectKey: toHex(randomBytes(20)), ownerId, name, downloadLimit, audience }
  const plainBytes = bufferBytes(Math.min(upload.atMostBytes, deps.policy.maxFileBytes))
  const sealedBytes = streamBytes(plainBytes)
  const lease = await deps.memory.admit(plainBytes + sealedBytes)
  try {
    const buffers = { plain: new Uint8Array(lease.borrow(plainBytes)), sealed: new Uint8Array(lease.borrow(sealedBytes)) }
    const blob = await storeContent(deps, draft, upload, buffers, lease)
    return await publish(deps, draft, blob)
  } finally {
    lease.release()
  }
}

async function storeContent(
  deps: UploadDeps,
  draft: Draft,
  upload: UploadRequest,
  buffers: PartBuffers,
  lease: MemoryLease,
): Promise<BlobRow> {
  const parts = cutIntoParts(upload.chunks, deps.policy.maxFileBytes, buffers.plain)
  try {
    const first = await parts.next()
    if (first.done === true) throw new TypeError("a stream has at least one part")
    refuseDocument(refuseByStart(first.value.plaintext), draft.name.type)
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
  refuseDocument(await checkDocument(memorySource(part.plaintext), draft.name.type), draft.name.type)
  digest.update(part.plaintext)
  if (!digest.matches()) throw digestMismatch("Repr-Digest")
  const version = { fileId: draft.fileId, fileVersion: FIRST_VERSION }
  const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
  const associatedData = partAssociatedData({ ...version, partIndex: 0, isLastPart: true })
  const sealed = await sealStream(fileKey, associatedData, part.plaintext, buffers.sealed)
  await insertUpload(deps.db, { objectKey: draft.objectKey, ownerId: draft.ownerId, startedAtMs: deps.now() })
  await cleaningUp(deps, draft, null, () => deps.blobs.put(draft.objectKey, sealed))
  lease.giveBack(buffers.sealed.buffer)
  return blobRow(draft, { sizeBytes: part.plaintext.length, digest, wrapped })
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
    const { parts, ...stored } = await sealParts(deps, draft, multipartId, first, rest, digest, buffers)
    if (!digest.matches()) throw digestMismatch("Repr-Digest")
    await deps.blobs.completeMultipart(draft.objectKey, multipartId, parts)
    const row = blobRow(draft, stored)
    // The sealed buffer has done its work; the check reads through a smaller one out of the same share.
    lease.giveBack(buffers.sealed.buffer)
    refuseDocument(await checkDocument(await contentSource(deps, row, lease), draft.name.type), draft.name.type)
    return row
  })
}

async function sealParts(
  deps: UploadDeps,
  draft: Draft,
  multipartId: string,
  first: Part,
  rest: AsyncGenerator<Part, void>,
  digest: Digests,
  buffers: PartBuffers,
) {
  const version = { fileId: draft.fileId, fileVersion: FIRST_VERSION }
  const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
  const parts: StoredPart[] = []
  let sizeBytes = 0
  let partIndex = 0
  // While a sealed part is on its way to R2, the next one fills; sealing it must wait for the buffer.
  let storing: Promise<unknown> = Promise.resolve()
  try {
    for (let part: Part | undefined = first; part !== undefined; part = (await rest.next()).value ?? undefined) {
      digest.update(part.plaintext)
      sizeBytes += part.plaintext.length
      await storing
      const associatedData = partAssociatedData({ ...version, partIndex, isLastPart: part.isLast })
      const sealed = await sealStream(fileKey, associatedData, part.plaintext, buffers.sealed)
      partIndex++
      storing = deps.blobs.putPart(draft.objectKey, multipartId, partIndex, sealed).then((stored) => parts.push(stored))
      storing.catch(() => undefined)
    }
  } finally {
    // Also after a fault: the buffer must not be lent to somebody else while R2 still reads it.
    await storing.catch(() => undefined)
  }
  await storing
  return { parts, sizeBytes, digest, wrapped }
}

function blobRow(draft: Draft, stored: Stored): BlobRow {
  return {
    fileId: draft.fileId,
    version: FIRST_VERSION,
    objectKey: draft.objectKey,
    format: FORMAT_VERSION,
    sizeBytes: stored.sizeBytes,
    sealedBytes: sealedFileBytes(stored.sizeBytes),
    parts: partCount(stored.sizeBytes),
    sha256: stored.digest.sha256Hex(),
    keyId: stored.wrapped.keyId,
    wrappedKey: toHex(stored.wrapped.wrappedKey),
    commitment: toHex(stored.wrapped.commitment),
  }
}

/** The file exists from here on, or not at all. When even the outcome is unknown, the sweeper finds out. */
async function publish(deps: UploadDeps, draft: Draft, blob: BlobRow): Promise<ListedFile> {
  const createdAtMs = deps.now()
  const { fileId: id, ownerId, name, downloadLimit } = draft
  const { audience } = draft.audience
  const { sizeBytes } = blob
  await runBatch(deps.db, [
    insertUploadedFile(
      deps.db,
      {
        id,
        ownerId,
        version: FIRST_VERSION,
        name: name.name,
        type: name.type,
        createdAtMs,
        downloadLimit,
        audience,
        nameKey: searchKey(name.name),
        sizeBytes,
      },
      draft.objectKey,
    ),
    insertBlob(deps.db, blob),
    ...grantsOfNewFile(deps, id, draft.audience),
    deleteUpload(deps.db, draft.objectKey),
    auditEvent(deps, "file.uploaded", ownerId, id),
  ])
  return {
    id,
    name: name.name,
    type: name.type,
    createdAtMs,
    downloadLimit,
    audience,
    sizeBytes,
    sha256: blob.sha256,
  }
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

/**
 * Gives up what uploads left behind that died on the way; sweepDiscardedObjects deletes the objects. In one batch an
 * object either is published (publish needs the upload's row) or is discarded, so no file can lose its bytes, however
 * slow its upload was. Safe to run twice and at once; one upload that cannot be given up does not stop the others.
 */
export async function sweepUploads(deps: Pick<Powers, "db" | "blobs" | "now" | "log">, limit: number): Promise<number> {
  const abandoned = await listUploadsBefore(deps.db, deps.now() - ABANDONED_AFTER_MS, limit)
  let given = 0
  for (const { objectKey, multipartId } of abandoned) {
    try {
      if (multipartId !== null) await deps.blobs.abortMultipart(objectKey, multipartId)
      await runBatch(deps.db, [discardObjectOfUpload(deps.db, objectKey, deps.now()), deleteUpload(deps.db, objectKey)])
      given++
    } catch (error) {
      deps.log("upload_sweep_failed", { error: error instanceof Error ? error.name : "unknown" })
    }
  }
  return given
}
