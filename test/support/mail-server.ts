// A real HTTP server in place of the MailChannels API. It records what it gets, answers as told, and is
// asked both over HTTP, because tests inside workerd cannot call into this process.
//   POST /tx/v1/send              the API itself
//   GET  /requests?to=ADDRESS     what arrived for an address
//   PUT  /answers/ADDRESS         a PlannedAnswer: how to answer mails to that address from now on
import { type IncomingMessage, type Server, createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { TestProject } from "vitest/node"

export type RecordedRequest = { method: string; path: string; headers: Record<string, string>; body: unknown }
export type PlannedAnswer = {
  /** 0: hangs up without an answer. */
  status: number
  body: string
  headers?: Record<string, string>
  /** Before anything is answered. */
  delayMs?: number
  /** Between the headers with the first half of the body, and the second half. */
  pauseMs?: number
  /** Hangs up in the middle of the body. */
  isCut?: boolean
  /** The body again and again, for as long as somebody reads it. */
  isEndless?: boolean
}

declare module "vitest" {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- merges with Vitest's own
  export interface ProvidedContext {
    mailUrl: string
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString("utf8")
}

const SENT: PlannedAnswer = {
  status: 202,
  body: JSON.stringify({ request_id: "r", results: [{ index: 0, message_id: "m", status: "sent" }] }),
}

type SendBody = { personalizations?: { to?: { email?: string }[] }[] }

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Starts the server on a free loopback port. */
export async function startMailServer(): Promise<{ url: string; requests: RecordedRequest[]; close: () => Promise<void> }> {
  const requests: (RecordedRequest & { to: string })[] = []
  const answers = new Map<string, PlannedAnswer>()

  async function handle(request: IncomingMessage): Promise<PlannedAnswer> {
    const url = new URL(request.url ?? "/", "http://localhost")
    const text = await readText(request)
    if (request.method === "GET" && url.pathname === "/requests") {
      const to = url.searchParams.get("to")
      return { status: 200, body: JSON.stringify(requests.filter((recorded) => recorded.to === to)) }
    }
    if (request.method === "PUT" && url.pathname.startsWith("/answers/")) {
      answers.set(decodeURIComponent(url.pathname.slice("/answers/".length)), JSON.parse(text) as PlannedAnswer)
      return { status: 204, body: "" }
    }
    const body = parse(text)
    const to = (body as SendBody).personalizations?.[0]?.to?.[0]?.email ?? ""
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
    requests.push({ to, method: request.method ?? "", path: `${url.pathname}${url.search}`, headers, body })
    return answers.get(to) ?? SENT
  }

  const server: Server = createServer((request, response) => {
    void handle(request).then(async ({ status, body, headers, delayMs = 0, pauseMs = 0, isCut, isEndless }) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      if (status === 0) {
        request.socket.destroy()
        return
      }
      response.writeHead(status, { "Content-Type": "application/json", ...headers })
      while (isEndless === true && !response.destroyed) {
        response.write(body)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      response.write(body.slice(0, body.length / 2))
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      if (isCut === true) request.socket.destroy()
      else response.end(body.slice(body.length / 2))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections()
      server.close(() => {
        resolve()
      })
    })
  return { url: `http://127.0.0.1:${String(port)}`, requests, close }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startMailServer()
  project.provide("mailUrl", server.url)
  return server.close
}
