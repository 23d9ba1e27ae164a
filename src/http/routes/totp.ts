// The second factor of whoever is logged in: enrolling, confirming, recovery codes, removing.
import { Hono } from "hono"
import { z } from "zod"
import { confirmTotp, enrolTotp, removeTotp, renewRecoveryCodes } from "../../domain/totp.ts"
import { codeField, currentPasswordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, requireJson } from "../validate.ts"

const enrolBody = z.strictObject({ password: currentPasswordField })
const codeBody = z.strictObject({ code: codeField })
const removeBody = z.strictObject({ password: currentPasswordField, code: codeField })

/** Open also to ops who must enrol before anything else. */
export const totpRoutes = new Hono<GuardedEnv>()
  .post("/enroll", requireJson, limitJson, jsonBody(enrolBody), async (c) => {
    const { secret, otpauthUri } = await enrolTotp(c.var.deps, c.var.caller, c.req.valid("json").password)
    return c.json({ secret, otpauthUri, message: "success" })
  })
  .post("/confirm", requireJson, limitJson, jsonBody(codeBody), async (c) => {
    const recoveryCodes = await confirmTotp(c.var.deps, c.var.caller, c.req.valid("json").code)
    return c.json({ recoveryCodes, message: "success" })
  })
  .post("/recovery-codes", requireJson, limitJson, jsonBody(codeBody), async (c) => {
    const recoveryCodes = await renewRecoveryCodes(c.var.deps, c.var.caller, c.req.valid("json").code)
    return c.json({ recoveryCodes, message: "success" })
  })
  .delete("/", requireJson, limitJson, jsonBody(removeBody), async (c) => {
    const { password, code } = c.req.valid("json")
    await removeTotp(c.var.deps, c.var.caller, password, code)
    return c.json({ message: "success" })
  })
