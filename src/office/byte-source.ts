// How the document check sees a file: bytes at any place, wherever they really are (memory, sealed object).

export type ByteSource = {
  readonly sizeBytes: number
  /** Exactly `lengthBytes` bytes from `offset`; callers stay within the size. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>>
}

export const memorySource = (bytes: Uint8Array<ArrayBuffer>): ByteSource => ({
  sizeBytes: bytes.length,
  read: (offset, lengthBytes) => Promise.resolve(bytes.subarray(offset, offset + lengthBytes)),
})
