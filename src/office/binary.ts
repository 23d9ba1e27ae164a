// Little-endian numbers out of bytes, as ZIP and Compound File Binary have them.
import { DocumentFault } from "./fault.ts"

export const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** @throws DocumentFault `bad_directory` for what no file can hold */
export function uint64(data: DataView, offset: number): number {
  const value = data.getBigUint64(offset, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new DocumentFault("bad_directory")
  return Number(value)
}
