// The address of a caller in the one form that limits count by. IPv4 counts as itself, also when it comes
// mapped into IPv6; IPv6 counts by its /64, the smallest network that one customer is given (RFC 6177), because
// whoever has one address of it has all 2^64.

/** What everybody shares whose address is missing or no address. */
export const UNKNOWN_ADDRESS = "unknown"

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`)
const GROUP = /^[0-9a-f]{1,4}$/

/** The two groups that the dotted tail of an IPv6 address stands for (RFC 4291 section 2.2, form 3). */
function dottedGroups(ipv4: string): [number, number] {
  const [a, b, c, d] = ipv4.split(".").map(Number)
  return [(a ?? 0) * 256 + (b ?? 0), (c ?? 0) * 256 + (d ?? 0)]
}

/** The groups of one side of `::`, or null for what cannot stand there. */
function readGroups(text: string, mayEndDotted: boolean): number[] | null {
  if (text === "") return []
  const words = text.split(":")
  const groups: number[] = []
  for (const [i, word] of words.entries()) {
    if (GROUP.test(word)) groups.push(Number.parseInt(word, 16))
    else if (mayEndDotted && i === words.length - 1 && IPV4.test(word)) groups.push(...dottedGroups(word))
    else return null
  }
  return groups
}

/** The eight groups of an IPv6 address (RFC 4291 section 2.2), or null. */
function parseIpv6(text: string): number[] | null {
  const halves = text.split("::")
  if (halves.length > 2) return null
  const head = readGroups(halves[0] ?? "", halves.length === 1)
  const tail = readGroups(halves[1] ?? "", true)
  if (head === null || tail === null) return null
  if (halves.length === 1) return head.length === 8 ? head : null
  const missing = 8 - head.length - tail.length
  return missing < 1 ? null : [...head, ...Array.from({ length: missing }, () => 0), ...tail]
}

/**
 * The form in which an address is counted: `203.0.113.9`, `2001:db8:0:1::/64`, or `unknown` for everything that is
 * not exactly one address. Zones, ports, brackets and lists are not addresses.
 */
export function canonicalAddress(text: string | null): string {
  if (text === null || text.length > 45) return UNKNOWN_ADDRESS
  if (IPV4.test(text)) return text
  const groups = parseIpv6(text.toLowerCase())
  if (groups === null) return UNKNOWN_ADDRESS
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped)
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 255])
      .join(".")
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`
}
