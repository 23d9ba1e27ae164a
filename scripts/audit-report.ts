// What `npm run audit:verify` says of what it found.
import type { RememberedHead, TrailDamage, TrailFault } from "../src/domain/audit-check.ts"

export type AuditReport = {
  ok: boolean
  sealed: number
  /** Signed rows that wait for their place. */
  unsealed: number
  /** Rows that are gone because of their age. */
  pruned: number
  head: RememberedHead | null
  damage: TrailDamage | null
}

const sentences: Record<TrailFault, (row: string) => string> = {
  row_changed: (row) => `${row} is not what was signed: it was changed, or put there by somebody without the key.`,
  rows_missing: (row) => `${row} is missing.`,
  row_misplaced: (row) => `${row} is not the one that was sealed at this place.`,
  row_beyond_head: (row) => `${row} lies beyond the end that the head record says: an older head was put back.`,
  head_changed: () => "The head record, which says where the trail begins and ends, was changed.",
  head_missing: () => "The head record, which says where the trail begins and ends, is missing.",
  rolled_back: (row) => `The end that you expect is not in this trail (${row.toLowerCase()}): an older copy was put back.`,
  end_pruned: (row) =>
    `The end that you expect (${row.toLowerCase()}) is older than what is kept, so this check says nothing about it. Expect a newer one.`,
  key_missing: (row) => `${row} is signed with a key that is not in AUDIT_KEYS. Add it again.`,
}

const counted = (count: number, noun: string): string => `${String(count)} ${noun}${count === 1 ? "" : "s"}`

function damageLines(damage: TrailDamage, sealed: number): string[] {
  const { fault, seq, id } = damage
  const isHead = seq === null && id === null
  const row = isHead ? "The head record" : seq === null ? `Row ${id ?? ""} (not sealed)` : `Row ${String(seq)}`
  const sentence = `${sentences[fault](row)}${id === null || seq === null ? "" : ` Its id: ${id}.`}`
  // An end that cannot be there is found before any row is looked at.
  if (sealed === 0) return fault === "rolled_back" || fault === "end_pruned" ? [sentence, "No row was checked."] : [sentence]
  return [sentence, `${counted(sealed, "row")} before it ${sealed === 1 ? "is as it was" : "are as they were"} sealed.`]
}

/** The report in words, and the end of the trail where it has a genuine one. */
export function auditLines({ damage, sealed, unsealed, pruned, head }: AuditReport): string[] {
  const end = head === null ? [] : [`End: ${String(head.seq)}/${head.chain}`]
  if (damage !== null) return [...damageLines(damage, sealed), ...end]
  const older = pruned === 0 ? "" : ` ${String(pruned)} older ones are gone because of their age.`
  return [
    `${counted(sealed, "sealed row")}, and ${counted(unsealed, "signed one")} to be sealed yet: all is well.${older}`,
    ...end,
  ]
}
