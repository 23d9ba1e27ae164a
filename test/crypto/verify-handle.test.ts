import { beforeAll, describe, expect, it } from "vitest"
import { fromBase64url, randomBytes, toBase64url, toHex } from "../../src/crypto/bytes.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import {
  type HandleKey,
  codeMac,
  importHandleKey,
  newCode,
  normaliseCode,
  openHandle,
  sealHandle,
} from "../../src/crypto/verify-handle.ts"
import { newId } from "../../src/ids.ts"

let keys: KeyRing<HandleKey>

beforeAll(async () => {
  const key = await importHandleKey(randomBytes(32))
  keys = { currentId: 9, current: key, byId: new Map([[9, key]]) }
})

describe("handles", () => {
  it("give back what they name, and are never the same twice", async () => {
    const id = newId()
    const handle = await sealHandle(keys, id)
    expect(await openHandle(keys, handle)).toEqual({ verificationId: id, keyId: 9 })
    expect(await sealHandle(keys, id)).not.toBe(handle)
  })

  it("are refused with any bit flipped, cut or extended", async () => {
    const handle = await sealHandle(keys, newId())
    const bytes = fromBase64url(handle) ?? new Uint8Array(0)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await openHandle(keys, toBase64url(changed)), `bit ${String(bit)}`).toBeNull()
    }
    for (const other of ["", handle.slice(1), handle.slice(0, -1), `${handle}A`, `${handle}=`])
      expect(await openHandle(keys, other)).toBeNull()
  })
})

describe("codes", () => {
  it("can be read aloud and typed", () => {
    for (let i = 0; i < 200; i++) expect(newCode()).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
  })

  it.each([
    ["ab12-cd34", "AB12CD34"],
    ["AB12 CD34", "AB12CD34"],
    ["AB12CD34\n", "AB12CD34"],
    ["o0il-1234", "00111234"],
  ])("typed as %j mean %s", (typed, meant) => {
    expect(normaliseCode(typed)).toBe(meant)
  })

  it("answer for one verification only", async () => {
    const [one, two] = [newId(), newId()]
    const mac = async (id: string, code: string): Promise<string> =>
      toHex((await codeMac(keys, 9, id, code)) ?? new Uint8Array(0))
    expect(await mac(one, "ab12-cd34")).toBe(await mac(one, "AB12CD34"))
    expect(await mac(one, "AB12-CD34")).not.toBe(await mac(two, "AB12-CD34"))
    expect(await mac(one, "AB12-CD34")).not.toBe(await mac(one, "AB12-CD35"))
    expect(await codeMac(keys, 8, one, "AB12-CD34")).toBeNull()
  })
})
