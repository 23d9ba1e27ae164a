// A TCP proxy between a stock client and the service that does what networks do: cuts, delays, and sends twice.
import { type Server, type Socket, connect, createServer } from "node:net"
import type { AddressInfo } from "node:net"

export type Faults = {
  /** After how many bytes from the client to cut its connections, one after the other; those beyond the list live. */
  cutAfterBytes?: number[]
  /** Of the answers, instead: after so many bytes from the service, so that the client never hears what was done. */
  cutAnswersAfterBytes?: number[]
  /** Between a chunk's arrival and its passing on. */
  delayMs?: number
  /** Everything that the client sends goes to the service twice, over two connections; it hears one answer. */
  isDoubled?: boolean
}

export type FaultyProxy = {
  port: number
  /** From now on; ends the connections that clients still keep, so that every request meets these faults. */
  setFaults: (faults: Faults) => Promise<void>
  cuts: () => number
  close: () => Promise<void>
}

/** @param targetPort - asked for each connection */
export async function startFaultyProxy(targetPort: () => number): Promise<FaultyProxy> {
  const sockets = new Set<Socket>()
  let cuts = 0
  let current: Faults = {}

  function open(client: Socket): void {
    const faults = current
    const upstreams = Array.from({ length: faults.isDoubled === true ? 2 : 1 }, () => connect(targetPort(), "127.0.0.1"))
    const all = [client, ...upstreams]
    for (const socket of all) {
      sockets.add(socket)
      socket.on("error", () => socket.destroy())
      socket.on("close", () => sockets.delete(socket))
    }
    const end = (): void => {
      for (const socket of all) socket.destroy()
    }
    const cutter = (limit: number | undefined) => {
      let left = limit ?? Number.POSITIVE_INFINITY
      return (chunk: Buffer): boolean => (left -= chunk.length) < 0
    }
    let isCut: ((chunk: Buffer) => boolean) | undefined
    let isAnswerCut: ((chunk: Buffer) => boolean) | undefined
    client.on("data", (chunk: Buffer) => {
      // A connection counts once it is used.
      isCut ??= cutter(faults.cutAfterBytes?.shift())
      if (isCut(chunk)) {
        cuts++
        end()
        return
      }
      const pass = (): void => {
        const flows = upstreams.map((upstream) => upstream.destroyed || upstream.write(chunk))
        if (!flows.every(Boolean)) {
          client.pause()
          upstreams[flows.indexOf(false)]?.once("drain", () => client.resume())
        }
      }
      if (faults.delayMs === undefined) pass()
      else setTimeout(pass, faults.delayMs)
    })
    client.on("end", () => {
      setTimeout(() => {
        for (const upstream of upstreams) upstream.end()
      }, faults.delayMs ?? 0)
    })
    client.on("close", end)
    const [first, second] = upstreams
    first?.on("data", (chunk: Buffer) => {
      isAnswerCut ??= cutter(faults.cutAnswersAfterBytes?.shift())
      if (isAnswerCut(chunk)) {
        cuts++
        end()
      } else client.write(chunk)
    })
    first?.on("end", () => client.end())
    second?.resume()
  }

  const server: Server = createServer(open)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async setFaults(faults) {
      current = faults
      for (const socket of sockets) socket.destroy()
      while (sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    cuts: () => cuts,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => {
          resolve()
        })
      }),
  }
}
