import fc from "fast-check"
import { Secret, TOTP } from "otpauth"
import { describe, expect, it } from "vitest"
import { fromBase64url, fromHex, toBase64url, utf8 } from "../../src/crypto/bytes.ts"
import type { KeyRing } from "../../src/crypto/keyring.ts"
import {
  formatTotpSecret,
  hashRecoveryCode,
  importTotpKey,
  matchTotpStep,
  newRecoveryCode,
  newTotpSecret,
  openTotpSecret,
  sealTotpSecret,
  totpUri,
} from "../../src/crypto/totp.ts"
import { newId } from "../../src/ids.ts"
import { totpCode } from "../support/totp.ts"
import vectors from "../vectors/totp.json"

const seed = utf8(vectors.seeds.SHA1)

async function ringOf(raw: Uint8Array<ArrayBuffer>, id = 7): Promise<KeyRing<CryptoKey>> {
  const key = await importTotpKey(raw)
  return { currentId: id, current: key, byId: new Map([[id, key]]) }
}

describe("codes", () => {
  it.each(vectors.totp)("of RFC 6238 at $timeSeconds s are the library's, for every hash", ({ timeSeconds, ...codes }) => {
    for (const algorithm of ["SHA1", "SHA256", "SHA512"] as const) {
      const secret = new Secret({ buffer: utf8(vectors.seeds[algorithm]).buffer })
      expect(TOTP.generate({ secret, algorithm, digits: 8, period: 30, timestamp: timeSeconds * 1000 })).toBe(codes[algorithm])
    }
  })

  it.each(vectors.totp)("of RFC 6238 at $timeSeconds s, in six digits, are ours", async ({ timeSeconds, SHA1 }) => {
    const code = SHA1.slice(2)
    expect(matchTotpStep(seed, code, timeSeconds * 1000)).toBe(Math.floor(timeSeconds / 30))
    expect(await totpCode(formatTotpSecret(seed), timeSeconds * 1000)).toBe(code)
  })

  it("of RFC 4226 are ours, step by step", () => {
    vectors.hotp.forEach((code, step) => {
      expect(matchTotpStep(seed, code, step * 30_000)).toBe(step)
    })
  })

  it("work one step early and one step late, and no longer", () => {
    const [code = ""] = vectors.hotp.slice(5)
    const at = 5 * 30_000
    for (const nowMs of [at - 30_000, at, at + 29_999, at + 59_999]) expect(matchTotpStep(seed, code, nowMs)).toBe(5)
    for (const nowMs of [at - 30_001, at + 60_000]) expect(matchTotpStep(seed, code, nowMs)).toBeNull()
  })

  it.each(["", "25467", "2546766", " 254676", "25467x", "+54676", "２５４６７６", "254676\n", "1e5"])(
    "like %j are none, where 254676 is right",
    (code) => {
      expect(matchTotpStep(seed, code, 5 * 30_000)).toBeNull()
      expect(matchTotpStep(seed, "254676", 5 * 30_000)).toBe(5)
    },
  )

  it("are those of any authenticator app, whatever secret and time", async () => {
    const input = fc.tuple(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.integer({ min: 0, max: 4e12 }))
    await fc.assert(
      fc.asyncProperty(input, async ([bytes, nowMs]) => {
        const raw = Uint8Array.from(bytes)
        expect(matchTotpStep(raw, await totpCode(formatTotpSecret(raw), nowMs), nowMs)).not.toBeNull()
      }),
      { numRuns: 50 },
    )
  })
})

describe("a secret", () => {
  it("has 160 random bits, and a form for apps", () => {
    const raw = newTotpSecret()
    expect(raw).toHaveLength(20)
    expect(newTotpSecret()).not.toEqual(raw)
    expect(formatTotpSecret(seed)).toBe("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    const uri = new URL(totpUri(seed, "a+b@example.com"))
    expect([uri.protocol, uri.host, decodeURIComponent(uri.pathname)]).toEqual(["otpauth:", "totp", "/Sealpost:a+b@example.com"])
    expect(Object.fromEntries(uri.searchParams)).toEqual({
      issuer: "Sealpost",
      secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
      algorithm: "SHA1",
      digits: "6",
      period: "30",
    })
  })

  it("that was sealed once still opens (frozen)", async () => {
    const { key, secret, ...stored } = vectors.sealedSecret
    const ring = await ringOf(fromHex(key) ?? new Uint8Array(0))
    expect(await openTotpSecret(ring, stored)).toEqual(utf8(secret))
  })

  it("opens for its own user, enrolment and key only, and with no bit changed", async () => {
    const ring = await ringOf(crypto.getRandomValues(new Uint8Array(32)))
    const name = { userId: newId(), id: newId() }
    const sealed = await sealTotpSecret(ring, name, seed)
    const stored = { ...name, ...sealed }
    expect(await openTotpSecret(ring, stored)).toEqual(seed)
    expect(toBase64url(seed)).not.toBe(sealed.sealedSecret)
    expect((await sealTotpSecret(ring, name, seed)).sealedSecret).not.toBe(sealed.sealedSecret)
    for (const other of [{ userId: newId() }, { id: newId() }, { keyId: 8 }, { sealedSecret: "" }, { sealedSecret: "x y" }]) {
      expect(await openTotpSecret(ring, { ...stored, ...other })).toBeNull()
    }
    const bytes = fromBase64url(sealed.sealedSecret) ?? new Uint8Array(0)
    expect(bytes).toHaveLength(48)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await openTotpSecret(ring, { ...stored, sealedSecret: toBase64url(changed) }), `bit ${String(bit)}`).toBeNull()
    }
    expect(await openTotpSecret(await ringOf(crypto.getRandomValues(new Uint8Array(32))), stored)).toBeNull()
  })
})

describe("recovery codes", () => {
  it("have 120 random bits and can be read aloud", () => {
    const codes = Array.from({ length: 100 }, newRecoveryCode)
    expect(new Set(codes).size).toBe(100)
    for (const code of codes) expect(code).toMatch(/^(?:[0-9A-HJKMNP-TV-Z]{6}-){3}[0-9A-HJKMNP-TV-Z]{6}$/)
  })

  it("are hashed with their user (frozen), however they are typed", async () => {
    const { userId, code, hash } = vectors.recoveryCode
    expect(await hashRecoveryCode(userId, code)).toBe(hash)
    for (const typed of [code.toLowerCase(), code.replaceAll("-", " "), ` ${code}\n`, code.replace("0", "o").replace("1", "l")]) {
      expect(await hashRecoveryCode(userId, typed)).toBe(hash)
    }
    expect(await hashRecoveryCode(newId(), code)).not.toBe(hash)
    expect(await hashRecoveryCode(userId, code.replace("A", "B"))).not.toBe(hash)
  })

  it.each([
    "",
    "254676",
    "012345-6789AB-CDEFGH-JKMNP",
    "012345-6789AB-CDEFGH-JKMNPQR",
    "012345-6789AB-CDEFGH-JKMNPU",
    "💣".repeat(12),
  ])("are never %j", async (typed) => {
    expect(await hashRecoveryCode(newId(), typed)).toBeNull()
  })
})
