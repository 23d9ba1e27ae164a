// Access tokens: JWT, HS256 only (RFC 8725 section 3.1), typ `at+jwt` (RFC 9068), 15 minutes, named key.
// jose does the JOSE work; this file fixes every choice it leaves open and turns all failures into null,
// because its errors are not for callers and a token must never reach a log.
import { SignJWT, jwtVerify } from "jose"
import { fromBase64url } from "./bytes.ts"
import type { KeyRing } from "./keyring.ts"
import { isId } from "../ids.ts"

export const ACCESS_TOKEN_LIFETIME_SECONDS = 15 * 60
/** Clocks of different edge machines may disagree by this much. */
export const CLOCK_TOLERANCE_SECONDS = 5

const ALGORITHM = "HS256"
const TYPE = "at+jwt"
const AUDIENCE = "sealpost-api"

export type AccessClaims = { userId: string; sessionId: string }

export const importAccessTokenKey = (raw: Uint8Array<ArrayBuffer>): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"])

/**
 * Signs a token under the ring's current key.
 * @param issuer - the public origin of this deployment
 */
export function signAccessToken(keys: KeyRing<CryptoKey>, issuer: string, claims: AccessClaims, nowMs: number): Promise<string> {
  const issuedAt = Math.floor(nowMs / 1000)
  return new SignJWT({ sid: claims.sessionId })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: String(keys.currentId) })
    .setIssuer(issuer)
    .setAudience(AUDIENCE)
    .setSubject(claims.userId)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + ACCESS_TOKEN_LIFETIME_SECONDS)
    .sign(keys.current)
}

/** The claims of a genuine, current access token of this deployment; null for everything else. */
export async function verifyAccessToken(
  keys: KeyRing<CryptoKey>,
  issuer: string,
  token: string,
  nowMs: number,
): Promise<AccessClaims | null> {
  // One spelling per token: jose would also accept trailing bits that decode to the same bytes.
  const segments = token.split(".")
  if (segments.length !== 3 || segments.some((segment) => segment === "" || fromBase64url(segment) === null)) return null
  try {
    const { payload } = await jwtVerify(
      token,
      (header) => {
        // Typed as text, but a token may say anything.
        const kid: unknown = header.kid
        const key = typeof kid === "string" && /^[1-9]\d{0,2}$/.test(kid) ? keys.byId.get(Number(kid)) : undefined
        if (key === undefined) throw new Error("unknown key id")
        return key
      },
      {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer,
        audience: AUDIENCE,
        requiredClaims: ["exp", "iat", "iss", "aud", "sub", "sid"],
        maxTokenAge: ACCESS_TOKEN_LIFETIME_SECONDS,
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(nowMs),
      },
    )
    const { sub, sid, exp = 0, iat = 0 } = payload
    // Ours end fifteen minutes after they begin; one that says otherwise of itself is not ours.
    if (exp - iat !== ACCESS_TOKEN_LIFETIME_SECONDS) return null
    if (typeof sub !== "string" || typeof sid !== "string" || !isId(sub) || !isId(sid)) return null
    return { userId: sub, sessionId: sid }
  } catch {
    return null
  }
}
