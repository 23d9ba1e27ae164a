import { beforeAll, describe, expect, it } from "vitest"
import fc from "fast-check"
import { fromBase64url, fromHex, randomBytes, toBase64url } from "../../src/crypto/bytes.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import { importCursorKey, openCursor, sealCursor } from "../../src/crypto/list-cursor.ts"
import vector from "../vectors/list-cursor-v1.json"

const ringOf = (id: number, key: CryptoKey): KeyRing<CryptoKey> => ({ currentId: id, current: key, byId: new Map([[id, key]]) })
const text = fc.string({ unit: "binary" }).filter((some) => some.isWellFormed())

describe("a cursor", () => {
  let keys: KeyRing<CryptoKey>

  beforeAll(async () => {
    keys = ringOf(7, await importCursorKey(randomBytes(32)))
  })

  it("gives back its position in its context, and null in any other", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(text),
        text.filter((some) => some !== ""),
        fc.array(text),
        async (context, position, other) => {
          const cursor = await sealCursor(keys, context, position)
          expect(await openCursor(keys, context, cursor)).toBe(position)
          if (JSON.stringify(other) !== JSON.stringify(context)) expect(await openCursor(keys, other, cursor)).toBeNull()
          expect(await openCursor(keys, [...context, ""], cursor)).toBeNull()
        },
      ),
      { numRuns: 200 },
    ))

  it("with any bit flipped, cut or extended is none", async () => {
    const cursor = await sealCursor(keys, ["a"], '["x","y"]')
    const bytes = fromBase64url(cursor) ?? new Uint8Array(0)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await openCursor(keys, ["a"], toBase64url(flipped))).toBeNull()
    }
    for (const wrong of ["", "A", cursor.slice(0, -1), `${cursor}A`, `${cursor}=`, "%", "Bw"])
      expect([wrong, await openCursor(keys, ["a"], wrong)]).toEqual([wrong, null])
    expect(await openCursor(keys, ["a"], cursor)).toBe('["x","y"]')
  })

  it("is opened by the key that sealed it, whichever is current", async () => {
    const cursor = await sealCursor(keys, [], "p")
    const fresh = await importCursorKey(randomBytes(32))
    const both = {
      currentId: 8,
      current: fresh,
      byId: new Map([
        [8, fresh],
        [7, keys.current],
      ]),
    }
    expect(await openCursor(both, [], cursor)).toBe("p")
    expect(await openCursor(ringOf(8, fresh), [], cursor)).toBeNull()
  })

  it("has its frozen form", async () => {
    const ring = ringOf(vector.keyId, await importCursorKey(fromHex(vector.key) ?? new Uint8Array(0)))
    expect(await sealCursor(ring, vector.context, vector.position)).toBe(vector.cursor)
  })
})
