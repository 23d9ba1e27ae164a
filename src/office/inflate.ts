// Inflating under a budget of real bytes, whatever sizes are declared. A DecompressionStream inflates all that is
// written to it at once, whether anybody reads or not: one megabyte of a bomb would be a gigabyte in memory before the
// first byte could be counted. So it is fed in pieces, none of which can become more than some megabytes, and no more of
// them once there is more than was declared (docs/decisions/0018).
import { constants, crc32, inflateRawSync } from "node:zlib"
import { DocumentFault } from "./fault.ts"

/** How everybody writes an empty part, if they compress it at all: a last block of fixed codes, and its end. */
const NOTHING = [3, 0]
/**
 * Up to here a part is inflated by node:zlib, which is told how much may come of it. The same zlib in workerd, but without a
 * stream, of which making one alone costs twenty times as much: 4000 slides with notes are 16 000 such parts.
 */
const SMALL_BYTES = 64 * 1024
const MIN_CHUNK_BYTES = 64
/** At most 1032 times as much comes of it: a length of 258 bytes takes two bits. */
const PIECE_BYTES = 8 * 1024
const START_ROOM_BYTES = 64 * 1024
/** Of a stream that is read in pieces: what is held of it, and how much is fed before that is asked for again. */
const WINDOW_BYTES = 1024 * 1024
const FED_BYTES = 2 * 1024

type Bytes = Uint8Array<ArrayBuffer>

/**
 * Inflates one raw deflate stream (RFC 1951) that must end exactly with its input.
 * @param plainBytes - how long the result must be; it is held twice, and what a few pieces beyond it become
 * @throws DocumentFault `lying_sizes` when it is longer or shorter, `bad_compression` when it is none
 */
export async function inflateExactly(raw: Bytes, plainBytes: number): Promise<Bytes> {
  if (plainBytes === 0 && raw.length === NOTHING.length && NOTHING.every((byte, i) => raw[i] === byte)) return new Uint8Array(0)
  if (isSmallPart({ plainBytes, compressedBytes: raw.length })) return inflateSmall(raw, plainBytes)
  const { reader, writer, stop } = openInflater()
  // One byte more than there may be shows that there is more; fewer come only at the stream's end.
  const reading = reader.readAtLeast(plainBytes + 1, new Uint8Array(plainBytes + 1))
  feed(writer, raw).catch(isToldByReader)
  try {
    const { value } = await reading
    if (value?.length !== plainBytes) throw new DocumentFault("lying_sizes")
    return value
  } catch (error) {
    stop()
    throw faultOf(error)
  }
}

/** Is such a part inflated at once? */
export const isSmallPart = ({ plainBytes, compressedBytes }: { plainBytes: number; compressedBytes: number }): boolean =>
  plainBytes <= SMALL_BYTES && compressedBytes <= SMALL_BYTES

function inflateSmall(raw: Bytes, plainBytes: number): Bytes {
  // With `info` the answer holds the engine too, which the types do not know.
  const chunkSize = Math.max(MIN_CHUNK_BYTES, plainBytes + 1)
  const options = { maxOutputLength: Math.max(1, plainBytes), chunkSize, finishFlush: constants.Z_FINISH, info: true }
  let result: { buffer: Bytes; engine: { bytesWritten: number } }
  try {
    result = inflateRawSync(raw, options) as unknown as typeof result
  } catch (error) {
    const isTooLong = error instanceof RangeError || (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE"
    throw new DocumentFault(isTooLong ? "lying_sizes" : "bad_compression")
  }
  if (result.buffer.length !== plainBytes) throw new DocumentFault("lying_sizes")
  if (result.engine.bytesWritten !== raw.length) throw new DocumentFault("bad_compression")
  return result.buffer
}

/**
 * The same of a stream of any length, piece by piece: no more than a few megabytes of it are ever held.
 * @param isWhole - false for the beginning of a stream, whose end is no fault
 * @throws DocumentFault `bad_compression`
 */
export async function* inflatePieces(raw: Bytes, isWhole = true): AsyncGenerator<Bytes, void> {
  const { reader, writer, stop } = openInflater()
  // Where there may be no end, whatever is there is taken: what never fills a piece would be lost.
  const [roomBytes, leastBytes] = isWhole ? [WINDOW_BYTES, WINDOW_BYTES] : [START_ROOM_BYTES, 1]
  let fedBytes = 0
  try {
    for (;;) {
      const piece = { isReady: false }
      const ready = (): void => {
        piece.isReady = true
      }
      const reading = reader.readAtLeast(leastBytes, new Uint8Array(roomBytes))
      reading.then(ready, ready)
      // What was inflated beyond the last piece may be one already: then no more is fed, or all of a bomb would be held.
      await Promise.race([reading, scheduler.wait(0)])
      for (; !piece.isReady && fedBytes < raw.length; fedBytes += FED_BYTES)
        await writer.write(raw.subarray(fedBytes, fedBytes + FED_BYTES))
      if (!piece.isReady && isWhole) writer.close().catch(isToldByReader)
      const result = await (isWhole ? reading : Promise.race([reading, scheduler.wait(1)]))
      if (result?.value === undefined || result.value.length === 0) return
      yield result.value
      if (result.value.length < leastBytes) return
    }
  } catch (error) {
    throw faultOf(error)
  } finally {
    stop()
  }
}

/**
 * What the beginning of a deflate stream inflates to, as far as it goes.
 * @param raw - a few kilobytes: all that comes of them is held
 * @throws DocumentFault `bad_compression`
 */
export async function inflateStart(raw: Bytes): Promise<Bytes> {
  const { reader, writer, stop } = openInflater()
  const chunks: Bytes[] = []
  const next = () => {
    const reading = reader.read(new Uint8Array(START_ROOM_BYTES))
    reading.catch(isToldByReader)
    return reading
  }
  try {
    let reading = next()
    await writer.write(raw)
    for (;;) {
      // All output stands there by now; of bytes that make none yet, no read would ever come back.
      const result = await Promise.race([reading, scheduler.wait(1)])
      if (result?.value === undefined) break
      chunks.push(result.value)
      if (result.value.length < START_ROOM_BYTES) break
      reading = next()
    }
    return new Uint8Array(await new Blob(chunks).arrayBuffer())
  } catch (error) {
    throw faultOf(error)
  } finally {
    stop()
  }
}

/** @throws DocumentFault `bad_checksum` */
export function requireChecksum(plain: Uint8Array, expected: number): void {
  if (crc32(plain) >>> 0 !== expected) throw new DocumentFault("bad_checksum")
}

function openInflater() {
  const { readable, writable } = new DecompressionStream("deflate-raw")
  const writer = writable.getWriter()
  const reader = readable.getReader({ mode: "byob" })
  const stop = (): void => {
    writer.abort().catch(isToldByReader)
    reader.cancel().catch(isToldByReader)
  }
  return { reader, writer, stop }
}

async function feed(writer: WritableStreamDefaultWriter<Uint8Array>, raw: Uint8Array): Promise<void> {
  let offset = 0
  for (; offset + PIECE_BYTES < raw.length; offset += PIECE_BYTES) await writer.write(raw.subarray(offset, offset + PIECE_BYTES))
  writer.write(raw.subarray(offset)).catch(isToldByReader)
  await writer.close()
}

const isToldByReader = (): void => {
  // Whatever fails there fails the read that is waited for, too.
}

/** The stream throws TypeErrors of all that is no deflate stream: cut, damaged, or with more behind its end. */
const faultOf = (error: unknown): unknown => (error instanceof TypeError ? new DocumentFault("bad_compression") : error)
