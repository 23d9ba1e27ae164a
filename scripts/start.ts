// npm start [-- --port N] [--persist-to DIR] [--var KEY:VALUE …] [other flags of `wrangler dev`]
// The whole service on this machine: secrets, migrations, a first ops account, wrangler dev, cron.
// Asks nothing; keeps everything in DIR; SIGTERM or Ctrl-C ends it and all of its children.
import { type ChildProcess, spawn } from "node:child_process"
import { createServer } from "node:net"
import { resolve } from "node:path"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { faultLines, parseConfig } from "../src/config.ts"
import { DEFAULT_STATE_DIR, firstOpsAccount, localSecrets, noteOpsAccountMade, secretsPath } from "./local-state.ts"
import { createOpsAccount, requireEmail } from "./ops-account.ts"
import { PROJECT_DIR, applyMigrations, wranglerCommand, wranglerEnv } from "./wrangler.ts"

const DEFAULT_PORT = 8787
const CRON_INTERVAL_MS = 60_000
const KILL_AFTER_MS = 5_000

type Arguments = { port: number | null; stateDir: string; vars: Record<string, string>; rest: string[] }

/** Ours are taken out; everything else goes to Wrangler as it came. */
function parseArguments(argv: readonly string[]): Arguments {
  const parsed: Arguments = { port: null, stateDir: DEFAULT_STATE_DIR, vars: {}, rest: [] }
  const queue = argv.flatMap((word) => {
    const match = /^(--(?:port|persist-to|var))=(.*)$/s.exec(word)
    return match?.[1] === undefined ? [word] : [match[1], match[2] ?? ""]
  })
  while (queue.length > 0) {
    const word = queue.shift() ?? ""
    if (word !== "--port" && word !== "--persist-to" && word !== "--var") parsed.rest.push(word)
    else if (queue.length === 0) throw new Error(`${word} needs a value`)
    else if (word === "--persist-to") parsed.stateDir = queue.shift() ?? ""
    else if (word === "--port") {
      parsed.port = Number(queue.shift())
      if (!Number.isInteger(parsed.port) || parsed.port < 0 || parsed.port > 65_535)
        throw new Error("--port needs a number from 0 to 65535")
    } else {
      // Wrangler takes several after one --var.
      while (queue.length > 0 && queue[0]?.startsWith("-") === false) {
        const [, key, value] = /^([^:]+):(.*)$/s.exec(queue.shift() ?? "") ?? []
        if (key === undefined || value === undefined) throw new Error("--var needs KEY:VALUE")
        parsed.vars[key] = value
      }
    }
  }
  return { ...parsed, stateDir: resolve(parsed.stateDir) }
}

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
async function choosePort(wish: number | null): Promise<number> {
  for (let port = wish ?? DEFAULT_PORT; port < (wish ?? DEFAULT_PORT) + (wish === null ? 100 : 1); port++) {
    const free = await tryPort(port)
    if (free !== null) return free
  }
  throw new Error(`Port ${String(wish ?? DEFAULT_PORT)} is in use. Give another one: npm start -- --port N`)
}

/** Wrangler's own access log names whole URLs, and a download link is one; the Worker logs requests itself. */
const isAccessLog = (line: string): boolean => /\[wrangler:info\].* [A-Z]+ \/.* \d{3} /.test(line)

function relay(from: Readable, to: NodeJS.WriteStream): void {
  createInterface({ input: from }).on("line", (line) => {
    if (!isAccessLog(line)) to.write(`${line}\n`)
  })
}

async function untilReady(origin: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (child.exitCode !== null) throw new Error("wrangler dev ended before the service was ready")
    const response = await fetch(`${origin}/healthz`).catch(() => null)
    if (response?.ok === true) return
    await new Promise((wake) => setTimeout(wake, 100))
  }
  throw new Error("the service did not become ready within a minute")
}

function banner(origin: string, stateDir: string, account: { email: string; password: string }, mail: string): string {
  const login = JSON.stringify({ email: account.email, password: account.password })
  return `
  Sealpost is ready:  ${origin}

  Ops account         ${account.email}
  Password            ${account.password}
  Mails               ${mail === "console" ? "appear here, in this terminal" : "go out through MailChannels"}
  Data and secrets    ${stateDir}

  Try this next (the whole journey is in the README):

  curl -s ${origin}/api/ops/login -H 'Content-Type: application/json' -d '${login}'

  Stop with Ctrl-C.
`
}

/** Ends the child's whole process group, and whoever ignores that. */
async function stop(child: ChildProcess): Promise<void> {
  const { pid } = child
  if (pid === undefined) return
  const signalGroup = (signal: NodeJS.Signals): boolean => {
    try {
      return process.kill(-pid, signal)
    } catch {
      return false
    }
  }
  signalGroup("SIGTERM")
  for (const deadline = Date.now() + KILL_AFTER_MS; Date.now() < deadline;) {
    if (!signalGroup("SIGCONT")) return
    await new Promise((wake) => setTimeout(wake, 50))
  }
  signalGroup("SIGKILL")
}

function startWrangler(port: number, args: Arguments, vars: Record<string, string>): ChildProcess {
  const varFlags = Object.entries(vars).flatMap(([key, value]) => ["--var", `${key}:${value}`])
  const [command, commandArgs] = wranglerCommand([
    "dev",
    ...["--port", String(port), "--persist-to", args.stateDir, "--env-file", secretsPath(args.stateDir)],
    ...["--show-interactive-dev-session=false", "--inspector-port", "0"],
    ...varFlags,
    ...args.rest,
  ])
  // Its own process group, so that nothing of it can outlive us.
  const child = spawn(command, commandArgs, {
    cwd: PROJECT_DIR,
    env: wranglerEnv(),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  })
  relay(child.stdout, process.stdout)
  relay(child.stderr, process.stderr)
  return child
}

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2))
  const port = await choosePort(args.port)
  const origin = `http://localhost:${String(port)}`
  const secrets = localSecrets(args.stateDir)
  const vars = { PUBLIC_ORIGIN: origin, MAIL_TRANSPORT: "console", MAIL_FROM: "Sealpost <sealpost@example.com>", ...args.vars }
  const parsed = parseConfig({ ...secrets, ...vars })
  if ("faults" in parsed)
    throw new Error(
      `Sealpost is not set up:\n${faultLines(parsed.faults)
        .map((line) => `  ${line}`)
        .join("\n")}`,
    )

  const place = { persistTo: args.stateDir }
  await applyMigrations(place)
  const account = firstOpsAccount(args.stateDir)
  if (!account.isMade) {
    await createOpsAccount(place, secrets["PASSWORD_PEPPERS"] ?? "", requireEmail(account.email), account.password)
    noteOpsAccountMade(args.stateDir, account)
  }

  const child = startWrangler(port, args, vars)
  let isStopping = false
  const stopAll = async (exitCode: number): Promise<void> => {
    if (isStopping) return
    isStopping = true
    await stop(child)
    process.exit(exitCode)
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void stopAll(0))
  child.on("exit", (code) => void stopAll(code ?? 1))
  // npm may die without a word to us; then our parent changes.
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) void stopAll(0)
  }, 500).unref()

  try {
    await untilReady(origin, child)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    await stopAll(1)
  }
  console.log(banner(origin, args.stateDir, account, parsed.config.mail.transport))
  // Locally nobody else triggers cron.
  setInterval(() => void fetch(`${origin}/cdn-cgi/handler/scheduled`).catch(() => null), CRON_INTERVAL_MS)
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
