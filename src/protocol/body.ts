// A request's body as chunks, in reads that are large enough to be cheap, and its end: a client that is cut off while it
// still sends never sees the answer.
import { AppError } from "../errors.ts"

/** Chunks come in the size of network reads, some kilobytes; fewer and larger ones cost far less to pass on. */
const READ_BYTES = 256 * 1024

export type BodySource = ReturnType<typeof createBodySource>

/** The chunks of a body, of READ_BYTES where it is a byte stream. */
export function createBodySource(body: ReadableStream<Uint8Array>) {
  let byob: ReadableStreamBYOBReader | null = null
  try {
    byob = body.getReader({ mode: "byob" })
  } catch {
    // Not a byte stream: chunks come as they are.
  }
  const plain = byob === null ? body.getReader() : null

  /**
   * The next chunk, or null at the end.
   * @throws AppError `malformed_request` when the connection breaks off
   */
  async function next(): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      if (byob === null) return ((await plain?.read())?.value as Uint8Array<ArrayBuffer> | undefined) ?? null
      // A fresh buffer each time: what was handed on may still be in use.
      const { value } = await byob.readAtLeast(READ_BYTES, new Uint8Array(READ_BYTES))
      return value === undefined || value.length === 0 ? null : value
    } catch {
      // Not our fault, and nobody is left to hear of it.
      throw new AppError("malformed_request", { detail: "The connection broke off before the end of the body." })
    }
  }

  return {
    next,
    /** What is left of the body, chunk by chunk. */
    async *chunks(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
      for (let chunk = await next(); chunk !== null; chunk = await next()) yield chunk
    },
    /** Ends reading, but first takes what is still coming, up to a limit. */
    async close(drainBytes: number): Promise<void> {
      try {
        for (let total = 0; total < drainBytes;) {
          const chunk = await next()
          if (chunk === null) return
          total += chunk.length
        }
        await (byob ?? plain)?.cancel()
      } catch {
        // The client has gone; there is nobody left to answer.
      }
    },
  }
}
