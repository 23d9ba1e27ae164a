// Turns at hashing passwords. One hash takes 32 MiB and a quarter of a second of the isolate's only thread, so
// one runs at a time, other requests get the thread in between, and past a short queue the answer is `busy`.
// A place in the queue is kept by being asked for again and again: a request that the runtime has cancelled
// stops asking, and its place is free soon after. Nothing of one request waits for code of another.
import { AppError } from "../errors.ts"

/** About four seconds of work: more would wait longer than people do. */
export const MAX_WAITING_HASHES = 16
const POLL_MS = 5
/** Longer than any hash blocks the thread. */
const FORGOTTEN_MS = 2_000
const RETRY_AFTER_SECONDS = 3

export type HashQueue = {
  /** @throws AppError `busy` with Retry-After when the queue is full; cheap, for before any other work */
  requireRoom(): void
  /**
   * Waits for a turn and takes it.
   * @throws AppError `busy` with Retry-After when the queue is full
   */
  takeTurn<T>(hash: () => Promise<T>): Promise<T>
  /** For tests: how many wait or hash, and how many ever did at once. */
  readonly usage: { waiting: number; hashing: number; peakHashing: number }
}

type Ticket = { seenAtMs: number }

/**
 * The queue of one isolate.
 * @param clock - milliseconds of any origin; only differences count
 */
export function createHashQueue(maxWaiting = MAX_WAITING_HASHES, clock: () => number = () => performance.now()): HashQueue {
  const queue: Ticket[] = []
  let hashing = 0
  let peakHashing = 0
  let endedTurns = 0

  function forgetTheGone(): void {
    const nowMs = clock()
    for (let i = queue.length - 1; i >= 0; i--) {
      if (nowMs - (queue[i]?.seenAtMs ?? 0) > FORGOTTEN_MS) queue.splice(i, 1)
    }
  }

  function requireRoom(): void {
    forgetTheGone()
    if (queue.length < maxWaiting) return
    throw new AppError("busy", {
      detail: "Too many passwords are being checked. Try again in a moment.",
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      reason: "hash queue is full",
    })
  }

  async function untilFirst(ticket: Ticket): Promise<void> {
    let seenTurns: number
    do {
      seenTurns = endedTurns
      await new Promise((wake) => setTimeout(wake, POLL_MS))
      ticket.seenAtMs = clock()
      // Whoever was forgotten though still here stands at the end again.
      if (!queue.includes(ticket)) queue.push(ticket)
      forgetTheGone()
      // After somebody else's turn once more: whatever else has arrived meanwhile gets the thread.
    } while (queue[0] !== ticket || seenTurns !== endedTurns)
  }

  return {
    requireRoom,
    async takeTurn(hash) {
      requireRoom()
      const ticket = { seenAtMs: clock() }
      queue.push(ticket)
      try {
        await untilFirst(ticket)
        hashing += 1
        peakHashing = Math.max(peakHashing, hashing)
        try {
          return await hash()
        } finally {
          hashing -= 1
          endedTurns += 1
        }
      } finally {
        const place = queue.indexOf(ticket)
        if (place >= 0) queue.splice(place, 1)
      }
    },
    get usage() {
      return { waiting: queue.length, hashing, peakHashing }
    },
  }
}
