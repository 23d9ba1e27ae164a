// Receipts: for owners, who is to have a file, who has it and who has not; for clients, what they have downloaded. They
// say what the records hold and change nothing. A receipt speaks of the current version; what was received of earlier
// ones stands beside it.
import {
  type OwnerStatistics,
  RECEIPT_STATES,
  type ReceiptRow,
  type ReceiptState,
  type ReceiptTotals,
  countForOwner,
  countReceipts,
  listDownloadsBy,
  listReceipts,
} from "../db/receipts.ts"
import { findCaller } from "../db/sessions.ts"
import { type Listing, cursorAfter, cutPage, cutWalk, positionAt } from "./cursor.ts"
import { downloadState } from "./downloads.ts"
import { type SealedRow, findOwnFile } from "./files.ts"
import type { Powers } from "./powers.ts"
import { type Caller, callerFrom } from "./sessions.ts"

export { RECEIPT_STATES }
export type { OwnerStatistics, ReceiptState, ReceiptTotals }

/** A version of the file before this one that the client has received. */
export type EarlierDelivery = { version: number; deliveredAtMs: number; sizeBytes: number; sha256: string }

export type Receipt = {
  client: { id: string; email: string; isDisabled: boolean }
  /** How the file is theirs; nothing of it once it was taken off them. */
  through: { everyone: boolean; directly: boolean; groups: { id: string; name: string }[] }
  /** The earliest moment since when it is theirs in one of these ways; null when it is theirs no more. */
  assignedAtMs: number | null
  notifiedAtMs: number | null
  /** The first and the last link for the current version. */
  linkMadeAtMs: number | null
  lastLinkAtMs: number | null
  state: ReceiptState
  percent: number
  startedAtMs: number | null
  deliveredAtMs: number | null
  /** Of the document, however often each was sent. */
  receivedBytes: number
  /** The version that was begun; null before that. */
  version: number | null
  /** Of what was delivered. */
  sha256: string | null
  /** Downloads begun, of any version. */
  downloads: number
  earlier: EarlierDelivery[]
}

type Current = {
  startedAtMs: number | null
  servedBytes: number
  deliveredAtMs: number | null
  sizeBytes: number | null
  sha256: string | null
}

function receiptOf(row: ReceiptRow, version: number): Receipt {
  const groups = (JSON.parse(row.groups) as { id: string; name: string; atMs: number }[]).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  )
  const current = JSON.parse(row.current) as Current
  const since = [row.everyoneAtMs, row.directAtMs, ...groups.map(({ atMs }) => atMs)].filter((ms) => ms !== null)
  const { percent } = downloadState({ ...current, sizeBytes: current.sizeBytes ?? 0 })
  return {
    client: { id: row.id, email: row.email, isDisabled: row.isDisabled === 1 },
    through: {
      everyone: row.everyoneAtMs !== null,
      directly: row.directAtMs !== null,
      groups: groups.map(({ id, name }) => ({ id, name })),
    },
    assignedAtMs: since.length === 0 ? null : Math.min(...since),
    notifiedAtMs: row.notifiedAtMs,
    linkMadeAtMs: row.linkMadeAtMs,
    lastLinkAtMs: row.lastLinkAtMs,
    state: row.state,
    percent,
    startedAtMs: current.startedAtMs,
    deliveredAtMs: current.deliveredAtMs,
    receivedBytes: current.servedBytes,
    version: current.startedAtMs === null ? null : version,
    sha256: current.deliveredAtMs === null ? null : current.sha256,
    downloads: row.downloads,
    earlier: (JSON.parse(row.earlier) as EarlierDelivery[]).toSorted((a, b) => b.version - a.version),
  }
}

/**
 * A page of the receipts of one of the caller's own files, in the order of the clients' ids. Filtered by a state it may
 * be shorter than asked for, even empty, and yet go on.
 * @returns the totals of the whole file with the first page; null on those that follow
 * @throws AppError `not_found` · `validation_failed` for a cursor of another list
 */
export async function pageOfReceipts(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  fileId: string,
  query: { limit: number; state?: ReceiptState | undefined; cursor?: string | undefined },
): Promise<SealedRow & { receipts: Receipt[]; totals: ReceiptTotals | null; nextCursor: string | null }> {
  const found = await findOwnFile(deps, caller, fileId)
  const { version } = found.file
  const { state, limit } = query
  const listing: Listing = { callerId: caller.userId, list: "receipts", terms: { fileId, state } }
  const after = await positionAt(deps, listing, query.cursor)
  const rows = await listReceipts(deps.db, { fileId, version }, { state, afterId: after?.id, limit })
  const { page, next } = cutWalk(rows, limit)
  return {
    ...found,
    receipts: page.map((row) => receiptOf(row, version)),
    totals: after === undefined ? await countReceipts(deps.db, { fileId, version }) : null,
    nextCursor: await cursorAfter(deps, listing, next),
  }
}

/** Few enough to hold, many enough that ten thousand recipients take few statements. */
const WALK_ROWS = 500

/**
 * All receipts of one of the caller's files, some at a time, of the version that is current at the beginning. They are
 * read as slowly as somebody takes them: each time it is asked anew whether the caller may, and whether there is the file.
 * @throws AppError `not_found`, and while it is read `invalid_token`: what was handed over by then is not all
 */
export async function walkReceipts(
  deps: Pick<Powers, "db" | "now">,
  caller: Caller,
  fileId: string,
  state?: ReceiptState,
): Promise<SealedRow & { pages: AsyncGenerator<Receipt[], void> }> {
  const found = await findOwnFile(deps, caller, fileId)
  const { version } = found.file
  async function* pages() {
    for (let afterId: string | undefined; ;) {
      const rows = await listReceipts(deps.db, { fileId, version }, { state, afterId, limit: WALK_ROWS })
      // Of a file that was purged meanwhile nothing is found, which must not look like the end.
      await findOwnFile(deps, callerFrom(caller, await findCaller(deps.db, caller.sessionId, deps.now())), fileId)
      const { page, next } = cutWalk(rows, WALK_ROWS)
      yield page.map((row) => receiptOf(row, version))
      if (next === null) return
      afterId = next.id
    }
  }
  return { ...found, pages: pages() }
}

/** What the caller's own files and their downloads come to. */
export const ownStatistics = (deps: Pick<Powers, "db">, caller: Caller): Promise<OwnerStatistics> =>
  countForOwner(deps.db, caller.userId)

/** A download as the client who made it sees it: what it was of, by the name that it had then. */
export type PastDownload = {
  id: string
  file: { id: string; name: string; type: string; isAvailable: boolean }
  version: number
  sizeBytes: number
  sha256: string
  state: "started" | "partial" | "delivered"
  percent: number
  startedAtMs: number
  deliveredAtMs: number | null
}

/**
 * A page of the caller's own downloads, the last begun first. Those of a file go with the file.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfHistory(
  deps: Pick<Powers, "db" | "keys" | "now">,
  caller: Caller,
  query: { limit: number; cursor?: string | undefined },
): Promise<{ history: PastDownload[]; nextCursor: string | null }> {
  const listing: Listing = { callerId: caller.userId, list: "history", terms: {} }
  const after = await positionAt(deps, listing, query.cursor)
  const rows = await listDownloadsBy(deps.db, caller.userId, { after, limit: query.limit + 1, nowMs: deps.now() })
  const { page, next } = cutPage(rows, query.limit, ({ startedAtMs, id }) => ({ key: startedAtMs, id }))
  const history = page.map(({ id, fileId, name, type, version, sizeBytes, sha256, isAvailable, ...row }) => {
    const { state, percent } = downloadState({ ...row, sizeBytes })
    const file = { id: fileId, name, type, isAvailable: isAvailable === 1 }
    const isBegun = state === "unused" ? "started" : state
    return {
      id,
      file,
      version,
      sizeBytes,
      sha256,
      state: isBegun,
      percent,
      startedAtMs: row.startedAtMs,
      deliveredAtMs: row.deliveredAtMs,
    }
  })
  return { history, nextCursor: await cursorAfter(deps, listing, next) }
}
