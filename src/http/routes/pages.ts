// The page at our own address, to which mails send people, and the pages behind the links in them. Loading one changes nothing, for people and scanners alike: what counts
// is a POST that a button sends. Code and token come from the URL's fragment, which only the browser sees. No
// framework, nothing from elsewhere.
import { Hono } from "hono"
import type { AppEnv } from "../types.ts"

const page = (title: string, script: string | null, content: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title === "Sealpost" ? title : `${title} · Sealpost`}</title>
<link rel="stylesheet" href="/page.css">${script === null ? "" : `\n<script src="${script}" defer></script>`}
</head>
<body>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`

const FRONT_PAGE = page(
  "Sealpost",
  null,
  `<p>Documents wait here for those they were posted for. There is nothing to log in to on this page: use the program or
page that whoever sends you documents has named, or ask them for it.</p>
<p>Programs find files under <code>/api/client</code> and <code>/api/ops</code>.</p>`,
)

const VERIFY_PAGE = page(
  "Confirm your e-mail address",
  "/verify-email.js",
  `<p>To finish signing up for Sealpost, check the code from our mail and press the button.</p>
<form id="form" method="post">
<label for="code">Code</label>
<input id="code" name="code" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" maxlength="32" required>
<div id="owner" hidden>
<label for="password">The password that you chose when you signed up</label>
<input id="password" name="password" type="password" autocomplete="current-password">
</div>
<button type="submit">Confirm</button>
</form>
<p id="result" role="status" aria-live="polite"></p>
<noscript><p>This page needs JavaScript to send the code. You can also send it yourself: POST
{"handle": the last part of this address, "code": the code} to /api/client/verify-email.</p></noscript>`,
)

const resetPage = (minChars: number): string =>
  page(
    "Choose a new password",
    "/reset-password.js",
    `<p>Choose a password of at least ${String(minChars)} characters that you use nowhere else, for example several words.</p>
<form id="form" method="post">
<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" required>
<button type="submit">Save</button>
</form>
<p id="result" role="status" aria-live="polite"></p>
<noscript><p>This page needs JavaScript to send the password. You can also send it yourself: POST
{"token": what stands behind # in this address, "password": the new password} to /api/auth/password/reset.</p></noscript>`,
  )

/** Sends JSON and shows what comes of it; `done` is the sentence for success. */
const SEND = `async function send(path, body, done) {
  result.textContent = "One moment…"
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    })
    const answer = await response.json()
    const faults = (answer.errors || []).map((error) => error.message).join(" ")
    result.textContent = response.ok ? done : faults || answer.detail
    form.hidden = response.ok
    return answer
  } catch {
    result.textContent = "The service could not be reached. Please try again."
    return {}
  }
}
`

const VERIFY_SCRIPT = `"use strict"
const form = document.getElementById("form")
const code = document.getElementById("code")
const owner = document.getElementById("owner")
const password = document.getElementById("password")
const result = document.getElementById("result")
code.value = location.hash.slice(1)
history.replaceState(null, "", location.pathname)
form.addEventListener("submit", async (event) => {
  event.preventDefault()
  const body = { handle: location.pathname.split("/").pop(), code: code.value }
  if (!owner.hidden) body.password = password.value
  const answer = await send("/api/client/verify-email", body, "Your address is confirmed. You can log in now.")
  if (answer.code !== "password_required") return
  result.textContent = "You signed up from elsewhere: enter the password that you chose then, too. If it was not you who signed up, close this page."
  owner.hidden = false
  password.required = true
  password.focus()
})
${SEND}`

const RESET_SCRIPT = `"use strict"
const form = document.getElementById("form")
const password = document.getElementById("password")
const result = document.getElementById("result")
const token = location.hash.slice(1)
history.replaceState(null, "", location.pathname)
form.addEventListener("submit", async (event) => {
  event.preventDefault()
  const done = "Your password is changed and all sessions have ended. You can log in now."
  await send("/api/auth/password/reset", { token, password: password.value }, done)
})
${SEND}`

const STYLE = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 32rem; margin: 4rem auto; padding: 0 1rem; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
form[hidden] { display: none; }
input, button { font: inherit; padding: 0.5rem; }
#owner { flex-basis: 100%; }
#code { font-family: ui-monospace, monospace; letter-spacing: 0.1em; }
`

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  // The scripts send for the forms. Without them a form must not put what was typed into an address.
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ")

const JAVASCRIPT = { "Content-Type": "text/javascript; charset=utf-8" }

export const pageRoutes = new Hono<AppEnv>()
  .get("/", (c) => c.html(FRONT_PAGE, 200, { "Content-Security-Policy": CSP }))
  .get("/verify-email/:handle", (c) => c.html(VERIFY_PAGE, 200, { "Content-Security-Policy": CSP }))
  .get("/verify-email.js", (c) => c.body(VERIFY_SCRIPT, 200, JAVASCRIPT))
  .get("/reset-password", (c) => c.html(resetPage(c.var.deps.policy.passwordMinChars), 200, { "Content-Security-Policy": CSP }))
  .get("/reset-password.js", (c) => c.body(RESET_SCRIPT, 200, JAVASCRIPT))
  .get("/page.css", (c) => c.body(STYLE, 200, { "Content-Type": "text/css; charset=utf-8" }))
