import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  evaluateConditions,
  httpDate,
  parseHttpDate,
  rangeApplies,
  type ConditionOutcome,
} from "../../src/protocol/http-conditions.ts"

const resource = { etag: '"v1"', lastModifiedSeconds: Date.UTC(2026, 10, 23, 12, 0, 0) / 1000 }
const BEFORE = "Mon, 23 Nov 2026 11:59:59 GMT"
const SAME = "Mon, 23 Nov 2026 12:00:00 GMT"
const AFTER = "Mon, 23 Nov 2026 12:00:01 GMT"

const outcome = (headers: Record<string, string>): ConditionOutcome => evaluateConditions(new Headers(headers), resource)

describe("If-Match", () => {
  it.each<[string, ConditionOutcome]>([
    ['"v1"', "proceed"],
    ['"v2"', "precondition_failed"],
    ['"V1"', "precondition_failed"],
    ["*", "proceed"],
    ['"v2", "v1"', "proceed"],
    ['"v1","v2"', "proceed"],
    ['"v2", "v3"', "precondition_failed"],
    // A weak tag equals nothing under strong comparison.
    ['W/"v1"', "precondition_failed"],
    ['W/"v1", "v1"', "proceed"],
    // Lists with empty elements are lists, and the empty list names nothing.
    [', "v2",, "v1" ,', "proceed"],
    ["", "precondition_failed"],
    // Malformed, beside what would have held
    ["v1", "precondition_failed"],
    ['"v1', "precondition_failed"],
    ['"v1" "v2"', "precondition_failed"],
    ['"v1";', "precondition_failed"],
    ['"v1", *', "precondition_failed"],
    ['*, "v1"', "precondition_failed"],
    ["**", "precondition_failed"],
    ['"v1", v2', "precondition_failed"],
    ['"v1", w/"v2"', "precondition_failed"],
    ['"v1", W/ "v2"', "precondition_failed"],
    ['"v1", W"v2"', "precondition_failed"],
    ['"v1", "a b"', "precondition_failed"],
    ['"v1", "\\""', "precondition_failed"],
  ])("%s → %s", (value, expected) => {
    expect(outcome({ "If-Match": value })).toBe(expected)
  })

  it("reads tags with every character a tag may have", () => {
    const headers = (value: string): Pick<Headers, "get"> => ({ get: (name) => (name === "If-Match" ? value : null) })
    for (const tag of ['""', '"a,b"', '", "', '"\\"', '"!#~"', '"é"', '"\u0080"', '"日本"']) {
      const expected = tag === '", "' ? "precondition_failed" : "proceed"
      expect([tag, evaluateConditions(headers(`"x", ${tag}`), { ...resource, etag: tag })]).toEqual([tag, expected])
    }
    for (const char of ["\u007f", "\u0000", "\t", " "]) {
      expect(evaluateConditions(headers(`"v1", "${char}"`), resource)).toBe("precondition_failed")
    }
  })
})

describe("If-None-Match", () => {
  it.each<[string, ConditionOutcome]>([
    ['"v1"', "not_modified"],
    ['"v2"', "proceed"],
    ['W/"v1"', "not_modified"],
    ['W/"v2"', "proceed"],
    ["*", "not_modified"],
    ['"v2", W/"v1"', "not_modified"],
    ['"v2" ,"v3"', "proceed"],
    [',, "v1",', "not_modified"],
    ["", "proceed"],
    // Malformed, so ignored, although the tag is there
    ["v1", "proceed"],
    ['"v1" "v2"', "proceed"],
    ['"v1", v2', "proceed"],
    ['"v1", *', "proceed"],
    ['w/"v1"', "proceed"],
    ['W/W/"v1"', "proceed"],
    ['"v1', "proceed"],
  ])("%s → %s", (value, expected) => {
    expect(outcome({ "If-None-Match": value })).toBe(expected)
  })

  it("may be as long as a request head lets it be", () => {
    const list = (last: string): string => `${'"v2",\t '.repeat(5000)}${" ".repeat(5000)}${last}`
    expect(outcome({ "If-None-Match": list('"v1"') })).toBe("not_modified")
    expect(outcome({ "If-None-Match": list('"v3"') })).toBe("proceed")
    expect(outcome({ "If-None-Match": `"v1", ${list("!")}` })).toBe("proceed")
  })
})

describe("If-Unmodified-Since", () => {
  it.each<[string, ConditionOutcome]>([
    [BEFORE, "precondition_failed"],
    [SAME, "proceed"],
    [AFTER, "proceed"],
    // Not a date: ignored
    ["Mon, 23 Nov 2026 11:59:59", "proceed"],
    ["Tue, 23 Nov 2026 11:59:59 GMT", "proceed"],
    [`${BEFORE}, ${BEFORE}`, "proceed"],
    ["0", "proceed"],
    ["", "proceed"],
    // The obsolete forms
    ["Monday, 23-Nov-26 11:59:59 GMT", "precondition_failed"],
    ["Mon Nov 23 11:59:59 2026", "precondition_failed"],
    ["Monday, 23-Nov-26 12:00:00 GMT", "proceed"],
  ])("%s → %s", (value, expected) => {
    expect(outcome({ "If-Unmodified-Since": value })).toBe(expected)
  })
})

describe("If-Modified-Since", () => {
  it.each<[string, ConditionOutcome]>([
    [BEFORE, "proceed"],
    [SAME, "not_modified"],
    [AFTER, "not_modified"],
    // Not a date: ignored
    ["Mon, 23 Nov 2026 12:00:00 UTC", "proceed"],
    ["Tue, 23 Nov 2026 12:00:00 GMT", "proceed"],
    [`${SAME}, ${SAME}`, "proceed"],
    ["2026-11-23T12:00:00Z", "proceed"],
    ["", "proceed"],
    // The obsolete forms
    ["Monday, 23-Nov-26 12:00:00 GMT", "not_modified"],
    ["Mon Nov 23 12:00:00 2026", "not_modified"],
    ["Mon Nov 23 11:59:59 2026", "proceed"],
  ])("%s → %s", (value, expected) => {
    expect(outcome({ "If-Modified-Since": value })).toBe(expected)
  })
})

describe("the order of the conditions", () => {
  it.each<[string, Record<string, string>, ConditionOutcome]>([
    ["nothing asked", {}, "proceed"],
    ["If-Match holds, and silences If-Unmodified-Since", { "If-Match": '"v1"', "If-Unmodified-Since": BEFORE }, "proceed"],
    ["If-Match fails, whatever If-Unmodified-Since", { "If-Match": '"v2"', "If-Unmodified-Since": AFTER }, "precondition_failed"],
    ["If-Match fails, whatever If-None-Match", { "If-Match": '"v2"', "If-None-Match": '"v1"' }, "precondition_failed"],
    ["If-Match holds, then If-None-Match", { "If-Match": '"v1"', "If-None-Match": '"v1"' }, "not_modified"],
    ["If-Match holds, then If-Modified-Since", { "If-Match": '"v1"', "If-Modified-Since": SAME }, "not_modified"],
    ["If-Unmodified-Since fails first", { "If-Unmodified-Since": BEFORE, "If-None-Match": '"v1"' }, "precondition_failed"],
    ["If-Unmodified-Since holds, then If-None-Match", { "If-Unmodified-Since": SAME, "If-None-Match": '"v1"' }, "not_modified"],
    ["If-None-Match holds, and silences If-Modified-Since", { "If-None-Match": '"v2"', "If-Modified-Since": SAME }, "proceed"],
    ["If-None-Match fails, whatever If-Modified-Since", { "If-None-Match": '"v1"', "If-Modified-Since": BEFORE }, "not_modified"],
    ["a malformed If-None-Match silences it too", { "If-None-Match": "v1", "If-Modified-Since": SAME }, "proceed"],
    ["both dates hold", { "If-Unmodified-Since": SAME, "If-Modified-Since": BEFORE }, "proceed"],
    ["If-Range is no precondition", { "If-Range": '"v2"' }, "proceed"],
  ])("%s", (_, headers, expected) => {
    expect(outcome(headers)).toBe(expected)
  })
})

describe("without a date of its own", () => {
  it.each<[Record<string, string>, ConditionOutcome]>([
    [{ "If-Modified-Since": AFTER }, "proceed"],
    [{ "If-Unmodified-Since": BEFORE }, "proceed"],
    [{ "If-Match": '"v2"', "If-Unmodified-Since": AFTER }, "precondition_failed"],
    [{ "If-None-Match": '"v1"', "If-Modified-Since": BEFORE }, "not_modified"],
  ])("dates are ignored, tags are not: %j → %s", (headers, expected) => {
    expect(evaluateConditions(new Headers(headers), { ...resource, lastModifiedSeconds: null })).toBe(expected)
  })
})

describe("If-Range", () => {
  it.each<[string | null, boolean]>([
    [null, true],
    ['"v1"', true],
    ['"v2"', false],
    ['W/"v1"', false],
    ["v1", false],
    ['"v1", "v2"', false],
    ["*", false],
    ["", false],
    [SAME, true],
    [BEFORE, false],
    [AFTER, false],
    ["Monday, 23-Nov-26 12:00:00 GMT", true],
    ["Mon Nov 23 12:00:00 2026", true],
    ["Tue, 23 Nov 2026 12:00:00 GMT", false],
    [String(resource.lastModifiedSeconds), false],
  ])("%s → %s", (value, expected) => {
    expect(rangeApplies(value, resource)).toBe(expected)
  })

  it("fits no date, nor what is none, where there is no date that tells bytes apart", () => {
    const undated = { ...resource, lastModifiedSeconds: null }
    expect([null, '"v1"', '"v2"', SAME, "never", ""].map((value) => rangeApplies(value, undated))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })

  it("does not take an unreadable date for any time", () => {
    expect(rangeApplies("never", { ...resource, lastModifiedSeconds: 0 })).toBe(false)
    expect(rangeApplies("Thu, 01 Jan 1970 00:00:00 GMT", { ...resource, lastModifiedSeconds: 0 })).toBe(true)
  })
})

describe("HTTP-date", () => {
  it.each([
    [0, "Thu, 01 Jan 1970 00:00:00 GMT"],
    [784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"],
    [951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"],
    [253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"],
  ])("%i is %s", (seconds, text) => {
    expect(httpDate(seconds)).toBe(text)
    expect(parseHttpDate(text)).toBe(seconds)
  })

  it.each([
    ["Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777],
    ["Sun Nov  6 08:49:37 1994", 784_111_777],
    ["Sun Nov 06 08:49:37 1994", 784_111_777],
    ["Wed Nov 16 08:49:37 1994", 784_111_777 + 10 * 86_400],
    // The weekday tells which century: in 2094 the sixth of November is a Saturday.
    ["Saturday, 06-Nov-94 08:49:37 GMT", Date.UTC(2094, 10, 6, 8, 49, 37) / 1000],
    ["Tuesday, 29-Feb-00 00:00:00 GMT", 951_782_400],
    ["Thursday, 01-Jan-70 00:00:00 GMT", 0],
    ["Friday, 01-Jan-99 00:00:00 GMT", Date.UTC(1999, 0, 1) / 1000],
  ])("reads the three forms: %s", (text, seconds) => {
    expect(parseHttpDate(text)).toBe(seconds)
  })

  it.each([
    "",
    "Invalid Date",
    "784111777",
    "1994-11-06T08:49:37Z",
    "Mon, 06 Nov 1994 08:49:37 GMT",
    "sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun,  6 Nov 1994 08:49:37 GMT",
    "Sun 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 1994 08:49:37.5 GMT",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    "Sun, 06 Nov 1994 08:49:37 GMT\n",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:60 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Thu, 31 Nov 1994 08:49:37 GMT",
    "Thu, 01 Dec 1994 08:49:37 GMTX",
    "Wed, 29 Feb 2023 00:00:00 GMT",
    "Sat, 01 Jan 10000 00:00:00 GMT",
    "Monday, 06-Nov-94 08:49:37 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 6-Nov-94 08:49:37 GMT",
    "Sunday, 06 Nov 94 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37",
    "xSunday, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMTx",
    "Someday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Mon Nov  6 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun Nov  6 08:49:37 94",
    "Sun Nov  6  8:49:37 1994",
    "Sun, Nov  6 08:49:37 1994",
    "xSun Nov  6 08:49:37 1994",
  ])("refuses %j", (text) => {
    expect(parseHttpDate(text)).toBeNull()
  })

  const anySecond = fc.integer({ min: 0, max: 253_402_300_799 })

  it("comes back from every second until the year 9999", () => {
    fc.assert(
      fc.property(anySecond, (seconds) => {
        expect(parseHttpDate(httpDate(seconds))).toBe(seconds)
      }),
      { numRuns: 1000 },
    )
  })

  it("comes back from the obsolete forms too", () => {
    const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1901, 0) / 1000, max: Date.UTC(2099, 0) / 1000 }), (seconds) => {
        const [, date = "", month = "", year = "", time = ""] = httpDate(seconds).split(" ")
        const weekday = days[new Date(seconds * 1000).getUTCDay()] ?? ""
        expect(parseHttpDate(`${weekday}, ${date}-${month}-${year.slice(2)} ${time} GMT`)).toBe(seconds)
        expect(parseHttpDate(`${weekday.slice(0, 3)} ${month} ${date.replace(/^0/, " ")} ${time} ${year}`)).toBe(seconds)
      }),
      { numRuns: 1000 },
    )
  })

  it("has one spelling: another character anywhere is another date or none", () => {
    const chars = fc.constantFrom(...Array.from("0123456789 :,-TGMSunFrioctv\t"))
    fc.assert(
      fc.property(anySecond, fc.nat({ max: 28 }), chars, (seconds, at, char) => {
        const text = httpDate(seconds)
        fc.pre(text[at] !== char)
        const changed = text.slice(0, at) + char + text.slice(at + 1)
        expect(parseHttpDate(changed)).not.toBe(seconds)
      }),
      { numRuns: 2000 },
    )
  })
})
