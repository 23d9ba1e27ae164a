// Receiving a document: cut into parts as it streams in, sealed part by part, checked, and published in one
// batch. Small documents (one part) are checked before anything is stored. Whatever a fault leaves behind has
// a row in `uploads` first and is removed by the sweeper (sweepUploads).
import { createHash } from "node:crypto"
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
import { type BlobRow, findBlobByObjectKey, insertBlob, insertFile } from "../db/files.ts"
import { deleteUpload, insertUpload, listUploadsBefore, setMultipartId } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { memorySource } from "../office/byte-source.ts"
import { checkDocument, refuseByStart } from "../office/ooxml.ts"
import type { StoredPart } from "../blobs/store.ts"
import { auditEvent } from "./audit.ts"
import { type DocumentName, parseDocumentName } from "./document-name.ts"
import { refuseDocument } from "./document-refusal.ts"
import { type ListedFile, contentSource } from "./files.ts"
import type { Powers } from "./powers.ts"
import { newId } from "../ids.ts"

export type UploadDeps = Pick<Powers, "db" | "blobs" | "keys" | "now" | "policy" | "requestId" | "afterwards" | "log">

/** Longer than any upload can run, so that the sweeper never touches a live one. */
const ABANDONED_AFTER_MS = 24 * 60 * 60_000
const FIRST_VERSION = 1

type Part = { plaintext: Bytes; isLast: boolean }

/**
 * Cuts a stream into parts of PART_BYTES. A full part is held back until more arrives or the stream ends,
 * because its seal says whether it is the last. All parts share one buffer: use each before asking for more.
 */
export async function* cutIntoParts(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Part, void> {
  const buffer = new Uint8Array(PART_BYTES)
  let filled = 0
  let total = 0
  for await (const chunk of chunks) {
    total += chunk.length
    if (total > maxBytes) throw tooLarge(maxBytes)
    for (let taken = 0; taken < chunk.length;) {
      if (filled === PART_BYTES) {
        yield { plaintext: buffer, isLast: false }
        filled = 0
      }
      const piece = chunk.subarray(taken, taken + PART_BYTES - filled)
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
type Draft = { fileId: string; objectKey: string; ownerId: string; name: DocumentName }
type Stored = { sizeBytes: number; sha256: string; wrapped: Awaited<ReturnType<typeof createFileKey>>["wrapped"] }

/**
 * Receives, seals, checks and publishes one document.
 * @param sentName - the name as the client gave it
 * @throws AppError `unsupported_document`, `validation_failed`, `payload_too_large`; nothing is stored then
 */
export async function receiveDocument(
  deps: UploadDeps,
  upload: { ownerId: string; sentName: string; chunks: AsyncIterable<Uint8Array> },
): Promise<ListedFile> {
  const name = parseDocumentName(upload.sentName)
  const parts = cutIntoParts(upload.chunks, deps.policy.maxFileBytes)
  try {
    const first = await parts.next()
    if (first.done === true) throw new TypeError("a stream has at least one part")
    refuseDocument(refuseByStart(first.value.plaintext), name.type)
    const draft = { fileId: newId(), objectKey: toHex(randomBytes(20)), ownerId: upload.ownerId, name }
    return first.value.isLast ? await storeSmall(deps, draft, first.value) : await storeLarge(deps, draft, first.value, parts)
  } finally {
    await parts.return()
  }
}

async function storeSmall(deps: UploadDeps, draft: Draft, part: Part): Promise<ListedFile> {
  refuseDocument(await checkDocument(memorySource(part.plaintext), draft.name.type), draft.name.type)
  const version = { fileId: draft.fileId, fileVersion: FIRST_VERSION }
  const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
  const associatedData = partAssociatedData({ ...version, partIndex: 0, isLastPart: true })
  const sizeBytes = part.plaintext.length
  const sealed = await sealStream(fileKey, associatedData, part.plaintext, new Uint8Array(streamBytes(sizeBytes)))
  const sha256 = createHash("sha256").update(part.plaintext).digest("hex")
  await insertUpload(deps.db, { objectKey: draft.objectKey, ownerId: draft.ownerId, startedAtMs: deps.now() })
  await cleaningUp(deps, draft, null, () => deps.blobs.put(draft.objectKey, sealed))
  return publish(deps, draft, blobRow(draft, { sizeBytes, sha256, wrapped }))
}

async function storeLarge(deps: UploadDeps, draft: Draft, first: Part, rest: AsyncGenerator<Part, void>): Promise<ListedFile> {
  await insertUpload(deps.db, { objectKey: draft.objectKey, ownerId: draft.ownerId, startedAtMs: deps.now() })
  const multipartId = await cleaningUp(deps, draft, null, () => deps.blobs.startMultipart(draft.objectKey))
  const blob = await cleaningUp(deps, draft, multipartId, async () => {
    await setMultipartId(deps.db, draft.objectKey, multipartId)
    const { parts, ...stored } = await sealParts(deps, draft, multipartId, first, rest)
    await deps.blobs.completeMultipart(draft.objectKey, multipartId, parts)
    const row = blobRow(draft, stored)
    refuseDocument(await checkDocument(await contentSource(deps, row), draft.name.type), draft.name.type)
    return row
  })
  return publish(deps, draft, blob)
}

async function sealParts(deps: UploadDeps, draft: Draft, multipartId: string, first: Part, rest: AsyncGenerator<Part, void>) {
  const version = { fileId: draft.fileId, fileVersion: FIRST_VERSION }
  const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
  const hash = createHash("sha256")
  const out = new Uint8Array(streamBytes(PART_BYTES))
  const parts: StoredPart[] = []
  let sizeBytes = 0
  for (let part: Part | undefined = first; part !== undefined; part = (await rest.next()).value ?? undefined) {
    const associatedData = partAssociatedData({ ...version, partIndex: parts.length, isLastPart: part.isLast })
    hash.update(part.plaintext)
    sizeBytes += part.plaintext.length
    const sealed = await sealStream(fileKey, associatedData, part.plaintext, out)
    parts.push(await deps.blobs.putPart(draft.objectKey, multipartId, parts.length + 1, sealed))
  }
  return { parts, sizeBytes, sha256: hash.digest("hex"), wrapped }
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
    sha256: stored.sha256,
    keyId: stored.wrapped.keyId,
    wrappedKey: toHex(stored.wrapped.wrappedKey),
    commitment: toHex(stored.wrapped.commitment),
  }
}

/** The file exists from here on, or not at all. When even the outcome is unknown, the sweeper finds out. */
async function publish(deps: UploadDeps, draft: Draft, blob: BlobRow): Promise<ListedFile> {
  const createdAtMs = deps.now()
  const { fileId: id, ownerId, name } = draft
  await runBatch(deps.db, [
    insertFile(deps.db, { id, ownerId, version: FIRST_VERSION, name: name.name, type: name.type, createdAtMs }),
    insertBlob(deps.db, blob),
    deleteUpload(deps.db, draft.objectKey),
    auditEvent(deps, "file.uploaded", ownerId, id),
  ])
  return { id, name: name.name, type: name.type, createdAtMs, sizeBytes: blob.sizeBytes, sha256: blob.sha256 }
}

/** Runs a step; when it fails, removes what the upload has stored so far. Never after publishing began. */
async function cleaningUp<T>(deps: UploadDeps, draft: Draft, multipartId: string | null, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    await removeUpload(deps, draft.objectKey, multipartId).catch(() => {
      deps.log("upload_cleanup_failed")
    })
    throw error
  }
}

async function removeUpload(deps: Pick<Powers, "db" | "blobs">, objectKey: string, multipartId: string | null): Promise<void> {
  if (multipartId !== null) await deps.blobs.abortMultipart(objectKey, multipartId)
  await deps.blobs.delete(objectKey)
  await deleteUpload(deps.db, objectKey)
}

/** Removes what uploads left behind that died on the way. Safe to run twice, at once, and beside live uploads. */
export async function sweepUploads(deps: Pick<Powers, "db" | "blobs" | "now" | "log">, limit: number): Promise<number> {
  const abandoned = await listUploadsBefore(deps.db, deps.now() - ABANDONED_AFTER_MS, limit)
  for (const { objectKey, multipartId } of abandoned) {
    const owner = await findBlobByObjectKey(deps.db, objectKey)
    if (owner === undefined) await removeUpload(deps, objectKey, multipartId)
    else await deleteUpload(deps.db, objectKey)
  }
  return abandoned.length
}
