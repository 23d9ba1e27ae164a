import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { concatBytes, fromBase64url, fromHex, randomBytes, toBase64url, utf8 } from "../../src/crypto/bytes.ts"
import {
  LINK_TOKEN_CHARS,
  type LinkClaims,
  type LinkKey,
  contentsOf,
  importLinkKey,
  openLinkToken,
  sealLinkToken,
} from "../../src/crypto/link-token.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import { newId } from "../../src/ids.ts"
import linkVector from "../vectors/link-token-v1.json"
import selectionVector from "../vectors/link-token-v2.json"

const ringOf = (id: number, key: LinkKey): KeyRing<LinkKey> => ({ currentId: id, current: key, byId: new Map([[id, key]]) })

const fileClaims = {
  kind: "file" as const,
  linkId: newId(),
  userId: newId(),
  fileId: newId(),
  expiresAtSeconds: 1_800_000_000,
}
const selectionClaims = {
  kind: "selection" as const,
  selectionId: newId(),
  userId: newId(),
  contents: newId().replaceAll("-", ""),
  expiresAtSeconds: 1_800_000_000,
}

describe.each([fileClaims, selectionClaims])("a link token of kind $kind", (claims: LinkClaims) => {
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
    const named = claims.kind === "file" ? [claims.linkId, claims.fileId] : [claims.selectionId, claims.contents]
    const ids = [...named, claims.userId].map((id) => fromHex(id.replaceAll("-", "")) ?? new Uint8Array(1))
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

describe("the two kinds", () => {
  it("are never taken for each other, whatever their claims are", async () => {
    const keys = ringOf(1, await importLinkKey(randomBytes(32)))
    const id = fc.uuid().map((text) => text.toLowerCase())
    const seconds = fc.nat({ max: Number.MAX_SAFE_INTEGER })
    await fc.assert(
      fc.asyncProperty(id, id, id, seconds, async (first, userId, second, expiresAtSeconds) => {
        const link = { kind: "file" as const, linkId: first, userId, fileId: second, expiresAtSeconds }
        const contents = second.replaceAll("-", "")
        const selection = { kind: "selection" as const, selectionId: first, userId, contents, expiresAtSeconds }
        expect(await openLinkToken(keys, await sealLinkToken(keys, link))).toEqual(link)
        expect(await openLinkToken(keys, await sealLinkToken(keys, selection))).toEqual(selection)
      }),
      { numRuns: 50 },
    )
  })

  it("are all that there is: another version is refused, however genuine", async () => {
    const key = await importLinkKey(randomBytes(32))
    const keys = ringOf(1, key)
    const bytes = fromBase64url(await sealLinkToken(keys, fileClaims)) ?? new Uint8Array(0)
    const open: (LinkClaims | null)[] = []
    for (let version = 0; version < 256; version++) {
      const signed = bytes.slice(0, 74)
      // The stream cipher lets the first byte of the claims be exchanged; only who has the key can sign that.
      signed[17] = (signed[17] ?? 0) ^ 1 ^ version
      const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key.mac, signed))
      open.push(await openLinkToken(keys, toBase64url(concatBytes(signed, mac))))
    }
    expect(open.flatMap((claims, version) => (claims === null ? [] : [[version, claims.kind]]))).toEqual([
      [1, "file"],
      [2, "selection"],
    ])
  })

  it("bind a selection to its files and their order", async () => {
    const [a, b] = [newId(), newId()]
    const all = await Promise.all([[a], [b], [a, b], [b, a], [a, b, a]].map(contentsOf))
    expect(new Set(all).size).toBe(all.length)
    for (const contents of all) expect(contents).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe.each([
  ["link", { ...linkVector, claims: { kind: "file" as const, ...linkVector.claims } }],
  ["selection", { ...selectionVector, claims: { kind: "selection" as const, ...selectionVector.claims } }],
])("the frozen format of a %s", (_, vector) => {
  it("is what it was", async () => {
    const keys = ringOf(vector.keyId, await importLinkKey(fromHex(vector.key) ?? new Uint8Array(0)))
    const iv = fromHex(vector.iv) ?? new Uint8Array(0)
    expect(await sealLinkToken(keys, vector.claims, iv)).toBe(vector.token)
    expect(await openLinkToken(keys, vector.token)).toEqual(vector.claims)
    expect(utf8(vector.token)).toHaveLength(LINK_TOKEN_CHARS)
  })
})

it("the frozen contents of a selection are what they were", async () => {
  expect(await contentsOf(selectionVector.files)).toBe(selectionVector.claims.contents)
})
