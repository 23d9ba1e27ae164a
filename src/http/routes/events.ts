// Live changes for both roles: as a stream of server-sent events for whoever accepts one, else as JSON by ?since=.
import { type Context, Hono } from "hono"
import { z } from "zod"
import { watchEvents } from "../../domain/event-streams.ts"
import { type EventPage, type LiveEvent, pageOfEvents } from "../../domain/events.ts"
import { fieldError } from "../../errors.ts"
import { HEARTBEAT, acceptsEventStream, eventText, idField, parseEventId, retryField } from "../../protocol/event-stream.ts"
import { limitField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { queryParameters, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 100
const RECONNECT_MS = 3_000
const eventsQuery = z.strictObject({ since: z.string().optional(), limit: limitField.optional() })

/** Exactly what callers see of an event. */
const eventJson = ({ id, kind, atMs, fileId, file, clientId, linkId }: LiveEvent) => ({
  id: String(id),
  kind,
  at: new Date(atMs).toISOString(),
  ...(fileId !== null && {
    file:
      file === null
        ? { id: fileId }
        : {
            id: fileId,
            name: file.name,
            size: file.sizeBytes,
            type: file.type,
            sha256: file.sha256,
            createdAt: new Date(file.createdAtMs).toISOString(),
            version: file.version,
            description: file.description,
            expiresAt: file.expiresAtMs === null ? null : new Date(file.expiresAtMs).toISOString(),
          },
  }),
  ...(clientId !== null && { client: { id: clientId } }),
  ...(linkId !== null && { link: { id: linkId } }),
})

function eventId(name: string, text: string | undefined): number | null {
  if (text === undefined) return null
  const id = parseEventId(text)
  if (id === null) throw fieldError(name, "event_id", "This is not the id of an event from an earlier answer.")
  return id
}

/** What a look has found, as text: never nothing, so that a reader who has gone is noticed. */
const lookText = ({ events, next }: EventPage): string =>
  events.length === 0
    ? HEARTBEAT + idField(next)
    : events.map((event) => eventText({ id: event.id, kind: event.kind, data: eventJson(event) })).join("")

function eventStream(c: Context<GuardedEnv>, since: number | null): Response {
  const gone = new AbortController()
  const looks = watchEvents(c.var.deps, c.var.caller, since, gone.signal)
  const encoder = new TextEncoder()
  let isBegun = false
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!isBegun) {
          isBegun = true
          controller.enqueue(encoder.encode(retryField(RECONNECT_MS)))
          return
        }
        const next = await looks.next()
        if (gone.signal.aborted) return
        if (next.done === true) controller.close()
        else controller.enqueue(encoder.encode(lookText(next.value)))
      },
      cancel() {
        gone.abort()
      },
    },
    // The next look waits for somebody to take the last one.
    { highWaterMark: 0 },
  )
  return c.body(stream, 200, {
    "Content-Type": "text/event-stream; charset=utf-8",
    // No proxy may hold events back to compress or collect them.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    Vary: "Accept",
  })
}

/** For the caller's role: what they may see, clients of their files and operations users of their own. */
export const eventRoutes = new Hono<GuardedEnv>().get("/", singleParameters, queryParameters(eventsQuery), async (c) => {
  const { since, limit } = c.req.valid("query")
  // A stream that was broken off goes on where it was, whatever its address says.
  const lastSeen = eventId("Last-Event-ID", c.req.header("last-event-id"))
  const after = lastSeen ?? eventId("since", since)
  if (acceptsEventStream(c.req.header("accept") ?? "")) {
    if (c.req.method === "HEAD") return c.body(null, 200, { "Content-Type": "text/event-stream; charset=utf-8" })
    if (limit !== undefined) throw fieldError("limit", "not_with_stream", "A stream has no pages: leave out limit.")
    return eventStream(c, after)
  }
  const page = await pageOfEvents(c.var.deps, c.var.caller, after, limit ?? DEFAULT_LIMIT)
  const { events, next, hasMore } = page
  return c.json({ events: events.map(eventJson), next: String(next), hasMore }, 200, { Vary: "Accept" })
})
