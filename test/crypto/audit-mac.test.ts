import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type AuditKeys,
  type AuditRow,
  checkHead,
  checkLink,
  checkRow,
  importAuditKey,
  signHead,
  signLink,
  signRow,
} from "../../src/crypto/audit-mac.ts"
import { fromHex } from "../../src/crypto/bytes.ts"
import vectors from "../vectors/audit-v1.json"

const keyOf = async (hex: string) => importAuditKey(fromHex(hex) ?? new Uint8Array(0))
const one = await keyOf(vectors.keys["1"])
const two = await keyOf(vectors.keys["2"])
const ring = (currentId: 1 | 2): AuditKeys => ({
  currentId,
  current: currentId === 1 ? one : two,
  byId: new Map([
    [1, one],
    [2, two],
  ]),
})
const keys = ring(1)

const row: AuditRow = vectors.rows[0]?.row as AuditRow
const nullable = fc.option(fc.string({ unit: "binary", maxLength: 12 }), { nil: null })
const anyRow: fc.Arbitrary<AuditRow> = fc.record({
  id: fc.string({ maxLength: 12 }),
  atMs: fc.maxSafeNat(),
  kind: fc.string({ maxLength: 12 }),
  actorId: nullable,
  subjectId: nullable,
  place: nullable,
  result: fc.string({ maxLength: 12 }),
  reason: nullable,
  requestId: nullable,
})

describe("the frozen vectors, made by another implementation", () => {
  it.each(vectors.rows)("row $seq and its link, under key $keyId", ({ keyId, row: said, mac, seq, previous, chain }) => {
    const own = ring(keyId as 1 | 2)
    expect(signRow(own, said)).toBe(mac)
    expect(signLink(own, { seq, previous, row: said, mac })).toBe(chain)
    // Whatever key is current, both read.
    expect([checkRow(keys, said, mac), checkLink(keys, { seq, previous, row: said, mac }, chain)]).toEqual(["good", "good"])
  })

  it("the head", () => {
    const { keyId, mac, ...head } = vectors.head
    expect(signHead(ring(keyId as 1 | 2), head)).toBe(mac)
    expect(checkHead(keys, head, mac)).toBe("good")
    expect(checkHead(keys, { ...head, lastSeq: 2 }, mac)).toBe("wrong")
  })
})

describe("a row's signature", () => {
  it("holds for that row and no other", () => {
    fc.assert(
      fc.property(anyRow, anyRow, (a, b) => {
        expect(checkRow(keys, a, signRow(keys, a))).toBe("good")
        expect(checkRow(keys, b, signRow(keys, a)) === "good").toBe(JSON.stringify(a) === JSON.stringify(b))
      }),
    )
  })

  it("knows what belongs to which field", () => {
    const mac = signRow(keys, { ...row, actorId: "a", subjectId: "bc" })
    for (const moved of [
      { actorId: "ab", subjectId: "c" },
      { actorId: "abc", subjectId: null },
      { actorId: null, subjectId: "abc" },
      { actorId: "a", subjectId: "bc", place: row.reason, reason: row.place },
    ])
      expect(checkRow(keys, { ...row, ...moved }, mac)).toBe("wrong")
    expect(
      checkRow(keys, { ...row, actorId: "", subjectId: null }, signRow(keys, { ...row, actorId: null, subjectId: "" })),
    ).toBe("wrong")
  })

  it("has one spelling, and tells a key that is missing from a wrong one", () => {
    const mac = signRow(keys, row)
    expect(checkRow(keys, row, mac)).toBe("good")
    for (const other of ["", mac.toUpperCase().replace("1:", "1:A"), ` ${mac}`, `0${mac}`, `${mac}0`, mac.slice(2)])
      expect(checkRow(keys, row, other)).toBe("wrong")
    expect(checkRow(keys, row, mac.replace("1:", "2:"))).toBe("wrong")
    expect(checkRow(keys, row, mac.replace("1:", "3:"))).toBe("unknown_key")
  })

  it("is none of a link or a head", () => {
    const mac = signRow(keys, row)
    expect(checkLink(keys, { seq: 1, previous: "0:", row, mac }, mac)).toBe("wrong")
  })
})
