// Presentations uploaded by a page in a real browser, with the stock clients that pages use, against `npm start` behind
// the page's own origin: tus-js-client by a session in cookies, Uppy by cookies and by a Bearer token.
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { build } from "esbuild"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { createPresentation } from "../../bench/presentation.ts"
import { type FrontProxy, startFrontProxy } from "../support/front-proxy.ts"
import { startBrowser } from "./browser.ts"
import { PROJECT_DIR, type Service, freePort, printedAccount, startService } from "./service.ts"

const MB = 1_000_000
const corpus = (name: string): string => join(PROJECT_DIR, "test/corpus", name)
const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex")

let dir: string
let front: FrontProxy
let service: Service
let browser: Browser
let context: BrowserContext
let page: Page
let large: string
let account: { email: string; password: string }

async function bundle(): Promise<string> {
  const entryPoints = [join(PROJECT_DIR, "test/e2e/uploads-page.js")]
  const { outputFiles } = await build({ entryPoints, bundle: true, write: false, format: "iife", platform: "browser" })
  return outputFiles[0]?.text ?? ""
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-browser-uploads-"))
  const port = await freePort()
  front = await startFrontProxy(port, {
    "/page": [
      "text/html",
      '<!doctype html><meta charset="utf-8"><input id="file" type="file" multiple><script src="/page.js"></script>',
    ],
    "/page.js": ["text/javascript", await bundle()],
  })
  const args = ["--persist-to", join(dir, "state"), "--var", `PUBLIC_ORIGIN:${front.origin}`]
  const starting = startBrowser()
  service = await startService(args, port)
  account = printedAccount(service.output())
  mkdirSync(join(dir, "decks"))
  large = join(dir, "decks/quarter.pptx")
  writeFileSync(large, Buffer.concat([...createPresentation(20 * MB, 3).chunks()]))
  browser = await starting
  context = await browser.newContext()
  page = await context.newPage()
  await load()
  expect(await call("logIn", { ...account, cookies: true })).toMatchObject({ status: 200 })
})

afterAll(async () => {
  await browser.close()
  await service.stop()
  await front.close()
  rmSync(dir, { recursive: true, force: true })
})

beforeEach(() => {
  front.passed.length = 0
})

/** Loads the page anew and chooses files in its field, as a person does. */
async function load(...paths: string[]): Promise<void> {
  await page.goto(`${front.origin}/page`)
  if (paths.length > 0) await page.setInputFiles("#file", paths)
}

const call = <T>(name: string, ...args: unknown[]): Promise<T> =>
  page.evaluate<T>(`window.page.${name}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`)

/** The page gets back what was chosen in it, byte for byte; and so do we. */
async function expectStored(fileId: string, path: string): Promise<void> {
  expect(await call("digestOf", fileId)).toBe(sha256(path))
}

const requests = (method: string) =>
  front.passed.filter((each) => each.method === method && each.path.startsWith("/api/ops/uploads"))

type TusOutcome = { fileId: string; resumed: boolean; firstProgress: number; error?: string }

describe("tus-js-client in a browser", () => {
  it.each(["libreoffice.pptx", "npm-pptxgenjs-notes.pptx", "pandoc.pptx"])("uploads %s by a session in cookies", async (name) => {
    await load(corpus(name))
    const { fileId, error } = await call<TusOutcome>("byTus")
    expect(error).toBeUndefined()
    await expectStored(fileId, corpus(name))
  })

  it("uploads 20 MB in pieces", async () => {
    await load(large)
    const { fileId, error } = await call<TusOutcome>("byTus", { chunkSize: 6 * MB })
    expect(error).toBeUndefined()
    expect(requests("PATCH")).toHaveLength(4)
    await expectStored(fileId, large)
  })

  it("is stopped in the middle of a request, and the next page goes on from there", async () => {
    const size = readFileSync(large).length
    await load(large)
    const halted = front.haltNextBody(8 * MB)
    // Nobody waits for what never ends.
    await page.evaluate("void window.page.byTus()")
    await halted
    await call("abort")
    await expect.poll(() => requests("PATCH").length).toBe(1)
    expect(requests("POST")).toHaveLength(1)

    await load(large)
    const { fileId, resumed, firstProgress, error } = await call<TusOutcome>("byTus")
    expect(error).toBeUndefined()
    expect([resumed, requests("POST").length]).toEqual([true, 1])
    // At least the part that was whole was kept; what was sent is what was missing.
    expect(firstProgress).toBeGreaterThanOrEqual(5 * MB)
    expect(requests("PATCH").at(-1)?.bodyBytes).toBeLessThanOrEqual(size - 5 * MB)
    await expectStored(fileId, large)
  })

  it("shows the page why one byte is no document, all of it having arrived", async () => {
    const path = join(dir, "decks/byte.pptx")
    writeFileSync(path, "P")
    await load(path)
    const { error } = await call<TusOutcome>("byTus")
    expect(JSON.parse(error ?? "")).toMatchObject({ status: 422, code: "document_refused" })
    expect(requests("PATCH")).toEqual([expect.objectContaining({ bodyBytes: 1, status: 422 })])
  })
})

type UppyOutcome = { fileIds: string[]; failed: string[] }

describe("Uppy in a browser", () => {
  it("uploads several presentations by a session in cookies", async () => {
    const paths = [corpus("npm-officegen.pptx"), corpus("variant-strict.pptx"), corpus("variant-infozip-zip64.pptx")]
    await load(...paths)
    const { fileIds, failed } = await call<UppyOutcome>("byUppy")
    expect(failed).toEqual([])
    const digests = await Promise.all(fileIds.map((id) => call<string>("digestOf", id)))
    expect(digests.toSorted()).toEqual(paths.map(sha256).toSorted())
  })

  it("pauses in the middle of a request, resumes, and after another pause the next page goes on", async () => {
    await load(large)
    const first = front.haltNextBody(6 * MB)
    await page.evaluate("void window.page.byUppy()")
    await first
    await call("pauseAll")
    await expect.poll(() => requests("PATCH").length).toBe(1)
    const second = front.haltNextBody(6 * MB)
    await call("resumeAll")
    await second
    await call("pauseAll")
    await expect.poll(() => requests("PATCH").length).toBe(2)

    await load(large)
    const { fileIds, failed } = await call<UppyOutcome>("byUppy", { removeFingerprintOnSuccess: true })
    expect(failed).toEqual([])
    expect(requests("POST")).toHaveLength(1)
    // Two parts are there from the two pages before.
    expect(requests("PATCH").at(-1)?.bodyBytes).toBeLessThanOrEqual(10 * MB)
    await expectStored(fileIds[0] ?? "", large)
  })

  it("uploads by a Bearer token where there is no cookie", async () => {
    const { accessToken } = await call<{ accessToken: string }>("logIn", account)
    const headers = { Authorization: `Bearer ${accessToken}` }
    const cookies = await context.cookies()
    await context.clearCookies()
    await load(corpus("npm-pptxgenjs.pptx"))
    const without = await call<UppyOutcome>("byUppy")
    expect(without).toMatchObject({ fileIds: [], failed: [expect.stringContaining("authentication_required")] })
    await load(corpus("npm-pptxgenjs.pptx"))
    const { fileIds, failed } = await call<UppyOutcome>("byUppy", { headers })
    expect(failed).toEqual([])
    await context.addCookies(cookies)
    await expectStored(fileIds[0] ?? "", corpus("npm-pptxgenjs.pptx"))
  })
})

describe("a page of another origin", () => {
  it("cannot begin an upload with the session that the browser holds", async () => {
    const other = await startFrontProxy(Number(new URL(service.origin).port), { "/page": ["text/html", "<!doctype html>"] })
    const stranger = await context.newPage()
    await stranger.goto(`${other.origin}/page`)
    const begin = (target: string) =>
      stranger.evaluate<string>(
        `fetch(${JSON.stringify(target)}, { method: "POST", credentials: "include", headers: { "Tus-Resumable": "1.0.0", "Upload-Length": "10" } })
          .then((response) => response.json().then(({ code }) => code), () => "blocked")`,
      )
    // Straight at the service's origin the preflight fails; through its own, the cookies of localhost go along, and are not taken.
    expect(await begin(`${front.origin}/api/ops/uploads`)).toBe("blocked")
    expect(await begin("/api/ops/uploads")).toBe("cross_site")
    await stranger.close()
    await other.close()
  })
})
