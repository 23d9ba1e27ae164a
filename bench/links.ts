// npm run bench:links
// How cheap a refusal is: forged links answered per second beside /healthz in the same Worker, in turn within one
// run, as the ratio of medians. A forged link has the right length, alphabet and key id, so all that it can cost it
// does; /healthz asks D1 and R2, as it says.
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { Agent, get } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median, startSubject } from "./subject.ts"

const RUNS = 9
const REQUESTS = 1000
const CONNECTIONS = 16

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })

/** One GET; its status. */
function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume().once("end", () => {
        resolve(response.statusCode ?? 0)
      })
    }).once("error", reject)
  })
}

/** Requests per second, each to the next URL, all answered with that status. */
async function rate(nextUrl: () => string, status: number): Promise<number> {
  let left = REQUESTS
  const startMs = performance.now()
  async function connection(): Promise<void> {
    while (left-- > 0) {
      const answer = await statusOf(nextUrl())
      if (answer !== status) throw new Error(`answered ${String(answer)}, not ${String(status)}`)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, connection))
  return (REQUESTS * 1000) / (performance.now() - startMs)
}

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const subject = await startSubject(join(dir, "state"))
try {
  // A new one each time, under the current key's id: only the check of its MAC can tell.
  const forged = (): string =>
    `${subject.origin}/download-file/${Buffer.concat([Buffer.of(1), randomBytes(105)]).toString("base64url")}`
  const health = (): string => `${subject.origin}/healthz`
  await rate(forged, 404)
  await rate(health, 200)
  const rates: { forged: number[]; health: number[] } = { forged: [], health: [] }
  for (let i = 0; i < RUNS; i++) {
    rates.forged.push(await rate(forged, 404))
    rates.health.push(await rate(health, 200))
  }
  const [a, b] = [median(rates.forged), median(rates.health)]
  console.log(`Medians of ${String(RUNS)} times ${String(REQUESTS)} requests over ${String(CONNECTIONS)} connections, in turn:`)
  console.log(
    `forged links against /healthz   ${(a / b).toFixed(2)}×  (at least 0.7)   ${a.toFixed(0)}/s against ${b.toFixed(0)}/s`,
  )
} finally {
  agent.destroy()
  await subject.stop()
  rmSync(dir, { recursive: true })
}
