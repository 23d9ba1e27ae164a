// Streams of live changes. A Worker hears of nothing by itself, so a stream asks the database, soon after something has
// happened and ever more rarely while nothing does, and ends after some minutes for its reader to come back. Each look
// asks anew whether the session is alive. How many are open is bounded for each user and for the isolate; a stream that
// the runtime has cancelled stops looking, and its place is free soon after.
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import { type EventPage, readEvents } from "./events.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

/** Events of one look; more follow at once. */
const LOOK_LIMIT = 100
const RETRY_AFTER_SECONDS = 30

export type Pace = {
  /** Between looks: the first, and the longest while nothing happens. */
  minWaitMs: number
  maxWaitMs: number
  /** A stream ends when it is so old. */
  lifetimeMs: number
  maxPerUser: number
  maxInAll: number
  /** Anybody can become a client: they do not get the places that are left for operations users. */
  maxOfClients: number
}

export const PACE: Pace = {
  minWaitMs: 2_000,
  maxWaitMs: 15_000,
  lifetimeMs: 5 * 60_000,
  maxPerUser: 5,
  maxInAll: 200,
  maxOfClients: 150,
}

/** A stream that is so late with its next look has ended unheard. */
const OVERDUE_MS = 10_000

export type Place = {
  /** Says when the next look is due; false when the place was given away, because a look was overdue. */
  keep: (nextLookMs: number) => boolean
  close: () => void
}

export type EventStreams = {
  pace: Pace
  /**
   * Takes a place.
   * @throws AppError `too_many_requests` past what one user may have open, `busy` past what the isolate can
   */
  open: (caller: Pick<Caller, "userId" | "role">, nowMs: number) => Place
  /** For tests: how many are open. */
  count: () => number
}

/** The places of one isolate. */
export function createEventStreams(pace: Pace = PACE): EventStreams {
  const places = new Map<string, Pick<Caller, "userId" | "role"> & { nextLookMs: number }>()
  return {
    pace,
    open({ userId, role }, nowMs) {
      for (const [id, { nextLookMs }] of places) if (nowMs - nextLookMs > OVERDUE_MS) places.delete(id)
      const own = [...places.values()].filter((place) => place.userId === userId).length
      if (own >= pace.maxPerUser)
        throw new AppError("too_many_requests", {
          detail: `You have ${String(own)} streams of events open. Close one, or ask by ?since= instead.`,
          retryAfterSeconds: RETRY_AFTER_SECONDS,
          reason: "event streams of one user",
        })
      const ofClients = [...places.values()].filter((place) => place.role === "client").length
      if (places.size >= pace.maxInAll || (role === "client" && ofClients >= pace.maxOfClients))
        throw new AppError("busy", {
          detail: "Too many streams of events are open. Ask by ?since= instead, or try again.",
          retryAfterSeconds: RETRY_AFTER_SECONDS,
          reason: "event streams in all",
        })
      const id = newId()
      places.set(id, { userId, role, nextLookMs: nowMs })
      return {
        keep: (nextLookMs) => {
          const isHeld = places.has(id)
          if (isHeld) places.set(id, { userId, role, nextLookMs })
          return isHeld
        },
        close: () => void places.delete(id),
      }
    },
    count: () => places.size,
  }
}

/** Waits, but not after the signal. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener("abort", end)
  })

/**
 * Looks for events again and again, and hands over what each look has found, also nothing. Ends with the session, after
 * the lifetime of a stream, when the database fails, when its reader was so slow that the place is another's by now, and
 * with the signal.
 * @param since - null to begin with what happens from now on
 * @throws AppError `too_many_requests` · `busy`
 */
export function watchEvents(
  deps: Pick<Powers, "db" | "now" | "eventStreams" | "log">,
  caller: Caller,
  since: number | null,
  signal: AbortSignal,
): AsyncGenerator<EventPage, void> {
  const { pace } = deps.eventStreams
  const startedMs = deps.now()
  const place = deps.eventStreams.open(caller, startedMs)

  async function* looks(): AsyncGenerator<EventPage, void> {
    let waitMs = pace.minWaitMs
    try {
      for (let at = since; !signal.aborted && deps.now() - startedMs < pace.lifetimeMs;) {
        if (!place.keep(deps.now())) return
        const page = await readEvents(deps, caller, at, LOOK_LIMIT)
        if (page === null) return
        yield page
        at = page.next
        if (page.hasMore) continue
        // Where something happens, more does soon.
        if (page.events.length > 0) waitMs = pace.minWaitMs
        if (!place.keep(deps.now() + waitMs)) return
        await pause(waitMs, signal)
        waitMs = Math.min(pace.maxWaitMs, waitMs * 1.5)
      }
    } catch (error) {
      // Its reader comes back with the last id that they have seen.
      deps.log("event_stream_failed", { error: error instanceof Error ? error.name : "unknown" })
    } finally {
      place.close()
    }
  }
  // Aborted before its first look, a generator runs nothing at all.
  signal.addEventListener("abort", place.close)
  return looks()
}
