// Is the audit trail whole? Pure: fed with the head and every row in order, it names the first thing that is wrong.
// Used by `npm run audit:verify`, and by tests after whatever they did.
import { type AuditKeys, type AuditRow, type TrailHead, checkHead, checkLink, checkRow } from "../crypto/audit-mac.ts"

export type TrailFault =
  /** What the row says is not what was signed, or nobody signed it. */
  | "row_changed"
  /** Rows between are gone, or the end is. */
  | "rows_missing"
  /** A genuine row that was not sealed at this place, or a chain value that was changed. */
  | "row_misplaced"
  /** Sealed rows beyond the end that the head says: an older head was put back. */
  | "row_beyond_head"
  | "head_changed"
  | "head_missing"
  /** The end that was remembered elsewhere is not, or not there, in this trail: an older copy was put back. */
  | "rolled_back"
  /** The end that was remembered is older than what is kept, so nothing can be said about it. */
  | "end_pruned"
  /** A key that something is signed with is not in AUDIT_KEYS. */
  | "key_missing"

/** The first thing that is wrong: where, and the row's id if there is one. */
export type TrailDamage = { fault: TrailFault; seq: number | null; id: string | null }

export type SignedRow = AuditRow & { mac: string; seq: number | null; chain: string | null }
export type SignedHead = TrailHead & { mac: string }

/** No row waits so long for the chain to begin: cron alone runs every few minutes. */
export const UNCHAINED_MS = 24 * 60 * 60_000

/** An end of the chain that was remembered. */
export type RememberedHead = { seq: number; chain: string }

export type TrailCheck = {
  /** Takes the next row: sealed ones by place, then unsealed ones. Null if it is as it should be. */
  row(row: SignedRow): TrailDamage | null
  /**
   * After the last sealed row.
   * @param headNow - the head as it is by then: rows may have been sealed meanwhile
   */
  end(headNow: SignedHead | undefined): TrailDamage | null
}

/**
 * @param head - undefined when there is none
 * @param nowMs - tells rows that wait for the chain to begin from those whose chain was taken away
 * @param remembered - an end that this trail had once, if any is known
 * @returns what checks the rows, or what is wrong with the head alone
 */
export function checkTrail(
  keys: AuditKeys,
  head: SignedHead | undefined,
  nowMs: number,
  remembered: RememberedHead | null = null,
): TrailCheck | TrailDamage {
  if (head !== undefined) {
    const verdict = checkHead(keys, head, head.mac)
    if (verdict !== "good") return { fault: verdict === "unknown_key" ? "key_missing" : "head_changed", seq: null, id: null }
  }
  const lastSeq = head?.lastSeq ?? 0
  let seq = head?.prunedSeq ?? 0
  let chain = head?.prunedChain ?? ""
  if (remembered !== null && remembered.seq > lastSeq) return { fault: "rolled_back", seq: remembered.seq, id: null }
  // Or a chain that was begun anew, with rows put in that are soon pruned, would get by.
  if (remembered !== null && remembered.seq < seq) return { fault: "end_pruned", seq: remembered.seq, id: null }

  const isRolledBack = (): boolean => remembered?.seq === seq && remembered.chain !== chain

  function row({ seq: place, chain: own, mac, ...said }: SignedRow): TrailDamage | null {
    const damage = (fault: TrailFault): TrailDamage => ({ fault, seq: place, id: said.id })
    const verdict = checkRow(keys, said, mac)
    if (head === undefined && (place !== null || said.atMs < nowMs - UNCHAINED_MS)) return damage("head_missing")
    if (place !== null && place > seq + 1) return { fault: "rows_missing", seq: seq + 1, id: null }
    if (verdict !== "good") return damage(verdict === "unknown_key" ? "key_missing" : "row_changed")
    if (place === null) return null
    const link = checkLink(keys, { seq: seq + 1, previous: chain, row: said, mac }, own ?? "")
    if (link === "unknown_key") return damage("key_missing")
    if (place !== seq + 1 || link !== "good" || own === null) return damage("row_misplaced")
    if (place === lastSeq && own !== head?.chain) return damage("row_misplaced")
    seq = place
    chain = own
    return isRolledBack() ? damage("rolled_back") : null
  }

  function end(headNow: SignedHead | undefined): TrailDamage | null {
    if (seq < lastSeq) return { fault: "rows_missing", seq: seq + 1, id: null }
    return seq > (headNow?.lastSeq ?? 0) ? { fault: "row_beyond_head", seq, id: null } : null
  }

  return isRolledBack() ? { fault: "rolled_back", seq, id: null } : { row, end }
}
