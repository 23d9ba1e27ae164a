// Byte ranges (RFC 9110 section 14), from the Range field to the framing of a multipart/byteranges answer.
// Only arithmetic and text: whether the method, a precondition or If-Range lets a range apply is for the caller.
// To ignore a Range field is always allowed (section 14.2), so whatever is not plain sense asks for the whole file.

/** Bytes `start` up to, but without, `end`; never empty. */
export type ByteRange = { start: number; end: number }

/**
 * What a Range field asks for. `ranges` has at least one and never two that share a byte; one alone is answered
 * without multipart (RFC 9110 section 15.3.7.2).
 */
export type RangeRequest = { kind: "whole" } | { kind: "ranges"; ranges: readonly ByteRange[] } | { kind: "unsatisfiable" }

/** Section 17.15: each range costs the server a part of its own, so how many a request may name is bounded. */
export const MAX_RANGES = 16
/** Bounds the parsing too: room for 16 ranges of any real file, and for the many leading zeros nobody sends. */
const MAX_HEADER_CHARS = 1024

/** Positions are compared by value however many digits they have (section 14.1.2), so not as floating point. */
type RangeSpec = { first: bigint; last: bigint | undefined } | { suffixLength: bigint }

/**
 * RFC 9110 sections 14.1.1, 14.1.2 and 14.2. Specs that cannot be satisfied are left out, the others stay in the
 * order asked for. The whole file instead of ranges is the answer to: no field; another unit than `bytes`; a field
 * that is not the grammar, also in one spec only; more than {@link MAX_RANGES} specs; ranges that overlap, which
 * would send some bytes twice (so the ranges are together never longer than the file).
 *
 * One departure from section 14.1.2: of an empty file a suffix is unsatisfiable too, not only a position, because
 * Content-Range has no way to write the empty range that it would be.
 * @param sizeBytes - of the whole file, a non-negative safe integer
 */
export function parseRange(header: string | undefined, sizeBytes: number): RangeRequest {
  const specs = header === undefined ? null : parseSpecs(header)
  if (specs === null) return { kind: "whole" }
  const size = BigInt(sizeBytes)
  const ranges = specs.flatMap((spec) => satisfy(spec, size) ?? [])
  if (ranges.length === 0) return { kind: "unsatisfiable" }
  return overlap(ranges) ? { kind: "whole" } : { kind: "ranges", ranges }
}

/** What a Range field comes to in a file whose size is not known yet. */
export type RangeBeginning = { first: number; suffixBytes: number; mayBeWhole: boolean }

/**
 * Where a Range field begins in a file whose size is not known yet: satisfiable when `first` is before the file's end
 * or `suffixBytes` is not 0; from the very first byte when `first` is 0 or `suffixBytes` is the whole size or more, and
 * perhaps when `mayBeWhole`: its ranges overlap in some files, and {@link parseRange} makes the whole file of that.
 * Null for the whole file. Positions past any real size count as the greatest safe integer.
 */
export function rangeBeginning(header: string | undefined): RangeBeginning | null {
  const specs = header === undefined ? null : parseSpecs(header)
  if (specs === null) return null
  const beginning = { first: Number.MAX_SAFE_INTEGER, suffixBytes: 0, mayBeWhole: mayOverlap(specs) }
  for (const spec of specs) {
    if ("first" in spec) beginning.first = Math.min(beginning.first, Number(spec.first))
    else beginning.suffixBytes = Math.max(beginning.suffixBytes, Math.min(Number(spec.suffixLength), Number.MAX_SAFE_INTEGER))
  }
  return beginning
}

/** The specs of a well-formed bytes field; null for a field to ignore. */
function parseSpecs(header: string): RangeSpec[] | null {
  const set = header.length > MAX_HEADER_CHARS ? undefined : /^bytes=(.*)$/i.exec(header)?.[1]
  if (set === undefined) return null
  // Section 5.6.1.2: a recipient skips empty elements. White space before the first element is in no grammar,
  // but in an example of section 14.1.2.
  const texts = set.split(",").map((element) => element.replace(/^[ \t]+/, "").replace(/[ \t]+$/, ""))
  const specs = texts.filter((text) => text !== "").map(parseSpec)
  if (specs.length === 0 || specs.length > MAX_RANGES) return null
  return specs.every((spec) => spec !== null) ? specs : null
}

/** int-range and suffix-range; other-range is for units other than bytes. */
function parseSpec(text: string): RangeSpec | null {
  const [, first = "", last = ""] = /^([0-9]*)-([0-9]*)$/.exec(text) ?? []
  if (first === "") return last === "" ? null : { suffixLength: BigInt(last) }
  if (last === "") return { first: BigInt(first), last: undefined }
  // Section 14.1.1: a last-pos before the first-pos makes the range invalid, not unsatisfiable.
  return BigInt(last) < BigInt(first) ? null : { first: BigInt(first), last: BigInt(last) }
}

/** Section 14.1.2: cut off at the end of the file; null when no byte is left. */
function satisfy(spec: RangeSpec, size: bigint): ByteRange | null {
  let start: bigint
  let end = size
  if ("suffixLength" in spec) start = spec.suffixLength < size ? size - spec.suffixLength : 0n
  else {
    start = spec.first
    if (spec.last !== undefined && spec.last < size) end = spec.last + 1n
  }
  // Nothing is left of a suffix of no bytes, of any suffix of an empty file, and past the end.
  return start < end ? { start: Number(start), end: Number(end) } : null
}

/** Can two of them share a byte in a file of some size? */
function mayOverlap(specs: readonly RangeSpec[]): boolean {
  const positions = specs.flatMap((spec) => ("first" in spec ? [spec] : []))
  if (positions.length < specs.length) return specs.length > 1
  const sorted = positions.toSorted((a, b) => (a.first < b.first ? -1 : 1))
  return sorted.some(({ first }, i) => {
    const before = sorted[i - 1]
    return before !== undefined && (before.last === undefined || first <= before.last)
  })
}

function overlap(ranges: readonly ByteRange[]): boolean {
  const sorted = ranges.toSorted((a, b) => a.start - b.start)
  return sorted.some((range, i) => range.start < (sorted[i - 1]?.end ?? 0))
}

/** Content-Range of a 206 answer or of one of its parts (RFC 9110 section 14.4). */
export function contentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${String(range.start)}-${String(range.end - 1)}/${String(sizeBytes)}`
}

/** Content-Range of a 416 answer (RFC 9110 sections 14.4 and 15.5.17). */
export function unsatisfiedContentRange(sizeBytes: number): string {
  return `bytes */${String(sizeBytes)}`
}

/**
 * What comes before the bytes of one part of a multipart/byteranges body: delimiter, part header, blank line
 * (RFC 9110 section 14.6, RFC 2046 section 5.1.1).
 * @param boundary - as RFC 2046 allows, and too random to be in the file
 * @param mediaType - of the file, written as it is: a constant, never text of a user
 * @param isFirst - the line break before a delimiter belongs to it, except at the very start of the body
 */
export function multipartHead(
  boundary: string,
  mediaType: string,
  range: ByteRange,
  sizeBytes: number,
  isFirst: boolean,
): string {
  const delimiter = `${isFirst ? "" : "\r\n"}--${boundary}`
  return `${delimiter}\r\nContent-Type: ${mediaType}\r\nContent-Range: ${contentRange(range, sizeBytes)}\r\n\r\n`
}

/** What comes after the bytes of the last part: the closing delimiter (RFC 2046 section 5.1.1). */
export function multipartTail(boundary: string): string {
  return `\r\n--${boundary}--\r\n`
}

/** Content-Length of the multipart/byteranges body that has these parts (RFC 9110 sections 8.6 and 14.6). */
export function multipartBytes(boundary: string, mediaType: string, ranges: readonly ByteRange[], sizeBytes: number): number {
  const lengthOf = (text: string): number => new TextEncoder().encode(text).length
  return ranges.reduce(
    (sum, range, i) => sum + lengthOf(multipartHead(boundary, mediaType, range, sizeBytes, i === 0)) + range.end - range.start,
    lengthOf(multipartTail(boundary)),
  )
}
