// One JSON line per event. Callers pass fixed event names and harmless facts; unknown errors are reduced to
// what cannot hold anybody's data. Leaf: imports nothing.

export type Facts = Record<string, string | number | boolean | null>

export function logLine(event: string, facts: Facts = {}): void {
  console.log(JSON.stringify({ event, ...facts }))
}

/** Addresses, and runs long enough to be a token, key, code or digest. */
const SENSITIVE = /[^\s"'<>]+@[^\s"'<>]+|[A-Za-z0-9_\-+/=.]{20,}/g

/** A message without what Drizzle appends, the statement's parameters, and with the rest redacted. */
const harmless = (message: string): string =>
  message
    .replace(/\nparams:[^]*$/, "")
    .slice(0, 300)
    .replaceAll(SENSITIVE, "[…]")

/** Name, redacted message and stack frames of an unexpected error. */
export function errorFacts(error: unknown): Facts {
  if (!(error instanceof Error)) return { error: typeof error }
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line))
  const cause = error.cause instanceof Error ? `${error.cause.name}: ${error.cause.message}` : ""
  return {
    error: error.name,
    message: harmless(error.message),
    cause: harmless(cause),
    stack: frames
      .slice(0, 8)
      .map((line) => line.trim())
      .join(" | "),
  }
}
