import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  HEADER_BYTES,
  PART_BYTES,
  SEALED_PART_BYTES,
  SEGMENT_BYTES,
  TAG_BYTES,
  partAssociatedData,
  partCount,
  partPlainBytes,
  planRange,
  sealedFileBytes,
  segmentCount,
  segmentsEnd,
  segmentsOf,
  streamBytes,
  tailAssociatedData,
} from "../../src/crypto/sealed-format.ts"
import { toHex } from "../../src/crypto/bytes.ts"

/** The layout told byte by byte as a writer would meet it, with no arithmetic in common with the code. */
function slowStream(plaintextBytes: number, segmentBytes: number): { sizes: number[]; total: number } {
  const sizes: number[] = []
  let left = plaintextBytes
  let room = segmentBytes - HEADER_BYTES - TAG_BYTES
  do {
    const taken = Math.min(left, room)
    sizes.push(taken)
    left -= taken
    room = segmentBytes - TAG_BYTES
  } while (left > 0)
  return { sizes, total: HEADER_BYTES + sizes.reduce((sum, size) => sum + size + TAG_BYTES, 0) }
}

const around = (value: number): number[] => [value - 1, value, value + 1].filter((size) => size >= 0)
const firstSegment = SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES
const nextSegment = SEGMENT_BYTES - TAG_BYTES
const boundaries = [
  0,
  firstSegment,
  firstSegment + nextSegment,
  7 * nextSegment,
  PART_BYTES,
  2 * PART_BYTES,
  3 * PART_BYTES + firstSegment,
]
const sizes = [...new Set(boundaries.flatMap(around))]

describe("one stream", () => {
  it.each([
    [0, 56],
    [1, 57],
    [4039, 4095],
    [4040, 4096],
    [4041, 4113],
    [8120, 8192],
    [8121, 8209],
  ])("of %i bytes in 4 KiB segments has %i sealed bytes, as Tink's own", (plain, sealed) => {
    expect(streamBytes(plain, 4096)).toBe(sealed)
  })

  it("agrees with the slow model at every size", () => {
    fc.assert(
      fc.property(fc.integer({ min: 57, max: 300 }), fc.integer({ min: 0, max: 3000 }), (segmentBytes, plainBytes) => {
        const model = slowStream(plainBytes, segmentBytes)
        const segments = segmentsOf(plainBytes, segmentBytes)
        expect(streamBytes(plainBytes, segmentBytes)).toBe(model.total)
        expect(segmentCount(plainBytes, segmentBytes)).toBe(model.sizes.length)
        expect(segments.map((segment) => segment.plainEnd - segment.plainStart)).toEqual(model.sizes)
        expect(segments.map((segment) => segment.cipherEnd - segment.cipherStart - TAG_BYTES)).toEqual(model.sizes)
        expect(segments.filter((segment) => segment.isLast)).toEqual(segments.slice(-1))
        expect(segments.at(-1)?.cipherEnd).toBe(model.total)
      }),
      { numRuns: 10_000 },
    )
  })
})

describe("a file", () => {
  it.each(sizes)("of %i bytes is the sum of its parts", (sizeBytes) => {
    const parts = Array.from({ length: partCount(sizeBytes) }, (_, index) => partPlainBytes(sizeBytes, index))
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(sizeBytes)
    expect(parts.slice(0, -1).every((part) => part === PART_BYTES)).toBe(true)
    expect(sealedFileBytes(sizeBytes)).toBe(parts.reduce((sum, part) => sum + slowStream(part, SEGMENT_BYTES).total, 0))
  })

  it("has parts that R2 takes: equal and at least 5 MiB", () => {
    expect(SEALED_PART_BYTES).toBeGreaterThanOrEqual(5 * 1024 * 1024)
    expect(SEALED_PART_BYTES).toBe(slowStream(PART_BYTES, SEGMENT_BYTES).total)
  })
})

/** Every segment of the file with absolute positions, from the slow model. */
function slowSegments(sizeBytes: number) {
  const list: { part: number; headerAt: number; sealedAt: number; sealedEnd: number; plainAt: number; plainEnd: number }[] = []
  let sealedAt = 0
  let plainAt = 0
  for (let part = 0; part < partCount(sizeBytes); part++) {
    const headerAt = sealedAt
    sealedAt += HEADER_BYTES
    for (const size of slowStream(Math.min(PART_BYTES, sizeBytes - part * PART_BYTES), SEGMENT_BYTES).sizes) {
      list.push({ part, headerAt, sealedAt, sealedEnd: sealedAt + size + TAG_BYTES, plainAt, plainEnd: plainAt + size })
      sealedAt += size + TAG_BYTES
      plainAt += size
    }
  }
  return list
}

function expectPlanLikeModel(sizeBytes: number, start: number, end: number): void {
  const touched = slowSegments(sizeBytes).filter(
    (segment) => sizeBytes === 0 || (segment.plainAt < end && segment.plainEnd > start),
  )
  const plan = planRange(sizeBytes, start, end)
  const first = touched[0]
  const last = touched.at(-1)
  if (first === undefined || last === undefined) throw new Error("model")
  const startsPart = first.sealedAt === first.headerAt + HEADER_BYTES
  expect(plan.offset).toBe(startsPart ? first.headerAt : first.sealedAt)
  expect(plan.lengthBytes).toBe(last.sealedEnd - plan.offset)
  expect(plan.headerOffset).toBe(startsPart ? null : first.headerAt)
  expect(plan.units.map((unit) => unit.part)).toEqual(touched.map((segment) => segment.part))
  expect(plan.units.map((unit) => unit.plainTo - unit.plainFrom)).toEqual(
    touched.map((segment) => Math.min(end, segment.plainEnd) - Math.max(start, segment.plainAt)),
  )
  expect(plan.units.map((unit) => unit.plainFrom)).toEqual(touched.map((segment) => Math.max(0, start - segment.plainAt)))
}

describe("segmentsEnd", () => {
  const size = 3 * PART_BYTES
  const model = slowSegments(size)

  it.each([1, 2, 4, 21, 22])("ends %i segments on, or with the part, from both sides of every boundary", (count) => {
    for (const at of boundaries.flatMap(around).filter((position) => position < size)) {
      const first = model.findIndex(({ plainAt, plainEnd }) => plainAt <= at && at < plainEnd)
      const same = model.slice(first, first + count).filter(({ part }) => part === model[first]?.part)
      expect(segmentsEnd(at, count), `from ${String(at)}`).toBe(same.at(-1)?.plainEnd)
    }
  })
})

describe("planRange", () => {
  it("plans the whole of every boundary size", () => {
    for (const size of sizes) expectPlanLikeModel(size, 0, size)
  })

  it("plans single bytes on both sides of every boundary", () => {
    const size = 3 * PART_BYTES + 5
    for (const at of boundaries.flatMap(around)) if (at < size) expectPlanLikeModel(size, at, at + 1)
  })

  it("agrees with the slow model for 10 000 random ranges", () => {
    const file = fc
      .integer({ min: 1, max: 4 * PART_BYTES })
      .chain((size) =>
        fc
          .tuple(fc.constant(size), fc.integer({ min: 0, max: size - 1 }), fc.integer({ min: 1, max: size }))
          .filter(([, from, to]) => from < to),
      )
    fc.assert(
      fc.property(file, ([size, from, to]) => {
        expectPlanLikeModel(size, from, to)
      }),
      { numRuns: 10_000 },
    )
  })

  it.each([
    [10, 10, 10],
    [10, 5, 4],
    [10, 0, 11],
    [10, -1, 3],
  ])("refuses what is not a range of a %i-byte file: %i to %i", (size, start, end) => {
    expect(() => planRange(size, start, end)).toThrow(RangeError)
  })
})

describe("partAssociatedData", () => {
  const part = { fileId: "00112233-4455-6677-8899-aabbccddeeff", fileVersion: 1, partIndex: 2, isLastPart: true }

  it("has one frozen encoding", () => {
    expect(toHex(partAssociatedData(part))).toBe(
      "7365616c706f73742f70617274" + "01" + "00112233445566778899aabbccddeeff" + "00000001" + "00000002" + "01",
    )
  })

  it.each([{ fileId: "00112233-4455-6677-8899-aabbccddeefe" }, { fileVersion: 2 }, { partIndex: 3 }, { isLastPart: false }])(
    "differs when only %j differs",
    (change) => {
      expect(toHex(partAssociatedData({ ...part, ...change }))).not.toBe(toHex(partAssociatedData(part)))
    },
  )
})

describe("tailAssociatedData", () => {
  const tail = { fileId: "00112233-4455-6677-8899-aabbccddeeff", fileVersion: 1, partIndex: 2, lengthBytes: 1 }

  it("has one frozen encoding, and a domain that parts have not", () => {
    expect(toHex(tailAssociatedData(tail))).toBe(
      "7365616c706f73742f7461696c" + "01" + "00112233445566778899aabbccddeeff" + "00000001" + "00000002" + "00000001",
    )
  })

  it.each([{ fileId: "00112233-4455-6677-8899-aabbccddeefe" }, { fileVersion: 2 }, { partIndex: 3 }, { lengthBytes: 2 }])(
    "differs when only %j differs",
    (change) => {
      expect(toHex(tailAssociatedData({ ...tail, ...change }))).not.toBe(toHex(tailAssociatedData(tail)))
    },
  )
})
