// A real Chromium, from npm packages alone. It is unpacked into the system's temporary folder at the first use.
import { spawnSync } from "node:child_process"
import { type Browser, chromium as playwright } from "playwright-core"

/** The package's own flags switch web security off, which is what is to be seen here; so only what a container needs. */
const FLAGS = [
  ...["--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
]

/** Does the system bring the libraries that Chromium is linked to? */
const hasLibraries = (): boolean => spawnSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" }).stdout.includes("libnss3.so")

export async function startBrowser(): Promise<Browser> {
  // With this set the package unpacks its own libraries beside the browser; it looks when it is loaded.
  if (!hasLibraries()) process.env["AWS_LAMBDA_JS_RUNTIME"] ??= "nodejs24.x"
  const { default: chromium } = await import("@sparticuz/chromium")
  return playwright.launch({ executablePath: await chromium.executablePath(), args: FLAGS, headless: true })
}
