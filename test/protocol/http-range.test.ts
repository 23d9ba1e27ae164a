import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  MAX_RANGES,
  contentRange,
  multipartBytes,
  multipartHead,
  multipartTail,
  parseRange,
  unsatisfiedContentRange,
  type ByteRange,
  type RangeRequest,
} from "../../src/protocol/http-range.ts"

const whole: RangeRequest = { kind: "whole" }
const unsatisfiable: RangeRequest = { kind: "unsatisfiable" }
const ranges = (...pairs: readonly (readonly [number, number])[]): RangeRequest => ({
  kind: "ranges",
  ranges: pairs.map(([start, end]) => ({ start, end })),
})

const MAX = Number.MAX_SAFE_INTEGER

/**
 * Looks at every byte of the file for every spec and asks whether it is meant. No arithmetic on ends, no sorting.
 * For short fields and small files only: it knows no limits.
 */
function slowParse(header: string, sizeBytes: number): RangeRequest {
  const [unit, set, ...more] = header.split("=")
  if (unit?.toLowerCase() !== "bytes" || set === undefined || more.length > 0) return whole
  const sent = new Map<number, number>()
  const found: ByteRange[] = []
  let specs = 0
  for (const element of set.split(",")) {
    const text = element.trim()
    if (text === "") continue
    specs++
    const sides = text.split("-")
    if (sides.length !== 2 || text === "-") return whole
    if (!sides.every((side) => Array.from(side).every((char) => "0123456789".includes(char)))) return whole
    const [first, last] = sides.map((side) => (side === "" ? undefined : Number(side)))
    if (first !== undefined && last !== undefined && first > last) return whole
    const meant: number[] = []
    for (let at = 0; at < sizeBytes; at++) {
      const isMeant = first === undefined ? sizeBytes - at <= (last ?? 0) : at >= first && at <= (last ?? Infinity)
      if (isMeant) meant.push(at)
    }
    for (const at of meant) sent.set(at, (sent.get(at) ?? 0) + 1)
    const [start] = meant
    if (start !== undefined) found.push({ start, end: start + meant.length })
  }
  if (specs === 0) return whole
  if (found.length === 0) return unsatisfiable
  return [...sent.values()].some((times) => times > 1) ? whole : { kind: "ranges", ranges: found }
}

describe("a Range field with one range", () => {
  it.each<[string, number, RangeRequest]>([
    // first-last, first-, -suffix, of ten bytes
    ["bytes=0-0", 10, ranges([0, 1])],
    ["bytes=0-4", 10, ranges([0, 5])],
    ["bytes=3-3", 10, ranges([3, 4])],
    ["bytes=0-9", 10, ranges([0, 10])],
    ["bytes=9-9", 10, ranges([9, 10])],
    ["bytes=0-", 10, ranges([0, 10])],
    ["bytes=9-", 10, ranges([9, 10])],
    ["bytes=-1", 10, ranges([9, 10])],
    ["bytes=-9", 10, ranges([1, 10])],
    ["bytes=-10", 10, ranges([0, 10])],
    // cut off at the end of the file
    ["bytes=0-10", 10, ranges([0, 10])],
    ["bytes=9-10", 10, ranges([9, 10])],
    ["bytes=-11", 10, ranges([0, 10])],
    // past the end
    ["bytes=10-", 10, unsatisfiable],
    ["bytes=10-10", 10, unsatisfiable],
    ["bytes=11-12", 10, unsatisfiable],
    ["bytes=-0", 10, unsatisfiable],
    ["bytes=-000", 10, unsatisfiable],
    // of an empty file nothing can be had
    ["bytes=0-", 0, unsatisfiable],
    ["bytes=0-0", 0, unsatisfiable],
    ["bytes=-5", 0, unsatisfiable],
    ["bytes=-0", 0, unsatisfiable],
    ["bytes=0-", 1, ranges([0, 1])],
    ["bytes=-5", 1, ranges([0, 1])],
    // zeros in front change no value
    ["bytes=0003-0004", 10, ranges([3, 5])],
  ])("%j of %i bytes", (header, sizeBytes, expected) => {
    expect(parseRange(header, sizeBytes)).toEqual(expected)
  })

  it.each([
    ["bytes=5-5", "bytes=5-4"],
    ["bytes=5-", "bytes=5"],
    ["bytes=-5", "bytes=--5"],
    ["bytes=-5", "bytes=-"],
    ["bytes=1-2", "bytes=1-2-3"],
    ["bytes=1-2", "bytes=1 -2"],
    ["bytes=1-2", "bytes=1- 2"],
    ["bytes=1-2", "bytes=+1-2"],
    ["bytes=1-2", "bytes=1-+2"],
    ["bytes=1-2", "bytes=1.0-2"],
    ["bytes=1-2", "bytes=1e0-2"],
    ["bytes=1-2", "bytes=0x1-2"],
    ["bytes=1-2", "bytes=1_0-2"],
    ["bytes=1-2", "bytes=1n-2n"],
    ["bytes=1-2", "bytes=a-b"],
    ["bytes=1-2", "bytes=١-٢"],
    ["bytes=1-2", "bytes 1-2"],
    ["bytes=1-2", "bytes:1-2"],
    ["bytes=1-2", "bytes =1-2"],
    ["bytes=1-2", "=1-2"],
    ["bytes=1-2", "1-2"],
    ["bytes=1-2", "byte=1-2"],
    ["bytes=1-2", "bytess=1-2"],
    ["bytes=1-2", "xbytes=1-2"],
    ["bytes=1-2", "items=1-2"],
    ["bytes=1-2", "bytes=1-2\n"],
    ["bytes=1-2", "bytes=1-2;x"],
    ["bytes=1-2", "bytes=bytes=1-2"],
    ["bytes=1-2", "bytes="],
    ["bytes=1-2", "bytes= ,,\t"],
    ["bytes=1-2", ""],
  ])("is obeyed as %j and ignored as %j", (good, bad) => {
    expect(parseRange(good, 10).kind).toBe("ranges")
    expect(parseRange(bad, 10)).toEqual(whole)
  })

  it("is no range when there is no field", () => {
    expect(parseRange(undefined, 10)).toEqual(whole)
    expect(parseRange(undefined, 0)).toEqual(whole)
  })

  it.each(["bytes=1-2", "Bytes=1-2", "BYTES=1-2", "bYtEs=1-2"])("has a unit in any case, as %s", (header) => {
    expect(parseRange(header, 10)).toEqual(ranges([1, 3]))
  })
})

describe("numbers of any length", () => {
  const nines = "9".repeat(900)

  it.each<[string, string, number, RangeRequest]>([
    ["a last position far past the end is the end", `bytes=3-${nines}`, 10, ranges([3, 10])],
    ["a first position far past the end is unsatisfiable", `bytes=${nines}-`, 10, unsatisfiable],
    ["a suffix far longer than the file is the file", `bytes=-${nines}`, 10, ranges([0, 10])],
    ["zeros may fill a number", `bytes=${"0".repeat(900)}7-8`, 10, ranges([7, 9])],
    [
      "sixteen digits are exact at the end of the largest file",
      "bytes=9007199254740990-9007199254740990",
      MAX,
      ranges([MAX - 1, MAX]),
    ],
    ["one more is past it", "bytes=9007199254740991-9007199254740991", MAX, unsatisfiable],
    [
      "a last position that floating point would round is cut off",
      "bytes=9007199254740990-9007199254740993",
      MAX,
      ranges([MAX - 1, MAX]),
    ],
    ["a suffix one byte shorter than the largest file", "bytes=-9007199254740990", MAX, ranges([1, MAX])],
    ["order is told where floating point sees none", "bytes=9007199254740993-9007199254740993", MAX, unsatisfiable],
    ["and a wrong order too", "bytes=9007199254740993-9007199254740992", MAX, whole],
  ])("%s", (_, header, sizeBytes, expected) => {
    expect(parseRange(header, sizeBytes)).toEqual(expected)
  })
})

describe("a Range field with several ranges", () => {
  it.each<[string, string, RangeRequest]>([
    ["keeps the order asked for", "bytes=6-7,0-1,3-4", ranges([6, 8], [0, 2], [3, 5])],
    ["takes first and last byte", "bytes=0-0,-1", ranges([0, 1], [9, 10])],
    ["takes ranges that touch", "bytes=0-4,5-9", ranges([0, 5], [5, 10])],
    ["takes ranges that touch, in reverse", "bytes=5-,0-4", ranges([5, 10], [0, 5])],
    ["ignores ranges that share one byte", "bytes=0-5,5-9", whole],
    ["ignores ranges that share one byte, in reverse", "bytes=5-9,0-5", whole],
    ["ignores a range inside another", "bytes=0-9,3-4", whole],
    ["ignores the same range twice", "bytes=1-2,1-2", whole],
    ["ignores a suffix that reaches into a range", "bytes=0-5,-5", whole],
    ["sees sharing only where the file ends", "bytes=0-0,9-20,-1", whole],
    ["ignores sharing among three, not side by side", "bytes=0-3,7-8,2-4", whole],
    ["leaves out what is past the end", "bytes=20-30,0-1,10-", ranges([0, 2])],
    ["leaves out an empty suffix", "bytes=-0,4-4", ranges([4, 5])],
    ["is unsatisfiable when each range is", "bytes=10-,-0,11-20", unsatisfiable],
    ["may share bytes past the end", "bytes=0-0,10-20,10-20", ranges([0, 1])],
    ["is ignored when one range is reversed", "bytes=0-0,5-4", whole],
    ["is ignored when one range is no range", "bytes=0-0,x", whole],
    ["is ignored when one reversed range is past the end", "bytes=0-0,30-20", whole],
    ["is ignored when two fields were joined", "bytes=0-0, bytes=2-2", whole],
  ])("%s: %s", (_, header, expected) => {
    expect(parseRange(header, 10)).toEqual(expected)
  })

  it.each([
    "bytes=0-0,2-2",
    "bytes=0-0, 2-2",
    "bytes=0-0 ,2-2",
    "bytes=0-0\t,\t2-2",
    "bytes= 0-0, 2-2",
    "bytes=0-0,2-2 ",
    "bytes=0-0, ,2-2",
    "bytes=,0-0,,2-2,",
    "bytes= , 0-0 , , 2-2 , ",
  ])("may have white space and empty elements, as %j", (header) => {
    expect(parseRange(header, 10)).toEqual(ranges([0, 1], [2, 3]))
  })

  it("has no other white space", () => {
    expect(parseRange("bytes=0-0,\u00a02-2", 10)).toEqual(whole)
    expect(parseRange("bytes=0-0,\r\n2-2", 10)).toEqual(whole)
  })
})

describe("the limits", () => {
  const everyOther = (count: number): string =>
    `bytes=${Array.from({ length: count }, (_, i) => `${String(2 * i)}-${String(2 * i)}`).join(",")}`
  const padded = (length: number): string => "bytes=0-0".padEnd(length, ",")

  it("obeys sixteen ranges and ignores seventeen", () => {
    expect(MAX_RANGES).toBe(16)
    expect(parseRange(everyOther(16), 100)).toEqual(ranges(...Array.from({ length: 16 }, (_, i) => [2 * i, 2 * i + 1] as const)))
    expect(parseRange(everyOther(17), 100)).toEqual(whole)
    expect(parseRange(everyOther(150), 1000)).toEqual(whole)
  })

  it("counts ranges that are past the end, but not empty elements", () => {
    expect(parseRange(everyOther(17), 1)).toEqual(whole)
    expect(parseRange(everyOther(16).replaceAll(",", ", ,"), 1)).toEqual(ranges([0, 1]))
  })

  it("obeys a field of 1024 characters and ignores a longer one", () => {
    expect(parseRange(padded(1024), 10)).toEqual(ranges([0, 1]))
    expect(parseRange(padded(1025), 10)).toEqual(whole)
  })
})

describe("parseRange against a model that looks at every byte", () => {
  it("agrees on every single range of small files", () => {
    for (let sizeBytes = 0; sizeBytes <= 5; sizeBytes++) {
      const positions = ["", ...Array.from({ length: sizeBytes + 3 }, (_, i) => String(i))]
      for (const first of positions) {
        for (const last of positions) {
          const header = `bytes=${first}-${last}`
          expect([header, sizeBytes, parseRange(header, sizeBytes)]).toEqual([header, sizeBytes, slowParse(header, sizeBytes)])
        }
      }
    }
  })

  it("agrees on lists at and around every boundary", () => {
    const sizeAndHeader = fc.integer({ min: 0, max: 40 }).chain((sizeBytes) => {
      const near = fc.constantFrom(0, 1, sizeBytes - 1, sizeBytes, sizeBytes + 1).filter((position) => position >= 0)
      const position = fc.oneof(near, fc.nat({ max: 45 }), fc.constant(1e15)).map(String)
      const spec = fc.oneof(
        fc.tuple(position, position).map(([first, last]) => `${first}-${last}`),
        fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 3 })).map(([first, more]) => `${String(first)}-${String(first + more)}`),
        position.map((first) => `${first}-`),
        position.map((length) => `-${length}`),
        fc.constantFrom("", " ", "-"),
      )
      const separator = fc.constantFrom(",", ", ", " ,\t", ",,")
      const list = fc.array(fc.tuple(spec, separator), { maxLength: 6 }).map((items) => items.flat().join(""))
      return fc.tuple(
        fc.constant(sizeBytes),
        fc.tuple(fc.constantFrom("bytes=", "Bytes=", "lines="), list).map((both) => both.join("")),
      )
    })
    const kinds = new Set<string>()
    fc.assert(
      fc.property(sizeAndHeader, ([sizeBytes, header]) => {
        const result = parseRange(header, sizeBytes)
        kinds.add(result.kind)
        expect(result).toEqual(slowParse(header, sizeBytes))
      }),
      { numRuns: 5000 },
    )
    expect([...kinds].sort()).toEqual(["ranges", "unsatisfiable", "whole"])
  })

  it("agrees on noise", () => {
    const noise = fc.string({ unit: fc.constantFrom("0", "1", "7", "-", ",", " ", "\t", "=", "x"), maxLength: 12 })
    fc.assert(
      fc.property(noise, fc.nat({ max: 12 }), (text, sizeBytes) => {
        expect(parseRange(`bytes=${text}`, sizeBytes)).toEqual(slowParse(`bytes=${text}`, sizeBytes))
      }),
      { numRuns: 5000 },
    )
  })

  it("never sends a byte twice, nor more bytes than there are", () => {
    const spec = fc
      .tuple(fc.nat({ max: 1000 }), fc.nat({ max: 60 }))
      .map(([first, more]) => `${String(first)}-${String(first + more)}`)
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 20 }), fc.nat({ max: 1000 }), (specs, sizeBytes) => {
        const result = parseRange(`bytes=${specs.join(",")}`, sizeBytes)
        fc.pre(result.kind === "ranges")
        const positions = result.ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))
        expect(new Set(positions).size).toBe(positions.length)
        expect(positions.every((position) => position < sizeBytes)).toBe(true)
        expect(result.ranges.every(({ start, end }) => start < end)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe("Content-Range", () => {
  it.each([
    [{ start: 0, end: 1 }, 10, "bytes 0-0/10"],
    [{ start: 500, end: 1000 }, 8000, "bytes 500-999/8000"],
    [{ start: 0, end: 10 }, 10, "bytes 0-9/10"],
    [{ start: MAX - 1, end: MAX }, MAX, "bytes 9007199254740990-9007199254740990/9007199254740991"],
  ])("of %o of %i bytes is %s", (range, sizeBytes, expected) => {
    expect(contentRange(range, sizeBytes)).toBe(expected)
  })

  it("without a range names only the size", () => {
    expect(unsatisfiedContentRange(47022)).toBe("bytes */47022")
    expect(unsatisfiedContentRange(0)).toBe("bytes */0")
  })
})

describe("a multipart/byteranges body", () => {
  const sizeBytes = 8000
  const parts = [
    { start: 500, end: 1000 },
    { start: 7000, end: 8000 },
  ]

  it("is framed as the example of RFC 9110 section 14.6", () => {
    const [first, second] = parts.map((range, i) =>
      multipartHead("THIS_STRING_SEPARATES", "application/pdf", range, sizeBytes, i === 0),
    )
    expect(first).toBe("--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n")
    expect(second).toBe(
      "\r\n--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 7000-7999/8000\r\n\r\n",
    )
    expect(multipartTail("THIS_STRING_SEPARATES")).toBe("\r\n--THIS_STRING_SEPARATES--\r\n")
  })

  it("has the length that was counted by hand", () => {
    // Line by line, with their line breaks: delimiter, type, range, blank; then the bytes.
    const first = 25 + 31 + 35 + 2 + 500
    const second = 2 + 25 + 31 + 37 + 2 + 1000
    const tail = 2 + 25 + 2
    expect(multipartBytes("THIS_STRING_SEPARATES", "application/pdf", parts, sizeBytes)).toBe(first + second + tail)
  })

  it("has as many bytes as multipartBytes says", () => {
    const boundaries = fc.string({ unit: fc.constantFrom("a", "Z", "0", "-", "_"), minLength: 1, maxLength: 70 })
    const cuts = fc.uniqueArray(fc.nat({ max: 300 }), { minLength: 2, maxLength: 2 * MAX_RANGES })
    const mediaTypes = fc.constantFrom("application/pdf", "text/plain;charset=utf-8", 'text/plain;title="é€"')
    fc.assert(
      fc.property(boundaries, mediaTypes, cuts, fc.nat({ max: 1e12 }), (boundary, mediaType, points, beyond) => {
        const file = Uint8Array.from({ length: 301 }, (_, i) => i % 256)
        const sorted = points.toSorted((a, b) => a - b)
        const chosen: ByteRange[] = []
        for (let i = 0; i + 1 < sorted.length; i += 2) chosen.push({ start: sorted[i] ?? 0, end: sorted[i + 1] ?? 0 })
        const total = file.length + beyond
        const chunks: (string | Uint8Array<ArrayBuffer>)[] = []
        for (const range of chosen) {
          chunks.push(multipartHead(boundary, mediaType, range, total, chunks.length === 0), file.slice(range.start, range.end))
        }
        chunks.push(multipartTail(boundary))
        expect(multipartBytes(boundary, mediaType, chosen, total)).toBe(new Blob(chunks).size)
      }),
    )
  })
})
