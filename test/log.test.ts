import { describe, expect, it } from "vitest"
import { errorFacts } from "../src/log.ts"

describe("errorFacts", () => {
  it("keeps what helps and drops what may be somebody's", () => {
    const cause = new TypeError("for someone@example.com")
    const error = new Error("Failed query: insert into files\nparams: merger plans.docx,1", { cause })
    const facts = errorFacts(error)
    expect(facts).toMatchObject({ error: "Error", message: "Failed query: insert into files", cause: "TypeError: for […]" })
    expect(JSON.stringify(facts)).not.toMatch(/merger|someone/)
    expect(String(facts["stack"])).toContain("log.test.ts")
  })

  it("says no more than its type of what is no error", () => {
    expect(errorFacts("secret text")).toEqual({ error: "string" })
  })
})
