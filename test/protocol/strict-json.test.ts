import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { jsonFault } from "../../src/protocol/strict-json.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe("jsonFault (M10, P1)", () => {
  it.each<[string, string | null]>([
    ["{}", null],
    ['{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}', null],
    ['{"a":"{\\"a\\":1,\\"a\\":2}"}', null],
    ['{"a\\"":1,"a":2}', null],
    ['{"a":"a","b":"a"}', null],
    ['["a","a"]', null],
    ['\ufeff{"a":1}', null],
    ['{"a":1,"a":2}', "duplicate_name"],
    ['{"a":1,"\\u0061":2}', "duplicate_name"],
    ['{"x":[1,{"a" : 1, "b":2, "a"\n:3}]}', "duplicate_name"],
    ['{"a":{"b":1},"a":[]}', "duplicate_name"],
    ['{"__proto__":1,"__proto__":2}', "duplicate_name"],
    ["", "malformed"],
    ["{", "malformed"],
    ["NaN", "malformed"],
    ["{'a':1}", "malformed"],
    ['{"a":1}x', "malformed"],
  ])("of %j is %j", (text, fault) => {
    expect(jsonFault(bytes(text))).toBe(fault)
  })

  it.each([[[0x22, 0xff, 0x22]], [[0x22, 0xc0, 0x80, 0x22]], [[0x22, 0xed, 0xa0, 0x80, 0x22]]])(
    "of the bytes %j, which are not UTF-8, says so",
    (raw) => {
      expect(jsonFault(Uint8Array.from(raw))).toBe("not_utf8")
    },
  )

  it("finds nothing wrong with what JSON.stringify writes, and any name of it doubled", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (value) => {
        const text = JSON.stringify(value)
        expect(jsonFault(bytes(text))).toBeNull()
        const name = JSON.stringify(Object.keys(value)[0])
        expect(jsonFault(bytes(`${text.slice(0, -1)},${name}:1}`))).toBe("duplicate_name")
      }),
    )
  })
})
