// Forgotten passwords, open to anyone, and changing one, for whoever is logged in.
import { Hono } from "hono"
import { z } from "zod"
import { changePassword, requestPasswordReset, resetPassword } from "../../domain/passwords.ts"
import { emailField, newPasswordField } from "../fields.ts"
import { limitFloods } from "../middleware/floods.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, policyJsonBody, requireJson } from "../validate.ts"

const forgotBody = jsonBody(z.strictObject({ email: emailField }))

const resetBody = policyJsonBody((policy) =>
  z.strictObject({
    token: z.string("The token is needed: what stands behind # in the mail's link.").max(200, "A token has 43 characters."),
    password: newPasswordField(policy),
  }),
)

const changeBody = policyJsonBody((policy) =>
  z.strictObject({
    currentPassword: z.string("The current password is needed.").max(4000, "This is too long."),
    newPassword: newPasswordField(policy),
  }),
)

export const forgottenPasswordRoutes = new Hono<AppEnv>()
  .post("/forgot", limitFloods, requireJson, limitJson, forgotBody, async (c) => {
    await requestPasswordReset(c.var.deps, c.req.valid("json").email)
    return c.json({ message: "success" }, 202)
  })
  .post("/reset", limitFloods, requireJson, limitJson, resetBody, async (c) => {
    const { token, password } = c.req.valid("json")
    await resetPassword(c.var.deps, token, password)
    return c.json({ message: "success" })
  })

export const ownPasswordRoutes = new Hono<GuardedEnv>().post("/change", requireJson, limitJson, changeBody, async (c) => {
  const { currentPassword, newPassword } = c.req.valid("json")
  await changePassword(c.var.deps, c.var.caller, currentPassword, newPassword)
  return c.json({ message: "success" })
})
