import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { fromBase64url, fromHex, randomBytes, toBase64url } from "../../src/crypto/bytes.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import { importUnsubscribeKey, openUnsubscribe, sealUnsubscribe } from "../../src/crypto/unsubscribe-token.ts"
import { importHandleKey, sealHandle } from "../../src/crypto/verify-handle.ts"
import { newId } from "../../src/ids.ts"
import vector from "../vectors/unsubscribe-token-v1.json"

const ringOf = <K>(id: number, key: K): KeyRing<K> => ({ currentId: id, current: key, byId: new Map([[id, key]]) })

describe("an unsubscribe token", () => {
  let keys: KeyRing<CryptoKey>
  beforeAll(async () => {
    keys = ringOf(7, await importUnsubscribeKey(randomBytes(32)))
  })

  it("gives back user and kind, and shows neither", () =>
    fc.assert(
      fc.asyncProperty(fc.uuid({ version: 4 }), fc.integer({ min: 0, max: 255 }), async (userId, kind) => {
        const token = await sealUnsubscribe(keys, { userId, kind })
        expect(await openUnsubscribe(keys, token)).toEqual({ userId, kind })
        expect(token).toMatch(/^[\w-]{62}$/)
        expect(await sealUnsubscribe(keys, { userId, kind })).not.toBe(token)
      }),
      { numRuns: 100 },
    ))

  it("with any bit flipped, cut or extended is none", async () => {
    const token = await sealUnsubscribe(keys, { userId: newId(), kind: 1 })
    const bytes = fromBase64url(token) ?? new Uint8Array(0)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await openUnsubscribe(keys, toBase64url(flipped))).toBeNull()
    }
    for (const wrong of ["", "A", token.slice(0, -1), token.slice(0, -4), `${token}A`, `${token}AAAA`, `${token}=`, "%", "Bw"])
      expect([wrong, await openUnsubscribe(keys, wrong)]).toEqual([wrong, null])
    expect(await openUnsubscribe(keys, token)).not.toBeNull()
  })

  it("is opened by the key that sealed it, whichever is current, and by no other", async () => {
    const named = { userId: newId(), kind: 2 }
    const token = await sealUnsubscribe(keys, named)
    const fresh = await importUnsubscribeKey(randomBytes(32))
    const byId = new Map([
      [8, fresh],
      [7, keys.current],
    ])
    expect(await openUnsubscribe({ currentId: 8, current: fresh, byId }, token)).toEqual(named)
    expect(await openUnsubscribe(ringOf(7, fresh), token)).toBeNull()
    expect(await openUnsubscribe(ringOf(8, fresh), token)).toBeNull()
  })

  it("is none of the other things that the same ring makes", async () => {
    const raw = randomBytes(32)
    const handle = await sealHandle(ringOf(7, await importHandleKey(raw)), newId())
    expect(await openUnsubscribe(ringOf(7, await importUnsubscribeKey(raw)), handle)).toBeNull()
  })

  it.each([-1, 256, 1.5, Number.NaN])("is not made of kind %d", async (kind) => {
    await expect(sealUnsubscribe(keys, { userId: newId(), kind })).rejects.toThrow(TypeError)
  })

  it("has its frozen form", async () => {
    const ring = ringOf(vector.keyId, await importUnsubscribeKey(fromHex(vector.key) ?? new Uint8Array(0)))
    expect(await openUnsubscribe(ring, vector.token)).toEqual({ userId: vector.userId, kind: vector.kind })
  })
})
