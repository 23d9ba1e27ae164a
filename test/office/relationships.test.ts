// Where targets lead: the short way, which nearly all of them take, must lead where the long one does.
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { resolveAnyTarget, resolveTarget } from "../../src/office/relationships.ts"
import { createWork } from "../../src/office/work.ts"

const segment = fc.constantFrom(
  "..",
  ".",
  "",
  "a",
  "b.xml",
  "_rels",
  ".rels",
  "x..",
  "..x",
  "-",
  "é",
  "A%20b",
  "c:d",
  "...",
  "#a",
)
const path = fc.array(segment, { maxLength: 5 }).map((segments) => segments.join("/"))

describe("a target", () => {
  it.each([
    ["word/document.xml", "media/a.png", "word/media/a.png"],
    ["word/document.xml", "../b/c.xml", "b/c.xml"],
    ["word/document.xml", "../../../c.xml", "c.xml"],
    ["", "a.xml", "a.xml"],
    ["word/document.xml", "/a.xml", "a.xml"],
    ["word/document.xml", "", "word/document.xml"],
    ["word/document.xml", "#a/../b", "word/document.xml"],
    ["word/document.xml", "a/".repeat(8192), `word/${"a/".repeat(8192)}`],
    ["word/document.xml", `${"a/".repeat(8192)}b`, null],
    ["word/document.xml", "https://example.com/a", null],
    ["word/document.xml", " ht\ntps:a", null],
    ["word/document.xml", "1https:a", "word/1https:a"],
    ["word/document.xml", "PACK:///a", "a"],
    ["word/document.xml", "pack://a/b", null],
    ["word/document.xml", "\\\\host\\a", null],
  ])("in %s to %s leads to %s", (source, target, expected) => {
    expect(resolveTarget(source, target, createWork())).toBe(expected)
  })

  it("leads there by both ways", () => {
    fc.assert(
      fc.property(path, path, (source, target) => {
        expect(resolveTarget(source, target, createWork())).toBe(resolveAnyTarget(source, target, createWork()))
      }),
      { numRuns: 2000 },
    )
  })
})

describe("targets outside", () => {
  it("are not spelled out, which takes a long host its length squared", () => {
    const host = Array.from({ length: 4000 }, (_, i) => String.fromCharCode(0x4e00 + i)).join("")
    for (let i = 0; i < 4000; i++) expect(resolveTarget("a.xml", `http://${host}/${String(i)}`, createWork())).toBeNull()
  })
})
