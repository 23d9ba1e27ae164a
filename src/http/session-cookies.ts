// Sessions of browsers: tokens in `__Host-` cookies that no script can read and no other site can send along
// (RFC 6265bis section 4.1.3.2), so that a page never holds them.
import { deleteCookie, getCookie, setCookie } from "hono/cookie"
import { SESSION_IDLE_MS, type TokenPair } from "../domain/sessions.ts"
import { AppError } from "../errors.ts"
import type { AnyContext } from "./types.ts"

const ACCESS = "sealpost_access"
const REFRESH = "sealpost_refresh"
const attributes = { prefix: "host", secure: true, path: "/", httpOnly: true, sameSite: "Strict" } as const

/** Hands the tokens over: in the body for programs, in cookies for a browser that asked for them. */
export function sessionAnswer(c: AnyContext, tokens: TokenPair, inCookies: boolean): Response {
  if (!inCookies) return c.json({ ...tokens, message: "success" })
  setCookie(c, ACCESS, tokens.accessToken, { ...attributes, maxAge: tokens.expiresIn })
  setCookie(c, REFRESH, tokens.refreshToken, { ...attributes, maxAge: SESSION_IDLE_MS / 1000 })
  return c.json({ expiresIn: tokens.expiresIn, message: "success" })
}

export function clearSessionCookies(c: AnyContext): void {
  deleteCookie(c, ACCESS, attributes)
  deleteCookie(c, REFRESH, attributes)
}

/** Does the request come from our own pages, as far as a browser tells? */
function isFromOwnSite(c: AnyContext, mayLackOrigin: boolean): boolean {
  const site = c.req.header("sec-fetch-site")
  const origin = c.req.header("origin")
  const isOwnOrigin = origin === undefined ? mayLackOrigin || site === "same-origin" : origin === c.var.deps.policy.publicOrigin
  return isOwnOrigin && (site === undefined || site === "same-origin" || site === "none")
}

function crossSite(c: AnyContext): AppError {
  const own = c.var.deps.policy.publicOrigin
  const detail = `A session in cookies is good for this service's own pages only: send "Origin: ${own}", or the token as a bearer.`
  return new AppError("cross_site", { detail })
}

/**
 * Refuses a request that brings cookies but does not come from our own pages. SameSite keeps other sites out; this also
 * keeps out other hosts of the same site. `Origin` is on every request that changes something.
 * @throws AppError `cross_site`
 */
function requireOwnSite(c: AnyContext): void {
  if (!isFromOwnSite(c, ["GET", "HEAD"].includes(c.req.method))) throw crossSite(c)
}

/**
 * Refuses to hand out cookies to a page that is not ours: it would log its visitor in to an account of its own choice.
 * Programs send no `Origin`, browsers always do.
 * @throws AppError `cross_site`
 */
export function requireOwnPage(c: AnyContext): void {
  if (!isFromOwnSite(c, true)) throw crossSite(c)
}

function cookie(c: AnyContext, name: string): string | null {
  const value = getCookie(c, name, "host")
  if (value === undefined) return null
  requireOwnSite(c)
  return value
}

/** The access token of a browser's session; null when there is none. */
export const accessCookie = (c: AnyContext): string | null => cookie(c, ACCESS)

/** The refresh token of a browser's session; null when there is none. */
export const refreshCookie = (c: AnyContext): string | null => cookie(c, REFRESH)
