// Opens a planned range of a sealed file from a stream of its bytes, a run of segments at a time: read
// into one buffer, open in parallel, hand on as one chunk. Never hands on a byte that did not verify.
import { type Bytes, concatBytes } from "./bytes.ts"
import type { FileVersion } from "./file-key.ts"
import { HEADER_BYTES, type RangePlan, type RangeUnit, partAssociatedData, partCount } from "./sealed-format.ts"
import { SealBrokenError, type StreamKey, openSegment, openStreamHeader } from "./sealed-stream.ts"

/** Segments opened together: as many as one download keeps in memory. */
export const SEGMENTS_PER_READ = 8

export type SealedFile = { fileKey: CryptoKey; version: FileVersion; sizeBytes: number }

/**
 * @param body - the run that the plan names; must be a byte stream
 * @param firstHeader - the first part's header where the plan has a `headerOffset`
 */
export function createSealedReader(file: SealedFile, plan: RangePlan, body: ReadableStream<Uint8Array>, firstHeader?: Bytes) {
  const reader = body.getReader({ mode: "byob" })
  let buffer = new ArrayBuffer(0)
  let position = 0
  let stream: StreamKey | undefined

  const associatedData = (part: number): Bytes =>
    partAssociatedData({ ...file.version, partIndex: part, isLastPart: part === partCount(file.sizeBytes) - 1 })

  async function readExactly(lengthBytes: number): Promise<Bytes> {
    if (buffer.byteLength < lengthBytes) buffer = new ArrayBuffer(lengthBytes)
    const { value } = await reader.readAtLeast(lengthBytes, new Uint8Array(buffer, 0, lengthBytes))
    if (value?.length !== lengthBytes) throw new SealBrokenError()
    buffer = value.buffer
    return value
  }

  async function openUnit(unit: RangeUnit, sealed: Bytes): Promise<Bytes> {
    if (stream === undefined) throw new SealBrokenError()
    const plain = await openSegment(stream, unit.segment, sealed)
    return plain.subarray(unit.plainFrom, unit.plainTo)
  }

  return {
    /**
     * The next chunk of plaintext, or null after the last one.
     * @throws SealBrokenError when bytes are missing or do not verify
     */
    async next(): Promise<Bytes | null> {
      if (position === 0 && firstHeader !== undefined) {
        stream = await openStreamHeader(file.fileKey, associatedData(plan.units[0]?.part ?? 0), firstHeader)
      }
      const units = plan.units.slice(position, position + SEGMENTS_PER_READ)
      if (units.length === 0) return null
      position += units.length
      const sealed = await readExactly(units.reduce((sum, unit) => sum + unit.sealedBytes, 0))
      const opening: Promise<Bytes>[] = []
      let offset = 0
      for (const unit of units) {
        const end = offset + unit.sealedBytes
        if (unit.startsPart) {
          const header = sealed.slice(offset, offset + HEADER_BYTES)
          stream = await openStreamHeader(file.fileKey, associatedData(unit.part), header)
          offset += HEADER_BYTES
        }
        opening.push(openUnit(unit, sealed.subarray(offset, end)))
        offset = end
      }
      return concatBytes(...(await Promise.all(opening)))
    },

    /** Lets go of the source, e.g. when the receiver has gone. */
    cancel: (): Promise<void> => reader.cancel().catch(() => undefined),
  }
}
