// Server-sent events (HTML Living Standard, section 9.2): writing the stream, and reading what a reader says of the last
// event that it has seen. Knows nothing of what events mean.

/** A field's value must not end its line: here it is JSON, a word or a number, and never does. */
const field = (name: string, value: string): string => {
  if (/[\r\n\0]/.test(value)) throw new TypeError("a value of one line")
  return `${name}: ${value}\n`
}

/** How long readers wait before they come back. */
export const retryField = (ms: number): string => `${field("retry", String(ms))}\n`

/** Sets the last event id and says nothing: an event without data is not dispatched. */
export const idField = (id: number): string => `${field("id", String(id))}\n`

/** A comment, so that the line stays open and a reader who has gone is noticed. */
export const HEARTBEAT = ":\n\n"

export const eventText = (event: { id: number; kind: string; data: unknown }): string =>
  `${field("id", String(event.id))}${field("event", event.kind)}${field("data", JSON.stringify(event.data))}\n`

/** The id of an event as it was handed out; null for anything else. */
export const parseEventId = (text: string): number | null => (/^(?:0|[1-9]\d{0,14})$/.test(text) ? Number(text) : null)

/** Does an Accept header name the type, not just allow it? */
export const acceptsEventStream = (accept: string): boolean =>
  accept.split(",").some((range) => /^\s*text\/event-stream\s*(?:;(?!\s*q=0(?:\.0*)?\s*$).*)?$/i.test(range))
