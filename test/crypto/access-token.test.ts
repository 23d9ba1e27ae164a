import { SignJWT } from "jose"
import { beforeAll, describe, expect, it } from "vitest"
import { randomBytes, toBase64url, utf8 } from "../../src/crypto/bytes.ts"
import { importAccessTokenKey, signAccessToken, verifyAccessToken } from "../../src/crypto/access-token.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import { newId } from "../../src/ids.ts"

const ISSUER = "https://sealpost.test"
const NOW_MS = Date.parse("2026-11-23T12:00:00Z")
const NOW = NOW_MS / 1000
const claims = { userId: newId(), sessionId: newId() }

let keys: KeyRing<CryptoKey>
let raw: Uint8Array<ArrayBuffer>

beforeAll(async () => {
  raw = randomBytes(32)
  const key = await importAccessTokenKey(raw)
  keys = { currentId: 5, current: key, byId: new Map([[5, key]]) }
})

const verify = (token: string, nowMs = NOW_MS): ReturnType<typeof verifyAccessToken> =>
  verifyAccessToken(keys, ISSUER, token, nowMs)

type Parts = { header?: Record<string, unknown>; payload?: Record<string, unknown>; secret?: Uint8Array }

/** A token that is right in everything but what the test changes. Undefined removes a claim. */
function forge({ header, payload, secret }: Parts = {}): Promise<string> {
  const body = {
    iss: ISSUER,
    aud: "sealpost-api",
    sub: claims.userId,
    sid: claims.sessionId,
    iat: NOW,
    exp: NOW + 900,
    ...payload,
  }
  return new SignJWT(JSON.parse(JSON.stringify(body)) as Record<string, unknown>)
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: "5", ...header })
    .sign(secret ?? raw)
}

describe("access tokens", () => {
  it("carry user and session for fifteen minutes", async () => {
    const token = await signAccessToken(keys, ISSUER, claims, NOW_MS)
    expect(await verify(token)).toEqual(claims)
    expect(await verify(token, NOW_MS + 15 * 60_000)).toEqual(claims)
    expect(await verify(token, NOW_MS + 15 * 60_000 + 5_000)).toBeNull()
  })

  it("are accepted from the test's forge when nothing is wrong with them", async () => {
    expect(await verify(await forge())).toEqual(claims)
  })

  it.each<[string, Parts]>([
    ["B2: HS512", { header: { alg: "HS512" }, secret: new Uint8Array(64).fill(1) }],
    ["B1: another secret", { secret: new Uint8Array(32).fill(1) }],
    ["no kid", { header: { kid: undefined } }],
    ["an unknown kid", { header: { kid: "6" } }],
    ["a kid with a path", { header: { kid: "../../5" } }],
    ["B5: no typ", { header: { typ: undefined } }],
    ["B5: another typ", { header: { typ: "JWT" } }],
    ["B4: no exp", { payload: { exp: undefined } }],
    ["B4: exp in the past", { payload: { exp: NOW - 6 } }],
    ["B4: exp as text", { payload: { exp: String(NOW + 900) } }],
    ["B4: exp in the year 3 · 10^22", { payload: { exp: 1e30 } }],
    ["B4: exp null", { payload: { exp: null } }],
    ["B4: exp negative", { payload: { exp: -1 } }],
    ["B4: iat as text", { payload: { iat: String(NOW) } }],
    ["B4: no iat", { payload: { iat: undefined } }],
    ["B4: iat in the future", { payload: { iat: NOW + 60 } }],
    ["B4: iat long ago and exp far away", { payload: { iat: NOW - 3600, exp: NOW + 3600 } }],
    ["B4: nbf in the future", { payload: { nbf: NOW + 60 } }],
    ["B5: another issuer", { payload: { iss: "https://evil.test" } }],
    ["B5: no issuer", { payload: { iss: undefined } }],
    ["B5: another audience", { payload: { aud: "other" } }],
    ["B5: no audience", { payload: { aud: undefined } }],
    ["no subject", { payload: { sub: undefined } }],
    ["a subject that is no id", { payload: { sub: "1 or 1=1" } }],
    ["no session", { payload: { sid: undefined } }],
    ["a session that is no text", { payload: { sid: 1 } }],
  ])("with %s are refused", async (_, parts) => {
    expect(await verify(await forge(parts))).toBeNull()
  })

  it("B1: without a signature are refused, whatever they call it", async () => {
    const [, payload = "", signature = ""] = (await forge()).split(".")
    for (const alg of ["none", "None", "NONE", "hs256"]) {
      const header = toBase64url(utf8(JSON.stringify({ alg, typ: "at+jwt", kid: "5" })))
      for (const end of ["", ".", `.${signature}`]) expect(await verify(`${header}.${payload}${end}`)).toBeNull()
    }
  })

  it.each<[string, Record<string, unknown>]>([
    ["none", { alg: "none" }],
    ["hs256", { alg: "hs256" }],
    ["HS384", { alg: "HS384" }],
    ["RS256, the secret taken for a public key", { alg: "RS256" }],
    ["ES256", { alg: "ES256" }],
    ["no algorithm", { alg: undefined }],
    ["an extension that must be understood", { crit: ["exp"] }],
    ["a kid that is a number", { kid: 5 }],
    ["a kid in another spelling", { kid: "05" }],
    ["a critical b64", { b64: false, crit: ["b64"] }],
  ])("B2, B5: with a header that says %s are refused, though the HMAC over it is right", async (_, header) => {
    const sign = async (more: Record<string, unknown>): Promise<string> => {
      const text = JSON.stringify({ alg: "HS256", typ: "at+jwt", kid: "5", ...more })
      const head = `${toBase64url(utf8(text))}.${(await forge()).split(".")[1] ?? ""}`
      const mac = await crypto.subtle.sign("HMAC", keys.current, utf8(head))
      return `${head}.${toBase64url(new Uint8Array(mac))}`
    }
    expect(await verify(await sign(header))).toBeNull()
    expect(await verify(await sign({}))).toEqual(claims)
  })

  it("RFC 8725 section 3.10: bring no key of their own", async () => {
    const jwk = { kty: "oct", k: toBase64url(new Uint8Array(32).fill(1)) }
    const secret = new Uint8Array(32).fill(1)
    for (const header of [{ jwk }, { jku: "https://evil.test/keys" }, { x5u: "https://evil.test/cert" }]) {
      expect(await verify(await forge({ header, secret }))).toBeNull()
      expect(await verify(await forge({ header }))).toEqual(claims)
    }
  })

  it("B7: are refused with any one character changed, or spelled differently", async () => {
    const token = await forge()
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === "A" ? "B" : "A"
      expect(await verify(token.slice(0, at) + other + token.slice(at + 1)), `character ${String(at)}`).toBeNull()
    }
    // The last character carries two bits that belong to no byte: only one of its four spellings is ours.
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    const last = alphabet.indexOf(token.at(-1) ?? "")
    for (const bits of [1, 2, 3]) expect(await verify(token.slice(0, -1) + (alphabet[last ^ bits] ?? ""))).toBeNull()
    expect(await verify(token)).toEqual(claims)
    for (const other of [`${token}=`, `${token}.`, ` ${token}`, `${token}A`]) expect(await verify(other)).toBeNull()
  })
})
