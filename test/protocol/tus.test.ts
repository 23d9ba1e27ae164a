import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { httpDate, parseChecksum, parseCount, parseMetadata } from "../../src/protocol/tus.ts"

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)

describe("a count", () => {
  it.each([
    ["0", 0],
    ["1", 1],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ])("%j is %i", (header, value) => {
    expect(parseCount(header)).toBe(value)
  })

  it.each([
    "",
    "-1",
    "+1",
    "1.5",
    "1e9",
    "0x10",
    "NaN",
    "01",
    " 1",
    "1 ",
    "9007199254740992",
    "99999999999999999999",
    "1,1",
    "１",
  ])("I2: %j is malformed", (header) => {
    expect(parseCount(header)).toBe("malformed")
  })

  it("is null without a header", () => {
    expect(parseCount(undefined)).toBeNull()
  })
})

describe("metadata", () => {
  it("are pairs, with a value or without", () => {
    const pairs = parseMetadata("filename d29ybGQucGRm,is_confidential,empty ")
    if (pairs === "malformed") throw new Error(pairs)
    expect([...pairs].map(([key, value]) => [key, text(value)])).toEqual([
      ["filename", "world.pdf"],
      ["is_confidential", ""],
      ["empty", ""],
    ])
  })

  it("keep every value that a client can send", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), fc.uint8Array({ maxLength: 60 }), { maxKeys: 8 }),
        (values) => {
          const entries = Object.entries(values)
          const header = entries.map(([key, value]) => `${key} ${btoa(String.fromCharCode(...value))}`).join(",")
          const pairs = parseMetadata(entries.length === 0 ? undefined : header)
          expect(pairs === "malformed" ? pairs : [...pairs].map(([key, value]) => [key, Array.from(value)])).toEqual(
            entries.map(([key, value]) => [key, Array.from(value)]),
          )
        },
      ),
    )
  })

  it("never throw", () => {
    fc.assert(fc.property(fc.string(), (header) => void parseMetadata(header)))
  })

  it.each([
    "",
    ",",
    "a,",
    "a  YQ==",
    "a YQ",
    "a YQ=",
    "a Y Q==",
    "a YR==",
    "a YQ==,a YQ==",
    " ,a",
    "a\tYQ==",
    "ключ YQ==",
    "a\r\nb YQ==",
    "a *",
    `a ${"A".repeat(64 * 1024)}`,
  ])("I14: %j are malformed", (header) => {
    expect(parseMetadata(header)).toBe("malformed")
  })
})

describe("a checksum", () => {
  it("names its algorithm", () => {
    expect(parseChecksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")).toMatchObject({ algorithm: "sha1" })
    expect(parseChecksum(undefined)).toBeNull()
  })

  it.each([
    ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "unsupported"],
    ["crc32 AAAAAA==", "unsupported"],
    ["sha1", "malformed"],
    ["sha1 ", "malformed"],
    ["sha1 AAAA", "malformed"],
    ["sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "malformed"],
    ["sha1 ****", "malformed"],
    ["SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "malformed"],
    ["__proto__ Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "unsupported"],
  ])("I8: %j is %s", (header, fault) => {
    expect(parseChecksum(header)).toBe(fault)
  })
})

it("a date is that of RFC 9110", () => {
  expect(httpDate(Date.parse("2014-06-25T16:00:00Z"))).toBe("Wed, 25 Jun 2014 16:00:00 GMT")
})
