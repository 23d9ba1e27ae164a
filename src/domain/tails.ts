// The tail of a resumable upload: what has arrived of a part that is not whole yet. R2 takes only whole parts, so the
// tail waits as an object of its own, sealed afresh each time that it grows.
import type { Bytes } from "../crypto/bytes.ts"
import { HEADER_BYTES, type TailName, segmentsOf, streamBytes, tailAssociatedData } from "../crypto/sealed-format.ts"
import { SealBrokenError, openSegment, openStreamHeader, sealStream } from "../crypto/sealed-stream.ts"
import { insertUpload } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import type { PartBuffers } from "./parts.ts"
import type { Powers } from "./powers.ts"

/** Segments that are opened side by side. */
const SEGMENTS_AT_ONCE = 4

const broken = (reason: string): AppError =>
  new AppError("integrity_failure", { detail: "What is stored of this upload is damaged. Start it again.", reason })

/**
 * Seals a tail and stores it under a key of its own. Its row in `uploads` comes first.
 * @param out - for the sealed bytes
 */
export async function storeTail(
  deps: Pick<Powers, "db" | "blobs" | "now">,
  ownerId: string,
  objectKey: string,
  seal: { fileKey: CryptoKey; name: TailName },
  plaintext: Bytes,
  out: Bytes,
): Promise<void> {
  await insertUpload(deps.db, { objectKey, ownerId, startedAtMs: deps.now() })
  await deps.blobs.put(objectKey, await sealStream(seal.fileKey, tailAssociatedData(seal.name), plaintext, out))
}

/**
 * Opens a stored tail into the plain buffer, by way of the sealed one.
 * @throws AppError `integrity_failure`
 */
export async function openTail(
  deps: Pick<Powers, "blobs">,
  objectKey: string,
  seal: { fileKey: CryptoKey; name: TailName },
  buffers: PartBuffers,
): Promise<void> {
  const sealedBytes = streamBytes(seal.name.lengthBytes)
  const stored = await deps.blobs.read(objectKey, 0, sealedBytes)
  if (stored === null) throw broken("tail missing")
  let filled = 0
  for await (const chunk of stored.body) {
    if (filled + chunk.length > sealedBytes) throw broken("tail too long")
    buffers.sealed.set(chunk, filled)
    filled += chunk.length
  }
  if (filled !== sealedBytes || stored.sizeBytes !== sealedBytes) throw broken("tail size")
  try {
    const stream = await openStreamHeader(seal.fileKey, tailAssociatedData(seal.name), buffers.sealed.slice(0, HEADER_BYTES))
    const segments = segmentsOf(seal.name.lengthBytes)
    for (let i = 0; i < segments.length; i += SEGMENTS_AT_ONCE) {
      await Promise.all(
        segments.slice(i, i + SEGMENTS_AT_ONCE).map(async (segment) => {
          const sealed = buffers.sealed.subarray(segment.cipherStart, segment.cipherEnd)
          buffers.plain.set(await openSegment(stream, segment, sealed), segment.plainStart)
        }),
      )
    }
  } catch (error) {
    throw error instanceof SealBrokenError ? broken("tail does not open") : error
  }
}
