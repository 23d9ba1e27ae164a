// What was kept of a document that streamed by: the same bytes as in the document, or a read of it.
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { SEEN_BYTES, blocksOf, createSeenEntries } from "../../src/domain/seen-entries.ts"
import { type ByteSource, memorySource } from "../../src/office/byte-source.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import { corpus } from "../support/documents.ts"
import { scattered } from "../support/scattered.ts"
import { buildZip } from "../support/zip-builder.ts"

const PART_BYTES = 5 * 1024 * 1024

function counted(bytes: Uint8Array<ArrayBuffer>): ByteSource & { reads: () => number } {
  const source = memorySource(bytes)
  let reads = 0
  return {
    ...source,
    reads: () => reads,
    read(offset, lengthBytes) {
      reads++
      return source.read(offset, lengthBytes)
    },
  }
}

/** Streams a document by in pieces, as an upload does. */
function seenOf(bytes: Uint8Array<ArrayBuffer>, pieceBytes = PART_BYTES, roomBytes = SEEN_BYTES) {
  const seen = createSeenEntries(blocksOf(new Uint8Array(roomBytes)))
  for (let at = 0; at < bytes.length; at += pieceBytes) seen.see(bytes.slice(at, at + pieceBytes), at)
  return seen
}

describe("entries seen while a document streamed by", () => {
  it.each([undefined, "signed"] as const)("save the check nearly all of its reads (descriptors: %s)", async (descriptor) => {
    const bytes = scattered(100, descriptor)
    const [alone, beside] = [counted(bytes), counted(bytes)]
    expect(await checkDocument(alone, "pptx")).toEqual({ fault: null })
    expect(await checkDocument(seenOf(bytes).over(beside), "pptx")).toEqual({ fault: null })
    expect(alone.reads()).toBeGreaterThan(400)
    expect(beside.reads()).toBeLessThan(20)
  })

  it("are the document's own bytes wherever it is read, however it was cut", async () => {
    const documents = Object.values(corpus).filter((bytes) => bytes.length < 30_000)
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...documents),
        fc.integer({ min: 40, max: 40_000 }),
        fc.integer({ min: 0, max: 20_000 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(2000)), { maxLength: 40 }),
        async (bytes, pieceBytes, roomBytes, reads) => {
          const source = seenOf(bytes, pieceBytes, roomBytes).over(memorySource(bytes))
          for (const [at, length] of reads) {
            const offset = at % bytes.length
            const lengthBytes = Math.min(length, bytes.length - offset)
            expect(await source.read(offset, lengthBytes)).toEqual(bytes.slice(offset, offset + lengthBytes))
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it("of a file of nothing but headers are no more than there is room for", async () => {
    const header = buildZip([{ name: "a.xml", content: new Uint8Array(0), method: 0 }]).slice(0, 35)
    const bytes = new Uint8Array(35 * 100_000)
    for (let at = 0; at < bytes.length; at += 35) bytes.set(header, at)
    const source = counted(bytes)
    const seen = seenOf(bytes).over(source)
    expect(await seen.read(35, 35)).toEqual(header)
    expect(source.reads()).toBe(0)
    expect(await seen.read(bytes.length - 35, 35)).toEqual(header)
    expect(source.reads()).toBe(1)
  })
})
