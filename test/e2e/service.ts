// Starts the whole service as a newcomer does, `npm start`, on a free port with a state folder of its own.
import { type ChildProcess, spawn } from "node:child_process"
import { createServer } from "node:net"
import { join } from "node:path"

export const PROJECT_DIR = join(import.meta.dirname, "../..")

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => {
        if (typeof address === "object" && address !== null) resolve(address.port)
      })
    })
  })
}

export type Service = {
  origin: string
  process: ChildProcess
  /** Everything it has printed so far. */
  output: () => string
  /** Resolves with the exit code. */
  ended: Promise<number | null>
  stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** Starts and waits until it says that it is ready; rejects with its output when it ends before. */
export async function startService(args: readonly string[], port: number): Promise<Service> {
  const child = spawn("npm", ["start", "--", "--port", String(port), ...args], {
    cwd: PROJECT_DIR,
    stdio: ["ignore", "pipe", "pipe"],
  })
  let text = ""
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
  const ready = new Promise<void>((resolve) => {
    const listen = (chunk: Buffer): void => {
      text += chunk.toString()
      if (text.includes("Stop with Ctrl-C.")) resolve()
    }
    child.stdout.on("data", listen)
    child.stderr.on("data", listen)
  })
  const stop = (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
    child.kill(signal)
    return ended
  }
  await Promise.race([
    ready,
    ended.then((code) => {
      throw new Error(`npm start ended with ${String(code)}:\n${text}`)
    }),
  ])
  return { origin: `http://localhost:${String(port)}`, process: child, output: () => text, ended, stop }
}

/** The ops account that `npm start` printed. */
export function printedAccount(output: string): { email: string; password: string } {
  const email = /Ops account\s+(\S+)/.exec(output)?.[1]
  const password = /Password\s+(\S+)/.exec(output)?.[1]
  if (email === undefined || password === undefined) throw new Error(`no credentials in:\n${output}`)
  return { email, password }
}

export type CommandResult = { code: number | null; stdout: string; stderr: string }

export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Promise<CommandResult> {
  const child = spawn(command, args, {
    cwd: options.cwd ?? PROJECT_DIR,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.end(options.input ?? "")
  return new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => {
      resolve({ code, stdout, stderr })
    })
  })
}
