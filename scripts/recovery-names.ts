// Names under which recovered files are written. The names in the database are user input, and whoever can edit
// the database can make them anything: what comes out of here is one plain file name that every common file
// system takes, never a path, and never the same twice. Imports nothing but Node.

/** What ext4, APFS and NTFS hold in one name. */
const MAX_NAME_BYTES = 255
/** Controls, invisible and reordering characters, half characters, and what Windows or a shell path gives a meaning. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}<>:"/\\|?*]/gu
/** Devices of Windows, with any extension (learn.microsoft.com, "Naming Files, Paths, and Namespaces"). */
const RESERVED = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|$)/i

const utf8Bytes = (text: string): number => Buffer.byteLength(text)

/** Splits off an extension that is worth keeping when a name is cut. */
function splitName(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf(".")
  return dot > 0 && utf8Bytes(name.slice(dot)) <= 20 ? [name.slice(0, dot), name.slice(dot)] : [name, ""]
}

/** The name with `suffix` before its extension, cut between characters so that all fits. */
function withSuffix(name: string, suffix: string): string {
  const [stem, extension] = splitName(name)
  const room = MAX_NAME_BYTES - utf8Bytes(suffix + extension)
  if (utf8Bytes(stem) <= room) return stem + suffix + extension
  const characters = Array.from(stem).slice(0, room)
  while (utf8Bytes(characters.join("")) > room) characters.pop()
  return characters.join("").replace(/[\s.]+$/u, "") + suffix + extension
}

/** One safe file name from any text: its last path segment, with what is unsafe replaced by `_`. */
export function safeName(text: string): string {
  const segment = text.slice(Math.max(text.lastIndexOf("/"), text.lastIndexOf("\\")) + 1)
  const name = segment
    .normalize("NFC")
    .replace(UNSAFE, "_")
    .replace(/^\s+|[\s.]+$/gu, "")
    .replace(/^\./, "_")
  if (name === "") return "unnamed"
  return withSuffix(RESERVED.test(name) ? `_${name}` : name, "")
}

/** Two names with one fold may be one file somewhere: some file systems ignore case (form is NFC already). */
const fold = (name: string): string => name.toUpperCase()

/**
 * Hands out safe names, each one once: `a.docx`, then `a (2).docx`.
 * @param taken - names not to hand out
 * @param exists - does the folder hold such a name already?
 */
export function createNamer(taken: readonly string[], exists: (name: string) => boolean): (text: string) => string {
  const used = new Set(taken.map(fold))
  const lastNumber = new Map<string, number>()
  return function nextName(text) {
    const name = safeName(text)
    for (let number = (lastNumber.get(fold(name)) ?? 0) + 1; ; number++) {
      const candidate = number === 1 ? name : withSuffix(name, ` (${String(number)})`)
      if (used.has(fold(candidate)) || exists(candidate)) continue
      used.add(fold(candidate))
      lastNumber.set(fold(name), number)
      return candidate
    }
  }
}
