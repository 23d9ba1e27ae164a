// Between a document's last byte and its publication: is it genuine, does the deployment's policy allow what it
// brings along, and what does the scanner say, where there is one.
import type { ByteSource } from "../office/byte-source.ts"
import { type DocumentType, mediaTypes } from "../office/document-type.ts"
import { checkDocument, checkStart } from "../office/ooxml.ts"
import { ScanFailure, type ScanRequest } from "../scan/scanner.ts"
import { AppError } from "../errors.ts"
import { documentRefusal, refuseDocument } from "./document-refusal.ts"
import type { Powers } from "./powers.ts"

const SCANNER_RETRY_SECONDS = 60

/**
 * Refuses what is no document by its first bytes, before the rest has come.
 * @param start - as much as has come
 * @throws AppError `document_refused`
 */
export async function requireStart(start: ByteSource, type: DocumentType): Promise<void> {
  const verdict = await checkStart(start)
  // The directory that tells a password from an old format may stand anywhere, in large files near their end: then the
  // rest is taken, so that people hear what to do, and the check of the whole refuses it.
  if (verdict.fault !== "compound_file") refuseDocument(verdict, type)
}

/**
 * Refuses everything but a genuine document of this type that the deployment's policy allows.
 * @throws AppError `document_refused`
 */
export async function requireDocument(deps: Pick<Powers, "policy">, source: ByteSource, type: DocumentType): Promise<void> {
  refuseDocument(await checkDocument(source, type, deps.policy.documents), type)
}

/** What is kept of a scan with the file, as JSON. */
export type KeptScan = { verdict: "clean"; scanner: string; atMs: number }

/**
 * Asks the scanner, if there is one. Without its word nothing is published.
 * @param withPlaintext - hands over the plaintext while `use` runs; called only when there is a scanner
 * @returns what to keep in `blobs.scan`; null when there is no scanner
 * @throws AppError `document_refused` for what it refuses, `scanner_unavailable` when it gives no verdict
 */
export async function requireCleanScan(
  deps: Pick<Powers, "scanner" | "now" | "log">,
  document: { type: DocumentType; sizeBytes: number; sha256: string },
  withPlaintext: <T>(use: (body: ScanRequest["body"]) => Promise<T>) => Promise<T>,
): Promise<string | null> {
  const asked = deps.scanner
  if (asked === null) return null
  const { type, sizeBytes, sha256 } = document
  const mediaType = mediaTypes[type]
  try {
    const { verdict, scanner, finding } = await withPlaintext((body) => asked.scan({ sizeBytes, sha256, mediaType, body }))
    if (verdict === "refused") {
      deps.log("scan_refused", { scanner, finding })
      throw documentRefusal("malware", undefined, finding === null ? "" : ` It says: ${finding}.`)
    }
    return JSON.stringify({ verdict, scanner, atMs: deps.now() } satisfies KeptScan)
  } catch (error) {
    if (!(error instanceof ScanFailure)) throw error
    deps.log("scan_failed", { reason: error.message })
    throw new AppError("scanner_unavailable", {
      detail: "The scanner that every document must pass gives no answer just now; nothing was published. Try again in a moment.",
      retryAfterSeconds: SCANNER_RETRY_SECONDS,
      reason: error.message,
    })
  }
}
