import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { csvCell, csvRecord } from "../../src/protocol/csv.ts"

describe("a CSV cell", () => {
  it.each([
    ["plain", "plain"],
    ["", ""],
    [null, ""],
    [12, "12"],
    [-12, "-12"],
    ["a,b", '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ["two\r\nlines", '"two\r\nlines"'],
    ["a=1", "a=1"],
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["\r=1", `"'\r=1"`],
    [" =1", "' =1"],
    ["＝1", "'＝1"],
    // Where the comma separates decimals, the semicolon separates cells.
    ["Sales; =1+1", "Sales;' =1+1"],
    ["a;@b;c", "a;'@b;c"],
    ["a; b", "a; b"],
    ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
  ])("of %j is %j", (value, cell) => {
    expect(csvCell(value)).toBe(cell)
  })

  it("can be read back, but for the apostrophe, and is no formula", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 2, maxLength: 5 }), (texts) => {
        const line = csvRecord(texts)
        const cells = Array.from(line.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g), ([, quoted, bare]) =>
          quoted === undefined ? (bare ?? "") : quoted.replaceAll('""', '"'),
        )
        const bare = (text: string): string => text.replaceAll(/(^|;)'+/g, "$1")
        expect(cells.map(bare)).toEqual(texts.map(bare))
        for (const cell of cells) expect(cell).not.toMatch(/^[=+\-@\t\r]|;\s*[=+\-@]/)
      }),
    )
  })
})
