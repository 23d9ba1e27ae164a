// Content-Disposition for downloads (RFC 6266), so that a file name in any script reaches the user unharmed
// and can never break the header, name a path or start a second parameter.

/** RFC 8187 section 3.2.1: attr-char. */
const isAttrChar = (char: string): boolean => /^[A-Za-z0-9!#$&+\-.^_`|~]$/.test(char)

const percentEncode = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`

/** RFC 8187 ext-value of a text: `UTF-8''` and percent-encoded bytes. */
function extendedValue(text: string): string {
  let value = "UTF-8''"
  for (const char of text) {
    value += isAttrChar(char) ? char : Array.from(new TextEncoder().encode(char), percentEncode).join("")
  }
  return value
}

/**
 * `attachment` with both forms of the name: an ASCII one for old clients, in which every other character
 * becomes `_` (also `%` and `\`, which some of them decode), and the exact one.
 * @param name - a file name without path, as domain/document-name.ts lets it through
 */
export function attachment(name: string): string {
  const ascii = Array.from(name, (char) => (/^[ !#$&'()+,\-.0-9;=@A-Z[\]^_`a-z{}~]$/.test(char) ? char : "_")).join("")
  return `attachment; filename="${ascii}"; filename*=${extendedValue(name.toWellFormed())}`
}
