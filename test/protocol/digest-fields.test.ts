import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseDigestField, reprDigest, requiredDigests } from "../../src/protocol/digest-fields.ts"

// RFC 9530 appendix B.1 and appendix D: {"hello": "world"} and a line feed.
const SHA256 = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="
const SHA512 = "YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg=="
const SHA256_HEX = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38"

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
const base64Of = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes))
const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The members as text, to be read in a table. */
function parsed(header: string): Record<string, string> | string | null {
  const members = parseDigestField(header)
  return members instanceof Map ? Object.fromEntries([...members].map(([key, bytes]) => [key, base64Of(bytes)])) : members
}

describe("the fixtures", () => {
  it("are digests of the RFC's example", async () => {
    const content = new TextEncoder().encode('{"hello": "world"}\n')
    expect(base64Of(new Uint8Array(await crypto.subtle.digest("SHA-256", content)))).toBe(SHA256)
    expect(base64Of(new Uint8Array(await crypto.subtle.digest("SHA-512", content)))).toBe(SHA512)
    expect(hexOf(bytesOf(SHA256))).toBe(SHA256_HEX)
  })
})

describe("a digest field", () => {
  it.each<[string, Record<string, string>]>([
    ["", {}],
    ["  ", {}],
    ["a=:AAAA:", { a: "AAAA" }],
    ["a=::", { a: "" }],
    [`sha-256=:${SHA256}:`, { "sha-256": SHA256 }],
    [`sha-256=:${SHA256}:,sha-512=:${SHA512}:`, { "sha-256": SHA256, "sha-512": SHA512 }],
    ["a=:AAAA:, b=:BBBB:", { a: "AAAA", b: "BBBB" }],
    ["a=:AAAA: \t,\t b=:BBBB:", { a: "AAAA", b: "BBBB" }],
    [" a=:AAAA: ", { a: "AAAA" }],
    // of a repeated key the last counts
    ["a=:AAAA:, b=:BBBB:, a=:CCCC:", { a: "CCCC", b: "BBBB" }],
    // keys
    ["*=:AAAA:", { "*": "AAAA" }],
    ["*a=:AAAA:", { "*a": "AAAA" }],
    ["a0_-.*=:AAAA:", { "a0_-.*": "AAAA" }],
    // base64 as RFC 8941 section 4.2.7 asks to take it
    ["a=:+/+/:", { a: "+/+/" }],
    ["a=:AA==:", { a: "AA==" }],
    ["a=:AA:", { a: "AA==" }],
    ["a=:AAA=:", { a: "AAA=" }],
    ["a=:AAA:", { a: "AAA=" }],
    ["a=:AB==:", { a: "AA==" }],
    ["a=:AAB=:", { a: "AAA=" }],
    // parameters are read past
    ["a=:AAAA:;p", { a: "AAAA" }],
    ["a=:AAAA:;  p;q, b=:BBBB:;r", { a: "AAAA", b: "BBBB" }],
    ["a=:AAAA:;p=1;q=-1;r=123456789012345", { a: "AAAA" }],
    ["a=:AAAA:;p=1.5;q=-123456789012.123", { a: "AAAA" }],
    ["a=:AAAA:;p=?0;q=?1", { a: "AAAA" }],
    ["a=:AAAA:;p=token;q=*t/x:y!#$%&'*+-.^_`|~", { a: "AAAA" }],
    ['a=:AAAA:;p="text, b=:BBBB:";q=""', { a: "AAAA" }],
    ['a=:AAAA:;p="\\"\\\\ ~!"', { a: "AAAA" }],
    ["a=:AAAA:;p=:BBBB:;q=::", { a: "AAAA" }],
    ["a=:AAAA:;*p-0._*=1", { a: "AAAA" }],
  ])("%j is read", (header, expected) => {
    expect(parsed(header)).toEqual(expected)
  })

  it.each([
    // between members
    [",", ""],
    ["a=:AAAA:,", "a=:AAAA:"],
    ["a=:AAAA:, ", "a=:AAAA: "],
    [",a=:AAAA:", "a=:AAAA:"],
    ["a=:AAAA:,,b=:BBBB:", "a=:AAAA:,b=:BBBB:"],
    ["a=:AAAA: b=:BBBB:", "a=:AAAA:, b=:BBBB:"],
    ["a=:AAAA:b=:BBBB:", "a=:AAAA:,b=:BBBB:"],
    ["a=:AAAA:;b=:BBBB:,c", "a=:AAAA:;b=:BBBB:"],
    ["\ta=:AAAA:", " a=:AAAA:"],
    ["a=:AAAA:\n", "a=:AAAA:"],
    ["a=:AAAA:,\u00a0b=:BBBB:", "a=:AAAA:, b=:BBBB:"],
    // keys
    ["A=:AAAA:", "a=:AAAA:"],
    ["SHA-256=:AAAA:", "sha-256=:AAAA:"],
    ["sHA=:AAAA:", "sha=:AAAA:"],
    ["0a=:AAAA:", "a0=:AAAA:"],
    ["-a=:AAAA:", "a-=:AAAA:"],
    ["_a=:AAAA:", "a_=:AAAA:"],
    ["a/b=:AAAA:", "a.b=:AAAA:"],
    ["=:AAAA:", "a=:AAAA:"],
    ["a =:AAAA:", "a=:AAAA:"],
    ["a= :AAAA:", "a=:AAAA:"],
    ["é=:AAAA:", "e=:AAAA:"],
    // values that are no byte sequence
    ["a", "a=::"],
    ["a=", "a=::"],
    ["a=1", "a=:1111:"],
    ["a=?1", "a=:1111:"],
    ["a=AAAA", "a=:AAAA:"],
    ['a="AAAA"', "a=:AAAA:"],
    ["a=(:AAAA:)", "a=:AAAA:"],
    ["a=:AAAA", "a=:AAAA:"],
    ["a=AAAA:", "a=:AAAA:"],
    ["a=:AAAA::", "a=:AAAA:"],
    // base64
    ["a=:A:", "a=:AA:"],
    ["a=:AAAAA:", "a=:AAAAAA:"],
    ["a=:AA=:", "a=:AA==:"],
    ["a=:AA===:", "a=:AA==:"],
    ["a=:AAA==:", "a=:AAA=:"],
    ["a=:AAAA=:", "a=:AAAA:"],
    ["a=:=:", "a=::"],
    ["a=:====:", "a=::"],
    ["a=:AA==AA==:", "a=:AAAA:"],
    ["a=:AA-_:", "a=:AA+/:"],
    ["a=:AA AA:", "a=:AAAA:"],
    ["a=:AA\nAA:", "a=:AAAA:"],
    ["a=:AAA*:", "a=:AAAA:"],
    ["a=:AAÀA:", "a=:AAAA:"],
    // parameters
    ["a=:AAAA: ;p", "a=:AAAA:;p"],
    ["a=:AAAA:;", "a=:AAAA:;p"],
    ["a=:AAAA:;\tp", "a=:AAAA:; p"],
    ["a=:AAAA:;P", "a=:AAAA:;p"],
    ["a=:AAAA:;p=", "a=:AAAA:;p"],
    ["a=:AAAA:;p =1", "a=:AAAA:;p=1"],
    ["a=:AAAA:;p= 1", "a=:AAAA:;p=1"],
    ["a=:AAAA:;p=1234567890123456", "a=:AAAA:;p=123456789012345"],
    ["a=:AAAA:;p=1234567890123.1", "a=:AAAA:;p=123456789012.1"],
    ["a=:AAAA:;p=1.1234", "a=:AAAA:;p=1.123"],
    ["a=:AAAA:;p=1.", "a=:AAAA:;p=1"],
    ["a=:AAAA:;p=--1", "a=:AAAA:;p=-1"],
    ["a=:AAAA:;p=?2", "a=:AAAA:;p=?1"],
    ['a=:AAAA:;p="x', 'a=:AAAA:;p="x"'],
    ['a=:AAAA:;p="\\x"', 'a=:AAAA:;p="\\\\"'],
    ['a=:AAAA:;p="é"', 'a=:AAAA:;p="e"'],
    ["a=:AAAA:;p=(1)", "a=:AAAA:;p=1"],
    ["a=:AAAA:;p=:A:", "a=:AAAA:;p=:AA:"],
    ["a=:AAAA:;p=!t", "a=:AAAA:;p=t!"],
    ["a=:AAAA:;p=t@", "a=:AAAA:;p=t"],
    // one fault spoils the whole field, wherever it is
    ["a=:AAAA:, b=:B:", "a=:AAAA:, b=:BB:"],
    ["b=1, a=:AAAA:", "b=:1111:, a=:AAAA:"],
    ["a=:A:, a=:AAAA:", "a=:AA:, a=:AAAA:"],
  ])("%j is malformed and %j is not", (bad, good) => {
    expect(parsed(bad)).toBe("malformed")
    expect(parsed(good)).toBeTypeOf("object")
  })

  it("may be absent", () => {
    expect(parseDigestField(null)).toBeNull()
    expect(parseDigestField(undefined)).toBeNull()
  })

  it("may have 2048 characters, and no more", () => {
    const ofLength = (length: number): string => `a=:AAAA:;p="${"x".repeat(length - 13)}"`
    expect(parsed(ofLength(2048))).toEqual({ a: "AAAA" })
    expect(parsed(ofLength(2049))).toBe("malformed")
  })

  it("joined from several lines is one dictionary", () => {
    const headers = new Headers([
      ["Content-Digest", `sha-256=:${SHA256}:`],
      ["Content-Digest", `sha-512=:${SHA512}:`],
    ])
    expect(parsed(headers.get("Content-Digest") ?? "")).toEqual({ "sha-256": SHA256, "sha-512": SHA512 })
  })

  it("gives back every dictionary that was written", () => {
    const key = fc
      .tuple(fc.constantFrom(...Array.from("az*")), fc.string({ unit: fc.constantFrom(...Array.from("az09_-.*")), maxLength: 8 }))
      .map((halves) => halves.join(""))
    const member = fc.tuple(key, fc.uint8Array({ maxLength: 40 }), fc.constantFrom("", ";p", ";p=1;q=:AA==:", '; p=","'))
    fc.assert(
      fc.property(fc.array(member, { maxLength: 8 }), fc.constantFrom(",", ", ", " ,\t"), (members, separator) => {
        const header = members.map(([name, bytes, rest]) => `${name}=:${base64Of(bytes)}:${rest}`).join(separator)
        const expected = new Map(members.map(([name, bytes]) => [name, hexOf(bytes)]))
        const result = parseDigestField(header)
        expect(result).toBeInstanceOf(Map)
        if (result instanceof Map) expect(new Map([...result].map(([name, bytes]) => [name, hexOf(bytes)]))).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  it("is answered for any text at all", () => {
    const text = fc.string({ unit: fc.constantFrom(...Array.from('a*A0=:;, \t"\\?-.()+/')), maxLength: 24 })
    fc.assert(
      fc.property(text, (header) => {
        const result = parseDigestField(header)
        // What is read can be written again and read to the same.
        if (!(result instanceof Map)) expect(result).toBe("malformed")
        else {
          const rewritten = [...result].map(([name, bytes]) => `${name}=:${base64Of(bytes)}:`).join(", ")
          expect(parseDigestField(rewritten)).toEqual(result)
        }
      }),
      { numRuns: 5000 },
    )
  })
})

describe("the digests to check", () => {
  const sha256 = bytesOf(SHA256)
  const sha512 = bytesOf(SHA512)
  const ofLength = (lengthBytes: number): string => base64Of(new Uint8Array(lengthBytes))

  it.each<[string, string | null | undefined, ReturnType<typeof requiredDigests>]>([
    ["no field", null, { kind: "none" }],
    ["no field either", undefined, { kind: "none" }],
    ["an empty field", "", { kind: "none" }],
    ["SHA-256", `sha-256=:${SHA256}:`, { kind: "digests", sha256 }],
    ["SHA-512", `sha-512=:${SHA512}:`, { kind: "digests", sha512 }],
    ["both", `sha-512=:${SHA512}:, sha-256=:${SHA256}:`, { kind: "digests", sha256, sha512 }],
    ["one beside others", `md5=:AAAA:, sha-256=:${SHA256}:;p, new=::`, { kind: "digests", sha256 }],
    ["MD5 alone", `md5=:${ofLength(16)}:`, { kind: "none" }],
    ["SHA-1 alone", `sha=:${ofLength(20)}:`, { kind: "none" }],
    ["checksums alone", "unixsum=:AAA=:, unixcksum=:AAAAAA==:, adler=:AAAAAA==:, crc32c=:AAAAAA==:", { kind: "none" }],
    ["an unknown one alone", `sha-384=:${ofLength(48)}:`, { kind: "none" }],
    ["a name that only resembles", `sha256=:${SHA256}:, sha-256.=:${SHA256}:`, { kind: "none" }],
    ["SHA-256 of 32 bytes", `sha-256=:${ofLength(32)}:`, { kind: "digests", sha256: new Uint8Array(32) }],
    ["SHA-256 a byte short", `sha-256=:${ofLength(31)}:`, { kind: "malformed" }],
    ["SHA-256 a byte long", `sha-256=:${ofLength(33)}:`, { kind: "malformed" }],
    ["SHA-256 of no bytes", "sha-256=::", { kind: "malformed" }],
    ["SHA-512 of 64 bytes", `sha-512=:${ofLength(64)}:`, { kind: "digests", sha512: new Uint8Array(64) }],
    ["SHA-512 a byte short", `sha-512=:${ofLength(63)}:`, { kind: "malformed" }],
    ["SHA-512 a byte long", `sha-512=:${ofLength(65)}:`, { kind: "malformed" }],
    ["SHA-512 as long as SHA-256", `sha-512=:${SHA256}:`, { kind: "malformed" }],
    ["one right, one too short", `sha-256=:${SHA256}:, sha-512=:${SHA256}:`, { kind: "malformed" }],
    ["one right, one broken", `sha-256=:${SHA256}:, sha-512=x`, { kind: "malformed" }],
    ["one right, an unknown one broken", `sha-256=:${SHA256}:, md5=x`, { kind: "malformed" }],
    ["too short, then right", `sha-256=:AAAA:, sha-256=:${SHA256}:`, { kind: "digests", sha256 }],
    ["right, then too short", `sha-256=:${SHA256}:, sha-256=:AAAA:`, { kind: "malformed" }],
    ["the older Digest field's form", `sha-256=${SHA256}`, { kind: "malformed" }],
  ])("of %s", (_, header, expected) => {
    const result = requiredDigests(header)
    // Strict, so that an algorithm that was not named is absent, not undefined.
    expect(result).toStrictEqual(expected)
  })
})

describe("the digest we send", () => {
  it("is the RFC's example", () => {
    expect(reprDigest(SHA256_HEX)).toBe(`sha-256=:${SHA256}:`)
  })

  it("is read back as the same bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        expect(requiredDigests(reprDigest(hexOf(digest)))).toStrictEqual({ kind: "digests", sha256: new Uint8Array(digest) })
      }),
    )
  })

  it.each([
    "",
    SHA256_HEX.slice(1),
    SHA256_HEX.slice(2),
    `${SHA256_HEX}00`,
    SHA256_HEX.toUpperCase(),
    `g${SHA256_HEX.slice(1)}`,
    `${SHA256_HEX}\n`,
  ])("is never made of %j", (hex) => {
    expect(() => reprDigest(hex)).toThrow(RangeError)
  })
})
