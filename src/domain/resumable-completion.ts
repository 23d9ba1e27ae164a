// The end of a resumable upload: put together, checked as every document is, published; or refused, or out of time. Each
// step may be repeated, so whoever comes next (its client, or cron) finishes what a request left that died on the way.
import { fromHex } from "../crypto/bytes.ts"
import { SEGMENT_BYTES, sealedFileBytes } from "../crypto/sealed-format.ts"
import { runBatch } from "../db/client.ts"
import {
  closeResumable,
  deleteEndedResumables,
  releaseResumableObjects,
  findResumable,
  finishResumable,
  listExpiredResumables,
  listReceivedResumables,
  listResumableParts,
} from "../db/resumable-uploads.ts"
import { AppError, type ErrorCode } from "../errors.ts"
import { type ContentDeps, contentSource, readContent, withContentStream } from "./content.ts"
import { digestMismatch } from "./digests.ts"
import { requireCleanScan, requireDocument } from "./document-check.ts"
import type { MemoryLease } from "./memory.ts"
import type { Powers } from "./powers.ts"
import { blobRow, publish, requireReplaceable } from "./publication.ts"
import { type HeldUpload, holding } from "./resumable-lease.ts"
import { keepVerdict, locked, termsOfUpload } from "./resumable-state.ts"
import type { UploadTrace } from "./upload-traces.ts"
import { giveUpObjects } from "./uploads.ts"

export type CompletionDeps = ContentDeps & Pick<Powers, "policy" | "traces" | "scanner">

/** Verdicts on the upload itself: asking again would bring the same one. */
const REFUSALS: readonly ErrorCode[] = [
  "unsupported_document",
  "document_refused",
  "validation_failed",
  "digest_mismatch",
  "upload_lost",
  "forbidden",
  // Of a version: its file is gone, in the trash, or has another one by now.
  "not_found",
  "file_deleted",
  "version_conflict",
]
const MIN_MEMORY_BYTES = 2 * SEGMENT_BYTES
const MAX_MEMORY_BYTES = 8 * SEGMENT_BYTES
/** Well within a lease. */
const RENEW_EVERY_MS = 2000
/** In place of digests that are still to be computed. */
const UNKNOWN = { sha256: "0".repeat(64), crc32: 0 }
/** How long an upload that has ended can be asked about after its time. */
const KEPT_MS = 7 * 24 * 60 * 60_000

/** Runs a step; when it refuses the upload, ends it with that verdict and leaves nothing of its bytes. */
export async function refusing<T>(deps: CompletionDeps, held: HeldUpload, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof AppError && REFUSALS.includes(error.code)) await refuse(deps, held, error)
    throw error
  }
}

async function refuse(deps: CompletionDeps, held: HeldUpload, verdict: AppError): Promise<void> {
  const { row, lease } = held
  const ending = { holder: lease.holder }
  const outcome = { state: "refused" as const, ...keepVerdict(verdict) }
  const current = await findResumable(deps.db, row.ownerId, row.id)
  await runBatch(deps.db, [
    releaseResumableObjects(deps.db, row.id, ending, deps.now()),
    ...closeResumable(deps.db, row.id, ending, outcome),
  ])
  deps.traces.forget(row.id)
  deps.afterwards(giveUpObjects(deps, [row.objectKey, current?.tailKey ?? null]))
}

/**
 * Puts a received upload together, checks and publishes it.
 * @param share - memory to read through, if the caller has some
 * @throws AppError why the document was refused; `busy`
 */
export async function completeUpload(deps: CompletionDeps, held: HeldUpload, share?: MemoryLease): Promise<void> {
  const memory = share ?? (await deps.memory.admit(MIN_MEMORY_BYTES, MAX_MEMORY_BYTES))
  try {
    await refusing(deps, held, () => checkAndPublish(deps, held, memory))
  } finally {
    if (share === undefined) memory.release()
  }
}

async function checkAndPublish(deps: CompletionDeps, held: HeldUpload, memory: MemoryLease): Promise<void> {
  const { row, lease } = held
  const wrappedKey = fromHex(row.wrappedKey)
  const commitment = fromHex(row.commitment)
  if (row.lengthBytes === null || row.multipartId === null || wrappedKey === null || commitment === null) {
    throw new TypeError("a received upload has a length, a key and parts")
  }
  // First: where nothing can come of it, nothing needs to be read.
  const replaces =
    row.replacesVersion === null ? undefined : await requireReplaceable(deps, row.ownerId, row.fileId, row.replacesVersion)
  const parts = await listResumableParts(deps.db, row.id)
  const isWhole = await deps.blobs.completeMultipart(row.objectKey, row.multipartId, parts, sealedFileBytes(row.lengthBytes))
  if (!isWhole) throw new AppError("upload_lost", { detail: "Parts of the upload are gone from the store. Start it again." })
  const draft = {
    fileId: row.fileId,
    objectKey: row.objectKey,
    ownerId: row.ownerId,
    name: { name: row.name, type: row.type },
    downloadLimit: row.downloadLimit,
    ...termsOfUpload(row),
    ...(replaces === undefined ? {} : { replaces }),
  }
  const wrapped = { keyId: row.keyId, wrappedKey, commitment }
  const unhashed = blobRow(draft, { sizeBytes: row.lengthBytes, ...UNKNOWN, wrapped })
  await held.renew()
  const { digest, seen } = deps.traces.find(row.id, row.lengthBytes) ?? (await traceContent(deps, held, unhashed, memory))
  await requireDocument(deps, seen.over(await contentSource(deps, unhashed, memory)), row.type)
  const digests = digest.digests()
  if (row.expectedSha256 !== null && row.expectedSha256 !== digests.sha256) throw digestMismatch("Repr-Digest")
  const hashed = { ...unhashed, ...digests }
  const facts = { type: row.type, sizeBytes: hashed.sizeBytes, sha256: digests.sha256 }
  const scan = await whileHolding(
    held,
    requireCleanScan(deps, facts, (use) => withContentStream(deps, hashed, memory, use)),
  )
  const more = () => finishResumable(deps.db, lease)
  const file = await publish(deps, draft, { ...hashed, scan }, { resumable: lease, more })
  if (file === null) throw locked()
  deps.traces.forget(row.id)
}

/** Gives signs of life while something takes long that moves none of the upload's own bytes. */
async function whileHolding<T>(held: HeldUpload, work: Promise<T>): Promise<T> {
  const settled = work.then(
    () => true,
    () => true,
  )
  for (;;) {
    let timer: ReturnType<typeof setTimeout> | undefined
    const pause = new Promise<false>((resolve) => {
      timer = setTimeout(() => {
        resolve(false)
      }, RENEW_EVERY_MS)
    })
    const isDone = await Promise.race([settled, pause])
    clearTimeout(timer)
    if (isDone) return work
    await held.renew()
  }
}

/** Reads the sealed upload back: costs a read of all of it, once, and proves on the way that every byte opens. */
async function traceContent(
  deps: CompletionDeps,
  held: HeldUpload,
  blob: ReturnType<typeof blobRow>,
  memory: MemoryLease,
): Promise<UploadTrace> {
  const { id } = held.row
  const trace = deps.traces.begin(id)
  let offsetBytes = 0
  for await (const run of await readContent(deps, blob, memory)) {
    for (const bytes of run) {
      trace.digest.update(bytes)
      trace.seen.see(bytes, offsetBytes)
      offsetBytes += bytes.length
    }
    await held.renew()
  }
  deps.traces.keep(id, offsetBytes, trace)
  return trace
}

type SweepDeps = CompletionDeps

async function eachOnItsOwn<T>(deps: Pick<Powers, "log">, rows: readonly T[], work: (row: T) => Promise<unknown>): Promise<void> {
  for (const row of rows) {
    try {
      await work(row)
    } catch (error) {
      const facts = { error: error instanceof Error ? error.name : "unknown" }
      deps.log("upload_sweep_failed", error instanceof AppError ? { ...facts, code: error.code } : facts)
    }
  }
}

/** Finishes uploads whose request died while they were being checked. */
export async function finishReceivedUploads(deps: SweepDeps, limit: number): Promise<void> {
  await eachOnItsOwn(deps, await listReceivedResumables(deps.db, deps.now(), limit), async (row) => {
    const found = await findResumable(deps.db, row.ownerId, row.id)
    if (found !== undefined) await holding(deps, found, found.offsetBytes, (held) => completeUpload(deps, held))
  })
}

/** Ends uploads whose time is over, and forgets those that ended long ago. */
export async function expireUploads(deps: SweepDeps, limit: number): Promise<void> {
  const nowMs = deps.now()
  await eachOnItsOwn(deps, await listExpiredResumables(deps.db, nowMs, limit), async ({ id, ownerId }) => {
    const found = await findResumable(deps.db, ownerId, id)
    if (found === undefined) return
    const ending = { expiredAtMs: nowMs }
    await runBatch(deps.db, [
      releaseResumableObjects(deps.db, id, ending, nowMs),
      ...closeResumable(deps.db, id, ending, { state: "expired" }),
    ])
    await giveUpObjects(deps, [found.objectKey, found.tailKey])
  })
  await runBatch(deps.db, [deleteEndedResumables(deps.db, nowMs - KEPT_MS)])
}
