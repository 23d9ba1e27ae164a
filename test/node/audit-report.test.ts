// What `npm run audit:verify` says: of an end that cannot be there no row was looked at, and it claims nothing of rows.
import { describe, expect, it } from "vitest"
import { type AuditReport, auditLines } from "../../scripts/audit-report.ts"

const whole: AuditReport = { ok: true, sealed: 23, unsealed: 1, pruned: 0, head: { seq: 23, chain: "1:ab" }, damage: null }
const broken: AuditReport = { ...whole, ok: false, head: null }

describe("the words of audit:verify", () => {
  it("says that all is well, and where the trail ends", () => {
    expect(auditLines(whole)).toEqual(["23 sealed rows, and 1 signed one to be sealed yet: all is well.", "End: 23/1:ab"])
    expect(auditLines({ ...whole, sealed: 1, unsealed: 0, pruned: 2 })[0]).toBe(
      "1 sealed row, and 0 signed ones to be sealed yet: all is well. 2 older ones are gone because of their age.",
    )
  })

  it("names the row that was changed, and how many before it are genuine", () => {
    const damage = { fault: "row_changed", seq: 3, id: "a" } as const
    expect(auditLines({ ...broken, sealed: 2, damage })).toEqual([
      "Row 3 is not what was signed: it was changed, or put there by somebody without the key. Its id: a.",
      "2 rows before it are as they were sealed.",
    ])
    expect(auditLines({ ...broken, sealed: 0, damage: { ...damage, seq: 1 } })).toHaveLength(1)
  })

  it("claims nothing of rows where the expected end lies beyond the trail's own", () => {
    const damage = { fault: "rolled_back", seq: 99, id: null } as const
    expect(auditLines({ ...whole, ok: false, sealed: 0, damage })).toEqual([
      "The end that you expect is not in this trail (row 99): an older copy was put back.",
      "No row was checked.",
      "End: 23/1:ab",
    ])
  })

  it("speaks of the head record where a key for that is missing", () => {
    const damage = { fault: "key_missing", seq: null, id: null } as const
    expect(auditLines({ ...broken, sealed: 0, damage })).toEqual([
      "The head record is signed with a key that is not in AUDIT_KEYS. Add it again.",
    ])
  })
})
