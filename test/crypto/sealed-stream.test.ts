import { beforeAll, describe, expect, it } from "vitest"
import { type Bytes, concatBytes, fromHex, toHex, utf8 } from "../../src/crypto/bytes.ts"
import { importHkdfKey } from "../../src/crypto/keyring.ts"
import { SealBrokenError, type StreamSuite, openStream, sealStream } from "../../src/crypto/sealed-stream.ts"
import published from "../vectors/tink-published.json"
import { streamBytes } from "../../src/crypto/sealed-format.ts"
import javaVectors from "../vectors/tink-aes256-gcm-hkdf-sha256-4KiB.txt?raw"

const hex = (text: string): Bytes => fromHex(text) ?? new Uint8Array(0)
const SEGMENT = 4096

/** The key, associated data and plaintext from which Google's Java Tink made the vectors. */
const javaKey = Uint8Array.from({ length: 32 }, (_, i) => (i * 7 + 1) % 256)
const javaData = utf8("file:01J0000000000000000000000;v1")
const javaPlaintext = (length: number): Bytes => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 256)
const javaCases = javaVectors
  .trim()
  .split("\n")
  .map((line) => line.split(" "))
  .map(([segment = "", length = "", , , ciphertext = ""]) => ({
    segment: Number(segment),
    length: Number(length),
    ciphertext: hex(ciphertext),
  }))

describe("streams made by Java Tink", () => {
  it.each(javaCases)("of $length bytes open, and seal to the same bytes", async ({ segment, length, ciphertext }) => {
    const key = await importHkdfKey(javaKey)
    expect(toHex(await openStream(key, javaData, ciphertext, length, segment))).toBe(toHex(javaPlaintext(length)))
    const header = { salt: ciphertext.slice(1, 33), noncePrefix: ciphertext.slice(33, 40) }
    const out = new Uint8Array(streamBytes(length, segment))
    expect(toHex(await sealStream(key, javaData, javaPlaintext(length), out, segment, header))).toBe(toHex(ciphertext))
  })

  it("are all here", () => {
    expect(javaCases.length).toBeGreaterThanOrEqual(8)
    expect(javaCases.every(({ ciphertext, length, segment }) => ciphertext.length === streamBytes(length, segment))).toBe(true)
  })
})

describe("the vectors that Tink publishes", () => {
  it.each(published.vectors)("$name", async ({ key, associatedData, segmentBytes, plaintext, ciphertext, ...suite }) => {
    const fileKey = await importHkdfKey(hex(key))
    const open = (bytes: Bytes) =>
      openStream(fileKey, hex(associatedData), bytes, plaintext.length / 2, segmentBytes, suite as StreamSuite)
    expect(toHex(await open(hex(ciphertext)))).toBe(plaintext)
    const changed = hex(ciphertext)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    await expect(open(changed)).rejects.toThrow(SealBrokenError)
  })
})

describe("a sealed stream", () => {
  const plaintext = javaPlaintext(3 * SEGMENT)
  let key: CryptoKey
  let sealed: Bytes
  const open = (bytes: Bytes, data = javaData): Promise<Bytes> => openStream(key, data, bytes, plaintext.length, SEGMENT)

  beforeAll(async () => {
    key = await importHkdfKey(javaKey)
    sealed = await sealStream(key, javaData, plaintext, new Uint8Array(streamBytes(plaintext.length, SEGMENT)), SEGMENT)
  })

  it("opens", async () => {
    expect(await open(sealed)).toEqual(plaintext)
  })

  it("is another one each time, even of the same bytes", async () => {
    const again = await sealStream(key, javaData, plaintext, new Uint8Array(sealed.length), SEGMENT)
    expect(toHex(again.subarray(0, 40))).not.toBe(toHex(sealed.subarray(0, 40)))
    expect(toHex(again.subarray(40, 200))).not.toBe(toHex(sealed.subarray(40, 200)))
  })

  it("does not open with any one byte of header, segment edge or tag flipped", async () => {
    const edges = [
      0,
      1,
      32,
      33,
      39,
      40,
      41,
      SEGMENT - 17,
      SEGMENT - 16,
      SEGMENT - 1,
      SEGMENT,
      2 * SEGMENT,
      sealed.length - 17,
      sealed.length - 1,
    ]
    for (const at of edges) {
      const changed = sealed.slice()
      changed[at] = (changed[at] ?? 0) ^ 1
      await expect(open(changed), `byte ${String(at)}`).rejects.toThrow(SealBrokenError)
    }
  })

  it("does not open under other associated data or another key", async () => {
    await expect(open(sealed, utf8("file:01J0000000000000000000001;v1"))).rejects.toThrow(SealBrokenError)
    const otherKey = await importHkdfKey(Uint8Array.from(javaKey, (byte) => byte ^ 1))
    await expect(openStream(otherKey, javaData, sealed, plaintext.length, SEGMENT)).rejects.toThrow(SealBrokenError)
  })

  it.each([
    ["cut by one byte", () => sealed.slice(0, -1)],
    ["cut by a tag", () => sealed.slice(0, -16)],
    ["cut at a segment's edge", () => sealed.slice(0, 2 * SEGMENT)],
    ["with a byte more", () => concatBytes(sealed, Uint8Array.of(0))],
    ["with its last segment twice", () => concatBytes(sealed, sealed.slice(3 * SEGMENT))],
  ])("does not open %s", async (_, change) => {
    await expect(open(change())).rejects.toThrow(SealBrokenError)
  })

  it("does not open cut at a segment's edge even for somebody who believes the shorter size", async () => {
    const shorter = sealed.slice(0, 2 * SEGMENT)
    await expect(openStream(key, javaData, shorter, 2 * SEGMENT - 40 - 32, SEGMENT)).rejects.toThrow(SealBrokenError)
  })

  it.each([
    ["swapped", [0, 2, 1, 3]],
    ["doubled", [0, 1, 1, 3]],
    ["dropped and another doubled", [0, 2, 2, 3]],
  ])("does not open with segments %s", async (_, order) => {
    const segments = order.map((i) => sealed.slice(i * SEGMENT, (i + 1) * SEGMENT))
    await expect(open(concatBytes(...segments))).rejects.toThrow(SealBrokenError)
  })
})
