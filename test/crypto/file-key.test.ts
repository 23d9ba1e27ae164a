import { beforeAll, describe, expect, it } from "vitest"
import { randomBytes, toHex } from "../../src/crypto/bytes.ts"
import { type WrappedFileKey, createFileKey, unwrapFileKey } from "../../src/crypto/file-key.ts"
import { type KeyRing, hkdf, importHkdfKey } from "../../src/crypto/keyring.ts"
import { newId } from "../../src/ids.ts"

const ringOf = (...entries: [number, CryptoKey][]): KeyRing<CryptoKey> => {
  const [first] = entries
  if (first === undefined) throw new Error("empty")
  return { currentId: first[0], current: first[1], byId: new Map(entries) }
}

const fingerprint = async (key: CryptoKey | string): Promise<string> =>
  typeof key === "string" ? key : toHex(new Uint8Array(await crypto.subtle.deriveBits(hkdf(new Uint8Array(1)), key, 256)))

describe("a file's wrapped key", () => {
  const file = { fileId: newId(), fileVersion: 1 }
  let one: CryptoKey
  let two: CryptoKey
  let fileKey: CryptoKey
  let wrapped: WrappedFileKey

  beforeAll(async () => {
    one = await importHkdfKey(randomBytes(32))
    two = await importHkdfKey(randomBytes(32))
    const made = await createFileKey(ringOf([1, one]), file)
    fileKey = made.fileKey
    wrapped = made.wrapped
  })

  it("unwraps to the key it was made from, under the current or an older master key", async () => {
    expect(wrapped.wrappedKey).toHaveLength(40)
    expect(await fingerprint(await unwrapFileKey(ringOf([1, one]), file, wrapped))).toBe(await fingerprint(fileKey))
    expect(await fingerprint(await unwrapFileKey(ringOf([2, two], [1, one]), file, wrapped))).toBe(await fingerprint(fileKey))
  })

  it("is never the same twice", async () => {
    const again = await createFileKey(ringOf([1, one]), file)
    expect(await fingerprint(again.fileKey)).not.toBe(await fingerprint(fileKey))
    expect(toHex(again.wrapped.wrappedKey)).not.toBe(toHex(wrapped.wrappedKey))
  })

  it("asks for its master key by id", async () => {
    expect(await unwrapFileKey(ringOf([2, two]), file, wrapped)).toBe("unknown_key")
  })

  it("is not opened for another file, version, key id, master key, or with any byte changed", async () => {
    const ring = ringOf([1, one], [2, one])
    const flipped = wrapped.wrappedKey.slice()
    flipped[7] = (flipped[7] ?? 0) ^ 1
    const otherCommitment = wrapped.commitment.slice()
    otherCommitment[0] = (otherCommitment[0] ?? 0) ^ 1
    expect(await unwrapFileKey(ring, { ...file, fileId: newId() }, wrapped)).toBe("wrapped_key")
    expect(await unwrapFileKey(ring, { ...file, fileVersion: 2 }, wrapped)).toBe("wrapped_key")
    expect(await unwrapFileKey(ring, file, { ...wrapped, keyId: 2 })).toBe("wrapped_key")
    expect(await unwrapFileKey(ringOf([1, two]), file, wrapped)).toBe("wrapped_key")
    expect(await unwrapFileKey(ring, file, { ...wrapped, wrappedKey: flipped })).toBe("wrapped_key")
    expect(await unwrapFileKey(ring, file, { ...wrapped, commitment: otherCommitment })).toBe("commitment")
    expect(typeof (await unwrapFileKey(ring, file, wrapped))).toBe("object")
  })
})
