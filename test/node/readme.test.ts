// The README's helper that takes a field out of an answer: a refusal is a sentence that stops a script.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { PROJECT_DIR, run } from "../e2e/service.ts"

const helper = /^json\(\) \{.*\}$/m.exec(readFileSync(join(PROJECT_DIR, "README.md"), "utf8"))?.[0] ?? ""
const json = (answer: string, expression: string) =>
  run("bash", ["-euc", `${helper}\nFIELD=$(json '${expression}'); echo "got $FIELD"`], { input: answer })

describe("the README's json", () => {
  it("prints what was asked for", async () => {
    expect(await json('{"files": [{"id": "a"}]}', "answer.files[0].id")).toEqual({ code: 0, stdout: "got a\n", stderr: "" })
  })

  it.each([
    ['{"code": "invalid_credentials", "detail": "Wrong e-mail address or password."}', "Wrong e-mail address or password.\n"],
    ['{"files": []}', "Cannot read properties of undefined (reading 'id')\n"],
    ["", "Unexpected end of JSON input\n"],
  ])("says of %j what is wrong, in one line, and stops", async (answer, stderr) => {
    expect(await json(answer, "answer.files[0].id")).toEqual({ code: 1, stdout: "", stderr })
  })
})
