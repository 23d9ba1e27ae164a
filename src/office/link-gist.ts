// What of a text the look at misused hyperlinks needs (hyperlinks.ts): its declarations of prefixes, and the tags that refer
// to relationships by one of those.
import { type Gist, tagsWith } from "./gist.ts"
import { addPrefixes } from "./hyperlinks.ts"

export function createLinkGist(): Gist {
  const prefixes = new Set<string>()
  let words = wordsFor(prefixes)
  return (text) => {
    const known = prefixes.size
    // The same that the look takes: others, however many, must not push out the one that counts.
    addPrefixes(prefixes, text)
    if (prefixes.size > known) words = wordsFor(prefixes)
    return tagsWith(text, words)
  }
}

const escaped = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`

function wordsFor(prefixes: ReadonlySet<string>): RegExp {
  const some = [...prefixes].map((prefix) => prefix.replaceAll(/[^\p{L}\p{N}_]/gu, escaped))
  const references = some.length === 0 ? "" : String.raw`|[ \t\r\n](?:${some.join("|")}):`
  return new RegExp(`xmlns:|relid${references}`, "g")
}
