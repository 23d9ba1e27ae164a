// Sealing and opening of Tink AesGcmHkdfStreaming streams (AES256-GCM, HKDF-SHA-256, 32-byte derived key)
// over WebCrypto. Works on bytes in memory, a part or a run of segments at a time; where those bytes
// come from and go to is the caller's business. Layout: sealed-format.ts.
import { type Bytes, randomBytes } from "./bytes.ts"
import { hkdf } from "./keyring.ts"
import {
  HEADER_BYTES,
  NONCE_PREFIX_BYTES,
  SALT_BYTES,
  SEGMENT_BYTES,
  type Segment,
  TAG_BYTES,
  segmentsOf,
  streamBytes,
} from "./sealed-format.ts"

/** Thrown for every failure to open, whatever was wrong: callers and attackers learn no more. */
export class SealBrokenError extends Error {
  override readonly name = "SealBrokenError"
  constructor() {
    super("sealed bytes do not open")
  }
}

/** The AES key of one stream and what its nonces start with. */
export type StreamKey = { key: CryptoKey; noncePrefix: Bytes }

/** Tink's parameters that are choices. Ours are fixed; others exist for the vectors that Tink publishes. */
export type StreamSuite = { hash: "SHA-1" | "SHA-256" | "SHA-512"; derivedKeyBytes: 16 | 32 }

const SUITE: StreamSuite = { hash: "SHA-256", derivedKeyBytes: SALT_BYTES }

/** Length byte, a salt as long as the derived key, nonce prefix. */
const headerBytesOf = (suite: StreamSuite): number => 1 + suite.derivedKeyBytes + NONCE_PREFIX_BYTES

function deriveStreamKey(
  fileKey: CryptoKey,
  salt: Bytes,
  associatedData: Bytes,
  usage: "encrypt" | "decrypt",
  suite: StreamSuite,
): Promise<CryptoKey> {
  const algorithm = { name: "AES-GCM", length: suite.derivedKeyBytes * 8 }
  return crypto.subtle.deriveKey({ ...hkdf(associatedData, salt), hash: suite.hash }, fileKey, algorithm, false, [usage])
}

function segmentNonce(noncePrefix: Bytes, segment: Pick<Segment, "index" | "isLast">): Bytes {
  const nonce = new Uint8Array(12)
  nonce.set(noncePrefix)
  new DataView(nonce.buffer).setUint32(NONCE_PREFIX_BYTES, segment.index)
  nonce[11] = segment.isLast ? 1 : 0
  return nonce
}

/** Segments that WebCrypto seals side by side: bounds what it holds beside our own buffers. */
const SEGMENTS_AT_ONCE = 4

/** What `sealStream` may be given by tests that replay published vectors; the product never sets it. */
export type FixedHeader = { salt: Bytes; noncePrefix: Bytes }

/**
 * Seals one whole stream. A fresh salt and nonce prefix each time: sealing the same part again,
 * for a retry or a race, never uses a key and nonce twice.
 * @param fileKey - HKDF key of the file (its DEK)
 * @param associatedData - bound through HKDF's info, as Tink does; GCM's own AAD is empty
 * @param out - where to write; must hold `streamBytes(plaintext.length)`. Reused between parts by the writer.
 * @returns the filled part of `out`
 */
export async function sealStream(
  fileKey: CryptoKey,
  associatedData: Bytes,
  plaintext: Bytes,
  out: Bytes,
  segmentBytes = SEGMENT_BYTES,
  header: FixedHeader = { salt: randomBytes(SALT_BYTES), noncePrefix: randomBytes(NONCE_PREFIX_BYTES) },
): Promise<Bytes> {
  const key = await deriveStreamKey(fileKey, header.salt, associatedData, "encrypt", SUITE)
  out[0] = HEADER_BYTES
  out.set(header.salt, 1)
  out.set(header.noncePrefix, 1 + SALT_BYTES)
  const segments = segmentsOf(plaintext.length, segmentBytes)
  for (let i = 0; i < segments.length; i += SEGMENTS_AT_ONCE) {
    await Promise.all(
      segments.slice(i, i + SEGMENTS_AT_ONCE).map(async (segment) => {
        const iv = segmentNonce(header.noncePrefix, segment)
        const plain = plaintext.subarray(segment.plainStart, segment.plainEnd)
        out.set(new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plain)), segment.cipherStart)
      }),
    )
  }
  return out.subarray(0, streamBytes(plaintext.length, segmentBytes))
}

/**
 * Reads a stream's header and derives its key.
 * @throws SealBrokenError when the header is not one of ours
 */
export async function openStreamHeader(
  fileKey: CryptoKey,
  associatedData: Bytes,
  header: Bytes,
  suite: StreamSuite = SUITE,
): Promise<StreamKey> {
  const headerBytes = headerBytesOf(suite)
  if (header.length !== headerBytes || header[0] !== headerBytes) throw new SealBrokenError()
  const saltEnd = 1 + suite.derivedKeyBytes
  const key = await deriveStreamKey(fileKey, header.slice(1, saltEnd), associatedData, "decrypt", suite)
  return { key, noncePrefix: header.slice(saltEnd) }
}

/**
 * Opens one segment.
 * @throws SealBrokenError when its tag does not verify
 */
export async function openSegment(
  stream: StreamKey,
  segment: Pick<Segment, "index" | "isLast">,
  ciphertext: Bytes,
): Promise<Bytes> {
  if (ciphertext.length < TAG_BYTES) throw new SealBrokenError()
  const iv = segmentNonce(stream.noncePrefix, segment)
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, stream.key, ciphertext))
  } catch {
    throw new SealBrokenError()
  }
}

/** Opens a whole stream held in memory, of a plaintext length that the caller knows. */
export async function openStream(
  fileKey: CryptoKey,
  associatedData: Bytes,
  sealed: Bytes,
  plaintextBytes: number,
  segmentBytes = SEGMENT_BYTES,
  suite: StreamSuite = SUITE,
): Promise<Bytes> {
  const headerBytes = headerBytesOf(suite)
  if (sealed.length !== streamBytes(plaintextBytes, segmentBytes, headerBytes)) throw new SealBrokenError()
  const stream = await openStreamHeader(fileKey, associatedData, sealed.subarray(0, headerBytes), suite)
  const plaintext = new Uint8Array(plaintextBytes)
  await Promise.all(
    segmentsOf(plaintextBytes, segmentBytes, headerBytes).map(async (segment) => {
      const ciphertext = sealed.subarray(segment.cipherStart, segment.cipherEnd)
      plaintext.set(await openSegment(stream, segment, ciphertext), segment.plainStart)
    }),
  )
  return plaintext
}
