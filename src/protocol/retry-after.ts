// Retry-After (RFC 9110 section 10.2.3) as a client reads it: seconds, or a date.

const HTTP_DATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/

/**
 * How long to wait.
 * @returns milliseconds from 0, or null for what is neither form
 */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000
  const atMs = HTTP_DATE.test(header) ? Date.parse(header) : NaN
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs)
}
