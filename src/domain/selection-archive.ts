// The archive that a selection is sent as: the same bytes for the same files whenever it is asked for, so that it has a
// length, a strong tag and ranges before a single file is opened. Reads nothing; content.ts does.
import { concatBytes, toHex, utf8 } from "../crypto/bytes.ts"
import { distinctNames, layOutZip } from "../protocol/zip-writer.ts"
import type { FilePiece, Piece } from "./content.ts"
import type { SealedRow } from "./files.ts"

export type Archive = {
  sizeBytes: number
  /** SHA-256, hex, over everything that makes the archive's bytes. Not of the bytes: those are not known before. */
  tag: string
  /** What pieces of the archive are made of: pieces of files, and the archive's own headers. */
  open: (pieces: readonly Piece[]) => FilePiece[]
}

/** Changes whenever the same files would come to other bytes. */
const TAG_DOMAIN = "sealpost/selection-archive/v1"

/** The part of `piece` that lies between two positions of the archive, or nothing. */
function cut(section: FilePiece, from: number, to: number): FilePiece[] {
  if (from >= to) return []
  if (section instanceof Uint8Array) return [section.subarray(from, to)]
  return [{ ...section, start: section.start + from, end: section.start + to }]
}

/**
 * @param files - in their order; each with its CRC-32
 */
export async function archiveOf(files: readonly SealedRow[]): Promise<Archive> {
  const names = distinctNames(files.map(({ file }) => file.name))
  const layout = layOutZip(
    files.map(({ file, blob }, i) => ({
      name: names[i] ?? file.name,
      sizeBytes: blob.sizeBytes,
      crc32: blob.crc32 ?? 0,
      modifiedMs: blob.createdAtMs,
    })),
  )
  const sections: { start: number; end: number; section: FilePiece }[] = []
  let at = 0
  const add = (section: FilePiece, lengthBytes: number): void => {
    sections.push({ start: at, end: at + lengthBytes, section })
    at += lengthBytes
  }
  for (const [i, { blob }] of files.entries()) {
    const header = layout.headers[i] ?? new Uint8Array(0)
    add(header, header.length)
    add({ blob, start: 0, end: blob.sizeBytes }, blob.sizeBytes)
  }
  add(layout.directory, layout.directory.length)
  const digests = files.map(({ blob }) => utf8(blob.sha256))
  const named = concatBytes(utf8(TAG_DOMAIN), ...layout.headers, layout.directory, ...digests)
  return {
    sizeBytes: layout.sizeBytes,
    tag: toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", named))),
    open: (pieces) =>
      pieces.flatMap((piece) =>
        piece instanceof Uint8Array
          ? [piece]
          : sections.flatMap(({ start, end, section }) =>
              cut(section, Math.max(piece.start, start) - start, Math.min(piece.end, end) - start),
            ),
      ),
  }
}
