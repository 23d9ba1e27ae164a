// Taking the bytes of a PATCH (tus 1.0.0): sealed part by part and counted once they are stored, so that the offset
// says what is really here. What does not fill a part waits in a tail. With a checksum nothing counts before all of it
// has arrived and proved right.
import { type Hash, createHash } from "node:crypto"
import { equalBytes } from "../crypto/bytes.ts"
import { PART_BYTES, SEGMENT_BYTES } from "../crypto/sealed-format.ts"
import { declareLength, findResumable } from "../db/resumable-uploads.ts"
import { AppError } from "../errors.ts"
import { memorySource } from "../office/byte-source.ts"
import { type ContentDeps } from "./content.ts"
import { requireStart } from "./document-check.ts"
import { type PartBuffers, admitUpload, cutIntoParts } from "./parts.ts"
import type { Powers } from "./powers.ts"
import { newObjectKey } from "./publication.ts"
import { quotaFault } from "./quota.ts"
import { completeUpload, refusing } from "./resumable-completion.ts"
import { type HeldUpload, holding } from "./resumable-lease.ts"
import { type UploadProgress, createProgress } from "./resumable-progress.ts"
import {
  type OpenUpload,
  type ResumableView,
  chargeOf,
  conflict,
  locked,
  requireUpload,
  sealedAs,
  viewOf,
} from "./resumable-state.ts"
import { openTail, storeTail } from "./tails.ts"
import type { UploadTrace } from "./upload-traces.ts"

export type ReceiptDeps = ContentDeps & Pick<Powers, "policy" | "traces" | "scanner">

export type Patch = {
  offsetBytes: number
  /** The whole upload's length, if the request says it. */
  lengthBytes: number | null
  /** The body's length, if the request says it. */
  bodyBytes: number | null
  checksum: { algorithm: "sha1" | "sha256"; digest: Uint8Array } | null
  chunks: AsyncIterable<Uint8Array>
}

const MIN_FIRST_BYTES = 8
const MIN_BUFFER_BYTES = 2 * SEGMENT_BYTES

const tooLong = (lengthBytes: number): AppError =>
  new AppError("payload_too_large", { detail: `More bytes than the ${String(lengthBytes)} that the upload may have.` })

/** What the request may say, before anything is taken. */
function checkLengths(deps: ReceiptDeps, row: OpenUpload, patch: Patch): number {
  const { maxFileBytes } = deps.policy
  if (patch.lengthBytes !== null) {
    if (row.lengthBytes !== null && row.lengthBytes !== patch.lengthBytes) {
      throw new AppError("malformed_request", { detail: "Upload-Length was given before and cannot change." })
    }
    if (patch.lengthBytes > maxFileBytes) throw tooLong(maxFileBytes)
    if (patch.lengthBytes < patch.offsetBytes) {
      throw new AppError("malformed_request", { detail: "Upload-Length is less than what has been sent already." })
    }
  }
  const lengthBytes = row.lengthBytes ?? patch.lengthBytes ?? maxFileBytes
  if (patch.bodyBytes !== null && patch.offsetBytes + patch.bodyBytes > lengthBytes) throw tooLong(lengthBytes)
  return lengthBytes
}

/**
 * Takes the bytes of one request, and completes the upload when they are its last.
 * @throws AppError `upload_offset_conflict`, `upload_locked`, `payload_too_large`, `checksum_mismatch`, `quota_exceeded`,
 *   `busy`; why the complete document was refused; how the upload ended before
 */
export async function receivePatch(deps: ReceiptDeps, ownerId: string, id: string, patch: Patch): Promise<ResumableView> {
  const found = await requireUpload(deps, ownerId, id)
  if (found.offsetBytes !== patch.offsetBytes) throw conflict(found.offsetBytes)
  checkLengths(deps, found, patch)
  if (found.state === "done") return viewOf(found)
  await holding(deps, found, patch.offsetBytes, async (held) => {
    if (patch.lengthBytes !== null && held.row.lengthBytes === null) await declare(deps, held, patch.lengthBytes)
    const limitBytes = checkLengths(deps, held.row, patch)
    if (held.row.state === "received") return completeUpload(deps, held)
    return refusing(deps, held, () => takeBody(deps, held, patch, limitBytes))
  })
  const row = await findResumable(deps.db, ownerId, id)
  if (row === undefined) throw new AppError("not_found", { detail: "The upload was ended meanwhile." })
  return viewOf(row)
}

async function declare(deps: ReceiptDeps, held: HeldUpload, lengthBytes: number): Promise<void> {
  const { row, lease } = held
  if (!(await declareLength(deps.db, lease, chargeOf(row), lengthBytes, deps.policy))) {
    throw (await quotaFault(deps, chargeOf(row), lengthBytes, row.id)) ?? locked()
  }
  row.lengthBytes = lengthBytes
}

async function takeBody(deps: ReceiptDeps, held: HeldUpload, patch: Patch, limitBytes: number): Promise<void> {
  const { row } = held
  const tailBytes = row.offsetBytes - row.parts * PART_BYTES
  const expectedBytes = tailBytes + (patch.bodyBytes ?? limitBytes - row.offsetBytes)
  const { lease: memory, buffers } = await admitUpload(deps, Math.max(MIN_BUFFER_BYTES, expectedBytes))
  try {
    const isComplete = await storeBody(deps, held, patch, limitBytes, tailBytes, buffers)
    memory.giveBack(buffers.plain.buffer)
    memory.giveBack(buffers.sealed.buffer)
    if (isComplete) await completeUpload(deps, held, memory)
  } finally {
    memory.release()
  }
}

/** Ends a broken body where it breaks, so that what has arrived is kept; the fault is told afterwards. */
function untilBroken(chunks: AsyncIterable<Uint8Array>, seen: (chunk: Uint8Array) => Promise<void>) {
  const body = { fault: null as unknown, chunks: read() }
  async function* read(): AsyncGenerator<Uint8Array, void> {
    const iterator = chunks[Symbol.asyncIterator]()
    for (;;) {
      const next = await iterator.next().catch((error: unknown) => {
        body.fault = error ?? new TypeError("the body broke off")
        return { done: true as const, value: undefined }
      })
      if (next.done === true) return
      await seen(next.value)
      yield next.value
    }
  }
  return body
}

/** Stores what comes; true when it was the upload's last. */
async function storeBody(
  deps: ReceiptDeps,
  held: HeldUpload,
  patch: Patch,
  limitBytes: number,
  tailBytes: number,
  buffers: PartBuffers,
): Promise<boolean> {
  const { row } = held
  if (row.tailKey !== null) await openTail(deps, row.tailKey, tailSeal(held, row.parts, tailBytes), buffers)
  const trace = deps.traces.take(row.id, row.offsetBytes)
  const checksum = patch.checksum === null ? null : createHash(patch.checksum.algorithm)
  const body = untilBroken(patch.chunks, async (chunk) => {
    trace?.digest.update(chunk)
    checksum?.update(chunk)
    await held.renew()
  })
  const work = createProgress(deps, held, buffers.sealed, checksum === null)
  const tooMany = (): AppError => tooLong(limitBytes)
  try {
    for await (const part of cutIntoParts(body.chunks, limitBytes - row.offsetBytes, buffers.plain, tailBytes, tooMany)) {
      const isFirst = work.parts() === 0
      if (isFirst && checksum === null) await refuseEarly(row, part.plaintext)
      if (!part.isLast) {
        trace?.seen.see(part.plaintext, work.parts() * PART_BYTES)
        await work.write(part.plaintext, false)
        continue
      }
      if (checksum !== null) requireChecksum(patch, checksum, body.fault)
      const isComplete = await storeEnd(deps, held, work, part.plaintext, buffers, trace)
      if (trace !== null) deps.traces.keep(row.id, row.offsetBytes, trace)
      if (!isComplete && body.fault !== null) throw body.fault as Error
      return isComplete
    }
    throw new TypeError("a stream has an end")
  } finally {
    // Also after a fault: the buffer must not be lent to somebody else while R2 still reads it.
    await work.idle()
  }
}

/** The end of what came is the upload's own, a whole part, or a tail; true when it is the upload's. */
async function storeEnd(
  deps: ReceiptDeps,
  held: HeldUpload,
  work: UploadProgress,
  end: PartBuffers["plain"],
  buffers: PartBuffers,
  trace: UploadTrace | null,
): Promise<boolean> {
  const { row } = held
  const index = work.parts()
  const offsetBytes = index * PART_BYTES + end.length
  const isComplete = offsetBytes === row.lengthBytes
  const isWhole = isComplete || (end.length === PART_BYTES && row.lengthBytes !== null)
  if (isWhole) {
    trace?.seen.see(end, index * PART_BYTES)
    await work.write(end, isComplete)
  }
  await work.finish()
  // Nothing has come: tail and offset stay as they are.
  if (offsetBytes === row.offsetBytes && !isComplete) return false
  let tailKey: string | null = null
  if (!isWhole && end.length > 0) {
    tailKey = newObjectKey()
    await storeTail(deps, row.ownerId, tailKey, tailSeal(held, index, end.length), end, buffers.sealed)
  }
  await work.advance({ offsetBytes, tailKey, state: isComplete ? "received" : "open" })
  row.offsetBytes = offsetBytes
  return isComplete
}

const tailSeal = ({ row, fileKey }: HeldUpload, partIndex: number, lengthBytes: number) => ({
  fileKey,
  name: { ...sealedAs(row), partIndex, lengthBytes },
})

/** Saves taking the rest of what can be no document. */
async function refuseEarly(row: OpenUpload, start: Uint8Array<ArrayBuffer>): Promise<void> {
  if (start.length >= MIN_FIRST_BYTES) await requireStart(memorySource(start), row.type)
}

function requireChecksum(patch: Patch, checksum: Hash, fault: unknown): void {
  if (fault !== null) throw fault as Error
  if (patch.checksum !== null && equalBytes(patch.checksum.digest, new Uint8Array(checksum.digest()))) return
  throw new AppError("checksum_mismatch", { detail: "What arrived does not have the announced checksum. None of it was taken." })
}
