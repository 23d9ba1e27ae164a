import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { canonicalAddress } from "../../src/protocol/client-address.ts"

describe("canonicalAddress (N4)", () => {
  it.each<[string | null, string]>([
    ["203.0.113.9", "203.0.113.9"],
    ["0.0.0.0", "0.0.0.0"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["::FFFF:203.0.113.9", "203.0.113.9"],
    ["::ffff:cb00:7109", "203.0.113.9"],
    ["0:0:0:0:0:ffff:203.0.113.9", "203.0.113.9"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
    ["2001:db8:1:3::1", "2001:db8:1:3::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["64:ff9b::203.0.113.9", "64:ff9b:0:0::/64"],
    [null, "unknown"],
    ["", "unknown"],
    ["unknown", "unknown"],
    ["203.0.113", "unknown"],
    ["203.0.113.256", "unknown"],
    ["203.0.113.09", "unknown"],
    [" 203.0.113.9", "unknown"],
    ["203.0.113.9, 198.51.100.1", "unknown"],
    ["203.0.113.9:443", "unknown"],
    ["[2001:db8::1]", "unknown"],
    ["2001:db8::1%eth0", "unknown"],
    ["2001:db8::1/64", "unknown"],
    ["2001:db8::1::2", "unknown"],
    ["1:2:3:4:5:6:7", "unknown"],
    ["1:2:3:4:5:6:7:8:9", "unknown"],
    ["1:2:3:4:5:6::8", "1:2:3:4::/64"],
    ["1:2:3:4:5:6:7::8", "unknown"],
    ["1::2:3:4:5:6:7:8", "unknown"],
    ["203.0.113.9::1", "unknown"],
    ["12345::", "unknown"],
    [`${"1:".repeat(40)}1`, "unknown"],
  ])("of %j is %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical)
  })

  it("is the same for every address of a /64 and every spelling, and another for every other /64", () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.ipV6(), (a, b) => {
        const canonical = canonicalAddress(a)
        expect(canonical).not.toBe("unknown")
        expect(canonicalAddress(a.toUpperCase())).toBe(canonical)
        if (canonical.endsWith("::/64")) {
          expect(canonicalAddress(canonical.replace("/64", "1"))).toBe(canonical)
          if (canonicalAddress(b) !== canonical) expect(canonicalAddress(b.toUpperCase())).not.toBe(canonical)
        }
      }),
    )
  })

  it("is total: anything at all has one, and only real addresses have one of their own", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(canonicalAddress(text)).toMatch(/^(?:unknown|[0-9.]+|[0-9a-f:]+::\/64)$/)
      }),
    )
  })
})
