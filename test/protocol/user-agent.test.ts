import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clientLabel } from "../../src/protocol/user-agent.ts"

describe("a client's label", () => {
  it.each([
    ["Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"],
    [
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
      "Chrome on Windows",
    ],
    [
      "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36 Edg/142.0",
      "Edge on Windows",
    ],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1 Version/26.0 Mobile/15E148 Safari/604.1",
      "Safari on iOS",
    ],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/26.0 Safari/605.1", "Safari on macOS"],
    [
      "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile Safari/537.36",
      "Chrome on Android",
    ],
    ["Mozilla/5.0 (compatible; Windows)", "browser on Windows"],
    ["Mozilla/5.0", "unknown"],
    ["curl/8.5.0", "curl"],
    ["python-requests/2.32.0", "python-requests"],
    ["node", "node"],
    ["", "unknown"],
    ["<b>x</b>/1", "unknown"],
    [`${"x".repeat(41)}/1`, "unknown"],
    [`${"x".repeat(40)}/1`, "x".repeat(40)],
  ])("of %j is %j", (userAgent, label) => {
    expect(clientLabel(userAgent)).toBe(label)
  })

  it("of no header is unknown", () => {
    expect(clientLabel(undefined)).toBe("unknown")
  })

  it("is short and harmless, whatever the header", () => {
    const mozilla = fc.string({ unit: "binary" }).map((text) => `Mozilla/5.0 ${text}`)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 2000 }), mozilla), (text) => {
        expect(clientLabel(text)).toMatch(/^[A-Za-z0-9][A-Za-z0-9._ -]{0,39}$/)
      }),
    )
  })
})
