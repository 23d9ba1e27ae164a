// Logging in and out, and staying logged in.
import { Hono } from "hono"
import { z } from "zod"
import { checkLogin } from "../../domain/accounts.ts"
import { parseEmailAddress } from "../../domain/email-address.ts"
import { permissionsOf } from "../../domain/permissions.ts"
import {
  type ListedSession,
  type Role,
  endAllSessions,
  endOwnSession,
  endSession,
  mustEnrol,
  pageOfSessions,
  refreshSession,
  startSession,
} from "../../domain/sessions.ts"
import { fieldError } from "../../errors.ts"
import { clientLabel } from "../../protocol/user-agent.ts"
import { codeField, cursorField, limitField } from "../fields.ts"
import { clearSessionCookies, refreshCookie, requireOwnPage, sessionAnswer } from "../session-cookies.ts"
import { limitFloods } from "../middleware/floods.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"

// A login says as little as it can: what cannot be an address is just one that nobody has.
const loginBody = z.strictObject({
  email: z.string("An e-mail address is needed.").max(1000, "This is too long."),
  password: z.string("A password is needed.").max(4000, "This is too long."),
  /** For browsers: the tokens come in cookies instead of the body. */
  cookies: z.boolean().default(false),
  /** Where a second factor guards the account. */
  code: codeField.optional(),
})
// Nothing in the body: the token is in the browser's cookie.
const refreshBody = z.strictObject({
  refreshToken: z.string("A refresh token is needed.").max(200, "This is too long.").optional(),
})

/** POST /login for one role. */
export const loginRoutes = (role: Role) =>
  new Hono<AppEnv>().post("/login", limitFloods, requireJson, limitJson, jsonBody(loginBody), async (c) => {
    const { email, password, cookies, code } = c.req.valid("json")
    if (cookies) requireOwnPage(c)
    const login = await checkLogin(c.var.deps, role, parseEmailAddress(email), password, code ?? null)
    return sessionAnswer(c, await startSession(c.var.deps, login, clientLabel(c.req.header("user-agent"))), cookies)
  })

/** POST /refresh: open, because the refresh token is what is shown. */
export const refreshRoutes = new Hono<AppEnv>().post(
  "/refresh",
  limitFloods,
  requireJson,
  limitJson,
  jsonBody(refreshBody),
  async (c) => {
    const { refreshToken } = c.req.valid("json")
    const token = refreshToken ?? refreshCookie(c)
    if (token === null) throw fieldError("refreshToken", "missing", "A refresh token is needed.")
    return sessionAnswer(c, await refreshSession(c.var.deps, token), refreshToken === undefined)
  },
)

/** For whoever is logged in, also while a second factor is still to be enrolled. */
export const ownSessionRoutes = new Hono<GuardedEnv>()
  .get("/me", (c) => {
    const { userId, email, role, hasSecondFactor } = c.var.caller
    const secondFactor = hasSecondFactor ? "active" : mustEnrol(c.var.deps, c.var.caller) ? "required" : "none"
    return c.json({ user: { id: userId, email, role, secondFactor, permissions: permissionsOf(c.var.caller) } })
  })
  .post("/logout", async (c) => {
    await endSession(c.var.deps, c.var.caller)
    clearSessionCookies(c)
    return c.json({ message: "success" })
  })

const DEFAULT_LIMIT = 50
const pageQuery = z.strictObject({ limit: limitField.default(DEFAULT_LIMIT), cursor: cursorField.optional() })
const endQuery = z.strictObject({ except: z.literal("current", "The only exception there is: current.").optional() })

/** Exactly what a person sees of an own session: nothing of where it came from. */
const sessionJson = (session: ListedSession) => ({
  id: session.id,
  label: session.label,
  current: session.isCurrent,
  createdAt: new Date(session.createdAtMs).toISOString(),
  lastUsedAt: new Date(session.lastUsedAtMs).toISOString(),
  expiresAt: new Date(session.expiresAtMs).toISOString(),
})

/** A person's own sessions: seeing them, ending one or all. */
export const sessionListRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(pageQuery), async (c) => {
    const { sessions, nextCursor } = await pageOfSessions(c.var.deps, c.var.caller, c.req.valid("query"))
    return c.json({ sessions: sessions.map(sessionJson), nextCursor })
  })
  .delete("/", singleParameters, queryParameters(endQuery), async (c) => {
    const keepsCurrent = c.req.valid("query").except === "current"
    await endAllSessions(c.var.deps, c.var.caller, keepsCurrent)
    if (!keepsCurrent) clearSessionCookies(c)
    return c.json({ message: "success" })
  })
  .delete("/:id", async (c) => {
    const id = pathId(c.req.param("id"), "session")
    await endOwnSession(c.var.deps, c.var.caller, id)
    if (id === c.var.caller.sessionId) clearSessionCookies(c)
    return c.body(null, 204)
  })
