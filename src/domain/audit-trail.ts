// The chain of the audit trail (docs/audit-format.md). Rows are signed when they are written; here they are given their
// places, after the request and by cron, so that no request ever waits for another one's row. One head record says
// where the chain begins and ends; it changes in the same batch as the rows, and only if it is still the one that was read.
import { CHAIN_START, type TrailHead, checkHead, checkLink, checkRow, signHead, signLink } from "../crypto/audit-mac.ts"
import {
  type AuditHeadRow,
  deleteSealedRowsTo,
  exchangeAuditHead,
  findAuditHead,
  hasRowsBefore,
  hasSealedRows,
  insertAuditHead,
  listSealedRows,
  listUnsealedRows,
  placeRows,
} from "../db/audit.ts"
import { type Statement, runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { auditEvent } from "./audit.ts"
import { UNCHAINED_MS } from "./audit-check.ts"
import type { Powers } from "./powers.ts"

const PAGE = 100
/** Pages that one call takes in; what is left waits for the next request or for cron. */
const MAX_PAGES = 50
const MAX_TRIES = 5
/** A runner that has not come back by then was cut off with its request. */
const TURN_LIFETIME_MS = 60_000
const PRUNE_PAGE = 500
const DAY_MS = 24 * 60 * 60_000

type Deps = Pick<Powers, "db" | "now" | "request" | "log">

const signed = (deps: Deps, head: TrailHead) => ({ ...head, mac: signHead(deps.request.pen.keys, head) })

/** Damage is not mended here: it stays as it is, for `npm run audit:verify` to name it. */
const noteDamage = (deps: Deps, fault: string): void => {
  deps.log("audit_damaged", { fault, remedy: "run npm run audit:verify" })
}

/**
 * The first head. Not where rows stand that have a place, or have waited for one far too long: then there was a chain, and
 * whoever took its head away would have it begun anew over what is left.
 */
async function beginChain(deps: Deps): Promise<AuditHeadRow | null> {
  if ((await hasSealedRows(deps.db)) || (await hasRowsBefore(deps.db, deps.now() - UNCHAINED_MS))) {
    noteDamage(deps, "head_missing")
    return null
  }
  const head = { lastSeq: 0, chain: CHAIN_START, prunedSeq: 0, prunedChain: CHAIN_START, updatedAtMs: deps.now() }
  await runBatch(deps.db, [insertAuditHead(deps.db, signed(deps, head))])
  return (await findAuditHead(deps.db)) ?? null
}

async function currentHead(deps: Deps): Promise<AuditHeadRow | null> {
  const head = await findAuditHead(deps.db)
  if (head === undefined) return beginChain(deps)
  if (checkHead(deps.request.pen.keys, head, head.mac) === "good") return head
  noteDamage(deps, "head_changed")
  return null
}

/** Takes a page of rows into the chain and says whether there may be more. */
async function sealPage(deps: Deps): Promise<boolean> {
  // The head first: rows that somebody else places after this was read have changed the head as well.
  const head = await currentHead(deps)
  if (head === null) return false
  const rows = await listUnsealedRows(deps.db, PAGE)
  if (rows.length === 0) return false
  const { keys } = deps.request.pen
  let { lastSeq: seq, chain } = head
  const places = rows.map((row) => {
    seq += 1
    chain = signLink(keys, { seq, previous: chain, row, mac: row.mac })
    return { id: row.id, seq, chain }
  })
  const { prunedSeq, prunedChain } = head
  const next = signed(deps, { lastSeq: seq, chain, prunedSeq, prunedChain, updatedAtMs: deps.now() })
  await runBatch(deps.db, [exchangeAuditHead(deps.db, head.mac, next), placeRows(deps.db, places)])
  return rows.length === PAGE
}

/** As `sealPage`, again when another isolate was faster. */
async function sealPageFor(deps: Deps): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await sealPage(deps)
    } catch (error) {
      if (!isConstraintFailure(error) || attempt === MAX_TRIES) throw error
    }
  }
}

/**
 * Gives every signed row its place in the chain. Of several calls in one isolate one does the work of all. Never throws:
 * what is left, cron takes in.
 */
export async function sealAuditTrail(deps: Deps): Promise<void> {
  const { turn } = deps.request.pen
  if (turn.takenAtMs !== null && deps.now() - turn.takenAtMs < TURN_LIFETIME_MS) {
    turn.isWantedAgain = true
    return
  }
  turn.takenAtMs = deps.now()
  try {
    for (let page = 0; page < MAX_PAGES; page++) {
      turn.isWantedAgain = false
      const isMore = await sealPageFor(deps)
      // Set by whoever came while that page was on its way.
      if (!isMore && !(turn.isWantedAgain as boolean)) break
    }
  } catch (error) {
    deps.log("audit_not_sealed", { error: error instanceof Error ? error.name : "unknown" })
  } finally {
    turn.takenAtMs = null
  }
}

/**
 * Deletes sealed rows that are older than the deployment keeps them, from the chain's beginning on, and signs where it
 * begins now. Only rows that are as they were sealed go: the traces of damage stay.
 * @returns how many rows went
 */
export async function pruneAuditTrail(deps: Deps & Pick<Powers, "policy">): Promise<number> {
  const beforeMs = deps.now() - deps.policy.auditRetentionDays * DAY_MS
  const head = await findAuditHead(deps.db)
  const [oldest] = head === undefined ? [] : await listSealedRows(deps.db, head.prunedSeq, 1)
  if (head === undefined || oldest === undefined || oldest.atMs >= beforeMs) return 0
  const { keys } = deps.request.pen
  // Said by whoever seals.
  if (checkHead(keys, head, head.mac) !== "good") return 0
  let { prunedSeq: seq, prunedChain: chain } = head
  for (const { seq: place, chain: own, ...row } of await listSealedRows(deps.db, seq, PRUNE_PAGE)) {
    if (row.atMs >= beforeMs) break
    const isWhole =
      place === seq + 1 &&
      own !== null &&
      checkRow(keys, row, row.mac) === "good" &&
      checkLink(keys, { seq: place, previous: chain, row, mac: row.mac }, own) === "good"
    if (!isWhole) {
      noteDamage(deps, `row_${String(seq + 1)}`)
      break
    }
    seq = place
    chain = own
  }
  const count = seq - head.prunedSeq
  if (count === 0) return 0
  const next = signed(deps, { ...headOf(head), prunedSeq: seq, prunedChain: chain, updatedAtMs: deps.now() })
  const statements: [Statement, ...Statement[]] = [
    exchangeAuditHead(deps.db, head.mac, next),
    deleteSealedRowsTo(deps.db, seq),
    auditEvent(deps, "audit.pruned", null, null, { reason: String(count) }),
  ]
  await runBatch(deps.db, statements)
  return count
}

const headOf = ({ lastSeq, chain, prunedSeq, prunedChain, updatedAtMs }: AuditHeadRow): TrailHead => ({
  lastSeq,
  chain,
  prunedSeq,
  prunedChain,
  updatedAtMs,
})

/** What cron does: seals, prunes, and writes the chain's end into the log, out of reach of whoever changes the database. */
export async function keepAuditTrail(deps: Deps & Pick<Powers, "policy">): Promise<void> {
  await sealAuditTrail(deps)
  if ((await pruneAuditTrail(deps)) > 0) await sealAuditTrail(deps)
  const head = await findAuditHead(deps.db)
  if (head !== undefined) deps.log("audit_head", { seq: head.lastSeq, chain: head.chain })
}
