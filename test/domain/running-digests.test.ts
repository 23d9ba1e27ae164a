import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { createRunningDigests } from "../../src/domain/running-digests.ts"

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

describe("running digests", () => {
  it("go on where they were kept, and nowhere else", () => {
    const digests = createRunningDigests()
    const first = digests.take("a", 0)
    if (first === null) throw new Error("nothing to begin with")
    digests.keep("a", 3, first.update("abc"))
    expect(digests.take("a", 2)).toBeNull()
    expect(digests.take("b", 3)).toBeNull()
    expect(digests.sha256Of("a", 3)).toBe(sha256("abc"))
    expect(digests.sha256Of("a", 4)).toBeNull()
    const second = digests.take("a", 3)
    if (second === null) throw new Error("not kept")
    // One user at a time: what two went on with would be neither's.
    expect(digests.take("a", 3)).toBeNull()
    digests.keep("a", 5, second.update("de"))
    expect(digests.sha256Of("a", 5)).toBe(sha256("abcde"))
  })

  it("are kept for as many uploads as memory allows, the newest", () => {
    const digests = createRunningDigests()
    for (let i = 0; i < 1000; i++) digests.keep(String(i), 1, createHash("sha256").update("x"))
    expect(digests.sha256Of("0", 1)).toBeNull()
    expect(digests.sha256Of("999", 1)).toBe(sha256("x"))
    expect(
      Array.from({ length: 1000 }, (_, i) => digests.sha256Of(String(i), 1)).filter((digest) => digest !== null),
    ).toHaveLength(256)
  })
})
