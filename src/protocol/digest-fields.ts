// Content-Digest and Repr-Digest (RFC 9530): structured dictionaries (RFC 8941) whose values are byte sequences.
// Reads and writes the fields; computing a digest and comparing it is for the caller.

type Bytes = Uint8Array<ArrayBuffer>

/**
 * What a digest field obliges to check. `digests` has at least one; with both, both must hold. Fields that name
 * no active algorithm oblige to nothing and count as `none`.
 */
export type RequiredDigests = { kind: "none" } | { kind: "malformed" } | { kind: "digests"; sha256?: Bytes; sha512?: Bytes }

/** Enough for a digest of every registered algorithm with parameters to spare. */
const MAX_FIELD_CHARS = 2048

/** RFC 8941 section 3.1.2: lower case only. */
const KEY = "[a-z*][a-z0-9_.*-]*"
/**
 * RFC 8941 section 4.2.7. Its SHOULD NOT is kept: base64 without padding, or with pad bits that are not zero, is
 * let through. Half a padding is none of the two.
 */
const BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?"
/** RFC 8941 section 3.3: decimal, integer, string, token, byte sequence, boolean. */
const BARE_ITEM = [
  "-?[0-9]{1,12}\\.[0-9]{1,3}",
  "-?[0-9]{1,15}",
  '"(?:[ !#-\\[\\]-~]|\\\\["\\\\])*"',
  "[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*",
  `:${BASE64}:`,
  "\\?[01]",
].join("|")
/** RFC 8941 section 3.1.2. Read past: RFC 9530 defines none. */
const PARAMETERS = `(?:; *${KEY}(?:=(?:${BARE_ITEM}))?)*`

/**
 * The members of a Content-Digest or Repr-Digest field (RFC 9530 sections 2 and 3), as RFC 8941 section 4.2.2
 * parses a dictionary: of a repeated key the last value counts, and one fault makes the whole field malformed, be
 * it in a member that nobody needs. Null without a field; fields of several lines come joined by `, `.
 */
export function parseDigestField(header: string | null | undefined): Map<string, Bytes> | "malformed" | null {
  if (header === null || header === undefined) return null
  if (header.length > MAX_FIELD_CHARS) return "malformed"
  const text = header.replace(/^ +/, "")
  const members = new Map<string, Bytes>()
  const member = new RegExp(`(${KEY})=:(${BASE64}):${PARAMETERS}[ \\t]*(,[ \\t]*(?!$)|$)`, "y")
  while (member.lastIndex < text.length) {
    const [, key, base64] = member.exec(text) ?? []
    if (key === undefined || base64 === undefined) return "malformed"
    members.set(key, fromBase64(base64))
  }
  return members
}

/** Total for what `BASE64` matches: atob takes missing padding and drops pad bits, as RFC 8941 wants it. */
function fromBase64(text: string): Bytes {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
}

/**
 * The digests of a field that can be trusted: of the algorithms of RFC 9530 section 5, the two with status Active.
 * The deprecated ones (`md5`, `sha`, `unixsum`, …) and unknown ones are ignored, as section 2 allows. A digest
 * without the length of its algorithm could match nothing, so it is malformed.
 */
export function requiredDigests(header: string | null | undefined): RequiredDigests {
  const members = parseDigestField(header)
  if (members === "malformed") return { kind: "malformed" }
  const sha256 = members?.get("sha-256")
  const sha512 = members?.get("sha-512")
  if ((sha256?.length ?? 32) !== 32 || (sha512?.length ?? 64) !== 64) return { kind: "malformed" }
  if (sha256 === undefined && sha512 === undefined) return { kind: "none" }
  return { kind: "digests", ...(sha256 && { sha256 }), ...(sha512 && { sha512 }) }
}

/**
 * The value of a Repr-Digest or Content-Digest field (RFC 9530 sections 2 and 3): `sha-256=:…:`.
 * @param sha256Hex - 64 lower-case digits
 * @throws RangeError for anything else: our own records are wrong, and a wrong digest must not leave the house
 */
export function reprDigest(sha256Hex: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256Hex)) throw new RangeError("not a SHA-256 digest in lower-case hex")
  const binary = sha256Hex.replaceAll(/../g, (byte) => String.fromCharCode(Number.parseInt(byte, 16)))
  return `sha-256=:${btoa(binary)}:`
}
