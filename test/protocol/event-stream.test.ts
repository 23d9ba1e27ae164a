import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { HEARTBEAT, acceptsEventStream, eventText, idField, parseEventId, retryField } from "../../src/protocol/event-stream.ts"

/** Reads a stream as the HTML Living Standard says (section 9.2.6), in the simplest way. */
function read(text: string) {
  const events: { id: string; type: string; data: string }[] = []
  let [data, type, id] = ["", "", ""]
  for (const line of text.split("\n")) {
    if (line === "") {
      if (data !== "") events.push({ id, type, data: data.slice(0, -1) })
      data = type = ""
      continue
    }
    const colon = line.indexOf(":")
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")]
    if (name === "data") data += `${value}\n`
    if (name === "event") type = value
    if (name === "id") id = value
  }
  return { events, lastId: id }
}

describe("a stream of events", () => {
  it("is these very bytes", () => {
    expect(retryField(3000)).toBe("retry: 3000\n\n")
    expect(HEARTBEAT).toBe(":\n\n")
    expect(eventText({ id: 7, kind: "file.added", data: { a: "b\nc" } })).toBe(
      'id: 7\nevent: file.added\ndata: {"a":"b\\nc"}\n\n',
    )
    expect(() => eventText({ id: 7, kind: "a\ndata: x", data: 1 })).toThrow(TypeError)
  })

  it("is read back whatever names hold", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ id: fc.nat(), name: fc.string({ unit: "binary" }) })), fc.nat(), (sent, lastId) => {
        const text = sent.map(({ id, name }) => HEARTBEAT + eventText({ id, kind: "k", data: { name } })).join("")
        const { events, lastId: seen } = read(retryField(1) + text + idField(lastId))
        expect(events.map(({ id, data }) => ({ id: Number(id), ...(JSON.parse(data) as object) }))).toEqual(sent)
        expect(seen).toBe(String(lastId))
      }),
      { numRuns: 50 },
    )
  })
})

describe("the id of an event", () => {
  it.each([
    ["0", 0],
    ["12", 12],
    ["999999999999999", 999_999_999_999_999],
    ["", null],
    ["01", null],
    ["-1", null],
    ["1.0", null],
    ["1e3", null],
    [" 1", null],
    ["١", null],
    ["1000000000000000", null],
    ["1 or 1=1", null],
  ])("%j is %j", (text, id) => {
    expect(parseEventId(text)).toBe(id)
  })
})

describe("Accept", () => {
  it.each([
    ["text/event-stream", true],
    ["TEXT/Event-Stream", true],
    ["application/json, text/event-stream;q=0.9", true],
    ["text/event-stream; q=0", false],
    ["text/event-stream;q=0.000", false],
    ["text/event-streams", false],
    ["*/*", false],
    ["text/*", false],
    ["", false],
  ])("%j names it: %j", (accept, names) => {
    expect(acceptsEventStream(accept)).toBe(names)
  })
})
