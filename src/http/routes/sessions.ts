// Logging in and out, and staying logged in.
import { Hono } from "hono"
import { z } from "zod"
import { checkLogin } from "../../domain/accounts.ts"
import { parseEmailAddress } from "../../domain/email-address.ts"
import { type Role, endSession, refreshSession, startSession } from "../../domain/sessions.ts"
import { fieldError } from "../../errors.ts"
import { clearSessionCookies, refreshCookie, sessionAnswer } from "../session-cookies.ts"
import { limitFloods } from "../middleware/floods.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, requireJson } from "../validate.ts"

// A login says as little as it can: what cannot be an address is just one that nobody has.
const loginBody = z.strictObject({
  email: z.string("An e-mail address is needed.").max(1000, "This is too long."),
  password: z.string("A password is needed.").max(4000, "This is too long."),
  /** For browsers: the tokens come in cookies instead of the body. */
  cookies: z.boolean().default(false),
})
// Nothing in the body: the token is in the browser's cookie.
const refreshBody = z.strictObject({
  refreshToken: z.string("A refresh token is needed.").max(200, "This is too long.").optional(),
})

/** POST /login for one role. */
export const loginRoutes = (role: Role) =>
  new Hono<AppEnv>().post("/login", limitFloods, requireJson, limitJson, jsonBody(loginBody), async (c) => {
    const { email, password, cookies } = c.req.valid("json")
    const user = await checkLogin(c.var.deps, role, parseEmailAddress(email), password)
    return sessionAnswer(c, await startSession(c.var.deps, user.id, user.passwordHash), cookies)
  })

/** POST /refresh: open, because the refresh token is what is shown. */
export const refreshRoutes = new Hono<AppEnv>().post("/refresh", requireJson, limitJson, jsonBody(refreshBody), async (c) => {
  const { refreshToken } = c.req.valid("json")
  const token = refreshToken ?? refreshCookie(c)
  if (token === null) throw fieldError("refreshToken", "missing", "A refresh token is needed.")
  return sessionAnswer(c, await refreshSession(c.var.deps, token), refreshToken === undefined)
})

/** For whoever is logged in. */
export const ownSessionRoutes = new Hono<GuardedEnv>()
  .get("/me", (c) => {
    const { userId, email, role } = c.var.caller
    return c.json({ user: { id: userId, email, role } })
  })
  .post("/logout", async (c) => {
    await endSession(c.var.deps, c.var.caller)
    clearSessionCookies(c)
    return c.json({ message: "success" })
  })
