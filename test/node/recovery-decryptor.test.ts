// The recovery decryptor against the frozen vectors (which the Worker's code is held to as well), every check of
// docs/storage-format.md with one fault and its succeeding twin, the page's own example, and names of output files.
import { createHash } from "node:crypto"
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { UnreadableError, checkRow, openSealedFile, parseMasterKeys } from "../../scripts/recovery-decryptor.ts"
import { createNamer, safeName } from "../../scripts/recovery-names.ts"
import { importHkdfKey } from "../../src/crypto/keyring.ts"
import { sealStream } from "../../src/crypto/sealed-stream.ts"
import vector from "../vectors/sealed-file-v1.json"
import { PROJECT_DIR } from "../e2e/service.ts"

const PART_BYTES = 5_242_880
const SEALED_PART_BYTES = 5_243_256
const SEGMENT_BYTES = 262_144

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, "hex"))

type VectorFile = (typeof vector.files)[number] | typeof vector.generated

const rowOf = (file: VectorFile): Record<string, unknown> => ({
  file_id: file.fileId,
  version: BigInt(file.fileVersion),
  format: 1n,
  size_bytes: BigInt(file.sizeBytes),
  sealed_bytes: BigInt(file.sealedBytes),
  parts: BigInt(file.parts.length),
  sha256: file.sha256,
  key_id: BigInt(file.keyId),
  wrapped_key: file.wrappedKey,
  commitment: file.commitment,
})

/** Opens an object held in memory; the fault instead of the bytes when a check fails. */
function open(row: Record<string, unknown>, sealed: Uint8Array, keys = vector.masterKeys): Buffer | string {
  const read = (buffer: Buffer, position: number): void => {
    buffer.set(sealed.subarray(position, position + buffer.length))
  }
  try {
    return Buffer.concat([...openSealedFile(checkRow(row), parseMasterKeys(keys), { sizeBytes: sealed.length, read })])
  } catch (error) {
    if (error instanceof UnreadableError) return error.fault
    throw error
  }
}

/** Sealed by the Worker's code: what it makes, the decryptor must open. */
async function sealGenerated(): Promise<Uint8Array> {
  const file = vector.generated
  const key = await importHkdfKey(bytesOf(file.fileKey))
  const plaintext = Uint8Array.from(
    { length: file.sizeBytes },
    (_, i) => 31 * i + Math.floor(i / 256) + 7 * Math.floor(i / 65536),
  )
  const sealed = file.parts.map((part, index) => {
    const header = { salt: bytesOf(part.salt), noncePrefix: bytesOf(part.noncePrefix) }
    const plain = plaintext.slice(index * PART_BYTES, (index + 1) * PART_BYTES)
    return sealStream(key, bytesOf(part.associatedData), plain, new Uint8Array(part.sealedBytes), undefined, header)
  })
  return new Uint8Array(Buffer.concat(await Promise.all(sealed)))
}

describe("the recovery decryptor", () => {
  it.each(vector.files)("opens the frozen file $label", (file) => {
    expect(open(rowOf(file), bytesOf(file.sealed))).toEqual(Buffer.from(file.plaintext, "hex"))
  })

  it("opens the frozen file of two parts, and no file with segments exchanged, doubled or from another place", async () => {
    const file = vector.generated
    const sealed = await sealGenerated()
    expect(sha256(sealed)).toBe(file.sealedSha256)
    const plain = open(rowOf(file), sealed)
    expect(typeof plain === "string" ? plain : sha256(plain)).toBe(file.sha256)

    const copied = (from: number, to: number, length: number): Uint8Array => sealed.slice().copyWithin(to, from, from + length)
    expect(open(rowOf(file), copied(2 * SEGMENT_BYTES, SEGMENT_BYTES, SEGMENT_BYTES))).toBe("segment")
    expect(open(rowOf(file), copied(0, SEALED_PART_BYTES, SEGMENT_BYTES))).toBe("segment")
    const exchanged = copied(2 * SEGMENT_BYTES, SEGMENT_BYTES, SEGMENT_BYTES)
    exchanged.set(sealed.subarray(SEGMENT_BYTES, 2 * SEGMENT_BYTES), 2 * SEGMENT_BYTES)
    expect(open(rowOf(file), exchanged)).toBe("segment")
  })

  const [file] = vector.files
  if (file === undefined) throw new Error("no vector")
  const sealed = bytesOf(file.sealed)
  const flipped = (at: number): Uint8Array => sealed.with(at, (sealed[at] ?? 0) ^ 1)
  const flippedHex = (hex: string): string => hex.slice(0, -1) + (hex.endsWith("0") ? "1" : "0")

  it.each<[string, Record<string, unknown>, Uint8Array, string]>([
    ["another format", { format: 2n }, sealed, "row"],
    ["a size that is no number", { size_bytes: "27" }, sealed, "row"],
    ["a size beyond all numbers", { size_bytes: 2n ** 63n - 1n }, sealed, "row"],
    ["a size without the sealed size", { size_bytes: 26n }, sealed, "row"],
    ["one part more", { parts: 2n }, sealed, "row"],
    ["a version past 32 bits", { version: 2n ** 32n }, sealed, "row"],
    ["a key id past a byte", { key_id: 256n }, sealed, "row"],
    ["a wrapped key cut short", { wrapped_key: file.wrappedKey.slice(2) }, sealed, "row"],
    ["a digest in capitals", { sha256: file.sha256.toUpperCase() }, sealed, "row"],
    ["an id in capitals", { file_id: file.fileId.toUpperCase() }, sealed, "row"],
    ["an object one byte longer", {}, new Uint8Array([...sealed, 0]), "object_size"],
    ["an object one byte shorter", {}, sealed.slice(0, -1), "object_size"],
    ["size and sealed size smaller by one", { size_bytes: 26n, sealed_bytes: 82n }, sealed, "object_size"],
    ["size, sealed size and object smaller by one", { size_bytes: 26n, sealed_bytes: 82n }, sealed.slice(0, -1), "segment"],
    ["a key id that is not in the ring", { key_id: 9n }, sealed, "unknown_key"],
    ["the id of another key of the ring", { key_id: 3n }, sealed, "wrapped_key"],
    ["another version", { version: 2n }, sealed, "wrapped_key"],
    ["another file's id", { file_id: vector.generated.fileId }, sealed, "wrapped_key"],
    ["a changed wrapped key", { wrapped_key: flippedHex(file.wrappedKey) }, sealed, "wrapped_key"],
    ["a changed commitment", { commitment: flippedHex(file.commitment) }, sealed, "commitment"],
    ["a changed header length", {}, flipped(0), "header"],
    ["a changed salt", {}, flipped(1), "segment"],
    ["a changed nonce prefix", {}, flipped(39), "segment"],
    ["a changed ciphertext", {}, flipped(40), "segment"],
    ["a changed tag", {}, flipped(82), "segment"],
    ["a changed digest", { sha256: flippedHex(file.sha256) }, sealed, "sha256"],
  ])("refuses %s", (_, change, object, fault) => {
    expect(open({ ...rowOf(file), ...change }, object)).toBe(fault)
    expect(open(rowOf(file), sealed)).toBeInstanceOf(Buffer)
  })

  it("reads a key ring with two keys and white space", () => {
    const keys = parseMasterKeys(` ${vector.masterKeys.replace(",", " , ")}\n`)
    expect(Object.fromEntries(Array.from(keys, ([id, key]) => [String(id), key.toString("hex")]))).toEqual(vector.masterKeysHex)
  })

  it.each([
    ["an id twice", vector.masterKeys.replace("2:", "3:"), "twice"],
    ["an id of 0", vector.masterKeys.replace("2:", "0:"), "entry"],
    ["an id of 256", vector.masterKeys.replace("2:", "256:"), "entry"],
    ["a second spelling of a key", `${vector.masterKeys.slice(0, -1)}h`, "bits"],
    ["padding", `${vector.masterKeys}=`, "entry"],
    ["an empty entry", `${vector.masterKeys},`, "entry"],
  ])("refuses a key ring with %s", (_, text, message) => {
    expect(() => parseMasterKeys(text)).toThrow(message)
  })

  it("stands alone: recovery imports nothing but Node and itself", () => {
    const scripts = readdirSync(join(PROJECT_DIR, "scripts")).filter((name) => name.startsWith("recover"))
    expect(scripts).toContain("recovery-decryptor.ts")
    for (const name of scripts) {
      const source = readFileSync(join(PROJECT_DIR, "scripts", name), "utf8")
      const imports = Array.from(source.matchAll(/(?:\bfrom|\bimport\(?)\s*"([^"]+)"/g), ([, from = ""]) => from)
      expect(imports, name).toEqual(imports.filter((from) => /^(?:node:|\.\/recovery-)/.test(from)))
    }
  })
})

describe("docs/storage-format.md", () => {
  it("shows the values of the frozen file", () => {
    const page = readFileSync(join(PROJECT_DIR, "docs/storage-format.md"), "utf8")
    const [file] = vector.files
    const { parts = [], ...values } = file ?? {}
    for (const value of [vector.masterKeys, vector.masterKeysHex["2"], ...Object.values({ ...values, ...parts[0] })])
      if (value !== file?.label) expect(page).toContain(` ${String(value)}\n`)
  })
})

describe("names of recovered files", () => {
  it.each([
    ["Q1 report.docx", "Q1 report.docx"],
    ["Üb€r 日本 🎉.xlsx", "Üb€r 日本 🎉.xlsx"],
    ["../../x.docx", "x.docx"],
    ["/etc/passwd", "passwd"],
    ["C:\\Windows\\x.docx", "x.docx"],
    ["C:x.docx", "C_x.docx"],
    ["..", "unnamed"],
    ["a/..", "unnamed"],
    ["", "unnamed"],
    [" . ", "unnamed"],
    ["x.docx. .", "x.docx"],
    [".hidden.docx", "_hidden.docx"],
    ["a\0b\n\u001b[31m.docx", "a_b__[31m.docx"],
    ["cod\u202excod.docx", "cod_xcod.docx"],
    ["\ud800.docx", "_.docx"],
    ["NUL", "_NUL"],
    ["con.docx", "_con.docx"],
    ["Lpt1 .docx", "_Lpt1 .docx"],
    ["console.docx", "console.docx"],
    [`${"ä".repeat(200)}.docx`, `${"ä".repeat(125)}.docx`],
    [`${"x".repeat(251)}.docx.`, `${"x".repeat(250)}.docx`],
  ])("%j becomes %j", (text, name) => {
    expect(safeName(text)).toBe(name)
  })

  it("are handed out once, whatever case or form a file system ignores", () => {
    const nextName = createNamer(["recovered.json"], (name) => name === "there.docx")
    const texts = ["a.docx", "a.docx", "A.DOCX", "a (2).docx", "é.docx", "e\u0301.docx", "Recovered.JSON", "there.docx"]
    expect(texts.map(nextName)).toEqual([
      ...["a.docx", "a (2).docx", "A (3).DOCX", "a (2) (2).docx"],
      ...["é.docx", "é (2).docx", "Recovered (2).JSON", "there (2).docx"],
    ])
    const long = `${"x".repeat(250)}.docx`
    expect([long, long].map(nextName)).toEqual([long, `${"x".repeat(246)} (2).docx`])
  })

  it("are plain, safe, short and different for any texts", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 400 }),
      fc.string({ unit: fc.constantFrom(".", "/", "\\", " ", "a", "\0") }),
      fc.constantFrom("con", "a.docx", "A.docx", "..", "recovered.json"),
    )
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), (texts) => {
        const names = texts.map(createNamer(["recovered.json"], () => false))
        expect(new Set([...names, "recovered.json"].map((name) => name.toLowerCase())).size).toBe(names.length + 1)
        for (const name of names) {
          expect(name).toMatch(/^[^./\\][^/\\]*$/u)
          expect(name).toMatch(/[^. ]$/u)
          expect(name).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}<>:"|?*]/u)
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255)
        }
      }),
    )
  })
})
