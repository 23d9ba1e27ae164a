// A real HTTP server in place of a document scanner (docs/documents.md). It reads what it gets, answers as told,
// and is asked both over HTTP, because tests inside workerd cannot call into this process.
//   POST /scan/NAME              the scanner itself; every test has a name of its own
//   GET  /requests/NAME          what arrived under a name
//   PUT  /answers/NAME           {status, body, delayMs}: how to answer from now on
import { createHash } from "node:crypto"
import { type IncomingMessage, createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { TestProject } from "vitest/node"

export type RecordedScan = { type: string; digest: string; length: string; sha256: string; bytes: number }
export type PlannedScan = { status: number; body: string; delayMs?: number; isEarly?: boolean }

declare module "vitest" {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- merges with Vitest's own
  export interface ProvidedContext {
    scannerUrl: string
  }
}

const CLEAN: PlannedScan = { status: 200, body: JSON.stringify({ verdict: "clean", scanner: "stand-in 1" }) }

async function digestOf(request: IncomingMessage): Promise<Pick<RecordedScan, "sha256" | "bytes">> {
  const hash = createHash("sha256")
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { sha256: hash.digest("hex"), bytes }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ""
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString("utf8")
  return text
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scans = new Map<string, RecordedScan[]>()
  const answers = new Map<string, PlannedScan>()

  async function handle(request: IncomingMessage): Promise<PlannedScan> {
    const [, kind = "", name = ""] = (request.url ?? "").split("/")
    if (kind === "requests") return { status: 200, body: JSON.stringify(scans.get(name) ?? []) }
    if (kind === "answers") {
      answers.set(name, JSON.parse(await textOf(request)) as PlannedScan)
      return { status: 200, body: "{}" }
    }
    const answer = answers.get(name) ?? CLEAN
    if (answer.isEarly === true) return answer
    const { headers } = request
    const content = await digestOf(request)
    const known = scans.get(name) ?? []
    const facts = {
      type: headers["content-type"] ?? "",
      digest: String(headers["repr-digest"]),
      length: headers["content-length"] ?? "",
    }
    scans.set(name, [...known, { ...facts, ...content }])
    return answer
  }

  const server = createServer((request, response) => {
    handle(request).then(
      ({ status, body, delayMs = 0 }) => {
        setTimeout(() => {
          // Status 0: hang up without an answer.
          if (status === 0) request.socket.destroy()
          else response.writeHead(status, { "Content-Type": "application/json", Location: "/scan/elsewhere" }).end(body)
        }, delayMs)
      },
      // The other side broke off.
      () => request.socket.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  project.provide("scannerUrl", `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`)
  return () =>
    new Promise((resolve) => {
      server.closeAllConnections()
      server.close(() => {
        resolve()
      })
    })
}
