// What a scanner of documents is to the rest: asked for a verdict, it answers or it fails. Nothing of HTTP here.

/** One document on its way: its plaintext is read once. */
export type ScanRequest = {
  sizeBytes: number
  mediaType: string
  /** Of the plaintext, hex. */
  sha256: string
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>
}

export type ScanVerdict = {
  verdict: "clean" | "refused"
  /** Who says so, e.g. engine and version of its signatures. */
  scanner: string
  /** What was found. */
  finding: string | null
}

export type Scanner = {
  /** @throws ScanFailure when there is no verdict, for whatever cause */
  scan(request: ScanRequest): Promise<ScanVerdict>
}

/** No verdict; why, for the log. */
export class ScanFailure extends Error {
  override readonly name = "ScanFailure"
}
