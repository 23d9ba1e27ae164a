// The texts of mails about files. M7, M8: what people call their files cannot become anything else in a mail.
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  deliveriesMessage,
  expiryReminderMessage,
  expiryReportMessage,
  inLine,
  newFilesMessage,
} from "../../src/mail/notice-messages.ts"

const links = { publicOrigin: "https://files.example.com", unsubscribeUrl: "https://files.example.com/unsubscribe/TOKEN" }
const expiresAtMs = Date.parse("2026-12-01T09:05:00Z")

describe("M7, M8: somebody's text in a mail", () => {
  it("stays on its line, short, and adds no character that hides or turns others", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        const shown = inLine(text)
        expect(shown).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\u200e\u200f]/u)
        expect(Array.from(shown).length).toBeLessThanOrEqual(150)
        expect(shown.isWellFormed()).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it.each([
    ["plain.docx", "plain.docx"],
    ["<b>&amp;</b>.docx", "<b>&amp;</b>.docx"],
    ["a\r\nBcc: x@example.com", "a��Bcc: x@example.com"],
    ["a\u202excod.exe", "a�xcod.exe"],
    ["می‌خواهم.docx", "می‌خواهم.docx"],
    ["👩‍🔬.docx", "👩‍🔬.docx"],
    ["\ud800", "�"],
    ["x".repeat(151), `${"x".repeat(149)}…`],
  ])("%j is shown as %j", (text, shown) => {
    expect(inLine(text)).toBe(shown)
  })

  it("is in no subject", () => {
    const name = "Secret\r\nBcc: x@example.com.docx"
    const file = { name, expiresAtMs }
    const subjects = [
      newFilesMessage({ ...links, files: [file], total: 1 }),
      expiryReminderMessage({ ...links, files: [file], total: 3 }),
      deliveriesMessage({ ...links, deliveries: [{ name, email: "a@example.com", deliveredAtMs: null }], total: 1 }),
      expiryReportMessage({ ...links, files: [{ ...file, recipients: 1, missing: 1, addresses: ["a@example.com"] }] }),
    ].map(({ subject }) => subject)
    expect(subjects.join("\n")).not.toMatch(/Secret|Bcc|example/)
    expect(subjects.every((subject) => /^[\w ]+$/.test(subject))).toBe(true)
  })
})

describe("the texts", () => {
  it("of new files", () => {
    const files = [
      { name: "a.docx", expiresAtMs: null },
      { name: "b.docx", expiresAtMs },
    ]
    expect(newFilesMessage({ ...links, files, total: 5 })).toEqual({
      subject: "5 new files for you",
      text: [
        "Hello,",
        "",
        "there are new files for you:",
        "",
        "  - a.docx",
        "  - b.docx (until 2026-12-01 09:05 UTC)",
        "  and 3 more",
        "",
        "Log in at https://files.example.com to fetch them.",
        "",
        "--",
        "No more mails of this kind:",
        "https://files.example.com/unsubscribe/TOKEN",
      ].join("\n"),
    })
  })

  it("of a report", () => {
    const about = { name: "a.docx", expiresAtMs }
    const files = [
      { ...about, recipients: 4, missing: 3, addresses: ["a@example.com", "b@example.com"] },
      { ...about, recipients: 1, missing: 0, addresses: [] },
      { ...about, recipients: 0, missing: 0, addresses: [] },
    ]
    const { subject, text } = expiryReportMessage({ ...links, files })
    expect(subject).toBe("3 of your files are about to expire")
    expect(text.split("\n").slice(2, 12)).toEqual([
      "a.docx (until 2026-12-01 09:05 UTC):",
      "  fetched by 1 of 4 clients. Not yet by:",
      "  - a@example.com",
      "  - b@example.com",
      "  and 1 more",
      "",
      "a.docx (until 2026-12-01 09:05 UTC):",
      "  fetched by everybody, 1 client.",
      "",
      "a.docx (until 2026-12-01 09:05 UTC):",
    ])
    expect(text).toContain("  it is for nobody.\n")
  })
})
