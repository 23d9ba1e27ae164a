// `wrangler dev` as a child: on a chosen port, in a process group of its own, ended for certain.
import { type ChildProcess, spawn } from "node:child_process"
import { createServer } from "node:net"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { secretsPath } from "./local-state.ts"
import { PROJECT_DIR, wranglerCommand, wranglerEnv } from "./wrangler.ts"

const DEFAULT_PORT = 8787
const KILL_AFTER_MS = 5_000

/** The port itself if nobody has it, null if somebody does; with 0 any free one. */
function tryPort(port: number): Promise<number | null> {
  return new Promise((done) => {
    const server = createServer()
    server.once("error", () => {
      done(null)
    })
    server.listen(port, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => {
        done(typeof address === "object" && address !== null ? address.port : null)
      })
    })
  })
}

/** A port that was asked for must be free; without a wish the first free one from 8787 on. */
export async function choosePort(wish: number | null): Promise<number> {
  for (let port = wish ?? DEFAULT_PORT; port < (wish ?? DEFAULT_PORT) + (wish === null ? 100 : 1); port++) {
    const free = await tryPort(port)
    if (free !== null) return free
  }
  throw new Error(`Port ${String(wish ?? DEFAULT_PORT)} is in use. Give another one: npm start -- --port N`)
}

/** Wrangler's own access log names whole URLs, and a download link is one; the Worker logs requests itself. */
const isAccessLog = (line: string): boolean => /\[wrangler:info\].* [A-Z]+ \/.* \d{3} /.test(line)

/** What Wrangler says of cron and secrets is not so here: start.ts triggers the one and made the other. */
const isMisleading = (line: string): boolean =>
  /Scheduled Workers are not|manually trigger a scheduled|local\/scheduled"|#test-cron-triggers-locally|Using secrets defined in/.test(
    line,
  )

function relay(from: Readable, to: NodeJS.WriteStream): void {
  createInterface({ input: from }).on("line", (line) => {
    if (!isAccessLog(line) && !isMisleading(line)) to.write(`${line}\n`)
  })
}

/**
 * Waits until it answers its health check.
 * @throws Error with the service's own words when it says that it is not set up
 */
export async function untilReady(origin: string, child: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
    if (child.exitCode !== null) throw new Error("wrangler dev ended before the service was ready")
    const response = await fetch(`${origin}/healthz`).catch(() => null)
    if (response?.ok === true) return
    const problem = response === null ? "" : await response.text()
    if (problem.includes('"misconfigured"')) throw new Error((JSON.parse(problem) as { detail: string }).detail)
    await new Promise((wake) => setTimeout(wake, 100))
  }
  throw new Error("the service did not become ready within a minute")
}

/** Sends a signal to the child and all of its children; false when none of them is left. */
export function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): boolean {
  try {
    return pid !== undefined && process.kill(-pid, signal)
  } catch {
    return false
  }
}

/** Ends the child's whole process group, and whoever ignores that. */
export async function stopDevServer(child: ChildProcess): Promise<void> {
  signalGroup(child, "SIGTERM")
  for (const deadline = Date.now() + KILL_AFTER_MS; Date.now() < deadline;) {
    if (!signalGroup(child, "SIGCONT")) return
    await new Promise((wake) => setTimeout(wake, 50))
  }
  signalGroup(child, "SIGKILL")
}

export type DevServerOptions = {
  port: number
  stateDir: string
  vars: Record<string, string>
  /** Another Worker than the service, to run on the same state. */
  script?: string
  /** More flags for `wrangler dev`. */
  args: readonly string[]
  /** Shows what it prints, but for its access log. */
  isShown: boolean
}

/** Starts `wrangler dev` over a state folder, with the secrets that are kept there. */
export function startDevServer({ port, stateDir, vars, script, args, isShown }: DevServerOptions): ChildProcess {
  const varFlags = Object.entries(vars).flatMap(([key, value]) => ["--var", `${key}:${value}`])
  const [command, commandArgs] = wranglerCommand([
    "dev",
    // Before the flags: Wrangler would take a path after --var for another variable.
    ...(script === undefined ? [] : [script]),
    ...["--port", String(port), "--persist-to", stateDir, "--env-file", secretsPath(stateDir)],
    ...["--show-interactive-dev-session=false", "--inspector-port", "0"],
    ...varFlags,
    ...args,
  ])
  // Its own process group, so that nothing of it can outlive us.
  const child = spawn(command, commandArgs, {
    cwd: PROJECT_DIR,
    env: wranglerEnv(),
    stdio: ["ignore", isShown ? "pipe" : "ignore", isShown ? "pipe" : "ignore"],
    detached: true,
  })
  if (child.stdout !== null) relay(child.stdout, process.stdout)
  if (child.stderr !== null) relay(child.stderr, process.stderr)
  return child
}
