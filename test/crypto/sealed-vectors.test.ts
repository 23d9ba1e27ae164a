// The stored form is frozen: these vectors were made by an independent program (Python, OpenSSL) from
// docs/storage-format.md. If one of these tests fails, existing files have become unreadable: mend the code, not
// the vectors. scripts/recovery-decryptor.ts is held to the same ones by test/node/recovery-decryptor.test.ts.
import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { type Bytes, concatBytes, fromHex, toHex } from "../../src/crypto/bytes.ts"
import { unwrapFileKey } from "../../src/crypto/file-key.ts"
import { type KeyRing, importHkdfKey, mapKeyRing, parseKeyRing } from "../../src/crypto/keyring.ts"
import {
  FORMAT_VERSION,
  PART_BYTES,
  partAssociatedData,
  partCount,
  partPlainBytes,
  sealedFileBytes,
  streamBytes,
} from "../../src/crypto/sealed-format.ts"
import { openStream, sealStream } from "../../src/crypto/sealed-stream.ts"
import vector from "../vectors/sealed-file-v1.json"

const hex = (text: string): Bytes => {
  const bytes = fromHex(text)
  if (bytes === null) throw new Error("not hex")
  return bytes
}
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

function ring(): KeyRing<Bytes> {
  const parsed = parseKeyRing(vector.masterKeys)
  if (typeof parsed === "string") throw new Error(parsed)
  return parsed
}

type VectorFile = (typeof vector.files)[number] | typeof vector.generated

/** The file's key as a reader gets it: unwrapped from the row. */
async function unwrapped(file: VectorFile): Promise<CryptoKey> {
  const key = await unwrapFileKey(
    await mapKeyRing(ring(), importHkdfKey),
    { fileId: file.fileId, fileVersion: file.fileVersion },
    { keyId: file.keyId, wrappedKey: hex(file.wrappedKey), commitment: hex(file.commitment) },
  )
  if (typeof key === "string") throw new Error(key)
  return key
}

const nameOf = (file: VectorFile, partIndex: number) => ({
  fileId: file.fileId,
  fileVersion: file.fileVersion,
  partIndex,
  isLastPart: partIndex === file.parts.length - 1,
})

/** Seals all parts as the Worker does, with the vector's headers and its key in the clear. */
async function sealAll(file: VectorFile, plaintext: Bytes): Promise<Bytes[]> {
  const key = await importHkdfKey(hex(file.fileKey))
  return Promise.all(
    file.parts.map((part, index) => {
      const plain = plaintext.slice(index * PART_BYTES, (index + 1) * PART_BYTES)
      const out = new Uint8Array(streamBytes(plain.length))
      const header = { salt: hex(part.salt), noncePrefix: hex(part.noncePrefix) }
      return sealStream(key, partAssociatedData(nameOf(file, index)), plain, out, undefined, header)
    }),
  )
}

async function openAll(file: VectorFile, sealedParts: Bytes[]): Promise<Bytes> {
  const key = await unwrapped(file)
  const plain = sealedParts.map((sealed, index) =>
    openStream(key, partAssociatedData(nameOf(file, index)), sealed, partPlainBytes(file.sizeBytes, index)),
  )
  return concatBytes(...(await Promise.all(plain)))
}

const generate = (lengthBytes: number, formula: (i: number) => number): Bytes =>
  Uint8Array.from({ length: lengthBytes }, (_, i) => formula(i) % 256)

describe("the frozen vectors of the stored form", () => {
  it("are of the current format", () => {
    expect(vector.format).toBe(FORMAT_VERSION)
    expect(vector.files.map(({ label }) => label)).toEqual(["small", "empty"])
  })

  it("have a key ring that reads as it says", () => {
    const { byId, currentId } = ring()
    expect(currentId).toBe(3)
    expect(Object.fromEntries(Array.from(byId, ([id, key]) => [String(id), toHex(key)]))).toEqual(vector.masterKeysHex)
  })

  it.each([...vector.files, vector.generated])("$label: sizes and associated data", (file) => {
    expect(partCount(file.sizeBytes)).toBe(file.parts.length)
    expect(sealedFileBytes(file.sizeBytes)).toBe(file.sealedBytes)
    file.parts.forEach(({ associatedData }, index) => {
      expect(toHex(partAssociatedData(nameOf(file, index)))).toBe(associatedData)
    })
  })

  it.each(vector.files)("$label: opens from its row, and seals to the same bytes", async (file) => {
    const plaintext = hex(file.plaintext)
    expect(sha256(plaintext)).toBe(file.sha256)
    expect(toHex(await openAll(file, [hex(file.sealed)]))).toBe(file.plaintext)
    expect((await sealAll(file, plaintext)).map(toHex)).toEqual([file.sealed])
  })

  it("generated: seals to the same bytes, and opens from its row", async () => {
    const file = vector.generated
    const plaintext = generate(file.sizeBytes, (i) => 31 * i + Math.floor(i / 256) + 7 * Math.floor(i / 65536))
    expect(toHex(generate(32, (i) => 7 * i + 1))).toBe(file.fileKey)
    file.parts.forEach(({ salt, noncePrefix }, p) => {
      expect(toHex(generate(32, (i) => 5 * i + 101 * p + 3))).toBe(salt)
      expect(toHex(generate(7, (i) => 3 * i + 17 * p + 11))).toBe(noncePrefix)
    })
    expect(sha256(plaintext)).toBe(file.sha256)
    const sealed = await sealAll(file, plaintext)
    expect(sealed.map((part) => [part.length, sha256(part)])).toEqual(
      file.parts.map(({ sealedBytes, sealedSha256 }) => [sealedBytes, sealedSha256]),
    )
    expect(sha256(concatBytes(...sealed))).toBe(file.sealedSha256)
    expect(sha256(await openAll(file, sealed))).toBe(file.sha256)
  })
})
