// Who may pass. A guard is the first thing in a sub-app, so a route inside cannot forget it.
import { createMiddleware } from "hono/factory"
import { type Caller, authenticate, mustEnrol, noteRefusedAccess } from "../../domain/sessions.ts"
import { AppError } from "../../errors.ts"
import { accessCookie } from "../session-cookies.ts"
import type { AnyContext, GuardedEnv } from "../types.ts"

/**
 * The token of an `Authorization: Bearer` header (RFC 6750 section 2.1), or null when there is no such header.
 * @throws AppError `invalid_token` for a header that is there but not that
 */
export function bearerToken(header: string | undefined): string | null {
  if (header === undefined) return null
  const match = /^Bearer ([A-Za-z0-9\-._~+/]+=*)$/.exec(header)
  if (match?.[1] === undefined)
    throw new AppError("invalid_token", { detail: "Send the access token as: Authorization: Bearer <token>" })
  return match[1]
}

/** The access token that a request brings: as a Bearer token, or else in a browser's cookie. */
export const credential = (c: AnyContext): string | null => bearerToken(c.req.header("authorization")) ?? accessCookie(c)

async function callerOf(c: AnyContext): Promise<Caller> {
  const token = credential(c)
  if (token === null)
    throw new AppError("authentication_required", {
      detail: "Log in and send the access token as: Authorization: Bearer <token>",
    })
  return authenticate(c.var.deps, token)
}

async function refuse(c: AnyContext, caller: Caller, detail: string): Promise<never> {
  await noteRefusedAccess(c.var.deps, caller)
  throw new AppError("forbidden", { detail })
}

/** @throws AppError `second_factor_enrollment_required` */
function requireEnrolmentOf(c: AnyContext, caller: Caller): void {
  if (mustEnrol(c.var.deps, caller)) {
    throw new AppError("second_factor_enrollment_required", {
      detail: "Operations users need a second factor here. Enrol one: POST /api/auth/totp/enroll, then /confirm.",
    })
  }
}

/** Lets through whoever has a live session. */
export const requireLogin = createMiddleware<GuardedEnv>(async function requireLogin(c, next) {
  c.set("caller", await callerOf(c))
  await next()
})

/** After `requireLogin`: lets through whoever has the second factor that the deployment asks for. */
export const requireEnrolment = createMiddleware<GuardedEnv>(async function requireEnrolment(c, next) {
  requireEnrolmentOf(c, c.var.caller)
  await next()
})

/** Lets operations users through, with the second factor that the deployment asks for. */
export const requireOps = createMiddleware<GuardedEnv>(async function requireOps(c, next) {
  const caller = await callerOf(c)
  if (caller.role !== "ops") return refuse(c, caller, "This is for operations users.")
  requireEnrolmentOf(c, caller)
  c.set("caller", caller)
  await next()
})

/** Lets clients through whose address is proven. */
export const requireClient = createMiddleware<GuardedEnv>(async function requireClient(c, next) {
  const caller = await callerOf(c)
  if (caller.role !== "client" || !caller.isVerified)
    return refuse(c, caller, "This is for clients with a proven e-mail address.")
  c.set("caller", caller)
  await next()
})
