// What kind of client a User-Agent header (RFC 9110 section 10.1.5) says it is, coarsely: for people to tell their
// sessions apart, never to decide anything. Made of our own words, or of one short product name.

const BROWSERS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bEdg(?:e|A|iOS)?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|CriOS|Chromium)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
]
const SYSTEMS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bWindows\b/, "Windows"],
  [/\bAndroid\b/, "Android"],
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"],
  [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
]
/** Longer headers are cut: what matters stands early. */
const MAX_CHARS = 512

const find = (table: typeof BROWSERS, text: string): string | undefined => table.find(([pattern]) => pattern.test(text))?.[1]

/** At most 40 characters of letters, digits, spaces and `._-`; "unknown" when nothing can be said. */
export function clientLabel(userAgent: string | undefined): string {
  const text = (userAgent ?? "").slice(0, MAX_CHARS)
  // Every browser calls itself Mozilla; what does not is a program, known by its own product name.
  if (!text.startsWith("Mozilla/")) return /^[A-Za-z][A-Za-z0-9._-]{0,39}(?=$|[/ ])/.exec(text)?.[0] ?? "unknown"
  const browser = find(BROWSERS, text)
  const system = find(SYSTEMS, text)
  if (browser === undefined) return system === undefined ? "unknown" : `browser on ${system}`
  return system === undefined ? browser : `${browser} on ${system}`
}
