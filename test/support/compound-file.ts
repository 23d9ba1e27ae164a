// Compound File Binary (MS-CFB): what Office wraps protected documents in, and the old formats.

const SECTOR_BYTES = 512
const ENTRY_BYTES = 128

/**
 * The beginning of such a file, and its directory.
 * @param directoryAt - where that stands: a multiple of 512, from 512 on
 * @param names - of its streams
 */
export function compoundFile(directoryAt: number, ...names: string[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(directoryAt + 8 * SECTOR_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1])
  view.setUint16(30, Math.log2(SECTOR_BYTES), true)
  view.setUint32(48, directoryAt / SECTOR_BYTES - 1, true)
  for (const [i, name] of ["Root Entry", ...names].entries())
    for (let c = 0; c < name.length; c++) view.setUint16(directoryAt + ENTRY_BYTES * i + 2 * c, name.charCodeAt(c), true)
  return bytes
}
