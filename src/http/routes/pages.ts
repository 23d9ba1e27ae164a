// The page behind the link in the verification mail. Loading it changes nothing, for people and scanners
// alike: the proof is a POST that a button sends. The code comes from the URL's fragment, which only the
// browser sees. No framework, nothing from elsewhere.
import { Hono } from "hono"
import type { AppEnv } from "../types.ts"

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Confirm your e-mail address · Sealpost</title>
<link rel="stylesheet" href="/verify-email.css">
<script src="/verify-email.js" defer></script>
</head>
<body>
<main>
<h1>Confirm your e-mail address</h1>
<p>To finish signing up for Sealpost, check the code from our mail and press the button.</p>
<form id="form">
<label for="code">Code</label>
<input id="code" name="code" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" maxlength="32" required>
<button type="submit">Confirm</button>
</form>
<p id="result" role="status" aria-live="polite"></p>
<noscript><p>This page needs JavaScript to send the code. You can also send it yourself: POST
{"handle": the last part of this address, "code": the code} to /api/client/verify-email.</p></noscript>
</main>
</body>
</html>
`

const SCRIPT = `"use strict"
const form = document.getElementById("form")
const code = document.getElementById("code")
const result = document.getElementById("result")
code.value = decodeURIComponent(location.hash.slice(1))
history.replaceState(null, "", location.pathname)
form.addEventListener("submit", async (event) => {
  event.preventDefault()
  const handle = location.pathname.split("/").pop()
  result.textContent = "One moment…"
  try {
    const response = await fetch("/api/client/verify-email", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ handle, code: code.value }),
    })
    const answer = await response.json()
    result.textContent = response.ok ? "Your address is confirmed. You can log in now." : answer.detail
    form.hidden = response.ok
  } catch {
    result.textContent = "The service could not be reached. Please try again."
  }
})
`

const STYLE = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 32rem; margin: 4rem auto; padding: 0 1rem; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
form[hidden] { display: none; }
input, button { font: inherit; padding: 0.5rem; }
input { font-family: ui-monospace, monospace; letter-spacing: 0.1em; }
`

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ")

export const pageRoutes = new Hono<AppEnv>()
  .get("/verify-email/:handle", (c) => c.html(PAGE, 200, { "Content-Security-Policy": CSP }))
  .get("/verify-email.js", (c) => c.body(SCRIPT, 200, { "Content-Type": "text/javascript; charset=utf-8" }))
  .get("/verify-email.css", (c) => c.body(STYLE, 200, { "Content-Type": "text/css; charset=utf-8" }))
