// Files at rest: listing, opening and deleting. With uploads.ts the only place where keys and stored bytes
// meet. Whatever does not open exactly is `integrity_failure`: never a wrong byte, never a fallback.
import { fromHex } from "../crypto/bytes.ts"
import { unwrapFileKey } from "../crypto/file-key.ts"
import { FORMAT_VERSION, HEADER_BYTES, type RangePlan, partCount, planRange, sealedFileBytes } from "../crypto/sealed-format.ts"
import { type SealedFile, createSealedReader } from "../crypto/sealed-reader.ts"
import { SealBrokenError } from "../crypto/sealed-stream.ts"
import { runBatch } from "../db/client.ts"
import { type BlobRow, type FilePosition, type FileRow, deleteFile, listFiles, selectSealedFile } from "../db/files.ts"
import { discardObjectsOfFile, forgetDiscardedObject } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import type { ByteSource } from "../office/byte-source.ts"
import { auditEvent } from "./audit.ts"
import type { Powers } from "./powers.ts"

export type { FilePosition }

/** A file as lists show it. */
export type ListedFile = {
  id: string
  name: string
  type: FileRow["type"]
  createdAtMs: number
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

type OpenDeps = Pick<Powers, "db" | "blobs" | "keys" | "now" | "requestId" | "afterwards" | "log">

/** Notes for operator and audit that stored bytes or keys are damaged, and returns what the caller may know. */
async function unreadable(deps: OpenDeps, blob: BlobRow, reason: string): Promise<AppError> {
  deps.log("file_unreadable", { fileId: blob.fileId, version: blob.version, reason })
  await runBatch(deps.db, [auditEvent(deps, "file.unreadable", null, blob.fileId)])
  return new AppError("integrity_failure", { detail: "The stored file is damaged and was not sent.", reason })
}

/**
 * Unwraps a file's key and checks that the row makes sense, before anything is read.
 * @throws AppError `key_unavailable` when its master key is not configured, `integrity_failure` when it was tampered with
 */
async function unlock(deps: OpenDeps, blob: BlobRow): Promise<SealedFile> {
  const version = { fileId: blob.fileId, fileVersion: blob.version }
  const wrappedKey = fromHex(blob.wrappedKey)
  const commitment = fromHex(blob.commitment)
  const isSane =
    blob.format === FORMAT_VERSION &&
    blob.sealedBytes === sealedFileBytes(blob.sizeBytes) &&
    blob.parts === partCount(blob.sizeBytes)
  if (!isSane || wrappedKey === null || commitment === null) throw await unreadable(deps, blob, "row")
  const fileKey = await unwrapFileKey(deps.keys.masterKeys, version, { keyId: blob.keyId, wrappedKey, commitment })
  if (fileKey === "unknown_key") {
    deps.log("master_key_missing", { keyId: blob.keyId, remedy: "add this key id to MASTER_KEYS again" })
    throw new AppError("key_unavailable", {
      detail: "The key for this file is not available at the moment.",
      reason: "unknown key id",
    })
  }
  if (fileKey === "broken") throw await unreadable(deps, blob, "wrapped key")
  return { fileKey, version, sizeBytes: blob.sizeBytes }
}

async function readHeader(deps: OpenDeps, blob: BlobRow, offset: number): Promise<Uint8Array<ArrayBuffer>> {
  const stored = await deps.blobs.read(blob.objectKey, offset, HEADER_BYTES)
  return stored === null ? new Uint8Array(0) : new Uint8Array(await new Response(stored.body).arrayBuffer())
}

/** A reader over a planned range whose first run of segments is already open and genuine. */
async function openRange(deps: OpenDeps, blob: BlobRow, sealed: SealedFile, plan: RangePlan) {
  const header = plan.headerOffset === null ? undefined : await readHeader(deps, blob, plan.headerOffset)
  const stored = await deps.blobs.read(blob.objectKey, plan.offset, plan.lengthBytes)
  if (stored === null) throw await unreadable(deps, blob, "object missing")
  if (stored.sizeBytes !== blob.sealedBytes) {
    await stored.body.cancel()
    throw await unreadable(deps, blob, "object size")
  }
  const reader = createSealedReader(sealed, plan, stored.body, header)
  try {
    return { reader, first: await reader.next() }
  } catch (error) {
    await reader.cancel()
    throw error instanceof SealBrokenError ? await unreadable(deps, blob, "first segments") : error
  }
}

/**
 * Opens a file for sending. When this returns, key, size and the first segments have proven genuine; a later
 * one that does not breaks the stream off, so what has arrived by then is a true beginning.
 */
export async function openContent(deps: OpenDeps, blob: BlobRow): Promise<ReadableStream<Uint8Array>> {
  const sealed = await unlock(deps, blob)
  const { reader, first } = await openRange(deps, blob, sealed, planRange(blob.sizeBytes))
  const { readable, writable } = new FixedLengthStream(blob.sizeBytes)
  deps.afterwards(pump(deps, blob, reader, first, writable))
  return readable
}

async function pump(
  deps: OpenDeps,
  blob: BlobRow,
  reader: ReturnType<typeof createSealedReader>,
  first: Uint8Array | null,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter()
  try {
    for (let chunk = first; chunk !== null;) {
      // The next run is read and opened while this one goes out.
      const upcoming = reader.next()
      upcoming.catch(() => undefined)
      await writer.write(chunk)
      chunk = await upcoming
    }
    await writer.close()
  } catch (error) {
    await writer.abort(error).catch(() => undefined)
    await reader.cancel()
    // Anything else is a receiver who hung up.
    if (error instanceof SealBrokenError) await unreadable(deps, blob, "later segment")
  }
}

/** Random access to a sealed file's plaintext, for checking a document before it is published. */
export async function contentSource(deps: OpenDeps, blob: BlobRow): Promise<ByteSource> {
  const sealed = await unlock(deps, blob)
  return {
    sizeBytes: blob.sizeBytes,
    async read(offset, lengthBytes) {
      const plaintext = new Uint8Array(lengthBytes)
      if (lengthBytes === 0) return plaintext
      const { reader, first } = await openRange(deps, blob, sealed, planRange(blob.sizeBytes, offset, offset + lengthBytes))
      let filled = 0
      for (let chunk = first; chunk !== null; chunk = await reader.next()) {
        plaintext.set(chunk, filled)
        filled += chunk.length
      }
      return plaintext
    },
  }
}

/**
 * Deletes one of the owner's files. Its wrapped key goes in the same batch, so its bytes are unreadable at
 * once; the object follows, by the sweeper if not now.
 */
export async function deleteOwnFile(deps: OpenDeps, ownerId: string, id: string): Promise<void> {
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
