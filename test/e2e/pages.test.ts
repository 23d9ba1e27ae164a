// The pages behind mailed links, in a real browser against `npm start`: what loading them does not do, what their
// buttons do, and what a browser's session is worth to other sites.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startMailServer } from "../support/mail-server.ts"
import { startBrowser } from "./browser.ts"
import { PROJECT_DIR, type Service, freePort, printedAccount, startService } from "./service.ts"

const PASSWORD = "a password of fifteen or more"
const NEW_PASSWORD = "quite another one, as long"

let dir: string
let mail: Awaited<ReturnType<typeof startMailServer>>
let service: Service
let browser: Browser
let context: BrowserContext
let page: Page
let complaints: string[]

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-pages-"))
  mail = await startMailServer()
  const args = [
    ...["--persist-to", join(dir, "state"), "--var", "MAIL_TRANSPORT:mailchannels"],
    ...["--var", `MAILCHANNELS_BASE_URL:${mail.url}`, "--var", "MAILCHANNELS_API_KEY:a-key-for-the-stand-in"],
    "--var=MAIL_FROM:Sealpost <files@example.com>",
  ]
  service = await startService(args, await freePort())
  browser = await startBrowser()
  context = await browser.newContext()
  page = await context.newPage()
  complaints = []
  page.on("console", (message) => {
    // What a refusal's status prints is no complaint about the page.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text())
  })
  page.on("pageerror", (error) => complaints.push(error.message))
})

afterAll(async () => {
  await browser.close()
  await service.stop()
  await mail.close()
  rmSync(dir, { recursive: true, force: true })
})

async function post(path: string, body: unknown): Promise<Response> {
  const headers = { "Content-Type": "application/json" }
  return fetch(service.origin + path, { method: "POST", headers, body: JSON.stringify(body) })
}

const logIn = (email: string, password: string): Promise<Response> => post("/api/client/login", { email, password })

/** The newest link mailed to an address. */
async function mailedLink(email: string): Promise<string> {
  for (let i = 0; i < 100; i++) {
    const texts = mail.requests.map(({ body }) => JSON.stringify(body)).filter((text) => text.includes(email))
    const link = /http:\/\/[^\s"\\]+#[^\s"\\]+/.exec(texts.at(-1) ?? "")?.[0]
    if (link !== undefined) return link
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`no mail to ${email}`)
}

async function signUp(email: string): Promise<string> {
  expect((await post("/api/client/signup", { email, password: PASSWORD })).status).toBe(202)
  return mailedLink(email)
}

/** Waits until the page says something like that. */
const shows = (sentence: RegExp) => expect.poll(() => page.locator("#result").textContent()).toMatch(sentence)

describe("the page that proves an address", () => {
  it("C7, C8: changes nothing by being fetched or run; the button confirms, once and for all", async () => {
    const email = "reader@example.net"
    const link = await signUp(email)
    for (const method of ["GET", "HEAD"]) expect((await fetch(link.split("#")[0] ?? "", { method })).status).toBe(200)
    const sent: string[] = []
    page.on("request", (request) => sent.push(request.method()))
    await page.goto(link)
    await page.waitForLoadState("networkidle")
    expect(new Set(sent)).toEqual(new Set(["GET"]))
    // The code is in the field and no longer in the address, where history and shoulders would find it.
    expect(new URL(page.url()).hash).toBe("")
    expect(await page.inputValue("#code")).toBe(link.split("#")[1])
    expect((await logIn(email, PASSWORD)).status).toBe(403)

    await page.click("button")
    await shows(/confirmed/)
    expect(await page.isVisible("#form")).toBe(false)
    expect((await logIn(email, PASSWORD)).status).toBe(200)
    expect(complaints).toEqual([])
  })

  it("says in words what is wrong with a code, and takes the right one after that", async () => {
    const email = "typist@example.net"
    const link = await signUp(email)
    await page.goto(link)
    await page.fill("#code", "0000-0000")
    await page.click("button")
    await shows(/^(?!One moment).+/)
    await shows(/code/i)
    expect(await page.isVisible("#form")).toBe(true)
    await page.fill("#code", (link.split("#")[1] ?? "").toLowerCase())
    await page.press("#code", "Enter")
    await shows(/confirmed/)
    expect((await logIn(email, PASSWORD)).status).toBe(200)
    expect(complaints).toEqual([])
  })
})

describe("the page that proves an address, by a link that was mangled on its way", () => {
  it("still sends the code that is typed, and not in an address", async () => {
    const email = "mangled@example.net"
    const link = await signUp(email)
    await page.goto(link.replace(/#.*/, "#100%"))
    await page.fill("#code", link.split("#")[1] ?? "")
    await page.click("button")
    await shows(/confirmed/)
    expect(new URL(page.url()).search).toBe("")
    expect(complaints).toEqual([])
  })
})

describe("the page that takes a new password", () => {
  it("puts none into an address when its script does not run", async () => {
    const still = await browser.newContext({ javaScriptEnabled: false })
    const quiet = await still.newPage()
    await quiet.goto(`${service.origin}/reset-password`)
    await quiet.fill("#password", NEW_PASSWORD)
    await quiet.click("button", { noWaitAfter: true })
    await quiet.waitForTimeout(300)
    expect(quiet.url()).toBe(`${service.origin}/reset-password`)
    await still.close()
  })

  it("refuses a weak one in words, takes a good one, and works once", async () => {
    const email = "forgetful@example.net"
    const proof = await signUp(email)
    const body = { handle: new URL(proof).pathname.split("/").pop(), code: proof.split("#")[1] }
    expect((await post("/api/client/verify-email", body)).status).toBe(200)
    const mailsBefore = mail.requests.length
    expect((await post("/api/auth/password/forgot", { email })).status).toBe(202)
    await expect.poll(() => mail.requests.length).toBeGreaterThan(mailsBefore)
    const link = await mailedLink(email)
    expect(new URL(link).pathname).toBe("/reset-password")
    await page.goto(link)
    await page.waitForLoadState("networkidle")
    expect(new URL(page.url()).hash).toBe("")
    expect((await logIn(email, PASSWORD)).status).toBe(200)

    await page.fill("#password", "short")
    await page.click("button")
    await shows(/at least 15/)
    await page.fill("#password", NEW_PASSWORD)
    await page.click("button")
    await shows(/is changed/)
    expect((await logIn(email, PASSWORD)).status).toBe(401)
    expect((await logIn(email, NEW_PASSWORD)).status).toBe(200)

    await page.goto("about:blank")
    await page.goto(link)
    await page.fill("#password", PASSWORD)
    await page.click("button")
    await shows(/^(?!One moment).+/)
    expect(await page.isVisible("#form")).toBe(true)
    expect((await logIn(email, NEW_PASSWORD)).status).toBe(200)
    expect(complaints).toEqual([])
  })
})

describe("a browser's session", () => {
  it("logs in, downloads and logs out by cookies that no script sees, and is worth nothing to another site", async () => {
    const email = "browser@example.net"
    const link = await signUp(email)
    await page.goto(link)
    await page.click("button")
    await shows(/confirmed/)

    const ops = await (await post("/api/ops/login", printedAccount(service.output()))).json<{ accessToken: string }>()
    const form = new FormData()
    const bytes = readFileSync(join(PROJECT_DIR, "test/corpus/libreoffice.docx"))
    form.set("file", new File([new Uint8Array(bytes)], "libreoffice.docx"))
    const headers = { Authorization: `Bearer ${ops.accessToken}` }
    const uploaded = await fetch(`${service.origin}/api/ops/upload`, { method: "POST", headers, body: form })
    const { file } = await uploaded.json<{ file: { id: string } }>()

    // As text: it runs in the page, which has another world of types.
    const seen = await page.evaluate<{
      login: number
      answer: string[]
      cookies: string
      status: number
      size: number
      link: string
    }>(
      `(async () => {
        const body = ${JSON.stringify(JSON.stringify({ email, password: PASSWORD, cookies: true }))}
        const login = await fetch("/api/client/login", { method: "POST", headers: { "Content-Type": "application/json" }, body })
        const answer = Object.keys(await login.json())
        const link = (await (await fetch("/api/client/download/${file.id}")).json())["download-link"]
        const response = await fetch(link)
        const { byteLength } = await response.arrayBuffer()
        return { login: login.status, answer, cookies: document.cookie, status: response.status, size: byteLength, link }
      })()`,
    )
    expect(seen).toMatchObject({ login: 200, cookies: "", status: 200, size: bytes.length })
    expect(seen.answer).not.toContain("accessToken")

    // Another site: the same host with another port is another origin, and SameSite does not tell ports apart.
    const evil = createServer((_, response) => {
      response.setHeader("Content-Type", "text/html").end("<!doctype html><title>elsewhere</title>")
    })
    await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve))
    const attacker = await context.newPage()
    await attacker.goto(`http://localhost:${String((evil.address() as AddressInfo).port)}/`)
    const read = await attacker.evaluate<string>(
      `(async () => {
        const options = { credentials: "include" }
        await fetch("${service.origin}/api/auth/logout", { ...options, method: "POST", mode: "no-cors" }).catch(() => null)
        return fetch("${seen.link}", options).then(() => "read", () => "blocked")
      })()`,
    )
    expect(read).toBe("blocked")
    await attacker.close()
    evil.close()

    const me = () => page.evaluate<number>(`fetch("/api/auth/me").then(({ status }) => status)`)
    expect(await me()).toBe(200)
    await page.evaluate(`fetch("/api/auth/logout", { method: "POST" }).then(() => null)`)
    expect(await me()).toBe(401)
    expect(complaints).toEqual([])
  })
})
