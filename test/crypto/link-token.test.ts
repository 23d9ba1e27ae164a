import { beforeAll, describe, expect, it } from "vitest"
import { fromBase64url, fromHex, randomBytes, toBase64url, utf8 } from "../../src/crypto/bytes.ts"
import { LINK_TOKEN_CHARS, type LinkKey, importLinkKey, openLinkToken, sealLinkToken } from "../../src/crypto/link-token.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import { newId } from "../../src/ids.ts"
import vector from "../vectors/link-token-v1.json"

const ringOf = (id: number, key: LinkKey): KeyRing<LinkKey> => ({ currentId: id, current: key, byId: new Map([[id, key]]) })

describe("a link token", () => {
  const claims = { linkId: newId(), userId: newId(), fileId: newId(), expiresAtSeconds: 1_800_000_000 }
  let keys: KeyRing<LinkKey>
  let token: string

  beforeAll(async () => {
    keys = ringOf(3, await importLinkKey(randomBytes(32)))
    token = await sealLinkToken(keys, claims)
  })

  it("gives back its claims", async () => {
    expect(await openLinkToken(keys, token)).toEqual(claims)
  })

  it("is 142 characters of base64url, never twice the same, and shows nothing of its claims", async () => {
    expect(token).toMatch(/^[A-Za-z0-9_-]{142}$/)
    expect(token).toHaveLength(LINK_TOKEN_CHARS)
    const again = await sealLinkToken(keys, claims)
    expect(again.slice(2)).not.toBe(token.slice(2))
    const bytes = fromBase64url(token) ?? new Uint8Array(0)
    const ids = [claims.linkId, claims.userId, claims.fileId].map((id) => fromHex(id.replaceAll("-", "")) ?? new Uint8Array(1))
    for (const id of ids) expect(toBase64url(bytes)).not.toContain(toBase64url(id).slice(0, 20))
  })

  it("is refused with any one bit flipped", async () => {
    const bytes = fromBase64url(token) ?? new Uint8Array(0)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await openLinkToken(keys, toBase64url(changed)), `bit ${String(bit)}`).toBeNull()
    }
  })

  it("is refused cut to any length, extended, or spelled differently", async () => {
    for (let length = 0; length < token.length; length++) expect(await openLinkToken(keys, token.slice(0, length))).toBeNull()
    const lastBits = `${token.slice(0, -1)}${String.fromCharCode(token.charCodeAt(token.length - 1) + 1)}`
    for (const other of [
      `${token}A`,
      `${token}=`,
      ` ${token}`,
      `${token}\n`,
      token.replaceAll("_", "/").replaceAll("-", "+") + " ",
      lastBits,
    ]) {
      expect(await openLinkToken(keys, other), other).toBeNull()
    }
  })

  it("is refused under another key, also one with the same id", async () => {
    const stranger = await importLinkKey(randomBytes(32))
    expect(await openLinkToken(ringOf(3, stranger), token)).toBeNull()
    expect(await openLinkToken(ringOf(4, stranger), token)).toBeNull()
  })

  it("opens under an old key that is still in the ring", async () => {
    const next = await importLinkKey(randomBytes(32))
    expect(
      await openLinkToken(
        {
          currentId: 4,
          current: next,
          byId: new Map([
            [4, next],
            [3, keys.current],
          ]),
        },
        token,
      ),
    ).toEqual(claims)
  })
})

describe("the frozen link format", () => {
  it("is what it was", async () => {
    const keys = ringOf(vector.keyId, await importLinkKey(fromHex(vector.key) ?? new Uint8Array(0)))
    const iv = fromHex(vector.iv) ?? new Uint8Array(0)
    expect(await sealLinkToken(keys, vector.claims, iv)).toBe(vector.token)
    expect(await openLinkToken(keys, vector.token)).toEqual(vector.claims)
    expect(utf8(vector.token)).toHaveLength(LINK_TOKEN_CHARS)
  })
})
