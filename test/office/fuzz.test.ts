// Genuine documents with bytes changed, cut, doubled or exchanged: a check never fails but by a verdict, never reads
// outside, and what it accepts an independent reader (fflate) reads with the same names and the same bytes.
import fc from "fast-check"
import { strFromU8, unzipSync } from "fflate"
import { describe, expect, it } from "vitest"
import { openArchive } from "../../src/office/archive.ts"
import { type ByteSource, memorySource } from "../../src/office/byte-source.ts"
import { FAULT_REASONS } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import type { DocumentType } from "../../src/office/document-type.ts"
import { createWork } from "../../src/office/work.ts"
import { corpus, packaged } from "../support/documents.ts"
import { buildZip, takeApart } from "../support/zip-builder.ts"

const seeds = [
  ...Object.entries(corpus).map(([name, bytes]) => ({ type: name.slice(name.lastIndexOf(".") + 1) as DocumentType, bytes })),
  ...packaged.filter(({ fault }) => fault === null),
].filter(({ bytes }) => bytes.length < 16_000)

function strict(bytes: Uint8Array<ArrayBuffer>): ByteSource {
  const source = memorySource(bytes)
  return {
    sizeBytes: bytes.length,
    read(offset, lengthBytes) {
      const isInside = Number.isSafeInteger(offset) && offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= bytes.length
      if (!isInside) throw new RangeError("read outside the file")
      return source.read(offset, lengthBytes)
    },
  }
}

type Mutation = { kind: "set" | "number" | "cut" | "double" | "drop"; at: number; value: number }

/** Places near the ends and in headers are worth more than the middle of compressed data. */
function place(bytes: Uint8Array, at: number): number {
  const share = at % 4
  if (share === 0) return at % bytes.length
  const directory = Math.max(0, bytes.length - 4000)
  return share === 1 ? Math.min(at % 200, bytes.length - 1) : directory + (at % (bytes.length - directory))
}

function mutate(bytes: Uint8Array<ArrayBuffer>, { kind, at, value }: Mutation): Uint8Array<ArrayBuffer> {
  if (bytes.length < 8) return bytes
  const offset = place(bytes, at)
  const out = bytes.slice()
  switch (kind) {
    case "set":
      out[offset] = value & 0xff
      return out
    case "number":
      new DataView(out.buffer).setUint32(Math.min(offset, out.length - 4), value, true)
      return out
    case "cut":
      return out.slice(0, offset)
    case "drop":
      return concat(out.subarray(0, offset), out.subarray(Math.min(out.length, offset + 1 + (value % 40))))
    case "double": {
      const end = Math.min(out.length, offset + 1 + (value % 200))
      return concat(out.subarray(0, end), out.subarray(offset))
    }
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

const mutation = fc.record({
  kind: fc.constantFrom<Mutation["kind"][]>("set", "set", "number", "cut", "double", "drop"),
  at: fc.nat({ max: 1_000_000 }),
  value: fc.oneof(
    fc.constantFrom(0, 1, 8, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 0x04034b50, 0x02014b50, 0x06054b50),
    fc.nat(0xffff),
  ),
})
const seed = fc.constantFrom(...seeds)

/** What the independent reader makes of it: names and bytes, or nothing. */
async function expectSame(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const archive = await openArchive(strict(bytes), createWork())
  const other = unzipSync(bytes)
  expect(Object.keys(other).sort()).toEqual(archive.entries.map(({ name }) => name).sort())
  for (const entry of archive.entries) {
    const ours = await archive.read(entry, 8 * 1024 * 1024)
    const theirs = other[entry.name] ?? new Uint8Array(0)
    expect(ours.length === theirs.length && ours.every((byte, i) => byte === theirs[i]), entry.name).toBe(true)
  }
}

describe("mutated documents", () => {
  it("get a verdict and nothing else, and what is accepted reads alike elsewhere", async () => {
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(seed, fc.array(mutation, { minLength: 1, maxLength: 4 }), async ({ type, bytes }, mutations) => {
        const mutated = mutations.reduce(mutate, bytes)
        const verdict = await checkDocument(strict(mutated), type)
        if (verdict.fault === null) {
          accepted++
          await expectSame(mutated)
        } else expect(FAULT_REASONS).toContain(verdict.fault)
      }),
      { numRuns: 3000 },
    )
    // Times, versions and attributes may be anything: some mutants are as good as new.
    expect(accepted).toBeGreaterThan(0)
  })

  it("get a verdict with any text in the parts that describe them", async () => {
    const described = seeds.slice(0, 6).map(({ type, bytes }) => ({ type, entries: takeApart(bytes) }))
    const snippet = fc.constantFrom(
      "<",
      ">",
      "/>",
      '"',
      "&amp;",
      "&#x41;",
      "&x;",
      "<!--",
      "-->",
      "<![CDATA[",
      "]]>",
      "<?x ?>",
      "<!DOCTYPE a>",
      "xmlns:a='b'",
      "\u0000",
      "../",
      "%2e",
      'TargetMode="External"',
      "ContentType",
      "\ud800",
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...described),
        fc.constantFrom("[Content_Types].xml", "_rels/.rels"),
        fc.nat({ max: 5000 }),
        fc.nat({ max: 30 }),
        fc.array(snippet, { maxLength: 3 }),
        async ({ type, entries }, part, at, drop, inserted) => {
          const changed = entries.map((entry) => {
            if (entry.name !== part) return entry
            const before = strFromU8(entry.content)
            const cut = at % before.length
            return {
              ...entry,
              content: new TextEncoder().encode(before.slice(0, cut) + inserted.join("") + before.slice(cut + drop)),
            }
          })
          const { fault } = await checkDocument(strict(buildZip(changed)), type)
          if (fault !== null) expect(FAULT_REASONS).toContain(fault)
        },
      ),
      { numRuns: 1500 },
    )
  })

  it("get a verdict when they are nothing but noise behind a header", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), async (noise, isZip) => {
        const bytes = concat(
          isZip ? Uint8Array.of(0x50, 0x4b, 3, 4) : Uint8Array.of(0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1),
          noise,
        )
        expect(FAULT_REASONS).toContain((await checkDocument(strict(bytes), "docx")).fault)
      }),
      { numRuns: 1000 },
    )
  })

  it.each(Object.keys(corpus))("%s reads alike elsewhere unmutated", async (name) => {
    await expectSame(corpus[name] ?? new Uint8Array(0))
  })
})
