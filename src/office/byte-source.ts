// How the document check sees a file: bytes at any place, wherever they really are (memory, sealed object).
import { DocumentFault } from "./fault.ts"

export type ByteSource = {
  readonly sizeBytes: number
  /** Exactly `lengthBytes` bytes from `offset`; callers stay within the size. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>>
}

export const memorySource = (bytes: Uint8Array<ArrayBuffer>): ByteSource => ({
  sizeBytes: bytes.length,
  read: (offset, lengthBytes) => Promise.resolve(bytes.subarray(offset, offset + lengthBytes)),
})

/**
 * The same bytes, but no more than so many in all: what a check costs is bounded whatever the file says.
 * @throws DocumentFault `too_complex` when reading goes beyond `limitBytes`
 */
export function budgetedSource(source: ByteSource, limitBytes: number): ByteSource & { remainingBytes: () => number } {
  let spentBytes = 0
  return {
    sizeBytes: source.sizeBytes,
    remainingBytes: () => limitBytes - spentBytes,
    read(offset, lengthBytes) {
      spentBytes += lengthBytes
      if (spentBytes > limitBytes) throw new DocumentFault("too_complex")
      return source.read(offset, lengthBytes)
    },
  }
}
