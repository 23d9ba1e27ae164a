// Inflating in bounded pieces: exactly what was declared, nothing else, and no further once there is more. The judge is
// node:zlib, another implementation.
import { constants, deflateRawSync, inflateRawSync } from "node:zlib"
import fc from "fast-check"
import { afterEach, describe, expect, it, vi } from "vitest"
import { inflateExactly, inflatePieces, inflateStart } from "../../src/office/inflate.ts"
import { isSame } from "../support/documents.ts"
import { join } from "../support/zip-builder.ts"

const KIB = 1024
type Bytes = Uint8Array<ArrayBuffer>
const deflate = (plain: Uint8Array, options = {}): Bytes => new Uint8Array(deflateRawSync(plain, options))
const fault = (reason: string) => expect.objectContaining({ reason }) as Error

/** Bytes that hardly compress. */
function noise(length: number): Bytes {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536))
  return bytes
}

/** A stored block of RFC 1951 section 3.2.4. */
const storedBlock = (content: Uint8Array, isLast: boolean): Uint8Array => {
  const { length } = content
  return join([Uint8Array.of(isLast ? 1 : 0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff), content])
}
const NO_BYTES = new Uint8Array(0)
/** So many bytes of deflate stream, in stored blocks: five bytes each besides their content. */
function storedStream(rawBytes: number): { plain: Bytes; raw: Bytes } {
  const plain = noise(rawBytes - 10)
  const half = Math.floor(plain.length / 2)
  return { plain, raw: join([storedBlock(plain.subarray(0, half), false), storedBlock(plain.subarray(half), true)]) }
}
/** Longer than what is inflated at once: such is inflated as a stream. */
const LONG = noise(65 * KIB)

async function expectInflated(raw: Bytes, plain: Uint8Array): Promise<void> {
  const result = await inflateExactly(raw, plain.length)
  expect(isSame(result, plain), `${String(raw.length)} bytes that become ${String(plain.length)}`).toBe(true)
}

describe("inflating", () => {
  const sizes = [0, 1, 2, 255, 8191, 8192, 8193, 65_535, 65_536, 65_537, 1_000_000]
  it.each(sizes)("gives exactly what was compressed, of %i bytes", async (length) => {
    for (const plain of [new Uint8Array(length), noise(length)]) {
      for (const level of [0, 1, 9]) await expectInflated(deflate(plain, { level }), plain)
    }
  })

  // inflate.ts feeds the stream 8 KiB at a time, from 64 KiB on.
  it.each([8191, 8192, 8193, 73_727, 73_728, 73_729, 81_919, 81_920, 81_921])(
    "gives it where the stream itself is of %i bytes",
    async (rawBytes) => {
      const { plain, raw } = storedStream(rawBytes)
      expect(raw.length).toBe(rawBytes)
      await expectInflated(raw, plain)
      await expect(inflateExactly(raw, plain.length - 1)).rejects.toThrow(fault("lying_sizes"))
      await expect(inflateExactly(raw, plain.length + 1)).rejects.toThrow(fault("lying_sizes"))
    },
  )

  it("takes blocks that hold nothing, however many there are", async () => {
    const empty = storedBlock(NO_BYTES, false)
    const blocks = Array.from({ length: 20_000 }, () => empty)
    const content = noise(100)
    const whole = join([...blocks, storedBlock(content, false), ...blocks, storedBlock(NO_BYTES, true)])
    await expectInflated(whole, content)
    await expectInflated(join([...blocks, storedBlock(NO_BYTES, true)]), NO_BYTES)
    await expect(inflateExactly(whole, 99)).rejects.toThrow(fault("lying_sizes"))
    await expect(inflateExactly(whole, 101)).rejects.toThrow(fault("lying_sizes"))
  })

  it("takes nothing in every form that it has: fixed codes, a stored block, dynamic codes", async () => {
    await expectInflated(Uint8Array.of(3, 0), NO_BYTES)
    await expectInflated(join([storedBlock(NO_BYTES, true)]), NO_BYTES)
    await expect(inflateExactly(Uint8Array.of(3, 0), 1)).rejects.toThrow(fault("lying_sizes"))
    await expect(inflateExactly(new Uint8Array(0), 0)).rejects.toThrow(fault("bad_compression"))
    await expect(inflateExactly(Uint8Array.of(3), 0)).rejects.toThrow(fault("bad_compression"))
    await expect(inflateExactly(Uint8Array.of(3, 0, 0), 0)).rejects.toThrow(fault("bad_compression"))
  })

  it.each([
    ["a small stream", deflate(noise(300)), 300],
    ["a stream of one piece", storedStream(8192).raw, 8182],
    ["a stream of some pieces", deflate(noise(50_000)), 50_000],
    ["a stream of many", deflate(noise(150_000)), 150_000],
  ])("refuses %s with anything behind its end, or anything of its end gone", async (_, raw, plainBytes) => {
    expect((await inflateExactly(raw, plainBytes)).length).toBe(plainBytes)
    for (const more of [1, 8192, 20_000]) {
      await expect(inflateExactly(join([raw, new Uint8Array(more)]), plainBytes)).rejects.toThrow(fault("bad_compression"))
      await expect(inflateExactly(join([raw, raw]), plainBytes)).rejects.toThrow(fault("bad_compression"))
    }
    for (const gone of [1, 2, 100, raw.length - 1, raw.length])
      await expect(inflateExactly(raw.slice(0, raw.length - gone), plainBytes)).rejects.toThrow(fault("bad_compression"))
  })

  it("refuses what is no deflate stream", async () => {
    for (const raw of [
      new Uint8Array(40).fill(0xff),
      Uint8Array.of(7),
      Uint8Array.of(1, 1, 0, 0, 0, 0),
      new Uint8Array(20_000),
    ]) {
      await expect(inflateExactly(raw, 100)).rejects.toThrow(fault("bad_compression"))
    }
  })

  it("agrees with node:zlib on any contents, levels and strategies", async () => {
    const block = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(3000)).map(([pattern, times]) => {
        const out = new Uint8Array(pattern.length * times)
        for (let i = 0; i < times; i++) out.set(pattern, i * pattern.length)
        return out
      }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(block, { maxLength: 4 }),
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom(
          constants.Z_DEFAULT_STRATEGY,
          constants.Z_FILTERED,
          constants.Z_HUFFMAN_ONLY,
          constants.Z_RLE,
          constants.Z_FIXED,
        ),
        async (blocks, level, strategy) => {
          for (const before of [NO_BYTES, LONG]) {
            const plain = join([before, ...blocks])
            await expectInflated(deflate(plain, { level, strategy }), plain)
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it.each([
    ["short", NO_BYTES],
    ["long", LONG],
  ])("of damaged %s streams gives what node:zlib gives, or nothing", async (_, before) => {
    const said = new TextEncoder().encode("A sentence that is said twice. ".repeat(40) + "A sentence.")
    const genuine = deflate(join([said, before]))
    const plainBytes = inflateRawSync(genuine).length
    let given = 0
    await fc.assert(
      fc.asyncProperty(fc.nat(Math.min(200, genuine.length - 1)), fc.nat(255), async (at, value) => {
        const raw = genuine.slice()
        raw[at] = value
        const ours = await inflateExactly(raw, plainBytes).catch(() => null)
        if (ours === null) return
        given++
        expect(isSame(ours, inflateRawSync(raw))).toBe(true)
      }),
      { numRuns: 500 },
    )
    expect(given).toBeGreaterThan(0)
  })
})

describe("inflating what lies about its size", () => {
  afterEach(() => {
    vi.unstubAllGlobals()
  })

  /** Counts what is written to decompression streams. */
  function countWritten(): () => number {
    let writtenBytes = 0
    const Genuine = DecompressionStream
    const counted = function (format: "deflate-raw") {
      const { readable, writable } = new Genuine(format)
      const getWriter = () => {
        const writer = writable.getWriter()
        return {
          write: (bytes: Uint8Array) => {
            writtenBytes += bytes.length
            return writer.write(bytes)
          },
          close: () => writer.close(),
          abort: () => writer.abort(),
        }
      }
      return { readable, writable: { getWriter } }
    }
    vi.stubGlobal("DecompressionStream", counted)
    return () => writtenBytes
  }

  const PIECE_BYTES = 8 * KIB
  const bomb = deflate(new Uint8Array(100 * KIB * 1030))

  it.each([0, 1, 1000, 1_000_000])("stops soon after more than %i bytes have come of a bomb", async (plainBytes) => {
    expect(bomb.length).toBeGreaterThan(100 * KIB)
    const written = countWritten()
    await expect(inflateExactly(bomb, plainBytes)).rejects.toThrow(fault("lying_sizes"))
    // And not afterwards either.
    await scheduler.wait(50)
    expect(written()).toBeGreaterThan(0)
    expect(written()).toBeLessThanOrEqual(3 * PIECE_BYTES)
  })

  it("writes a genuine stream whole", async () => {
    const plain = noise(150 * KIB)
    const raw = deflate(plain)
    const written = countWritten()
    await expectInflated(raw, plain)
    expect(written()).toBe(raw.length)
  })
})

describe("inflating piece by piece", () => {
  const MIB = 1024 * KIB
  async function piecesOf(raw: Bytes, isWhole = true): Promise<Bytes[]> {
    const pieces: Bytes[] = []
    for await (const piece of inflatePieces(raw, isWhole)) pieces.push(piece)
    return pieces
  }

  it.each([0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 17])("gives %i bytes, a mebibyte at a time", async (length) => {
    for (const plain of [new Uint8Array(length), noise(length)]) {
      const pieces = await piecesOf(deflate(plain))
      expect(isSame(join(pieces), plain)).toBe(true)
      for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(MIB)
    }
  })

  it("takes no more of a stream than is asked for", async () => {
    // Blocks of zeros end at a whole byte where they are flushed, so that one can stand behind another.
    const block = new Uint8Array(deflateRawSync(new Uint8Array(MIB), { finishFlush: constants.Z_FULL_FLUSH }))
    const pieces = inflatePieces(join([...Array.from({ length: 2000 }, () => block), storedBlock(NO_BYTES, true)]))
    expect((await pieces.next()).value).toHaveLength(MIB)
    await pieces.return()
    expect(await pieces.next()).toEqual({ done: true, value: undefined })
  })

  it("gives exactly as much as node:zlib of a beginning, wherever it is cut", async () => {
    const raw = deflate(join([new Uint8Array(2 * MIB), noise(3000)]))
    for (const rawBytes of [0, 1, 10, 1000, raw.length - 1, raw.length]) {
      const cut = raw.slice(0, rawBytes)
      const theirs = inflateRawSync(cut, { finishFlush: constants.Z_SYNC_FLUSH })
      expect(isSame(join(await piecesOf(cut, false)), theirs), `cut at ${String(rawBytes)}`).toBe(true)
    }
  })

  it("refuses what is cut, goes on behind its end or is no deflate stream", async () => {
    const raw = deflate(noise(100_000))
    expect(join(await piecesOf(raw))).toHaveLength(100_000)
    for (const bad of [raw.slice(0, -1), join([raw, Uint8Array.of(0)]), new Uint8Array(50_000).fill(0xff)])
      await expect(piecesOf(bad)).rejects.toThrow(fault("bad_compression"))
  })
})

describe("inflating a beginning", () => {
  const plain = new TextEncoder().encode("<w:document>".repeat(20_000))
  const isPrefix = (bytes: Uint8Array): boolean => isSame(bytes, plain.subarray(0, bytes.length))

  it("gives all of a stream that is there whole", async () => {
    for (const content of [NO_BYTES, plain.subarray(0, 1), plain.subarray(0, 100), plain, noise(70_000)])
      expect(isSame(await inflateStart(deflate(content)), content), String(content.length)).toBe(true)
  })

  it("gives exactly as much as node:zlib of one that is cut, wherever that is", async () => {
    const raw = deflate(plain.subarray(0, 3000))
    for (let rawBytes = 0; rawBytes <= raw.length; rawBytes++) {
      const cut = raw.slice(0, rawBytes)
      const theirs = inflateRawSync(cut, { finishFlush: constants.Z_SYNC_FLUSH })
      expect(isSame(await inflateStart(cut), theirs), `cut at ${String(rawBytes)}`).toBe(true)
    }
  })

  it.each([65_535, 65_536, 65_537, 131_072, 200_000])("gives all of %i bytes, more than one read takes", async (length) => {
    const raw = deflate(plain.subarray(0, length))
    expect(raw.length).toBeLessThan(4096)
    const start = await inflateStart(raw)
    expect(start.length).toBe(length)
    expect(isPrefix(start)).toBe(true)
  })

  it("gives nothing of a few bytes of which nothing comes yet", async () => {
    const raw = deflate(noise(1000), { level: 9, strategy: constants.Z_HUFFMAN_ONLY })
    for (const rawBytes of [0, 1, 2, 3]) expect((await inflateStart(raw.slice(0, rawBytes))).length).toBe(0)
    expect((await inflateStart(Uint8Array.of(3, 0))).length).toBe(0)
  })

  it("refuses what is no deflate stream, or has more behind its end", async () => {
    const raw = deflate(plain.subarray(0, 100))
    expect((await inflateStart(raw)).length).toBe(100)
    await expect(inflateStart(join([raw, new Uint8Array(10)]))).rejects.toThrow(fault("bad_compression"))
    await expect(inflateStart(new Uint8Array(40).fill(0xff))).rejects.toThrow(fault("bad_compression"))
  })
})
