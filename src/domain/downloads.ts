// Counting downloads. A link's first GET claims its download, whatever follows by the same link joins it, and at the end
// of each stream the bytes that were sent are added up. So under a limit nobody gets more, a broken transfer can go on,
// and "started", "partial" and "delivered" are what has really happened. HEAD, 304, 412, 416 and refusals never count.
import { type Statement, runBatch } from "../db/client.ts"
import { type DownloadRow, type SendTerms, leaveDownloads, recordServed, renewHolds } from "../db/downloads.ts"
import { addDeliveryEvents, addStartEvents } from "../db/events.ts"
import { auditEvents } from "./audit.ts"
import { sealAuditTrail } from "./audit-trail.ts"
import type { FilePiece } from "./content.ts"
import type { SealedRow } from "./files.ts"
import type { Powers } from "./powers.ts"

export type { DownloadRow as Download, SendTerms }

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

/** What was sent of files, by their ids: the ranges, and whether that is all that was to be sent. */
type FilesSent = Map<string, { ranges: [start: number, end: number][]; isAll: boolean }>

/** What of each file is among the first `sentBytes` of an answer made of these pieces. */
export function rangesSent(pieces: readonly FilePiece[], sentBytes: number): FilesSent {
  const sent: FilesSent = new Map()
  let left = sentBytes
  for (const piece of pieces) {
    const lengthBytes = piece instanceof Uint8Array ? piece.length : piece.end - piece.start
    const taken = Math.min(left, lengthBytes)
    left -= taken
    if (piece instanceof Uint8Array) continue
    const known = sent.get(piece.blob.fileId) ?? { ranges: [], isAll: true }
    if (taken > 0) known.ranges.push([piece.start, piece.start + taken])
    sent.set(piece.blob.fileId, { ranges: known.ranges, isAll: known.isAll && taken === lengthBytes })
  }
  return sent
}

type Deps = Pick<Powers, "db" | "now" | "request" | "afterwards" | "log">

/**
 * Watches one answer that joined downloads, one for each file that it holds, in their order. A fault in here is noted and breaks
 * nobody's transfer: the claims, which count, are already made.
 */
export function watchDownloads(deps: Deps, downloads: readonly DownloadRow[], pieces: readonly FilePiece[]) {
  const holder = deps.request.id
  let heldSinceMs = deps.now()
  const recorded = new Set<string>()
  /** Of the first file the owner was told with the claim. */
  const told = new Set([downloads[0]?.linkId])

  async function note(step: () => Promise<unknown>): Promise<void> {
    try {
      await step()
    } catch (error) {
      const facts = { linkId: downloads[0]?.linkId ?? null, error: error instanceof Error ? error.name : "unknown" }
      deps.log("download_not_noted", facts)
    }
  }

  const ids = (of: readonly DownloadRow[]): string[] => of.map(({ linkId }) => linkId)
  const record = (of: readonly DownloadRow[], sent: FilesSent, endingHoldsOf: string | null) => {
    const nowMs = deps.now()
    const served = of.map(({ linkId, fileId }) => ({ linkId, ranges: sent.get(fileId)?.ranges ?? [] }))
    const begun = of.filter(({ linkId }) => !told.has(linkId))
    for (const { linkId } of begun) told.add(linkId)
    return [
      recordServed(deps.db, served, endingHoldsOf, nowMs),
      addStartEvents(deps.db, ids(begun), nowMs),
      addDeliveryEvents(deps.db, ids(of), nowMs),
    ] as const
  }

  /** Writes down what each was sent. Who was sent nothing, e.g. hung up before the first byte, it costs nothing. */
  async function settle(sent: FilesSent): Promise<void> {
    const wasServed = ({ fileId }: DownloadRow): boolean => (sent.get(fileId)?.ranges.length ?? 0) > 0
    const served = downloads.filter(wasServed)
    const unserved = downloads.filter((download) => !wasServed(download))
    const used = served.filter(({ requests }) => requests === 1)
    const statements: Statement[] = [
      ...(served.length > 0 ? record(served, sent, holder) : []),
      ...(unserved.length > 0 ? leaveDownloads(deps.db, ids(unserved), holder) : []),
      ...(used.length > 0 ? [auditEvents(deps, "link.used", used[0]?.userId ?? null, ids(used))] : []),
    ]
    const [first, ...more] = statements
    if (first !== undefined) await runBatch(deps.db, [first, ...more])
    // The request is over: nobody else seals what it has written now.
    if (used.length > 0) deps.afterwards(sealAuditTrail(deps))
  }

  return {
    /** Bytes are moving. Now and then that is said of what is held, and what of an archive was sent whole is written down. */
    progress(sentBytes: number): void {
      const nowMs = deps.now()
      if (nowMs - heldSinceMs < RENEW_AFTER_MS) return
      heldSinceMs = nowMs
      const held = downloads.filter((download) => download.holder === holder)
      if (held.length > 0) deps.afterwards(note(() => renewHolds(deps.db, ids(held), holder, nowMs + HOLD_MS).run()))
      const sent = rangesSent(pieces, sentBytes)
      const done = downloads.filter(({ linkId, fileId }) => sent.get(fileId)?.isAll === true && !recorded.has(linkId))
      for (const { linkId } of done) recorded.add(linkId)
      if (done.length > 0) deps.afterwards(note(() => runBatch(deps.db, record(done, sent, null))))
    },
    /** The stream is over, whole or broken off, after this many bytes of the answer. */
    ended: (sentBytes: number): Promise<void> => note(() => settle(rangesSent(pieces, sentBytes))),
    /** Nothing was sent after all. */
    failed: (): Promise<void> => note(() => settle(new Map())),
  }
}
