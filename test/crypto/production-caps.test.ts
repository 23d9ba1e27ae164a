// The wrapper that holds the suite to production's caps (test/support/production-caps.ts) fires, and lets through
// what production lets through.
import { pbkdf2Sync, scryptSync } from "node:crypto"
import { describe, expect, it } from "vitest"

const salt = new Uint8Array(16)

describe("production's caps in tests", () => {
  it("refuse PBKDF2 above 100 000 iterations in WebCrypto, and no fewer", async () => {
    const key = await crypto.subtle.importKey("raw", salt, "PBKDF2", false, ["deriveBits"])
    const derive = async (iterations: number): Promise<ArrayBuffer> =>
      crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256)
    await expect(derive(100_001)).rejects.toThrow(/not supported/)
    expect((await derive(100_000)).byteLength).toBe(32)
    const base = await crypto.subtle.importKey("raw", salt, "pbkdf2", false, ["deriveKey"])
    const deriveKey = async (iterations: number): Promise<CryptoKey> =>
      crypto.subtle.deriveKey({ name: "pbkdf2", hash: "SHA-256", salt, iterations }, base, "HMAC", false, ["sign"])
    await expect(deriveKey(100_001)).rejects.toThrow(/not supported/)
  })

  it("refuse PBKDF2 above 100 000 iterations in node:crypto, and no fewer", () => {
    expect(() => pbkdf2Sync("x", salt, 100_001, 32, "sha256")).toThrow(/not supported/)
    expect(pbkdf2Sync("x", salt, 1000, 32, "sha256")).toHaveLength(32)
  })

  it("refuse scrypt above N·r·p = 2^20, and no cheaper one", () => {
    expect(() => scryptSync("x", salt, 32, { N: 2 ** 15, r: 8, p: 5, maxmem: 2 ** 27 })).toThrow(RangeError)
    expect(scryptSync("x", salt, 32, { N: 2 ** 10, r: 8, p: 1 })).toHaveLength(32)
  })
})
