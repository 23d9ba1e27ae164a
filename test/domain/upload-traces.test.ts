import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { SEEN_BYTES } from "../../src/domain/seen-entries.ts"
import { type UploadTrace, createUploadTraces } from "../../src/domain/upload-traces.ts"
import { memorySource } from "../../src/office/byte-source.ts"
import { type BuiltEntry, buildZip } from "../support/zip-builder.ts"

/** As others compute them. */
const digestsOf = (text: string) => ({ sha256: createHash("sha256").update(text).digest("hex"), crc32: crc32(text) })

function went(trace: UploadTrace | null, text: string): UploadTrace {
  if (trace === null) throw new Error("there is no trace")
  trace.digest.update(new TextEncoder().encode(text))
  return trace
}

/** A package of many small parts, of some length in all. */
function manyParts(lengthBytes: number): Uint8Array<ArrayBuffer> {
  const content = crypto.getRandomValues(new Uint8Array(15_000))
  const entry = (_: unknown, i: number): BuiltEntry => ({ name: `${String(i)}.xml`, content, method: 0 })
  return buildZip(Array.from({ length: Math.ceil(lengthBytes / content.length) }, entry))
}

/** Does the trace hold the document's beginning, so that nobody needs to read it? */
async function holds(trace: UploadTrace | null, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  let reads = 0
  const source = memorySource(bytes)
  const counted = {
    ...source,
    read: (offset: number, lengthBytes: number) => {
      reads++
      return source.read(offset, lengthBytes)
    },
  }
  expect(await trace?.seen.over(counted).read(0, 1000)).toEqual(bytes.slice(0, 1000))
  return reads === 0
}

describe("traces of uploads", () => {
  it("go on where they were kept, and nowhere else", () => {
    const traces = createUploadTraces()
    traces.keep("a", 3, went(traces.take("a", 0), "abc"))
    expect(traces.take("a", 2)).toBeNull()
    expect(traces.take("b", 3)).toBeNull()
    expect(traces.find("a", 3)?.digest.digests()).toEqual(digestsOf("abc"))
    expect(traces.find("a", 4)).toBeNull()
    const second = traces.take("a", 3)
    // One user at a time: what two went on with would be neither's.
    expect(traces.take("a", 3)).toBeNull()
    expect(traces.find("a", 3)).toBeNull()
    traces.keep("a", 5, went(second, "de"))
    expect(traces.find("a", 5)?.digest.digests()).toEqual(digestsOf("abcde"))
    traces.forget("a")
    expect(traces.find("a", 5)).toBeNull()
  })

  it("of somebody who did not come to an end are not gone on with, also not once another has begun again", () => {
    const traces = createUploadTraces()
    traces.keep("a", 3, went(traces.take("a", 0), "abc"))
    const lost = went(traces.take("a", 3), "xy")
    expect(traces.take("a", 3)).toBeNull()
    traces.keep("a", 4, went(traces.take("a", 0), "abcd"))
    traces.keep("a", 5, lost)
    expect(traces.find("a", 5)).toBeNull()
    expect(traces.find("a", 4)?.digest.digests()).toEqual(digestsOf("abcd"))
  })

  it("are kept for as many uploads as memory allows, the newest", () => {
    const traces = createUploadTraces()
    for (let i = 0; i < 1000; i++) traces.keep(String(i), 1, went(traces.take(String(i), 0), "x"))
    expect(traces.find("0", 1)).toBeNull()
    expect(traces.find("999", 1)?.digest.digests()).toEqual(digestsOf("x"))
    expect(Array.from({ length: 1000 }, (_, i) => traces.find(String(i), 1)).filter((trace) => trace !== null)).toHaveLength(256)
  })

  it("hold 1 MiB of one upload and 8 MiB of all, at the cost of those used longest ago", async () => {
    const traces = createUploadTraces()
    const bytes = manyParts(2 * SEEN_BYTES)
    for (let i = 0; i < 20; i++) {
      const trace = traces.begin(String(i))
      trace.seen.see(bytes, 0)
      expect(traces.bytes).toBe(Math.min(i + 1, 8) * SEEN_BYTES)
      traces.keep(String(i), bytes.length, trace)
    }
    expect(traces.find("11", bytes.length)).toBeNull()
    for (let i = 12; i < 20; i++) expect(await holds(traces.find(String(i), bytes.length), bytes)).toBe(true)
    for (let i = 12; i < 20; i++) traces.forget(String(i))
    expect(traces.bytes).toBe(0)
  })

  it("that were dropped while somebody went on with them take no more room", async () => {
    const traces = createUploadTraces()
    const bytes = manyParts(SEEN_BYTES)
    const trace = traces.begin("a")
    traces.forget("a")
    trace.seen.see(bytes, 0)
    expect([traces.bytes, await holds(trace, bytes)]).toEqual([0, false])
    const twin = traces.begin("a")
    twin.seen.see(bytes, 0)
    expect(await holds(twin, bytes)).toBe(true)
  })
})
