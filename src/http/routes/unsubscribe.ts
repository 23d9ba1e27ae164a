// The links at the end of our mails about files (RFC 8058). A mail program posts `List-Unsubscribe=One-Click`; a person
// finds a page with a button that posts the same, without a script. Loading the page asks nobody and changes nothing, so
// scanners may. The token is all that counts: no login, no cookie, and nothing is said of whose it is.
import { type Context, Hono } from "hono"
import { bodyLimit } from "hono/body-limit"
import { type Notification, followUnsubscribeLink, openUnsubscribeLink } from "../../domain/notifications.ts"
import { AppError, fieldError } from "../../errors.ts"
import { limitFloods } from "../middleware/floods.ts"
import type { AppEnv } from "../types.ts"

const MAX_FORM_BYTES = 4096

const sentences: Record<Notification, string> = {
  newFiles: "mails about new files for you",
  expiryReminders: "reminders of files that are about to expire",
  deliveries: "mails about deliveries of your files",
  expiryReports: "reports on files of yours that are about to expire",
}

const CSP = ["default-src 'none'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"].join(
  "; ",
)

const button = (name: string, value: string, label: string): string =>
  `<form method="post"><input type="hidden" name="${name}" value="${value}"><button type="submit">${label}</button></form>`

const OFF = button("List-Unsubscribe", "One-Click", "No more of these mails")
const ON = button("List-Unsubscribe", "Undo", "Send them again")

function page(c: Context<AppEnv>, title: string, sentence: string, form: string): Response | Promise<Response> {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Sealpost</title>
<link rel="stylesheet" href="/page.css">
</head>
<body>
<main>
<h1>${title}</h1>
<p role="status">${sentence}</p>
${form}
</main>
</body>
</html>
`
  return c.html(html, 200, { "Content-Security-Policy": CSP })
}

const FORM = /^(?:application\/x-www-form-urlencoded|multipart\/form-data)\s*(?:;|$)/i

/** What the form wants; one field with one meaning, or nothing happens. */
async function wishOf(c: Context<AppEnv>): Promise<"off" | "on"> {
  if (!FORM.test(c.req.header("content-type") ?? ""))
    throw new AppError("unsupported_media_type", { detail: "Send List-Unsubscribe=One-Click as a form." })
  const form = await c.req.formData().catch(() => {
    throw new AppError("malformed_request", { detail: "The form cannot be read." })
  })
  const values = form.getAll("List-Unsubscribe")
  if (values.length === 1 && values[0] === "One-Click") return "off"
  if (values.length === 1 && values[0] === "Undo") return "on"
  throw fieldError("List-Unsubscribe", "invalid_value", "Send List-Unsubscribe=One-Click.")
}

const limitForm = bodyLimit({
  maxSize: MAX_FORM_BYTES,
  onError: () => {
    throw new AppError("payload_too_large", { detail: `A form here may have ${String(MAX_FORM_BYTES)} bytes.` })
  },
})

export const unsubscribeRoutes = new Hono<AppEnv>()
  .get("/:token", limitFloods, async (c) => {
    const { notification } = await openUnsubscribeLink(c.var.deps, c.req.param("token"))
    return page(c, "Fewer mails", `Press the button to get no more ${sentences[notification]}.`, OFF)
  })
  .post("/:token", limitFloods, limitForm, async (c) => {
    const token = c.req.param("token")
    // A forged link is none, whatever it brings along.
    await openUnsubscribeLink(c.var.deps, token)
    const isOn = (await wishOf(c)) === "on"
    const notification = await followUnsubscribeLink(c.var.deps, token, isOn)
    return isOn
      ? page(c, "As before", `You will get ${sentences[notification]} again.`, OFF)
      : page(c, "Done", `You will get no more ${sentences[notification]}.`, ON)
  })
