import { describe, expect, it } from "vitest"
import { verifyLines } from "../../scripts/verify-report.ts"
import type { Finding, FindingKind } from "../../src/domain/inspection.ts"

const found = (kind: FindingKind): Finding => ({ kind, fileId: "f", objectKey: "o", keyId: 7 })
const report = (...kinds: FindingKind[]): string[] =>
  verifyLines({ filesOpened: 1, bytesOpened: 2, objectsListed: 3, findings: kinds.map(found) })

describe("what npm run verify says", () => {
  it("counts in words that fit", () => {
    expect(report()).toEqual(["1 file with 2 bytes opened, 3 objects seen: all is well."])
    expect(report("sha256").at(-1)).toBe("1 file with 2 bytes opened, 1 not, 3 objects seen: 1 finding.")
    expect(report("sha256", "orphaned_object").at(-1)).toBe("1 file with 2 bytes opened, 1 not, 3 objects seen: 2 findings.")
  })

  it("names another fault and remedy for each kind", () => {
    const kinds: FindingKind[] = ["row", "wrapped_key", "commitment", "object_missing", "object_size", "segment", "sha256"]
    const lines = kinds.map((kind) => report(kind)[0])
    expect(new Set(lines).size).toBe(kinds.length)
    expect(report("wrapped_key")[0]).toContain("master key 7 in MASTER_KEYS is another one")
    expect(report("key_unavailable")[0]).toContain("master key 7 is not in MASTER_KEYS")
  })

  it("lets nobody delete an object while a file may have lost it, and sends to the backups first otherwise", () => {
    for (const lost of ["file_without_bytes", "object_missing", "row"] as const) {
      const line = report("orphaned_object", lost)[0]
      expect(line).toContain("keep it")
      expect(line).not.toMatch(/can go|delete/)
    }
    expect(report("orphaned_object", "sha256")[0]).toMatch(/in backups first .* Only if none has it, it is left over and can go/)
  })
})
