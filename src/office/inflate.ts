// Inflating under a budget of real bytes, whatever sizes are declared. Synchronous and through node:zlib on
// purpose: a DecompressionStream takes everything that is written to it without waiting for its reader, so one
// megabyte of a bomb is a gigabyte in memory before the first byte can be counted (docs/decisions/0018).
import { constants, crc32, inflateRawSync } from "node:zlib"
import { DocumentFault } from "./fault.ts"

/** How everybody writes an empty part, if they compress it at all: a last block of fixed codes, and its end. */
const NOTHING = [3, 0]

/**
 * Inflates one raw deflate stream that must end exactly with its input.
 * @param plainBytes - how long the result must be; not a byte more is ever held
 * @throws DocumentFault `lying_sizes` when it is longer or shorter, `bad_compression` when it is none
 */
export function inflateExactly(raw: Uint8Array, plainBytes: number): Uint8Array<ArrayBuffer> {
  if (plainBytes === 0 && raw.length === NOTHING.length && NOTHING.every((byte, i) => raw[i] === byte)) return new Uint8Array(0)
  const { buffer, consumedBytes } = inflate(raw, plainBytes, constants.Z_FINISH)
  if (buffer.length !== plainBytes) throw new DocumentFault("lying_sizes")
  if (consumedBytes !== raw.length) throw new DocumentFault("bad_compression")
  return buffer
}

/** What the beginning of a deflate stream inflates to, as far as it goes. */
export const inflateStart = (raw: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> =>
  inflate(raw, maxBytes, constants.Z_SYNC_FLUSH).buffer

const MIN_CHUNK_BYTES = 64
const MAX_CHUNK_BYTES = 1024 * 1024

type Inflated = { buffer: Uint8Array<ArrayBuffer>; consumedBytes: number }

function inflate(raw: Uint8Array, maxBytes: number, finishFlush: number): Inflated {
  try {
    // With `info` the answer holds the engine too, which the types do not know.
    // All of it at once: thousands of small parts would each take the room of a large one, and large ones be pieced together.
    const chunkSize = Math.max(MIN_CHUNK_BYTES, Math.min(MAX_CHUNK_BYTES, maxBytes + 1))
    const options = { maxOutputLength: Math.max(1, maxBytes), chunkSize, finishFlush, info: true }
    const result = inflateRawSync(raw, options) as unknown as {
      buffer: Uint8Array<ArrayBuffer>
      engine: { bytesWritten: number }
    }
    return { buffer: result.buffer, consumedBytes: result.engine.bytesWritten }
  } catch (error) {
    const isTooLong = error instanceof RangeError || (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE"
    throw new DocumentFault(isTooLong ? "lying_sizes" : "bad_compression")
  }
}

/** @throws DocumentFault `bad_checksum` */
export function requireChecksum(plain: Uint8Array, expected: number): void {
  if (crc32(plain) >>> 0 !== expected) throw new DocumentFault("bad_checksum")
}
