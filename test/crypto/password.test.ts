import { beforeAll, describe, expect, it } from "vitest"
import { randomBytes } from "../../src/crypto/bytes.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import { checkPassword, hashPassword, importPepper, passwordFault } from "../../src/crypto/password.ts"

describe("passwordFault", () => {
  it.each([
    ["fourteen chars", "too_short"],
    ["fifteen chars!!", null],
    ["é".repeat(14), "too_short"],
    ["e\u0301".repeat(14), "too_short"],
    ["e\u0301".repeat(15), null],
    ["😀".repeat(15), null],
    ["x".repeat(128), null],
    ["x".repeat(129), "too_long"],
    ["😀".repeat(128), null],
    ["x".repeat(100_000), "too_long"],
    ["              a", null],
    ["with\u0000nul inside it", null],
    [`${"x".repeat(20)}\ud800`, "not_text"],
  ])("says of %j: %s", (password, fault) => {
    expect(passwordFault(password)).toBe(fault)
  })
})

describe("a stored password", () => {
  const password = `pässwörd with spaces ${"x".repeat(80)} end`
  let peppers: KeyRing<CryptoKey>
  let stored: string

  beforeAll(async () => {
    const pepper = await importPepper(randomBytes(32))
    peppers = { currentId: 1, current: pepper, byId: new Map([[1, pepper]]) }
    stored = await hashPassword(peppers, password)
  })

  it("is a PHC string with OWASP's parameters, salted", async () => {
    expect(stored).toMatch(/^\$scrypt\$ln=15,r=8,p=3,keyid=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(await hashPassword(peppers, password)).not.toBe(stored)
  })

  it("matches exactly that password, in either Unicode form", async () => {
    expect(await checkPassword(peppers, password, stored)).toEqual({ matches: true, outdated: false })
    expect((await checkPassword(peppers, password.normalize("NFD"), stored)).matches).toBe(true)
    for (const wrong of [
      `${password} `,
      password.slice(0, -1),
      password.toUpperCase(),
      "",
      "x".repeat(10_000),
      `${password}\ud800`,
    ]) {
      expect((await checkPassword(peppers, wrong, stored)).matches, wrong.slice(0, 20)).toBe(false)
    }
  })

  it("A8: notices a difference in its last byte, far beyond the 72 that bcrypt would look at", async () => {
    expect((await checkPassword(peppers, `${password.slice(0, -1)}e`, stored)).matches).toBe(false)
  })

  it("A2: does the work and matches nothing for nobody", async () => {
    expect((await checkPassword(peppers, password, null)).matches).toBe(false)
    expect((await checkPassword(peppers, "", null)).matches).toBe(false)
  })

  it("is outdated under a new pepper, and worthless under a stranger's", async () => {
    const next = await importPepper(randomBytes(32))
    const rotated = {
      currentId: 2,
      current: next,
      byId: new Map([
        [2, next],
        [1, peppers.current],
      ]),
    }
    expect(await checkPassword(rotated, password, stored)).toEqual({ matches: true, outdated: true })
    const stranger = { currentId: 1, current: next, byId: new Map([[1, next]]) }
    expect((await checkPassword(stranger, password, stored)).matches).toBe(false)
  })

  it("is outdated when made with weaker parameters", async () => {
    const weaker = stored.replace("p=3", "p=2")
    expect((await checkPassword(peppers, password, weaker)).outdated).toBe(true)
  })
})
