// Live changes through `npm start`, as curl -N sees them: events as they happen, going on where one was, and places that
// are free again once the reader has gone.
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { PACE } from "../../src/domain/event-streams.ts"
import { PROJECT_DIR, type Service, freePort, printedAccount, startService } from "./service.ts"

let stateDir: string
let service: Service
let token: string

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "sealpost-events-"))
  service = await startService(["--persist-to", stateDir], await freePort())
  const response = await fetch(`${service.origin}/api/ops/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(printedAccount(service.output())),
  })
  token = (await response.json<{ accessToken: string }>()).accessToken
}, 300_000)

afterAll(async () => {
  for (const { process } of open) process.kill()
  await service.stop()
  rmSync(stateDir, { recursive: true, force: true })
})

type Stream = { process: ChildProcess; text: () => string; until: (sign: RegExp) => Promise<string>; close: () => Promise<void> }
const open: Stream[] = []

/** curl -N; its output is headers and all that has come so far. */
function stream(headers: readonly string[] = []): Stream {
  const all = [`Authorization: Bearer ${token}`, "Accept: text/event-stream", ...headers]
  const process = spawn("curl", ["-sSNi", `${service.origin}/api/ops/events`, ...all.flatMap((header) => ["-H", header])])
  const ended = new Promise<void>((resolve) =>
    process.on("close", () => {
      isOver = true
      woken()
      resolve()
    }),
  )
  let isOver = false
  let text = ""
  let woken = (): void => undefined
  process.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString()
    woken()
  })
  const made = {
    process,
    text: () => text,
    async until(sign: RegExp) {
      while (!sign.test(text)) {
        if (isOver) throw new Error(`curl has ended: ${text}`)
        await new Promise<void>((resolve) => (woken = resolve))
      }
      return text
    },
    async close() {
      process.kill()
      await ended
    },
  }
  open.push(made)
  return made
}

async function upload(): Promise<string> {
  const headers = { Authorization: `Bearer ${token}` }
  const form = new FormData()
  form.set("file", new File([readFileSync(join(PROJECT_DIR, "test/corpus/npm-docx.docx"))], "live.docx"))
  const response = await fetch(`${service.origin}/api/ops/upload`, { method: "POST", headers, body: form })
  return (await response.json<{ file: { id: string } }>()).file.id
}

describe("curl -N of the events", () => {
  it("gets what happens while it happens, and after a break what it has missed", async () => {
    const first = stream()
    const head = await first.until(/\nid: \d+\n/)
    expect(head).toMatch(/^HTTP\/1\.1 200 /)
    expect(head.toLowerCase()).toContain("content-type: text/event-stream; charset=utf-8\r\n")
    expect(head).toContain("retry: 3000\n\n")
    const fileId = await upload()
    const text = await first.until(/event: file\.added\ndata: .*\n\n/)
    expect(text).toContain(fileId)
    await first.close()
    const missed = await upload()
    const lastId = /id: (\d+)\nevent/.exec(text)?.[1] ?? ""
    const again = await stream([`Last-Event-ID: ${lastId}`]).until(/event: file\.added\ndata: .*\n\n/)
    expect(again).toContain(missed)
    expect(again).not.toContain(fileId)
  })

  it("leaves its place soon after it has gone, so that who comes back is let in", async () => {
    const enters = async (): Promise<boolean> => (await stream().until(/\nid: \d+\n|HTTP\/1\.1 4/)).startsWith("HTTP/1.1 200 ")
    const closeAll = () => Promise.all(open.splice(0).map((one) => one.close()))
    let entered = 0
    while (await enters()) entered++
    expect(entered).toBeLessThanOrEqual(PACE.maxPerUser)
    expect(await open.at(-1)?.until(/"code":"too_many_requests"/)).toMatch(/\r\nRetry-After: 30\r\n/)
    await closeAll()
    // Until what has ended unheard is overdue, or the test's time is up.
    while (!(await enters())) {
      await closeAll()
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }, 60_000)
})
