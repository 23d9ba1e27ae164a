import { describe, expect, it } from "vitest"
import { toBase64url } from "../../src/crypto/bytes.ts"
import { newKeyRingEntry, parseKeyRing } from "../../src/crypto/keyring.ts"

const good = newKeyRingEntry(1)
const other = newKeyRingEntry(2)
const keyOf = (entry: string): string => entry.slice(entry.indexOf(":") + 1)

describe("parseKeyRing", () => {
  it("takes several keys, the first one current", () => {
    const ring = parseKeyRing(`${other},${good}`)
    expect(ring).toMatchObject({ currentId: 2 })
    if (typeof ring === "string") throw new Error(ring)
    expect([...ring.byId.keys()]).toEqual([2, 1])
    expect(toBase64url(ring.current)).toBe(keyOf(other))
  })

  it.each([
    ["", "empty"],
    ["  ", "empty"],
    [`${good},`, "malformed entry"],
    [keyOf(good), "malformed entry"],
    [`0:${keyOf(good)}`, "key id not a whole number from 1 to 255"],
    [`256:${keyOf(good)}`, "key id not a whole number from 1 to 255"],
    [`01:${keyOf(good)}`, "key id not a whole number from 1 to 255"],
    [`x:${keyOf(good)}`, "key id not a whole number from 1 to 255"],
    [`1:${keyOf(good).slice(0, 42)}`, "key not 32 bytes of base64url"],
    [`1:${keyOf(good)}A`, "key not 32 bytes of base64url"],
    [`1:${keyOf(good)}=`, "key not 32 bytes of base64url"],
    ["1:changeme", "key not 32 bytes of base64url"],
    [`1:${"A".repeat(43)}`, "key not random"],
    [`1:${toBase64url(new TextEncoder().encode("this-is-my-secret-passphrase-123"))}`, "key not random"],
    [`1:${toBase64url(Uint8Array.from({ length: 32 }, (_, i) => i))}`, "key not random"],
    [`${good},1:${keyOf(other)}`, "duplicate key id"],
    [`${good},2:${keyOf(good)}`, "duplicate key"],
  ])("refuses %j", (text, fault) => {
    expect(parseKeyRing(text)).toBe(fault)
  })

  it("never calls fresh keys guessable", () => {
    for (let i = 0; i < 2000; i++) expect(typeof parseKeyRing(newKeyRingEntry(7))).toBe("object")
  })
})
