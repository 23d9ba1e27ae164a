// Becoming a client: sign-up, proof of address, another mail. Open to anyone.
import { Hono } from "hono"
import { z } from "zod"
import { resendVerification, signUp, verifyEmail } from "../../domain/accounts.ts"
import { emailField, newPasswordField } from "../fields.ts"
import { limitFloods } from "../middleware/floods.ts"
import type { AppEnv } from "../types.ts"
import { jsonBody, limitJson, policyJsonBody, requireJson } from "../validate.ts"

const resendBody = z.strictObject({ email: emailField })
const verifyBody = z.strictObject({
  handle: z.string("The handle is needed: the last part of verifyUrl.").max(200, "A handle has 60 characters."),
  code: z.string("The code from the mail is needed.").max(32, "A code has 8 characters."),
  password: z.string("A password is text.").max(4000, "This is too long.").optional(),
})

const signUpBody = policyJsonBody((policy) => z.strictObject({ email: emailField, password: newPasswordField(policy) }))

export const accountRoutes = new Hono<AppEnv>()
  .post("/signup", limitFloods, requireJson, limitJson, signUpBody, async (c) => {
    const { email, password } = c.req.valid("json")
    const { verifyUrl } = await signUp(c.var.deps, email, password)
    return c.json({ verifyUrl, message: "success" }, 202)
  })
  .post("/resend-verification", limitFloods, requireJson, limitJson, jsonBody(resendBody), async (c) => {
    const { verifyUrl } = await resendVerification(c.var.deps, c.req.valid("json").email)
    return c.json({ verifyUrl, message: "success" }, 202)
  })
  .post("/verify-email", limitFloods, requireJson, limitJson, jsonBody(verifyBody), async (c) => {
    const { handle, code, password } = c.req.valid("json")
    await verifyEmail(c.var.deps, handle, code, password ?? null)
    return c.json({ message: "success" })
  })
