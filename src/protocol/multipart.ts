// multipart/form-data (RFC 7578, RFC 2046 section 5.1), read as a stream: a part's bytes are handed on as they
// arrive and never collected here. Strict and total: what is not the grammar is `malformed_request`.
import { AppError } from "../errors.ts"
import { type BodySource, createBodySource } from "./body.ts"

export type FormPart = {
  /** The form field. */
  name: string
  /** As sent, decoded; undefined for an ordinary field. Not yet a safe name. */
  filename: string | undefined
  /** Must be read to its end, or left, before the next part is asked for; what is left unread is skipped. */
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>, void>
}

/** Enough for any honest part header; names beyond it are refused elsewhere anyway. */
const MAX_HEADER_BYTES = 8 * 1024
const MAX_PREAMBLE_BYTES = 1024
const MAX_EPILOGUE_BYTES = 1024
const CR = 0x0d

const malformed = (reason: string): AppError =>
  new AppError("malformed_request", { detail: `The multipart body is malformed: ${reason}.` })

/** The boundary of a multipart/form-data content type (RFC 2046: 1 to 70 characters), or null. */
export function multipartBoundary(contentType: string): string | null {
  const match = /^multipart\/form-data\s*(;.*)$/is.exec(contentType)
  if (match?.[1] === undefined) return null
  let boundary: string | undefined
  try {
    boundary = parseParameters(match[1].replace(/[\s;]+$/, "")).get("boundary")
  } catch {
    // Not the grammar, or a parameter twice: two readers could take two boundaries from it.
    return null
  }
  return boundary !== undefined && /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/.test(boundary) ? boundary : null
}

/**
 * Reads the parts of a body in order.
 * @param drainBytes - how much of a body that is not read to its end to take and drop before letting go of it
 * @throws AppError `malformed_request` when the body ends early or breaks the grammar
 */
export async function* readMultipart(
  body: ReadableStream<Uint8Array>,
  boundary: string,
  drainBytes = 0,
): AsyncGenerator<FormPart, void> {
  const source = createBodySource(body)
  const input = createInput(source, new TextEncoder().encode(`\r\n--${boundary}`))
  try {
    // A delimiter starts with a line break; the body's first one may stand at its very start.
    input.unread(Uint8Array.of(CR, 0x0a))
    await skip(input.untilDelimiter(), MAX_PREAMBLE_BYTES)
    while (await atAnotherPart(input)) {
      const head = parsePartHead(await input.headerBlock())
      const chunks = input.untilDelimiter()
      yield { ...head, chunks }
      await skip(chunks, Number.POSITIVE_INFINITY)
    }
    await input.skipToEnd(MAX_EPILOGUE_BYTES)
  } finally {
    await source.close(drainBytes)
  }
}

/** After a delimiter: `--` ends the body, a line break (after optional padding) starts a part. */
async function atAnotherPart(input: Input): Promise<boolean> {
  const two = new TextDecoder().decode(await input.exactly(2))
  if (two === "--") return false
  let line = two
  while (!line.endsWith("\r\n")) {
    if (!/^[ \t]*\r?$/.test(line) || line.length > 64) throw malformed("text after a boundary")
    line += new TextDecoder().decode(await input.exactly(1))
  }
  if (!/^[ \t]*\r\n$/.test(line)) throw malformed("text after a boundary")
  return true
}

async function skip(chunks: AsyncIterable<Uint8Array>, limitBytes: number): Promise<void> {
  let total = 0
  for await (const chunk of chunks) {
    total += chunk.length
    if (total > limitBytes) throw malformed("no boundary where one must be")
  }
}

type Input = ReturnType<typeof createInput>

function createInput(source: BodySource, delimiter: Uint8Array) {
  let pending: Uint8Array<ArrayBuffer> = new Uint8Array(0)

  function unread(bytes: Uint8Array): void {
    const joined = new Uint8Array(bytes.length + pending.length)
    joined.set(bytes)
    joined.set(pending, bytes.length)
    pending = joined
  }

  async function more(): Promise<void> {
    const value = await source.next()
    if (value === null) throw malformed("it ends before its last boundary")
    if (pending.length === 0) pending = value
    else {
      const joined = new Uint8Array(pending.length + value.length)
      joined.set(pending)
      joined.set(value, pending.length)
      pending = joined
    }
  }

  async function exactly(length: number): Promise<Uint8Array> {
    while (pending.length < length) await more()
    const taken = pending.subarray(0, length)
    pending = pending.subarray(length)
    return taken
  }

  /** Everything up to the next delimiter, which is consumed. */
  async function* untilDelimiter(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for (;;) {
      const found = findDelimiter(pending, delimiter)
      if (found.complete) {
        const last = pending.subarray(0, found.at)
        pending = pending.subarray(found.at + delimiter.length)
        if (last.length > 0) yield last
        return
      }
      // What may be the start of a delimiter waits for the next chunk.
      const sure = pending.subarray(0, found.at)
      pending = pending.subarray(found.at)
      if (sure.length > 0) yield sure
      else await more()
    }
  }

  async function headerBlock(): Promise<Uint8Array> {
    for (let searched = 0; ;) {
      for (; searched + 4 <= pending.length; searched++) {
        const [a, b, c, d] = pending.subarray(searched, searched + 4)
        if (a === CR && b === 0x0a && c === CR && d === 0x0a) {
          if (searched > MAX_HEADER_BYTES) break
          const block = pending.subarray(0, searched)
          pending = pending.subarray(searched + 4)
          return block
        }
      }
      if (searched > MAX_HEADER_BYTES) throw malformed("a part header is too long")
      await more()
    }
  }

  /** Reads and drops the rest, so that whoever counts or hashes the body has seen all of it. */
  async function skipToEnd(limitBytes: number): Promise<void> {
    let total = pending.length
    for (let next = await source.next(); next !== null && total <= limitBytes; next = await source.next()) total += next.length
    if (total > limitBytes) throw malformed("more follows after its last boundary")
  }

  return { unread, exactly, untilDelimiter, headerBlock, skipToEnd }
}

/** Where the delimiter, or a beginning of it that the data's end cuts off, starts; else the data's length. */
function findDelimiter(data: Uint8Array, delimiter: Uint8Array): { at: number; complete: boolean } {
  for (let at = data.indexOf(CR); at !== -1; at = data.indexOf(CR, at + 1)) {
    let matched = 1
    while (matched < delimiter.length && at + matched < data.length && data[at + matched] === delimiter[matched]) matched++
    if (matched === delimiter.length) return { at, complete: true }
    if (at + matched === data.length) return { at, complete: false }
  }
  return { at: data.length, complete: false }
}

function parsePartHead(block: Uint8Array): { name: string; filename: string | undefined } {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(block)
  } catch {
    throw malformed("a part header is not UTF-8")
  }
  const dispositions = text.split("\r\n").filter((line) => /^content-disposition\s*:/i.test(line))
  const [disposition] = dispositions
  if (disposition === undefined || dispositions.length > 1) throw malformed("a part needs one Content-Disposition")
  const value = disposition.slice(disposition.indexOf(":") + 1).trim()
  if (!/^form-data\s*(?:;|$)/i.test(value)) throw malformed("a part's Content-Disposition must be form-data")
  const parameters = parseParameters(value.replace(/^form-data/i, ""))
  const name = parameters.get("name")
  if (name === undefined) throw malformed("a part has no name")
  // RFC 7578 section 4.2 forbids filename* here; where it is sent all the same, it is the exact one (RFC 6266).
  const extended = parameters.get("filename*")
  return { name, filename: extended === undefined ? parameters.get("filename") : decodeExtended(extended) }
}

// The alternatives inside quotes exclude each other, so that no input makes the match backtrack.
/** `; key=token` and `; key="quoted"` in order; a repeated key is a contradiction, so it is refused. */
function parseParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>()
  const pattern = /\s*;\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\]|\\["\\]|\\(?!["\\]))*)"|([^\s;"]*))\s*/y
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text)
    if (match?.[1] === undefined) throw malformed("a part header's parameters")
    const key = match[1].toLowerCase()
    if (parameters.has(key)) throw malformed("a part header repeats a parameter")
    parameters.set(key, match[2] === undefined ? (match[3] ?? "") : unquote(match[2]))
  }
  return parameters
}

/** Browsers escape quotes and line breaks as %22, %0D, %0A (WHATWG HTML 4.10.21.8); older curl with backslashes. */
function unquote(quoted: string): string {
  return quoted
    .replaceAll(/\\(["\\])/g, "$1")
    .replaceAll(/%(22|0[AD])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** RFC 8187 ext-value, UTF-8 only. */
function decodeExtended(value: string): string {
  const match = /^utf-8'[A-Za-z0-9-]*'(.*)$/i.exec(value)
  try {
    if (match?.[1] !== undefined) return decodeURIComponent(match[1])
  } catch {
    // Falls through to the refusal: a broken percent sequence.
  }
  throw malformed("filename* is not a UTF-8 extended value")
}
