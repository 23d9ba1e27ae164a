// What of a text the look at misused hyperlinks needs (hyperlinks.ts): its declarations of prefixes, and the tags that refer
// to relationships by one of those.
import { type Gist, tagsWith } from "./gist.ts"

const DECLARATION = /[ \t\r\n]xmlns:([^ \t\r\n=<>"'/]+)[ \t\r\n]*=[ \t\r\n]*(?="([^"<]*)"|'([^'<]*)')/g
/** Of their namespaces, or of what could be one, spelled in references. */
const RELATIONSHIPS = /relationships|&/i

export function createLinkGist(): Gist {
  const prefixes = new Set<string>()
  let words = wordsFor(prefixes)
  return (text) => {
    const known = prefixes.size
    for (const [, prefix = "", double, single] of text.matchAll(DECLARATION))
      if (RELATIONSHIPS.test(double ?? single ?? "")) prefixes.add(prefix)
    if (prefixes.size > known) words = wordsFor(prefixes)
    return tagsWith(text, words)
  }
}

const escaped = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`

function wordsFor(prefixes: ReadonlySet<string>): RegExp {
  // More than any part has: then they are told apart by the look itself, which refuses them.
  const some = [...prefixes].slice(0, 64).map((prefix) => prefix.replaceAll(/[^\p{L}\p{N}_]/gu, escaped))
  const references = some.length === 0 ? "" : String.raw`|[ \t\r\n](?:${some.join("|")}):`
  return new RegExp(`xmlns:|relid${references}`, "g")
}
