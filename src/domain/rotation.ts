// Rotation of master keys: wraps the keys of files anew under the current master key. Sealed bytes are not
// touched. Safe to stop anywhere, to run twice, at once, and beside live traffic: each key changes in one
// statement, and only if it is still the one that was read.
import { fromHex, toHex } from "../crypto/bytes.ts"
import { type UnwrapFault, rewrapFileKey } from "../crypto/file-key.ts"
import { type BlobPosition, type BlobRow, countBlobsNotUnder, listBlobsNotUnder, replaceWrappedKey } from "../db/files.ts"
import { countResumablesNotUnder } from "../db/resumable-uploads.ts"
import type { Powers } from "./powers.ts"

const PAGE = 50
/** How many failed ones a step looks past, in multiples of its limit: bounds its work. */
const FAILURES_PER_LIMIT = 10

export type RotationStep = {
  rewrapped: number
  /** Files whose key could not be unwrapped; they stay as they are. */
  failed: { fileId: string; reason: UnwrapFault | "row" }[]
  /** Files and uploads that are still under an older master key, failed ones included. */
  left: number
}

async function rewrap(deps: Pick<Powers, "db" | "keys">, blob: BlobRow): Promise<"rewrapped" | UnwrapFault | "row"> {
  const wrappedKey = fromHex(blob.wrappedKey)
  const commitment = fromHex(blob.commitment)
  if (wrappedKey === null || commitment === null) return "row"
  const version = { fileId: blob.fileId, fileVersion: blob.version }
  const fresh = await rewrapFileKey(deps.keys.masterKeys, version, { keyId: blob.keyId, wrappedKey, commitment })
  if (typeof fresh === "string") return fresh
  await replaceWrappedKey(deps.db, blob, { keyId: fresh.keyId, wrappedKey: toHex(fresh.wrappedKey) })
  return "rewrapped"
}

/** Wraps up to `limit` keys anew. Those that fail come first again every time, so they do not use up the limit. */
export async function rotateKeys(deps: Pick<Powers, "db" | "keys" | "log">, limit: number): Promise<RotationStep> {
  const { currentId } = deps.keys.masterKeys
  const failed: RotationStep["failed"] = []
  let rewrapped = 0
  let after: BlobPosition | null = null
  // Asked first, because looking for them reads every row there is.
  const waiting = await countBlobsNotUnder(deps.db, currentId)
  while (waiting > 0 && rewrapped < limit && failed.length < limit * FAILURES_PER_LIMIT) {
    const page: BlobRow[] = await listBlobsNotUnder(deps.db, currentId, after, Math.min(PAGE, limit - rewrapped))
    for (const blob of page) {
      const outcome = await rewrap(deps, blob)
      if (outcome === "rewrapped") rewrapped++
      else failed.push({ fileId: blob.fileId, reason: outcome })
    }
    const last = page.at(-1)
    if (last === undefined) break
    after = { fileId: last.fileId, version: last.version }
  }
  // Uploads under way keep the key they have; they are files, or gone, in some days at most.
  const waitingStill = waiting === 0 ? 0 : await countBlobsNotUnder(deps.db, currentId)
  const left = waitingStill + (await countResumablesNotUnder(deps.db, currentId))
  if (rewrapped + failed.length > 0) deps.log("keys_rotated", { currentId, rewrapped, failed: failed.length, left })
  return { rewrapped, failed, left }
}
