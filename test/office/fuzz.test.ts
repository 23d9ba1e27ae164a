// Genuine documents damaged, or written otherwise: a check never fails but by a verdict, never reads outside, and what it
// accepts two independent readers read with the same names and bytes, one by the directory (fflate), one by local headers.
import fc from "fast-check"
import { strFromU8 } from "fflate"
import { describe, expect, it } from "vitest"
import { FAULT_REASONS } from "../../src/office/fault.ts"
import { checkDocument } from "../../src/office/ooxml.ts"
import type { DocumentType } from "../../src/office/document-type.ts"
import { byteMutation, damage } from "../support/byte-mutations.ts"
import { CONTENT_TYPES, MAIN_TYPES, contentTypes, corpus, minimalParts, packaged, zipOf } from "../support/documents.ts"
import { expectSame, expectSameUnread, strict } from "../support/read-alike.ts"
import { buildZip, join, takeApart } from "../support/zip-builder.ts"
import { buildVariant, harmlessVariant, hostileVariant } from "../support/zip-variants.ts"

type Bytes = Uint8Array<ArrayBuffer>
/** Half a minute in all, and longer where others run beside it. */
const LONG = { timeout: 180_000 }

/** Up to the size of the presentations of Google, PowerPoint and LibreOffice. */
const MAX_SEED_BYTES = 33_000
const genuine = [
  ...Object.entries(corpus).map(([path, bytes]) => ({
    path,
    type: path.slice(path.lastIndexOf(".") + 1) as DocumentType,
    bytes,
  })),
  ...packaged.filter(({ fault }) => fault === null),
]
const seeds = genuine
  .filter(({ bytes }) => bytes.length <= MAX_SEED_BYTES)
  .map((seed) => ({ ...seed, entries: takeApart(seed.bytes) }))
type Seed = (typeof seeds)[number]
/** A failure shows its name, not its bytes. */
const oneOf = (some: readonly Seed[]): fc.Arbitrary<Seed> =>
  fc.constantFrom(...some.map((seed) => ({ ...seed, [fc.toStringMethod]: () => seed.path })))
const seed = oneOf(seeds)

describe("mutated documents", () => {
  it("are made of all three types, and of real presentations", () => {
    const types = seeds.map(({ type }) => type)
    expect(types.filter((type) => type === "pptx").length).toBeGreaterThanOrEqual(5)
    expect(new Set(types).size).toBe(3)
  })

  it("get a verdict and nothing else, and what is accepted reads alike elsewhere", LONG, async () => {
    let listed = 0
    await fc.assert(
      fc.asyncProperty(seed, fc.array(byteMutation, { minLength: 1, maxLength: 4 }), async ({ type, bytes }, mutations) => {
        const mutated = mutations.reduce(damage, bytes)
        const { fault } = await checkDocument(strict(mutated), type)
        if (fault === null) await expectSame(mutated)
        else expect(FAULT_REASONS).toContain(fault)
        if (await expectSameUnread(mutated)) listed++
      }),
      { numRuns: 2000 },
    )
    // Data of a part that nobody reads may be anything there.
    expect(listed).toBeGreaterThanOrEqual(100)
  })

  it("are as good as before, written as other programs could have written them, and read alike", LONG, async () => {
    await fc.assert(
      fc.asyncProperty(seed, harmlessVariant, async ({ type, entries }, written) => {
        const bytes = buildVariant(entries, written)
        expect(await checkDocument(strict(bytes), type)).toEqual({ fault: null })
        await expectSame(bytes)
        expect(await expectSameUnread(bytes)).toBe(true)
      }),
      { numRuns: 250 },
    )
  })

  it("get a verdict with a lie in one field, and read alike where it does no harm", LONG, async () => {
    let accepted = 0
    let listed = 0
    await fc.assert(
      fc.asyncProperty(seed, hostileVariant, async ({ type, entries }, written) => {
        const bytes = buildVariant(entries, written)
        const { fault } = await checkDocument(strict(bytes), type)
        if (fault === null) {
          accepted++
          await expectSame(bytes)
        } else expect(FAULT_REASONS).toContain(fault)
        if (await expectSameUnread(bytes)) listed++
      }),
      { numRuns: 800 },
    )
    // About one in six of them.
    expect(accepted, "compared").toBeGreaterThanOrEqual(60)
    expect(listed).toBeGreaterThan(accepted)
  })

  it("get a verdict within another document", LONG, async () => {
    const BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    const declared = contentTypes(MAIN_TYPES.docx).replace(
      "</Types>",
      `<Default Extension="xlsx" ContentType="${BOOK}"/></Types>`,
    )
    const within = (book: Bytes): Bytes => zipOf({ ...minimalParts(), [CONTENT_TYPES]: declared, "book.xlsx": book }, 0)
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(seed, fc.array(byteMutation, { minLength: 1, maxLength: 2 }), async ({ bytes }, mutations) => {
        const { fault } = await checkDocument(strict(within(mutations.reduce(damage, bytes))), "docx")
        if (fault === null) accepted++
        else expect(["bad_embedded_document", "macro_enabled", "too_complex"]).toContain(fault)
      }),
      { numRuns: 800 },
    )
    expect(accepted).toBeGreaterThanOrEqual(40)
  })

  it("get a verdict with any text in the parts that describe them", LONG, async () => {
    const smallest = seeds.toSorted((a, b) => a.bytes.length - b.bytes.length).slice(0, 8)
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
        oneOf(smallest),
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
        const bytes = join([
          isZip ? Uint8Array.of(0x50, 0x4b, 3, 4) : Uint8Array.of(0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1),
          noise,
        ])
        expect(FAULT_REASONS).toContain((await checkDocument(strict(bytes), "docx")).fault)
      }),
      { numRuns: 1000 },
    )
  })

  it.each(Object.keys(corpus))("%s reads alike elsewhere unmutated", async (name) => {
    await expectSame(corpus[name] ?? new Uint8Array(0))
  })
})
