// What the bench of the document check holds beside the real thing: the very same upload with the check left out, and the
// check alone, through the very path that it takes, counting what it reads. Part of the bench's Worker only.
import { createFileKey } from "../src/crypto/file-key.ts"
import { sealedFileBytes } from "../src/crypto/sealed-format.ts"
import { insertUpload, setMultipartId } from "../src/db/uploads.ts"
import { FOR_EVERYONE } from "../src/domain/audiences.ts"
import { contentSource } from "../src/domain/content.ts"
import { createDigests } from "../src/domain/digests.ts"
import { parseDocumentName } from "../src/domain/document-name.ts"
import { findOwnFile } from "../src/domain/files.ts"
import { admitUpload, createPartWriter, cutIntoParts } from "../src/domain/parts.ts"
import type { Powers } from "../src/domain/powers.ts"
import { FIRST_VERSION, blobRow, newObjectKey, publish } from "../src/domain/publication.ts"
import type { Caller } from "../src/domain/sessions.ts"
import type { StoredPart } from "../src/blobs/store.ts"
import { newId } from "../src/ids.ts"
import type { ByteSource } from "../src/office/byte-source.ts"
import { checkDocument } from "../src/office/ooxml.ts"

/** As receiveDocument does it for a document of several parts (domain/uploads.ts), but nothing looks at its content. */
export async function receiveUnchecked(
  deps: Powers,
  ownerId: string,
  sentName: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const name = parseDocumentName(sentName)
  const draft = { fileId: newId(), objectKey: newObjectKey(), ownerId, name, downloadLimit: null, audience: FOR_EVERYONE }
  const version = { fileId: draft.fileId, fileVersion: FIRST_VERSION }
  const { lease, buffers } = await admitUpload(deps, deps.policy.maxFileBytes)
  try {
    const digest = createDigests({})
    const stored: StoredPart[] = []
    await insertUpload(deps.db, { objectKey: draft.objectKey, ownerId, startedAtMs: deps.now() })
    const multipartId = await deps.blobs.startMultipart(draft.objectKey)
    await setMultipartId(deps.db, draft.objectKey, multipartId)
    const { fileKey, wrapped } = await createFileKey(deps.keys.masterKeys, version)
    const target = { objectKey: draft.objectKey, multipartId }
    const writer = createPartWriter(deps, target, { fileKey, version }, buffers.sealed, (part) => {
      stored.push(part)
    })
    let sizeBytes = 0
    let index = 0
    for await (const part of cutIntoParts(chunks, deps.policy.maxFileBytes, buffers.plain)) {
      digest.update(part.plaintext)
      sizeBytes += part.plaintext.length
      await writer.write({ ...part, index, number: index + 1 })
      index++
    }
    await writer.finish()
    await deps.blobs.completeMultipart(draft.objectKey, multipartId, stored, sealedFileBytes(sizeBytes))
    await publish(deps, draft, blobRow(draft, { sizeBytes, sha256: digest.sha256Hex(), wrapped }), {})
  } finally {
    lease.release()
  }
}

/** What the check of a stored file reads: of the document, and of R2 to open that. */
export async function checkStored(deps: Powers, caller: Caller, fileId: string) {
  const { file, blob } = await findOwnFile(deps, caller, fileId)
  const { lease, buffers } = await admitUpload(deps, deps.policy.maxFileBytes)
  lease.giveBack(buffers.sealed.buffer)
  const counts = { documentBytes: 0, documentReads: 0, r2Bytes: 0, r2Reads: 0 }
  const blobs: Powers["blobs"] = {
    ...deps.blobs,
    read(objectKey, offset, lengthBytes) {
      counts.r2Bytes += lengthBytes
      counts.r2Reads++
      return deps.blobs.read(objectKey, offset, lengthBytes)
    },
  }
  try {
    const whole = await contentSource({ ...deps, blobs }, blob, lease)
    const source: ByteSource = {
      sizeBytes: whole.sizeBytes,
      read(offset, lengthBytes) {
        counts.documentBytes += lengthBytes
        counts.documentReads++
        return whole.read(offset, lengthBytes)
      },
    }
    const verdict = await checkDocument(source, parseDocumentName(file.name).type, deps.policy.documents)
    return { ...counts, fault: verdict.fault }
  } finally {
    lease.release()
  }
}
