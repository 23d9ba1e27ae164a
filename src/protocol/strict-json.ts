// JSON without second meanings: exactly UTF-8, and no name twice in one object. JSON.parse would replace bytes
// that are not text and let the last of equal names win, where another reader lets the first (RFC 8259 section 4).

export type JsonFault = "not_utf8" | "malformed" | "duplicate_name"

/** Does any object of this well-formed JSON text hold a name twice, however it is escaped? */
function hasDuplicateName(text: string): boolean {
  // For each open bracket the names of its object so far; null for an array.
  const open: (Set<string> | null)[] = []
  const tokens = text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)
  for (const [token, colon] of tokens) {
    if (token === "{") open.push(new Set())
    else if (token === "[") open.push(null)
    else if (token === "}" || token === "]") open.pop()
    else if (colon !== undefined) {
      const name = JSON.parse(token.slice(0, -colon.length)) as string
      const names = open.at(-1)
      if (names?.has(name) === true) return true
      names?.add(name)
    }
  }
  return false
}

/** What is wrong with a JSON body, or null. A byte order mark is let through, as RFC 8259 section 8.1 permits. */
export function jsonFault(body: Uint8Array): JsonFault | null {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body)
  } catch {
    return "not_utf8"
  }
  try {
    JSON.parse(text)
  } catch {
    return "malformed"
  }
  return hasDuplicateName(text) ? "duplicate_name" : null
}
