// One upload by tus-js-client, as a program of an operations user makes it.
import type { Readable } from "node:stream"
import { Upload } from "tus-js-client"

export type TusUpload = { name: string; sizeBytes: number; chunkBytes: number }

/** @returns the new file's id */
export const uploadByTus = (
  subject: { origin: string; authorization: string },
  source: Buffer | Readable,
  { name, sizeBytes, chunkBytes }: TusUpload,
): Promise<string> =>
  new Promise((resolve, reject) => {
    // Its types know of no Node stream but that of a file.
    new Upload(source as Buffer, {
      endpoint: `${subject.origin}/api/ops/uploads`,
      headers: { Authorization: subject.authorization },
      metadata: { filename: name },
      uploadSize: sizeBytes,
      // For a connection that was kept too long while a stream brought the next piece.
      retryDelays: [0, 1000],
      chunkSize: chunkBytes,
      onError: reject,
      onSuccess: ({ lastResponse }) => {
        resolve(lastResponse.getHeader("Sealpost-File-Id") ?? "")
      },
    }).start()
  })
