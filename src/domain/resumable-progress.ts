// What a request has added to the resumable upload that it holds: parts on their way to R2, and where the upload stands
// once they are there. The offset moves in one batch with the parts that it counts.
import type { Bytes } from "../crypto/bytes.ts"
import { PART_BYTES } from "../crypto/sealed-format.ts"
import { type Progress, advanceResumable, setResumableMultipart } from "../db/resumable-uploads.ts"
import { discardObject } from "./files.ts"
import { type PartWriter, createPartWriter } from "./parts.ts"
import type { Powers } from "./powers.ts"
import { quotaFault } from "./quota.ts"
import type { HeldUpload } from "./resumable-lease.ts"
import { chargeOf, expiryOf, locked, sealedAs } from "./resumable-state.ts"

type ProgressDeps = Pick<Powers, "db" | "blobs" | "now" | "policy" | "afterwards" | "log">

export type UploadProgress = ReturnType<typeof createProgress>

/** R2's multipart upload of a held upload, started when the first part is there. */
async function multipartOf(deps: ProgressDeps, { row, lease }: HeldUpload): Promise<{ objectKey: string; multipartId: string }> {
  const { objectKey } = row
  if (row.multipartId !== null) return { objectKey, multipartId: row.multipartId }
  const multipartId = await deps.blobs.startMultipart(objectKey)
  if (!(await setResumableMultipart(deps.db, lease, multipartId))) {
    await deps.blobs.abortMultipart(objectKey, multipartId)
    throw locked()
  }
  row.multipartId = multipartId
  return { objectKey, multipartId }
}

/**
 * @param sealed - buffer for a sealed part
 * @param countsAtOnce - whether each part counts as soon as R2 has it, or all only when the caller advances
 */
export function createProgress(deps: ProgressDeps, held: HeldUpload, sealed: Bytes, countsAtOnce: boolean) {
  const { row, lease, fileKey } = held
  /** Parts that are written or being written. */
  let written = row.parts
  let nextNumber = row.nextPart
  let { tailKey } = row
  /** What R2 has, `stored` of it not counted yet. */
  const there = { parts: row.parts, nextPart: row.nextPart, stored: [] as { number: number; etag: string }[] }
  let writer: PartWriter | undefined

  async function move(to: Pick<Progress, "offsetBytes" | "tailKey" | "state">, heldUntilMs: number | null): Promise<void> {
    const progress = { ...to, ...there, heldUntilMs, expiresAtMs: expiryOf(deps, row.createdAtMs) }
    if (!(await advanceResumable(deps.db, lease, chargeOf(row), progress, deps.policy, deps.now()))) {
      throw (await quotaFault(deps, chargeOf(row), to.offsetBytes, row.id)) ?? locked()
    }
    there.stored = []
    if (tailKey !== null && tailKey !== to.tailKey) deps.afterwards(discardObject(deps, tailKey))
    tailKey = to.tailKey
  }

  async function startWriter(): Promise<PartWriter> {
    const seal = { fileKey, version: sealedAs(row) }
    return createPartWriter(deps, await multipartOf(deps, held), seal, sealed, async ({ partNumber, etag }, placed) => {
      there.stored.push({ number: partNumber, etag })
      there.parts = placed.index + 1
      there.nextPart = partNumber + 1
      // The last one counts together with the upload's end.
      if (!countsAtOnce || placed.isLast) await held.renewForPart(there.nextPart)
      else await move({ offsetBytes: there.parts * PART_BYTES, tailKey: null, state: "open" }, held.heldUntilMs())
    })
  }

  return {
    /** Whole parts so far, those on their way included. */
    parts: (): number => written,
    /** Seals a part and sends it on its way; throws what the one before it met. */
    async write(plaintext: Bytes, isLast: boolean): Promise<void> {
      writer ??= await startWriter()
      await writer.write({ plaintext, index: written++, number: nextNumber++, isLast })
    },
    /** Done when R2 has every part. */
    finish: (): Promise<void> | undefined => writer?.finish(),
    /**
     * Moves the upload to where it stands at this request's end. An upload that goes on is let go of in the same batch.
     * @throws AppError `upload_locked` when the lease is lost, `quota_exceeded`; nothing has moved then
     */
    advance: (to: Pick<Progress, "offsetBytes" | "tailKey" | "state">): Promise<void> =>
      move(to, to.state === "open" ? null : held.heldUntilMs()),
    /** Done when nothing reads the sealed buffer any more, whatever happened. */
    idle: (): Promise<void> | undefined => writer?.idle(),
  }
}
