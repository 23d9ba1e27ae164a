// Digests of a document as it streams in: SHA-256 always, because it is stored and listed, CRC-32 for archives that it
// will be part of, SHA-512 where the client announced one (RFC 9530 section 5, the two active algorithms).
import { type Hash, createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { equalBytes } from "../crypto/bytes.ts"
import { AppError } from "../errors.ts"

/** What a client said that the bytes are; both must hold where both were given. */
export type ExpectedDigests = { sha256?: Uint8Array; sha512?: Uint8Array }

/** What is kept of a document's bytes: SHA-256 in hex, and the CRC-32 that ZIP has, a hint for whoever unpacks one. */
export type ContentDigests = { sha256: string; crc32: number }

/** Both of bytes that come one after the other, as far as they have come. */
export type RunningDigest = { update: (bytes: Uint8Array) => void; digests: () => ContentDigests }

export function createRunningDigest(): RunningDigest {
  const hash = createHash("sha256")
  let sum = 0
  return {
    update(bytes) {
      hash.update(bytes)
      sum = crc32(bytes, sum)
    },
    digests: () => ({ sha256: hash.copy().digest("hex"), crc32: sum }),
  }
}

export type Digests = ReturnType<typeof createDigests>

export function createDigests(expected: ExpectedDigests) {
  const sha256 = createHash("sha256")
  let sum = 0
  const sha512: Hash | null = expected.sha512 === undefined ? null : createHash("sha512")
  let sha256Bytes: Uint8Array | undefined

  const sha256Digest = (): Uint8Array => (sha256Bytes ??= new Uint8Array(sha256.digest()))

  return {
    update(bytes: Uint8Array): void {
      sha256.update(bytes)
      sum = crc32(bytes, sum)
      sha512?.update(bytes)
    },
    /** Lower-case hex, as `sha256sum` prints it. Ends the digest. */
    sha256Hex: (): string => Array.from(sha256Digest(), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    crc32: (): number => sum,
    /** Ends the digest: is it what was announced? */
    matches: (): boolean =>
      (expected.sha256 === undefined || equalBytes(expected.sha256, sha256Digest())) &&
      (expected.sha512 === undefined || sha512 === null || equalBytes(expected.sha512, new Uint8Array(sha512.digest()))),
  }
}

export const digestMismatch = (field: string): AppError =>
  new AppError("digest_mismatch", { detail: `What arrived does not have the digest announced in ${field}. Nothing was stored.` })
