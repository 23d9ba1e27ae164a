// Arithmetic of the sealed file format; no keys, no I/O. A file is a sequence of parts of PART_BYTES of
// plaintext (the last one shorter, an empty file one empty part). Every part is a complete Tink
// AesGcmHkdfStreaming stream, whose layout the first half of this file computes for any segment size.
import { type Bytes, concatBytes, uint32be, utf8 } from "./bytes.ts"
import { idToBytes } from "../ids.ts"

export const FORMAT_VERSION = 1
export const SALT_BYTES = 32
export const NONCE_PREFIX_BYTES = 7
/** Length byte, salt, nonce prefix. */
export const HEADER_BYTES = 1 + SALT_BYTES + NONCE_PREFIX_BYTES
export const TAG_BYTES = 16
/** Ciphertext bytes of one segment, its tag included; the header takes its room from the first one. */
export const SEGMENT_BYTES = 256 * 1024
/** Plaintext bytes of one part: R2's smallest multipart part, so that each part is one R2 part. */
export const PART_BYTES = 5 * 1024 * 1024

/** Segments in a Tink stream of that much plaintext. The last one is never empty, unless it is the only one. */
export function segmentCount(plaintextBytes: number, segmentBytes = SEGMENT_BYTES, headerBytes = HEADER_BYTES): number {
  return Math.max(1, Math.ceil((plaintextBytes + headerBytes) / (segmentBytes - TAG_BYTES)))
}

/** Ciphertext bytes of a Tink stream, header included. */
export function streamBytes(plaintextBytes: number, segmentBytes = SEGMENT_BYTES, headerBytes = HEADER_BYTES): number {
  return headerBytes + plaintextBytes + TAG_BYTES * segmentCount(plaintextBytes, segmentBytes, headerBytes)
}

/** Where a segment lies in its Tink stream. */
export type Segment = {
  index: number
  isLast: boolean
  /** First byte of its ciphertext; segment 0 starts after the header. */
  cipherStart: number
  cipherEnd: number
  plainStart: number
  plainEnd: number
}

/** The segments of a Tink stream in order. Ends are exclusive. */
export function segmentsOf(plaintextBytes: number, segmentBytes = SEGMENT_BYTES, headerBytes = HEADER_BYTES): Segment[] {
  const count = segmentCount(plaintextBytes, segmentBytes, headerBytes)
  const plainPerSegment = segmentBytes - TAG_BYTES
  const total = streamBytes(plaintextBytes, segmentBytes, headerBytes)
  return Array.from({ length: count }, (_, index) => ({
    index,
    isLast: index === count - 1,
    cipherStart: index === 0 ? headerBytes : index * segmentBytes,
    cipherEnd: Math.min((index + 1) * segmentBytes, total),
    plainStart: index === 0 ? 0 : index * plainPerSegment - headerBytes,
    plainEnd: Math.min((index + 1) * plainPerSegment - headerBytes, plaintextBytes),
  }))
}

/** Parts of a file of that size; an empty file has one. */
export const partCount = (sizeBytes: number): number => Math.max(1, Math.ceil(sizeBytes / PART_BYTES))

/** Plaintext bytes of part `index` of a file. */
export function partPlainBytes(sizeBytes: number, index: number): number {
  return Math.min(PART_BYTES, sizeBytes - index * PART_BYTES)
}

/** Sealed bytes of a full part: the distance from one part's first byte to the next one's in R2. */
export const SEALED_PART_BYTES = streamBytes(PART_BYTES)

/** Where in the file the plaintext ends of `count` segments, the first of which holds `position`; at its part's end at most. */
export function segmentsEnd(position: number, count: number): number {
  const partStart = Math.floor(position / PART_BYTES) * PART_BYTES
  const plainPerSegment = SEGMENT_BYTES - TAG_BYTES
  const index = Math.floor((position - partStart + HEADER_BYTES) / plainPerSegment)
  return partStart + Math.min(PART_BYTES, (index + count) * plainPerSegment - HEADER_BYTES)
}

/** Sealed bytes of a whole file: what R2 must hold, neither more nor less. */
export function sealedFileBytes(sizeBytes: number): number {
  const parts = partCount(sizeBytes)
  return (parts - 1) * SEALED_PART_BYTES + streamBytes(partPlainBytes(sizeBytes, parts - 1))
}

/** Which part of which version of which file. */
export type PartName = { fileId: string; fileVersion: number; partIndex: number; isLastPart: boolean }

const PART_DOMAIN = utf8("sealpost/part")

/**
 * Associated data of one part, the `info` of Tink's HKDF. Every field has a fixed length, so no two
 * names share an encoding: domain (13) ‖ format (1) ‖ file id (16) ‖ version (4) ‖ part (4) ‖ is-last (1).
 */
export function partAssociatedData(part: PartName): Bytes {
  return concatBytes(
    PART_DOMAIN,
    Uint8Array.of(FORMAT_VERSION),
    idToBytes(part.fileId),
    uint32be(part.fileVersion),
    uint32be(part.partIndex),
    Uint8Array.of(part.isLastPart ? 1 : 0),
  )
}

const TAIL_DOMAIN = utf8("sealpost/tail")

/** The beginning of a part whose rest has not arrived: sealed on its own meanwhile, as long as it is. */
export type TailName = { fileId: string; fileVersion: number; partIndex: number; lengthBytes: number }

/**
 * Associated data of a tail. Fixed lengths again, and another domain than parts have, so that a tail never opens as a
 * part: domain (13) ‖ format (1) ‖ file id (16) ‖ version (4) ‖ part (4) ‖ length (4).
 */
export function tailAssociatedData(tail: TailName): Bytes {
  return concatBytes(
    TAIL_DOMAIN,
    Uint8Array.of(FORMAT_VERSION),
    idToBytes(tail.fileId),
    uint32be(tail.fileVersion),
    uint32be(tail.partIndex),
    uint32be(tail.lengthBytes),
  )
}

/** One segment to open for a range of plaintext, in the order in which it lies in the sealed file. */
export type RangeUnit = {
  part: number
  segment: Segment
  /** The part's header comes right before this segment, as the first bytes to read. */
  startsPart: boolean
  /** Sealed bytes to read for it, the header included where it starts a part. */
  sealedBytes: number
  /** What of its plaintext belongs to the range. */
  plainFrom: number
  plainTo: number
}

/** How to read a range of plaintext: one contiguous run of the sealed file, and perhaps one header before it. */
export type RangePlan = {
  offset: number
  lengthBytes: number
  units: RangeUnit[]
  /** Where the first part's header lies when the run does not begin with it. */
  headerOffset: number | null
}

/**
 * Plans reading the plaintext bytes from `start` up to, not including, `end` of a file.
 * The range must lie within the file and hold at least one byte, except that of an empty file.
 */
export function planRange(sizeBytes: number, start = 0, end = sizeBytes): RangePlan {
  if (!(start >= 0 && end <= sizeBytes && (start < end || sizeBytes === 0))) throw new RangeError("range outside the file")
  const firstPart = Math.floor(start / PART_BYTES)
  const lastPart = Math.max(firstPart, Math.ceil(end / PART_BYTES) - 1)
  const units: RangeUnit[] = []
  for (let part = firstPart; part <= lastPart; part++) {
    const partStart = part * PART_BYTES
    const from = Math.max(0, start - partStart)
    const to = Math.min(end - partStart, PART_BYTES)
    for (const segment of segmentsOf(partPlainBytes(sizeBytes, part))) {
      const isTouched = segment.plainStart < to && segment.plainEnd > from
      if (!isTouched && sizeBytes > 0) continue
      const startsPart = segment.index === 0
      units.push({
        part,
        segment,
        startsPart,
        sealedBytes: segment.cipherEnd - (startsPart ? 0 : segment.cipherStart),
        plainFrom: Math.max(0, from - segment.plainStart),
        plainTo: Math.min(to, segment.plainEnd) - segment.plainStart,
      })
    }
  }
  const [first] = units
  if (first === undefined) throw new RangeError("range outside the file")
  const partOffset = firstPart * SEALED_PART_BYTES
  return {
    offset: partOffset + (first.startsPart ? 0 : first.segment.cipherStart),
    lengthBytes: units.reduce((sum, unit) => sum + unit.sealedBytes, 0),
    units,
    headerOffset: first.startsPart ? null : partOffset,
  }
}
