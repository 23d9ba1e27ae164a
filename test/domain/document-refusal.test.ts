// What people are told of a refused document: every reason has its words, they say what to do, and docs/documents.md
// names the same reasons as the code.
import { describe, expect, it } from "vitest"
import documentsPage from "../../docs/documents.md?raw"
import { parseDocumentName } from "../../src/domain/document-name.ts"
import { documentRefusal } from "../../src/domain/document-refusal.ts"
import { AppError } from "../../src/errors.ts"
import { FAULT_REASONS } from "../../src/office/fault.ts"

const REASONS = [...FAULT_REASONS, "malware"] as const

/** The rows of the first table after a heading, without its head. */
function tableAfter(heading: string): string[][] {
  const lines = documentsPage.slice(documentsPage.indexOf(heading)).split("\n")
  const first = lines.findIndex((line) => line.startsWith("|"))
  const rows = lines.slice(first + 2)
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith("|")),
    )
    .map((row) => row.split("|").slice(1, -1))
}

const coded = (text = ""): string[] => Array.from(text.matchAll(/`([^`]+)`/g), ([, word = ""]) => word)

function faultOf(name: string): AppError {
  try {
    parseDocumentName(name)
  } catch (error) {
    if (error instanceof AppError) return error
  }
  throw new TypeError(`${name} is taken`)
}

describe("the page about documents", () => {
  it("names every reason for which a document is refused once, and no other", () => {
    const named = tableAfter("**By its content").flatMap(([reasons]) => coded(reasons))
    expect(named.toSorted()).toEqual([...REASONS].toSorted())
  })

  it("gives each setting reasons that there are", () => {
    const named = tableAfter("## Policy").flatMap(([, , reasons]) => coded(reasons))
    expect(named).toHaveLength(7)
    expect(REASONS).toEqual(expect.arrayContaining(named))
  })

  it("names the reason of each extension, and the extensions of each reason", () => {
    const line = /^\*\*By its name.*$/m.exec(documentsPage)?.[0] ?? ""
    const named = Array.from(line.matchAll(/`(\w+)`(?: \(([^)]+)\))?/g)).filter(([, reason]) => reason !== "unsupported_document")
    expect(named.map(([, reason]) => reason)).toHaveLength(6)
    for (const [, reason, extensions = ".pdf"] of named)
      for (const [extension] of extensions.matchAll(/\.\w+/g))
        expect([extension, faultOf(`a${extension}`).options.refusal?.reason]).toEqual([extension, reason])
  })

  it("names the rule that each wrong name breaks, and no other", () => {
    const broken = ["a\u202e.docx", `${"a".repeat(300)}.docx`, ".docx", "con.docx"]
    const rules = broken.map((name) => faultOf(name).options.fields?.[0]?.rule)
    expect(
      tableAfter("## Names")
        .flatMap(([rule]) => coded(rule))
        .toSorted(),
    ).toEqual(rules.toSorted())
  })
})

describe("a refusal", () => {
  it.each(REASONS)("for %s says what is wrong and what to do, in sentences", (reason) => {
    const { detail = "", refusal } = documentRefusal(reason, "word/document.xml").options
    expect(refusal).toMatchObject({ reason, part: "word/document.xml" })
    expect(refusal?.remedy).toMatch(/^[A-Z].+\.$/)
    expect(detail).toMatch(/^[A-Z].+\. It is about the part "word\/document\.xml"\. /)
    expect(detail).toContain(refusal?.remedy)
  })

  it.each(["external_relationship", "external_data", "add_in", "embedded_object", "activex", "dde", "program_action"] as const)(
    "by policy (%s) says how to take it out before whom to ask",
    (reason) => {
      const remedy = documentRefusal(reason).options.refusal?.remedy ?? ""
      const [how = "", ask] = remedy.split(" Or ask your administrator to allow it.")
      expect(ask).toBe("")
      // The place in the program, or the keys.
      expect(how).toMatch(/(?:Insert|File|Data|Home|Developer tab)(?:,| \()|Ctrl\+/)
    },
  )
})
