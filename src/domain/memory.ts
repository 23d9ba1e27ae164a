// Memory of one isolate: 128 MB for all its concurrent requests, enforced in production and nowhere else. Work
// that holds large buffers is admitted against a budget, first come, first served, and borrows its buffers here,
// so that what is alive at once is bounded by construction and can be counted.
// A share is kept by signs of life: a request whose client hangs up may be cancelled at any `await`, where not even
// `finally` runs, and then gives none. Its share, or its place in the queue, is free soon after.
import { AppError } from "../errors.ts"

/** Leaves room in 128 MB for code, small requests and what WebCrypto and the runtime hold in passing. */
export const DEFAULT_MEMORY_BUDGET_BYTES = 80 * 1024 * 1024
/** How long a request waits for others to finish before it is told to come back. */
export const DEFAULT_ADMISSION_WAIT_MS = 10_000
/** How often whoever has a share, or waits for one, gives a sign of life. */
export const SIGN_MS = 1_000
const RETRY_AFTER_SECONDS = 5

/** A request's share of the budget. */
export type MemoryLease = {
  readonly bytes: number
  /** A buffer of that size out of the share; its content is whatever the last user left. */
  borrow(lengthBytes: number): ArrayBuffer
  /** Gives a buffer back for reuse. Must not be used afterwards. */
  giveBack(buffer: ArrayBuffer): void
  /** Ends the share; harmless when repeated. */
  release(): void
}

export type MemoryBudget = {
  /**
   * Waits for a share of at least `leastBytes`, at most `wantedBytes`: the fuller the budget, the smaller.
   * @throws AppError `busy` with Retry-After when others hold the budget for too long
   */
  admit(leastBytes: number, wantedBytes?: number): Promise<MemoryLease>
  /** Bytes of shares and of borrowed buffers, now and at their highest. */
  readonly usage: { leasedBytes: number; peakLeasedBytes: number; borrowedBytes: number; peakBorrowedBytes: number }
}

/** That a request is still there. */
type Pulse = { isGone(): boolean; stop(): void }

/**
 * Gives signs of life for as long as the request that calls this is alive: the runtime ends its timers with it.
 * @param onSign - done with each sign
 */
function createPulse(signMs: number, onSign: () => void): Pulse {
  let seenAtMs = performance.now()
  let missedAtMs: number | null = null
  const timer = setInterval(() => {
    seenAtMs = performance.now()
    missedAtMs = null
    onSign()
  }, signMs)
  return {
    isGone() {
      const nowMs = performance.now()
      if (nowMs - seenAtMs <= 3 * signMs) return false
      // Looked at twice: after work that has held the thread for long, every sign is late.
      missedAtMs ??= nowMs
      return nowMs - missedAtMs > 2 * signMs
    },
    stop() {
      clearInterval(timer)
    },
  }
}

type Waiting = { leastBytes: number; pulse: Pulse; admit: () => void }

/**
 * A budget for one isolate.
 * @param signMs - see SIGN_MS
 */
export function createMemoryBudget(
  limitBytes = DEFAULT_MEMORY_BUDGET_BYTES,
  waitMs = DEFAULT_ADMISSION_WAIT_MS,
  signMs = SIGN_MS,
): MemoryBudget {
  const usage = { leasedBytes: 0, peakLeasedBytes: 0, borrowedBytes: 0, peakBorrowedBytes: 0 }
  const queue: Waiting[] = []
  const held = new Set<{ pulse: Pulse; release: () => void }>()
  /** Given back and waiting to be borrowed again, by size. Lent and idle together stay within the budget. */
  const pool = new Map<number, ArrayBuffer[]>()
  let idleBytes = 0

  const fits = (bytes: number): boolean => usage.leasedBytes + bytes <= limitBytes

  function admitWaiting(): void {
    // Strictly in order: a large request is not overtaken for ever by small ones.
    while (queue[0] !== undefined && fits(queue[0].leastBytes)) queue.shift()?.admit()
  }

  /** Takes back what cancelled requests hold, and takes them out of the queue. */
  function forgetTheGone(): void {
    for (const holder of held) if (holder.pulse.isGone()) holder.release()
    for (let i = queue.length - 1; i >= 0; i--) if (queue[i]?.pulse.isGone() === true) queue.splice(i, 1)
    admitWaiting()
  }

  function grant(leastBytes: number, wantedBytes: number, pulse: Pulse): MemoryLease {
    const fairBytes = Math.floor((limitBytes - usage.leasedBytes) / 16)
    const bytes = Math.max(leastBytes, Math.min(wantedBytes, fairBytes))
    usage.leasedBytes += bytes
    usage.peakLeasedBytes = Math.max(usage.peakLeasedBytes, usage.leasedBytes)
    return createLease(bytes, pulse)
  }

  function createLease(bytes: number, pulse: Pulse): MemoryLease {
    let borrowedBytes = 0
    let isReleased = false
    function release(): void {
      if (isReleased) return
      isReleased = true
      pulse.stop()
      held.delete(holder)
      usage.borrowedBytes -= borrowedBytes
      usage.leasedBytes -= bytes
      admitWaiting()
    }
    const holder = { pulse, release }
    held.add(holder)
    return {
      bytes,
      borrow(lengthBytes) {
        if (isReleased || borrowedBytes + lengthBytes > bytes) throw new RangeError("beyond the share of memory")
        borrowedBytes += lengthBytes
        usage.borrowedBytes += lengthBytes
        usage.peakBorrowedBytes = Math.max(usage.peakBorrowedBytes, usage.borrowedBytes)
        const known = pool.get(lengthBytes)?.pop()
        if (known !== undefined) {
          idleBytes -= lengthBytes
          return known
        }
        if (usage.borrowedBytes + idleBytes > limitBytes) {
          pool.clear()
          idleBytes = 0
        }
        return new ArrayBuffer(lengthBytes)
      },
      giveBack(buffer) {
        // What was borrowed under a share that is over is not counted any more, and not lent again.
        if (isReleased) return
        borrowedBytes -= buffer.byteLength
        usage.borrowedBytes -= buffer.byteLength
        if (usage.borrowedBytes + idleBytes + buffer.byteLength > limitBytes) return
        idleBytes += buffer.byteLength
        const free = pool.get(buffer.byteLength)
        if (free === undefined) pool.set(buffer.byteLength, [buffer])
        else free.push(buffer)
      },
      release,
    }
  }

  return {
    usage,
    async admit(leastBytes, wantedBytes = leastBytes) {
      if (leastBytes > limitBytes) throw new RangeError("more than the whole budget")
      forgetTheGone()
      if (queue.length === 0 && fits(leastBytes)) {
        return grant(leastBytes, wantedBytes, createPulse(signMs, ignore))
      }
      return new Promise((resolve, reject) => {
        const pulse = createPulse(signMs, forgetTheGone)
        const waiting = {
          leastBytes,
          pulse,
          admit: () => {
            clearTimeout(timer)
            resolve(grant(leastBytes, wantedBytes, pulse))
          },
        }
        const timer = setTimeout(() => {
          const place = queue.indexOf(waiting)
          // Admitted already: the request that made room cannot stop a timer of another one.
          if (place < 0) return
          queue.splice(place, 1)
          pulse.stop()
          reject(
            new AppError("busy", {
              detail: "Too much is going on. Try again in a moment.",
              retryAfterSeconds: RETRY_AFTER_SECONDS,
            }),
          )
          // Whoever stood behind it may fit.
          admitWaiting()
        }, waitMs)
        queue.push(waiting)
      })
    },
  }
}

const ignore = (): void => undefined
