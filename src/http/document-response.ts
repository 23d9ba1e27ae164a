// How a document leaves: as an attachment under its own name, with the canonical type of its format, never
// stored by a cache, changed by a proxy, sniffed or run by a browser; whole or in ranges, on conditions
// (RFC 9110 sections 13 and 14), with its digest (RFC 9530).
import type { Piece } from "../domain/content.ts"
import type { SendTerms } from "../domain/downloads.ts"
import { mediaTypes } from "../domain/document-name.ts"
import type { SealedRow } from "../domain/files.ts"
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import { attachment } from "../protocol/content-disposition.ts"
import { reprDigest } from "../protocol/digest-fields.ts"
import {
  evaluateConditions,
  httpDate,
  opaqueTag,
  parseConditions,
  parseHttpDate,
  rangeApplies,
} from "../protocol/http-conditions.ts"
import {
  type ByteRange,
  contentRange,
  multipartBytes,
  multipartHead,
  multipartTail,
  parseRange,
  rangeBeginning,
} from "../protocol/http-range.ts"

/** Opens the document for these pieces; called only when bytes will really go out. */
type Open = (pieces: readonly Piece[]) => Promise<ReadableStream<Uint8Array>>

type Answer = { status: 200 | 206; headers: Record<string, string>; pieces: readonly Piece[] }

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The one range as it is, several as multipart/byteranges (RFC 9110 section 15.3.7). */
function partialAnswer(ranges: readonly ByteRange[], mediaType: string, sizeBytes: number): Answer {
  const [first] = ranges
  if (first !== undefined && ranges.length === 1) {
    const headers = { "Content-Range": contentRange(first, sizeBytes), "Content-Length": String(first.end - first.start) }
    return { status: 206, headers, pieces: ranges }
  }
  const boundary = newId().replaceAll("-", "")
  const pieces = ranges.flatMap((range, i): Piece[] => [
    utf8(multipartHead(boundary, mediaType, range, sizeBytes, i === 0)),
    range,
  ])
  const headers = {
    "Content-Type": `multipart/byteranges; boundary=${boundary}`,
    "Content-Length": String(multipartBytes(boundary, mediaType, ranges, sizeBytes)),
  }
  return { status: 206, headers, pieces: [...pieces, utf8(multipartTail(boundary))] }
}

/** A strong tag of this service as the digest that it is; what cannot be one, stays as it is and equals none. */
const digestOf = (tag: string): string => tag.replaceAll('"', "")

/**
 * Under what terms a request will be sent bytes of a document that is not known yet, so that its download can be claimed
 * in the same step that finds the document; null when it never will be. Says the same as {@link documentResponse} does.
 */
export function sendTerms({ method, headers }: Request): SendTerms | null {
  const { ifMatch, ifNoneMatch, unmodifiedSinceSeconds, modifiedSinceSeconds } = parseConditions(headers)
  if (method !== "GET" || ifNoneMatch === "any") return null
  return {
    sha256In: ifMatch === null || ifMatch === "any" ? null : ifMatch.filter((tag) => !tag.startsWith("W/")).map(digestOf),
    sha256NotIn: ifNoneMatch === null ? null : ifNoneMatch.map((tag) => digestOf(opaqueTag(tag))),
    createdAtMostSeconds: unmodifiedSinceSeconds,
    createdAfterSeconds: modifiedSinceSeconds,
    range: rangeTerms(headers),
  }
}

function rangeTerms(headers: Headers): SendTerms["range"] {
  const beginning = rangeBeginning(headers.get("range") ?? undefined)
  const ifRange = headers.get("if-range")
  if (beginning === null || ifRange === null) return beginning === null ? null : { ...beginning, onlyOf: null }
  const sha256 = /^"([0-9a-f]{64})"$/.exec(ifRange)?.[1]
  if (sha256 !== undefined) return { ...beginning, onlyOf: { sha256 } }
  const createdSeconds = parseHttpDate(ifRange)
  // Neither tag nor date: the range never applies.
  return createdSeconds === null ? null : { ...beginning, onlyOf: { createdSeconds } }
}

/**
 * Answers GET or HEAD for a document.
 * @throws AppError `precondition_failed`, `range_not_satisfiable`, and what `open` throws
 */
export async function documentResponse(request: Request, { file, blob }: SealedRow, open: Open): Promise<Response> {
  const { sizeBytes, sha256 } = blob
  // A row that was tampered with has no headers to give; opening it says so, and notes it.
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    if (request.method === "GET") await (await open([])).cancel()
    throw new AppError("integrity_failure", { detail: "The stored file is damaged and was not sent.", reason: "row" })
  }
  const document = { name: file.name, mediaType: mediaTypes[file.type], lastModifiedMs: blob.createdAtMs, sizeBytes, tag: sha256 }
  return attachmentResponse(request, document, open, { "Repr-Digest": reprDigest(sha256) })
}

/** What is sent as an attachment, known before it is opened. */
export type Attachment = {
  name: string
  mediaType: string
  /** The bytes of this name never change without it; null where they may. */
  lastModifiedMs: number | null
  sizeBytes: number
  /** Of its strong entity tag, without quotes: hex. */
  tag: string
}

/**
 * Answers GET or HEAD for anything that is known so well: conditions, ranges and headers alike.
 * @param open - called only when bytes will really go out
 * @param more - headers of this kind of thing, when it is shown
 * @throws AppError `precondition_failed`, `range_not_satisfiable`, and what `open` throws
 */
export async function attachmentResponse(
  request: Request,
  { name, mediaType, lastModifiedMs, sizeBytes, tag }: Attachment,
  open: Open,
  more: Record<string, string> = {},
): Promise<Response> {
  const lastModifiedSeconds = lastModifiedMs === null ? null : Math.floor(lastModifiedMs / 1000)
  const validators = { etag: `"${tag}"`, lastModifiedSeconds }
  const common = {
    ETag: validators.etag,
    ...(lastModifiedSeconds === null ? {} : { "Last-Modified": httpDate(lastModifiedSeconds) }),
    "Cache-Control": "private, no-store, no-transform",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
  }
  const condition = evaluateConditions(request.headers, validators)
  if (condition === "precondition_failed")
    throw new AppError("precondition_failed", { detail: "The document is not the one that was asked for." })
  if (condition === "not_modified") return new Response(null, { status: 304, headers: common })

  const headers = {
    ...common,
    "Accept-Ranges": "bytes",
    "Content-Type": mediaType,
    "Content-Length": String(sizeBytes),
    "Content-Disposition": attachment(name),
    ...more,
  }
  // Range is defined for GET only (section 14.2); HEAD opens nothing at all.
  if (request.method === "HEAD") return new Response(null, { headers })
  const isRanged = rangeApplies(request.headers.get("if-range"), validators)
  const wish = isRanged ? parseRange(request.headers.get("range") ?? undefined, sizeBytes) : { kind: "whole" as const }
  if (wish.kind === "unsatisfiable") {
    throw new AppError("range_not_satisfiable", {
      detail: `The document has ${String(sizeBytes)} bytes.`,
      unsatisfiedSizeBytes: sizeBytes,
    })
  }
  const whole: Answer = { status: 200, headers: {}, pieces: [{ start: 0, end: sizeBytes }] }
  const answer = wish.kind === "whole" ? whole : partialAnswer(wish.ranges, mediaType, sizeBytes)
  const body = await open(answer.pieces)
  // Who has hung up takes nothing any more, and nobody else would say so to whoever sends.
  const isWanted = !request.signal.aborted
  if (!isWanted) await body.cancel()
  return new Response(isWanted ? body : null, { status: answer.status, headers: { ...headers, ...answer.headers } })
}
