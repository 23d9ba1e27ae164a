// One origin in front of the service, as a deployment has it whose own pages upload: a page of its own, and everything
// else passed on. It notes what passes, and can let a body come to a halt.
import { type IncomingMessage, type ServerResponse, createServer, request } from "node:http"
import type { AddressInfo } from "node:net"

export type Passed = { method: string; path: string; bodyBytes: number; status: number }

export type FrontProxy = {
  origin: string
  /** Requests to the service that have ended, one way or the other. */
  passed: Passed[]
  /** The next body passes up to so many bytes, and no further; resolves when it stands there. */
  haltNextBody: (afterBytes: number) => Promise<void>
  close: () => Promise<void>
}

/** @param pages - path → media type and content */
export async function startFrontProxy(
  targetPort: number,
  pages: Record<string, [type: string, content: string]>,
): Promise<FrontProxy> {
  const passed: Passed[] = []
  let halt: { afterBytes: number; reached: () => void } | null = null

  function pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const note: Passed = { method: incoming.method ?? "", path: incoming.url ?? "", bodyBytes: 0, status: 0 }
    outgoing.on("close", () => passed.push(note))
    const upstream = request(
      { host: "127.0.0.1", port: targetPort, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (answer) => {
        note.status = answer.statusCode ?? 0
        outgoing.writeHead(note.status, answer.rawHeaders)
        answer.pipe(outgoing)
      },
    )
    upstream.on("error", () => outgoing.destroy())
    outgoing.on("close", () => upstream.destroy())
    let isHalted = false
    incoming.on("data", (chunk: Buffer) => {
      // Read on, since a paused connection does not notice that it was closed.
      if (isHalted) return
      note.bodyBytes += chunk.length
      const isFlowing = upstream.write(chunk)
      if (halt !== null && note.bodyBytes >= halt.afterBytes) {
        isHalted = true
        halt.reached()
        halt = null
      } else if (!isFlowing) {
        incoming.pause()
        upstream.once("drain", () => incoming.resume())
      }
    })
    incoming.on("end", () => {
      if (!isHalted) upstream.end()
    })
    incoming.on("error", () => upstream.destroy())
  }

  const server = createServer((incoming, outgoing) => {
    const page = pages[incoming.url ?? ""]
    if (page === undefined) pass(incoming, outgoing)
    else outgoing.setHeader("Content-Type", page[0]).end(page[1])
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    origin: `http://localhost:${String((server.address() as AddressInfo).port)}`,
    passed,
    haltNextBody: (afterBytes) =>
      new Promise((reached) => {
        halt = { afterBytes, reached }
      }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
}
