import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { type RunningDigest, createRunningDigest } from "../../src/domain/digests.ts"
import { createRunningDigests } from "../../src/domain/running-digests.ts"

/** As others compute them. */
const digestsOf = (text: string) => ({ sha256: createHash("sha256").update(text).digest("hex"), crc32: crc32(text) })

function went(digest: RunningDigest, text: string): RunningDigest {
  digest.update(new TextEncoder().encode(text))
  return digest
}

describe("running digests", () => {
  it("go on where they were kept, and nowhere else", () => {
    const digests = createRunningDigests()
    const first = digests.take("a", 0)
    if (first === null) throw new Error("nothing to begin with")
    digests.keep("a", 3, went(first, "abc"))
    expect(digests.take("a", 2)).toBeNull()
    expect(digests.take("b", 3)).toBeNull()
    expect(digests.digestsOf("a", 3)).toEqual(digestsOf("abc"))
    expect(digests.digestsOf("a", 4)).toBeNull()
    const second = digests.take("a", 3)
    if (second === null) throw new Error("not kept")
    // One user at a time: what two went on with would be neither's.
    expect(digests.take("a", 3)).toBeNull()
    digests.keep("a", 5, went(second, "de"))
    expect(digests.digestsOf("a", 5)).toEqual(digestsOf("abcde"))
  })

  it("are kept for as many uploads as memory allows, the newest", () => {
    const digests = createRunningDigests()
    for (let i = 0; i < 1000; i++) digests.keep(String(i), 1, went(createRunningDigest(), "x"))
    expect(digests.digestsOf("0", 1)).toBeNull()
    expect(digests.digestsOf("999", 1)).toEqual(digestsOf("x"))
    expect(
      Array.from({ length: 1000 }, (_, i) => digests.digestsOf(String(i), 1)).filter((digest) => digest !== null),
    ).toHaveLength(256)
  })
})
