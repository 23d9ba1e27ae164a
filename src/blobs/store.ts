// The only file that touches R2. Bytes are opaque here: no keys, no names, no types. Writes take buffers,
// never streams, so that a failed one can be tried again with the very same bytes.
import { isNoSuchPart, isNoSuchUpload, isPassing } from "./r2-errors.ts"

export type StoredPart = { partNumber: number; etag: string }
/** The etag changes whenever the object is written. */
export type StoredObject = { sizeBytes: number; etag: string; body: ReadableStream<Uint8Array> }
export type BlobStore = ReturnType<typeof createBlobStore>

const RETRY_DELAYS_MS = [100, 400]

async function withRetry<T>(attempt: () => Promise<T>): Promise<T> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      return await attempt()
    } catch (error) {
      if (!isPassing(error)) throw error
      await new Promise((resolve) => setTimeout(resolve, delayMs))
    }
  }
  return attempt()
}

export function createBlobStore(bucket: R2Bucket) {
  return {
    async put(key: string, bytes: Uint8Array): Promise<void> {
      await withRetry(() => bucket.put(key, bytes))
    },

    /** Starts a multipart object and returns its id. Nothing is visible under the key until `completeMultipart`. */
    async startMultipart(key: string): Promise<string> {
      return (await withRetry(() => bucket.createMultipartUpload(key))).uploadId
    },

    /** Parts count from 1; all but the last must be of one size of at least 5 MiB. */
    putPart(key: string, multipartId: string, partNumber: number, bytes: Uint8Array): Promise<StoredPart> {
      return withRetry(() => bucket.resumeMultipartUpload(key, multipartId).uploadPart(partNumber, bytes))
    },

    /**
     * Puts the parts together. Harmless when repeated: what was complete before, though nobody may have heard of it,
     * is recognised by the object.
     * @param sizeBytes - of the object
     * @returns false when upload or parts are gone, so that the object can never be complete
     */
    async completeMultipart(key: string, multipartId: string, parts: StoredPart[], sizeBytes: number): Promise<boolean> {
      try {
        await withRetry(() => bucket.resumeMultipartUpload(key, multipartId).complete(parts))
        return true
      } catch (error) {
        const found = await withRetry(() => bucket.head(key))
        if (found?.size === sizeBytes) return true
        if (found === null && (isNoSuchUpload(error) || isNoSuchPart(error))) return false
        throw error
      }
    },

    /** Drops an unfinished multipart object; does nothing when there is none (any more). */
    async abortMultipart(key: string, multipartId: string): Promise<void> {
      try {
        await withRetry(() => bucket.resumeMultipartUpload(key, multipartId).abort())
      } catch (error) {
        if (!isNoSuchUpload(error)) throw error
      }
    },

    /**
     * Up to `lengthBytes` of the object's bytes from `offset`, with its whole size; null when it is absent.
     * An object too short for the range has its size and no bytes: R2 refuses such a read.
     */
    async read(key: string, offset: number, lengthBytes: number): Promise<StoredObject | null> {
      try {
        const object = await withRetry(() => bucket.get(key, { range: { offset, length: lengthBytes } }))
        return object === null
          ? null
          : { sizeBytes: object.size, etag: object.etag, body: object.body as ReadableStream<Uint8Array> }
      } catch (error) {
        const found = await withRetry(() => bucket.head(key))
        if (found === null) return null
        if (found.size >= offset + lengthBytes) throw error
        return { sizeBytes: found.size, etag: found.etag, body: new Blob([]).stream() as ReadableStream<Uint8Array> }
      }
    },

    async has(key: string): Promise<boolean> {
      return (await withRetry(() => bucket.head(key))) !== null
    },

    /** Deleting what is not there is no error. */
    async delete(key: string): Promise<void> {
      await withRetry(() => bucket.delete(key))
    },

    /** Keys of stored objects, page by page. `next` is null at the end. */
    async list(cursor: string | null, limit: number): Promise<{ objectKeys: string[]; next: string | null }> {
      const page = await withRetry(() => bucket.list({ limit, ...(cursor === null ? {} : { cursor }) }))
      return { objectKeys: page.objects.map(({ key }) => key), next: page.truncated ? page.cursor : null }
    },

    /** Does the bucket answer? */
    async ping(): Promise<void> {
      await bucket.head("healthz")
    },
  }
}
