import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { attachment } from "../../src/protocol/content-disposition.ts"

/** The exact name, as a client that knows RFC 8187 reads it. */
const exactName = (header: string): string => decodeURIComponent(/filename\*=UTF-8''([^;]*)$/.exec(header)?.[1] ?? "")

describe("attachment", () => {
  it.each([
    ["report.docx", `attachment; filename="report.docx"; filename*=UTF-8''report.docx`],
    ["a b.docx", `attachment; filename="a b.docx"; filename*=UTF-8''a%20b.docx`],
    ["Zürich.docx", `attachment; filename="Z_rich.docx"; filename*=UTF-8''Z%C3%BCrich.docx`],
    ["測.pptx", `attachment; filename="_.pptx"; filename*=UTF-8''%E6%B8%AC.pptx`],
    ['"; x="y.docx', `attachment; filename="_; x=_y.docx"; filename*=UTF-8''%22%3B%20x%3D%22y.docx`],
    ["100%.docx", `attachment; filename="100_.docx"; filename*=UTF-8''100%25.docx`],
    ["a\\b.docx", `attachment; filename="a_b.docx"; filename*=UTF-8''a%5Cb.docx`],
    ["a\r\nSet-Cookie: x.docx", `attachment; filename="a__Set-Cookie_ x.docx"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x.docx`],
    ["it's (1)*.docx", `attachment; filename="it's (1)_.docx"; filename*=UTF-8''it%27s%20%281%29%2A.docx`],
  ])("of %j", (name, header) => {
    expect(attachment(name)).toBe(header)
  })

  it("never breaks a header and always carries the exact name, whatever it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (name) => {
        const header = attachment(name)
        expect(header).toMatch(/^attachment; filename="[ !#-[\]-~]*"; filename\*=UTF-8''[A-Za-z0-9!#$&+\-.^_`|~%]*$/)
        expect(exactName(header)).toBe(name.toWellFormed())
        expect(new Headers({ "Content-Disposition": header }).get("Content-Disposition")).toBe(header)
      }),
      { numRuns: 2000 },
    )
  })
})
