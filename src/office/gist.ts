// What of a text can matter to a look: a genuine text of any length costs little then, and memory only for that. A gist may
// hold more than what matters, never less; in doubt something is kept.

/** Takes the pieces of a text in order, each of whole tags; `words` counts what it came upon. */
export type Gist = (text: string, isLast: boolean) => { kept: string; words: number }

export const everything = (): Gist => (text) => ({ kept: text, words: 0 })

/** The tags that hold one of these words, with the text behind each. */
export function tagsWith(text: string, words: RegExp): { kept: string; words: number } {
  const kept: string[] = []
  let count = 0
  let until = 0
  for (const { index } of text.matchAll(words)) {
    count++
    if (index < until) continue
    const start = text.lastIndexOf("<", index)
    until = tagUntil(text, index)
    if (start >= 0) kept.push(text.slice(start, until))
  }
  return { kept: kept.join(""), words: count }
}

/** Where what belongs to a tag ends: at the next one. */
export function tagUntil(text: string, from: number): number {
  const next = text.indexOf("<", from)
  return next < 0 ? text.length : next
}

/** Does this tag certainly hold nothing? A bracket may also stand in the value of an attribute. */
export function isCertainlyEmpty(tag: string): boolean {
  const end = tag.indexOf(">")
  if (tag[end - 1] !== "/") return false
  const inside = tag.slice(0, end)
  return !inside.includes("'") && inside.split('"').length % 2 === 1
}
