// A scanner behind HTTP. The contract is in docs/documents.md: POST the bytes, get JSON with a verdict. Whatever
// is not exactly that (another status, a redirect, other JSON, silence) is a failure, never a clean document.
import { type ScanVerdict, ScanFailure, type Scanner } from "./scanner.ts"

const MAX_ANSWER_BYTES = 16 * 1024
const MAX_TEXT_CHARS = 200

/** @param settings - `timeoutMs` covers the whole exchange: sending, scanning, answering */
export function createHttpScanner(settings: { url: string; timeoutMs: number }): Scanner {
  return {
    async scan({ sizeBytes, mediaType, sha256, body }) {
      const deadline = new AbortController()
      const timer = setTimeout(() => {
        deadline.abort()
      }, settings.timeoutMs)
      try {
        const response = await fetch(settings.url, {
          method: "POST",
          redirect: "manual",
          signal: deadline.signal,
          headers: {
            "Content-Type": mediaType,
            "Content-Length": String(sizeBytes),
            "Repr-Digest": `sha-256=:${btoa(String.fromCharCode(...hexBytes(sha256)))}:`,
            Accept: "application/json",
          },
          body,
        })
        if (response.status !== 200) {
          await response.body?.cancel()
          throw new ScanFailure(`status ${String(response.status)}`)
        }
        return parseVerdict(await readText(response))
      } catch (error) {
        if (error instanceof ScanFailure) throw error
        const cause = error instanceof Error ? error.name : "unknown"
        throw new ScanFailure(deadline.signal.aborted ? "timeout" : `no answer (${cause})`)
      } finally {
        clearTimeout(timer)
        // A scanner that has answered need not take the rest; nobody else will.
        deadline.abort()
      }
    },
  }
}

const hexBytes = (hex: string): number[] => (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16))

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of (response.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_ANSWER_BYTES) throw new ScanFailure("answer too long")
  }
  return text
}

function parseVerdict(text: string): ScanVerdict {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw new ScanFailure("answer is not JSON")
  }
  const { verdict, scanner, finding } = (typeof answer === "object" && answer !== null ? answer : {}) as Record<string, unknown>
  if (verdict !== "clean" && verdict !== "refused") throw new ScanFailure("answer has no verdict")
  return { verdict, scanner: shortText(scanner) ?? "unnamed", finding: shortText(finding) }
}

const shortText = (value: unknown): string | null =>
  typeof value === "string" && value !== "" ? value.replaceAll(/\p{C}/gu, " ").slice(0, MAX_TEXT_CHARS) : null
