// Who works on a resumable upload. One request at a time, by a lease in D1 that it renews while bytes arrive. A lease
// that runs out may be taken over at any moment: whoever lost it cannot change anything any more, since each write of
// its own applies only under the lease, and parts that it may still be storing have numbers that nobody else uses.
import { fromHex } from "../crypto/bytes.ts"
import { unwrapFileKey } from "../crypto/file-key.ts"
import { type Lease, type ResumableRow, claimResumable, releaseResumable, renewResumable } from "../db/resumable-uploads.ts"
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import type { Powers } from "./powers.ts"
import { type OpenUpload, conflict, locked, requireUpload, sealedAs } from "./resumable-state.ts"

/** How long a request is believed to live after the last sign of it. Short: stock clients try again for some seconds. */
export const LEASE_MS = 8_000

export type LeaseDeps = Pick<Powers, "db" | "keys" | "now" | "log">

/** An upload that this request works on. */
export type HeldUpload = {
  row: OpenUpload
  lease: Lease
  fileKey: CryptoKey
  /**
   * A sign of life, cheap enough to give often.
   * @throws AppError `upload_locked` when the lease is lost
   */
  renew(): Promise<void>
  /** The same, at once, and says which part number is in use next while the parts before it do not count yet. */
  renewForPart(nextPart: number): Promise<void>
  /** Until when a write may prolong the lease. */
  heldUntilMs(): number
}

async function unwrapKey(deps: LeaseDeps, row: ResumableRow): Promise<CryptoKey> {
  const wrappedKey = fromHex(row.wrappedKey)
  const commitment = fromHex(row.commitment)
  const fileKey =
    wrappedKey === null || commitment === null
      ? "broken"
      : await unwrapFileKey(deps.keys.masterKeys, sealedAs(row), { keyId: row.keyId, wrappedKey, commitment })
  if (fileKey === "unknown_key") {
    deps.log("master_key_missing", { keyId: row.keyId, remedy: "add this key id to MASTER_KEYS again" })
    throw new AppError("key_unavailable", { detail: "The key for this upload is not available at the moment." })
  }
  if (typeof fileKey === "string") throw new AppError("integrity_failure", { detail: "The upload is damaged. Start it again." })
  return fileKey
}

/**
 * Takes the lease of an upload that stands at an offset, lets `work` have it, and gives it back whatever happens.
 * @throws AppError `upload_offset_conflict`, `upload_locked`, or how the upload has ended meanwhile
 */
export async function holding<T>(
  deps: LeaseDeps,
  found: OpenUpload,
  offsetBytes: number,
  work: (held: HeldUpload) => Promise<T>,
): Promise<T> {
  const lease = { id: found.id, holder: newId() }
  let renewedAtMs = deps.now()
  const at = { offsetBytes, nowMs: renewedAtMs, heldUntilMs: renewedAtMs + LEASE_MS }
  const isMine = await claimResumable(deps.db, lease, at)
  // Read again under the lease: from here on nobody else changes it.
  const row = await requireUpload(deps, found.ownerId, found.id)
  if (!isMine) throw row.offsetBytes === offsetBytes ? locked() : conflict(row.offsetBytes)
  async function renew(nextPart?: number): Promise<void> {
    const nowMs = deps.now()
    if (!(await renewResumable(deps.db, lease, nowMs + LEASE_MS, nextPart))) throw locked()
    renewedAtMs = nowMs
  }
  let isClean = false
  try {
    const result = await work({
      row,
      lease,
      fileKey: await unwrapKey(deps, row),
      async renew() {
        if (deps.now() - renewedAtMs >= LEASE_MS / 2) await renew()
      },
      renewForPart: renew,
      heldUntilMs() {
        renewedAtMs = deps.now()
        return renewedAtMs + LEASE_MS
      },
    })
    isClean = true
    return result
  } finally {
    // After a fault a part may still be on its way into R2: its number is not used again.
    await releaseResumable(deps.db, lease, isClean).catch(() => {
      deps.log("upload_release_failed")
    })
  }
}
