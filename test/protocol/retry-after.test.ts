import { describe, expect, it } from "vitest"
import { retryAfterMs } from "../../src/protocol/retry-after.ts"

const now = Date.parse("2026-11-23T12:00:00Z")

describe("Retry-After", () => {
  it.each([
    [null, null],
    ["0", 0],
    ["120", 120_000],
    ["999999999", 999_999_999_000],
    ["Mon, 23 Nov 2026 12:01:00 GMT", 60_000],
    ["Mon, 23 Nov 2026 11:59:00 GMT", 0],
    ["", null],
    ["-1", null],
    ["1.5", null],
    ["1e3", null],
    [" 1", null],
    ["1000000000", null],
    ["2026-11-23T12:01:00Z", null],
    ["Mon, 23 Nov 2026 12:01:00", null],
    ["Mon, 99 Nov 2026 12:01:00 GMT", null],
    ["1, 2", null],
  ])("%j waits %s ms", (header, waitMs) => {
    expect(retryAfterMs(header, now)).toBe(waitMs)
  })
})
