// Opens a planned range of a sealed file from a stream of its bytes, a run of segments at a time. Reading and
// opening are two steps, so that the next run can be read while the last one goes out, and never more than two
// runs are alive: one sealed, one open. Never hands on a byte that did not verify.
import { type Bytes } from "./bytes.ts"
import type { FileVersion } from "./file-key.ts"
import { HEADER_BYTES, type RangePlan, type RangeUnit, SEGMENT_BYTES, partAssociatedData, partCount } from "./sealed-format.ts"
import { SealBrokenError, type StreamKey, openSegment, openStreamHeader } from "./sealed-stream.ts"

export type SealedFile = { fileKey: CryptoKey; version: FileVersion; sizeBytes: number }

export type SealedReader = ReturnType<typeof createSealedReader>

/** What opens a part's segments. */
export type PartStream = { part: number; key: StreamKey }

/** How a run begins that does not begin with a part's header: with that header, or what an earlier run made of it. */
export type RunStart = { header: Bytes } | PartStream | undefined

/**
 * @param body - the run that the plan names; must be a byte stream
 * @param buffer - where sealed bytes are read into: a whole number of segments, as many as are opened together
 * @param start - needed where the plan has a `headerOffset`
 */
export function createSealedReader(
  file: SealedFile,
  plan: RangePlan,
  body: ReadableStream<Uint8Array>,
  buffer: ArrayBuffer,
  start?: RunStart,
) {
  const reader = body.getReader({ mode: "byob" })
  const segmentsPerRead = Math.floor(buffer.byteLength / SEGMENT_BYTES)
  let position = 0
  let stream = start !== undefined && "key" in start ? start : undefined
  let pending: { units: RangeUnit[]; sealed: Bytes } | undefined

  const associatedData = (part: number): Bytes =>
    partAssociatedData({ ...file.version, partIndex: part, isLastPart: part === partCount(file.sizeBytes) - 1 })

  async function openPart(part: number, header: Bytes): Promise<PartStream> {
    return { part, key: await openStreamHeader(file.fileKey, associatedData(part), header) }
  }

  async function openUnit(unit: RangeUnit, key: StreamKey, sealed: Bytes): Promise<Bytes> {
    return (await openSegment(key, unit.segment, sealed)).subarray(unit.plainFrom, unit.plainTo)
  }

  return {
    /**
     * Reads the next run of sealed segments into the buffer. Does nothing at the end, or when a run is waiting.
     * @throws SealBrokenError when bytes are missing
     */
    async read(): Promise<void> {
      const units = plan.units.slice(position, position + segmentsPerRead)
      if (pending !== undefined || units.length === 0) return
      position += units.length
      const lengthBytes = units.reduce((sum, unit) => sum + unit.sealedBytes, 0)
      // Reading into a buffer hands it over; the result's buffer is the same memory again.
      const { value } = await reader.readAtLeast(lengthBytes, new Uint8Array(buffer, 0, lengthBytes))
      if (value !== undefined) buffer = value.buffer
      if (value?.length !== lengthBytes) throw new SealBrokenError()
      pending = { units, sealed: value }
    },

    /**
     * Opens the run that was read: its plaintext, segment by segment, or null after the last one.
     * @throws SealBrokenError when anything does not verify
     */
    async open(): Promise<Bytes[] | null> {
      if (pending === undefined) return null
      const { units, sealed } = pending
      if (stream === undefined && start !== undefined && "header" in start)
        stream = await openPart(units[0]?.part ?? 0, start.header)
      const opening: Promise<Bytes>[] = []
      let offset = 0
      for (const unit of units) {
        const end = offset + unit.sealedBytes
        if (unit.startsPart) {
          const header = sealed.slice(offset, offset + HEADER_BYTES)
          // Failures of earlier segments are reported by Promise.all below, not as unhandled ones meanwhile.
          for (const work of opening) work.catch(() => undefined)
          stream = await openPart(unit.part, header)
          offset += HEADER_BYTES
        }
        if (stream === undefined) throw new SealBrokenError()
        opening.push(openUnit(unit, stream.key, sealed.subarray(offset, end)))
        offset = end
      }
      const opened = await Promise.all(opening)
      pending = undefined
      return opened
    },

    /** The part that was being opened last; for the next run, when it begins in the middle of that part. */
    lastPart: (): PartStream | undefined => stream,

    /** Lets go of the source and hands the buffer back to its owner. */
    async close(): Promise<ArrayBuffer> {
      await reader.cancel().catch(() => undefined)
      return buffer
    },
  }
}
