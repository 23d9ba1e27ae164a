// Counting downloads. A link's first GET claims its download, whatever follows by the same link joins it, and at the end
// of each stream the bytes that were sent are added up. So under a limit nobody gets more, a broken transfer can go on,
// and "started", "partial" and "delivered" are what has really happened. HEAD, 304, 412, 416 and refusals never count.
import { runBatch } from "../db/client.ts"
import { type DownloadRow, type SendTerms, leaveDownload, recordServed, renewHold } from "../db/downloads.ts"
import { addDeliveryEvent } from "../db/events.ts"
import { auditEvent } from "./audit.ts"
import { sealAuditTrail } from "./audit-trail.ts"
import type { Piece } from "./content.ts"
import type { SealedRow } from "./files.ts"
import type { Powers } from "./powers.ts"

export type { SendTerms }

/** How long a request that sends from the first byte on is believed to live without a sign of it. */
export const HOLD_MS = 3 * 60_000
const RENEW_AFTER_MS = 60_000

/** What came of a link so far. */
export type DownloadState = {
  state: "unused" | "started" | "partial" | "delivered"
  percent: number
  startedAtMs: number | null
  deliveredAtMs: number | null
}

/** @param row - what is recorded, null values for a link that was not used */
export function downloadState(row: {
  sizeBytes: number
  startedAtMs: number | null
  servedBytes: number | null
  deliveredAtMs: number | null
}): DownloadState {
  const { startedAtMs, deliveredAtMs, servedBytes, sizeBytes } = row
  if (startedAtMs === null) return { state: "unused", percent: 0, startedAtMs, deliveredAtMs }
  if (deliveredAtMs !== null) return { state: "delivered", percent: 100, startedAtMs, deliveredAtMs }
  // Not rounded up: 99 until the last byte.
  const percent = Math.floor(((servedBytes ?? 0) * 100) / sizeBytes)
  return { state: (servedBytes ?? 0) > 0 ? "partial" : "started", percent, startedAtMs, deliveredAtMs }
}

/** Will a request on these terms be sent bytes of the document? The same that the claim asks of the database. */
export function termsHold(terms: SendTerms, { blob }: SealedRow): boolean {
  const createdSeconds = Math.floor(blob.createdAtMs / 1000)
  const { sha256In, sha256NotIn, createdAtMostSeconds, createdAfterSeconds, range } = terms
  if (sha256In?.includes(blob.sha256) === false || sha256NotIn?.includes(blob.sha256) === true) return false
  if (createdAtMostSeconds !== null && createdSeconds > createdAtMostSeconds) return false
  if (createdAfterSeconds !== null && createdSeconds <= createdAfterSeconds) return false
  if (range === null) return true
  const { onlyOf } = range
  const isOff = onlyOf !== null && ("sha256" in onlyOf ? onlyOf.sha256 !== blob.sha256 : onlyOf.createdSeconds !== createdSeconds)
  return isOff || range.first < blob.sizeBytes || range.suffixBytes > 0
}

/** The ranges of the document among the first `sentBytes` of an answer made of these pieces. */
export function rangesSent(pieces: readonly Piece[], sentBytes: number): [start: number, end: number][] {
  const ranges: [number, number][] = []
  let left = sentBytes
  for (const piece of pieces) {
    const lengthBytes = piece instanceof Uint8Array ? piece.length : piece.end - piece.start
    const taken = Math.min(left, lengthBytes)
    if (!(piece instanceof Uint8Array) && taken > 0) ranges.push([piece.start, piece.start + taken])
    left -= taken
  }
  return ranges
}

type Deps = Pick<Powers, "db" | "now" | "request" | "afterwards" | "log">

/**
 * Watches one answer that joined a download. A fault in here is noted and breaks nobody's transfer: the claim, which
 * counts, is already made.
 */
export function watchDownload(deps: Deps, download: DownloadRow, pieces: readonly Piece[]) {
  const { linkId } = download
  const holder = deps.request.id
  let heldSinceMs = deps.now()

  async function note(step: () => Promise<unknown>): Promise<void> {
    try {
      await step()
    } catch (error) {
      deps.log("download_not_noted", { linkId, error: error instanceof Error ? error.name : "unknown" })
    }
  }

  return {
    /** Bytes are moving. */
    progress(): void {
      const nowMs = deps.now()
      if (download.holder !== holder || nowMs - heldSinceMs < RENEW_AFTER_MS) return
      heldSinceMs = nowMs
      deps.afterwards(note(() => renewHold(deps.db, linkId, holder, nowMs + HOLD_MS).run()))
    },
    /** The stream is over, whole or broken off, after this many bytes of the answer. */
    ended: (sentBytes: number): Promise<void> =>
      note(async () => {
        const ranges = rangesSent(pieces, sentBytes)
        // Who hung up before the first byte has received nothing, and it costs them nothing.
        if (ranges.length === 0) {
          await runBatch(deps.db, leaveDownload(deps.db, linkId, holder))
          return
        }
        const nowMs = deps.now()
        const record = [recordServed(deps.db, linkId, ranges, holder, nowMs), addDeliveryEvent(deps.db, linkId, nowMs)] as const
        const isFirst = download.requests === 1
        await runBatch(deps.db, isFirst ? [...record, auditEvent(deps, "link.used", download.userId, linkId)] : record)
        // The request is over: nobody else seals what it has written now.
        if (isFirst) deps.afterwards(sealAuditTrail(deps))
      }),
    /** Nothing was sent after all. */
    failed: (): Promise<void> => note(() => runBatch(deps.db, leaveDownload(deps.db, linkId, holder))),
  }
}

export type DownloadWatch = ReturnType<typeof watchDownload>
