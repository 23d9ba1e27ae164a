// An authenticator app: an implementation of RFC 6238 of its own, so that tests do not ask the library
// under test what is right.
import { PASSWORD, type TestClient } from "./client.ts"

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

function fromBase32(text: string): Uint8Array<ArrayBuffer> {
  let bits = ""
  for (const char of text) bits += BASE32.indexOf(char).toString(2).padStart(5, "0")
  return Uint8Array.from({ length: Math.floor(bits.length / 8) }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8), 2))
}

/** The code of RFC 6238 (HMAC-SHA-1, 6 digits, 30 s) for a base 32 secret. */
export async function totpCode(secret: string, nowMs: number): Promise<string> {
  const counter = new Uint8Array(8)
  new DataView(counter.buffer).setBigUint64(0, BigInt(Math.floor(nowMs / 30_000)))
  const key = await crypto.subtle.importKey("raw", fromBase32(secret), { name: "HMAC", hash: "SHA-1" }, false, ["sign"])
  const mac = new DataView(await crypto.subtle.sign("HMAC", key, counter))
  return String((mac.getUint32(mac.getUint8(19) & 15) & 0x7fff_ffff) % 1_000_000).padStart(6, "0")
}

export type Enrolled = { secret: string; recoveryCodes: string[]; code: (nowMs: number) => Promise<string> }

/** Enrols and confirms a second factor for whoever has this access token. Uses the current code up. */
export async function enrol(api: TestClient, token: string): Promise<Enrolled> {
  const enrolled = await api.request("/api/auth/totp/enroll", { token, json: { password: PASSWORD } })
  if (enrolled.status !== 200) throw new Error(`enrol: ${await enrolled.text()}`)
  const { secret } = await enrolled.json<{ secret: string }>()
  const code = (nowMs: number): Promise<string> => totpCode(secret, nowMs)
  const confirmed = await api.request("/api/auth/totp/confirm", { token, json: { code: await code(api.clock.nowMs) } })
  if (confirmed.status !== 200) throw new Error(`confirm: ${await confirmed.text()}`)
  const { recoveryCodes } = await confirmed.json<{ recoveryCodes: string[] }>()
  return { secret, recoveryCodes, code }
}
