// The way out of opened content: to a receiver who may be slow, hang up, or take nothing at all.
import type { MemoryLease } from "./memory.ts"

/** What is opened and sent together. */
export type Run = readonly Uint8Array[]

/**
 * A receiver who takes nothing of a run for so long has gone or wants to hold the memory: at most a megabyte in two
 * minutes, slower than any line that a document is worth fetching over.
 */
export const STALL_MS = 2 * 60_000

/** Hears how the sending goes. */
export type ContentWatch = {
  progress: (sentBytes: number) => void
  /** The stream is over, whole or broken off. */
  ended: (sentBytes: number) => Promise<void>
  /** Why the stream is being broken off; the stream's own error does not say. */
  brokeOff?: (error: unknown) => void
}

/** @throws Error when the work takes longer; it is not waited for then */
async function unlessStalled(work: Promise<unknown>, stallMs: number): Promise<void> {
  work.catch(() => undefined)
  let timer: ReturnType<typeof setTimeout> | undefined
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error("the receiver takes nothing"))
    }, stallMs)
  })
  try {
    await Promise.race([work, stalled])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Sends opened segments, run by run, each when the one before it was taken. Whatever ends it, the share of memory is
 * given back and the watch hears how many bytes were taken. Never throws.
 * @param first - the run that was opened before any header went out
 * @param stallMs - how long a run may wait for its receiver
 */
export async function deliver(
  first: IteratorResult<Run, void>,
  content: AsyncGenerator<Run, void>,
  writable: WritableStream<Uint8Array>,
  { lease, watch, stallMs }: { lease: MemoryLease; watch: ContentWatch | undefined; stallMs: number },
): Promise<void> {
  const writer = writable.getWriter()
  let sentBytes = 0
  const send = async (bytes: Uint8Array): Promise<void> => {
    // Taken when it was read on the other side, not when it was queued. Its length first: the buffer may be gone then.
    const { length } = bytes
    await writer.write(bytes)
    sentBytes += length
  }
  try {
    for (let next = first; next.done !== true; next = await content.next()) {
      await unlessStalled(Promise.all(next.value.map(send)), stallMs)
      watch?.progress(sentBytes)
    }
    await writer.close()
  } catch (error) {
    // Damage further in (noted already), or a receiver who hung up: either way nothing more may go out.
    watch?.brokeOff?.(error)
    await writer.abort(error).catch(() => undefined)
  } finally {
    await content.return().catch(() => undefined)
    lease.release()
    await watch?.ended(sentBytes)
  }
}
