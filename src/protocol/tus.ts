// Headers of the tus resumable upload protocol 1.0.0 (https://tus.io/protocols/resumable-upload). Strict and total: each
// value has one meaning or is malformed.

type Bytes = Uint8Array<ArrayBuffer>

export const TUS_VERSION = "1.0.0"
/** In the order of the specification. */
export const TUS_EXTENSIONS = [
  "creation",
  "creation-with-upload",
  "creation-defer-length",
  "termination",
  "expiration",
  "checksum",
] as const
/** What the body of a PATCH must say that it is. */
export const TUS_CONTENT_TYPE = "application/offset+octet-stream"

const CHECKSUM_BYTES = { sha1: 20, sha256: 32 } as const
export type ChecksumAlgorithm = keyof typeof CHECKSUM_BYTES
export const CHECKSUM_ALGORITHMS = Object.keys(CHECKSUM_BYTES) as ChecksumAlgorithm[]

/**
 * Enough for a name of 255 bytes, 250 ids and what clients like to add. HEAD sends all of it back, and many clients take
 * no more than 16 KiB of headers in all.
 */
const MAX_METADATA_CHARS = 14 * 1024

/**
 * Upload-Offset and Upload-Length: "The value MUST be a non-negative integer." Null without the header.
 * No sign, fraction, exponent, leading zero or white space, and nothing past 2^53 - 1.
 */
export function parseCount(header: string | undefined): number | "malformed" | null {
  if (header === undefined) return null
  const value = /^(?:0|[1-9]\d{0,15})$/.test(header) ? Number(header) : Number.NaN
  return Number.isSafeInteger(value) ? value : "malformed"
}

/** Base64 with padding (RFC 4648 section 4); null for anything else, second spellings included. */
function fromBase64(text: string): Bytes | null {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return null
  const binary = atob(text)
  return btoa(binary) === text ? Uint8Array.from(binary, (char) => char.charCodeAt(0)) : null
}

/**
 * Upload-Metadata: "one or more comma-separated key-value pairs. The key and value MUST be separated by a space. The
 * key MUST NOT contain spaces and commas and MUST NOT be empty. … the value MUST be Base64 encoded. All keys MUST be
 * unique. The value MAY be empty." No header is no pairs.
 */
export function parseMetadata(header: string | undefined): Map<string, Bytes> | "malformed" {
  const pairs = new Map<string, Bytes>()
  if (header === undefined) return pairs
  if (header.length > MAX_METADATA_CHARS) return "malformed"
  for (const pair of header.split(",")) {
    const [, key, base64 = ""] = /^ ?([!-+\--~]+)(?: ([A-Za-z0-9+/=]*))?$/.exec(pair) ?? []
    const value = fromBase64(base64)
    if (key === undefined || value === null || pairs.has(key)) return "malformed"
    pairs.set(key, value)
  }
  return pairs
}

export type UploadChecksum = { algorithm: ChecksumAlgorithm; digest: Bytes }

/**
 * Upload-Checksum: "the name of the used checksum algorithm and the Base64 encoded checksum separated by a space."
 * Null without the header.
 */
export function parseChecksum(header: string | undefined): UploadChecksum | "malformed" | "unsupported" | null {
  if (header === undefined) return null
  const [, name, base64] = /^([!-@[-~]+) (\S+)$/.exec(header) ?? []
  if (name === undefined || base64 === undefined) return "malformed"
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === name)
  if (algorithm === undefined) return "unsupported"
  const digest = fromBase64(base64)
  return digest?.length === CHECKSUM_BYTES[algorithm] ? { algorithm, digest } : "malformed"
}

/** An HTTP date (RFC 9110 section 5.6.7), never earlier than the time itself. */
export const httpDate = (timeMs: number): string => new Date(timeMs).toUTCString()
