// npm start [-- --port N] [--persist-to DIR] [--var KEY:VALUE …] [other flags of `wrangler dev`]
// The whole service on this machine: secrets, migrations, a first ops account, wrangler dev, cron.
// Asks nothing; keeps everything in DIR; SIGTERM or Ctrl-C ends it and all of its children.
import { resolve } from "node:path"
import { SECRET_NAMES } from "../src/config.ts"
import { withDatabase } from "./database.ts"
import { choosePort, signalGroup, startDevServer, stopDevServer, untilReady } from "./dev-server.ts"
import {
  DEFAULT_STATE_DIR,
  LOCAL_MAIL_FROM,
  firstOpsAccount,
  localSecrets,
  lockState,
  noteOpsAccountMade,
  notePasswordMinLength,
  requireUsable,
} from "./local-state.ts"
import { accountSecrets, createOpsAccount, requireEmail } from "./ops-account.ts"
import { wranglerVars } from "./wrangler.ts"

const USAGE = `Usage: npm start [-- --port N] [--persist-to DIR] [--var KEY:VALUE …] [flags of \`wrangler dev\`]

  --port N          where to listen on localhost (default 8787, or the next that is free; 0 takes any)
  --persist-to DIR  where everything is kept, secrets too (default ${DEFAULT_STATE_DIR})
  --var KEY:VALUE   a setting, as the README lists them
Further flags: npx wrangler dev --help`

const CRON_INTERVAL_MS = 60_000

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

async function main(): Promise<void> {
  // What is kept here is for its owner alone.
  process.umask(0o077)
  const parent = process.ppid
  const args = parseArguments(process.argv.slice(2))
  const port = await choosePort(args.port)
  const { origin } = new URL(`http://localhost:${String(port)}`)
  const secrets = localSecrets(args.stateDir)
  lockState(args.stateDir)
  const vars = { PUBLIC_ORIGIN: origin, MAIL_TRANSPORT: "console", MAIL_FROM: LOCAL_MAIL_FROM, ...args.vars }
  // Wrangler takes nothing but the secrets from their file.
  const ownSecrets = Object.fromEntries(SECRET_NAMES.map((name) => [name, secrets[name] ?? ""]))
  const config = requireUsable({ ...wranglerVars(), ...ownSecrets, ...vars })
  notePasswordMinLength(args.stateDir, args.vars["PASSWORD_MIN_LENGTH"])

  const account = await withDatabase({ persistTo: args.stateDir }, async (database) => {
    const first = firstOpsAccount(args.stateDir, config.passwordMinChars)
    if (first.isMade) return first
    const choice = { address: requireEmail(first.email), password: first.password, minChars: config.passwordMinChars }
    await createOpsAccount(database, accountSecrets(secrets), choice)
    noteOpsAccountMade(args.stateDir, first)
    return first
  })

  const child = startDevServer({ port, stateDir: args.stateDir, vars, args: args.rest, isShown: true })
  let isStopping = false
  const stopAll = async (exitCode: number): Promise<void> => {
    if (isStopping) return
    isStopping = true
    await stopDevServer(child)
    process.exit(exitCode)
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void stopAll(0))
  child.on("exit", (code) => void stopAll(code ?? 1))
  // Also where we fail ourselves, e.g. because nobody reads any more what we print.
  process.on("exit", () => {
    signalGroup(child, "SIGTERM")
  })
  // npm may die without a word to us; then our parent changes.
  setInterval(() => {
    if (process.ppid !== parent) void stopAll(0)
  }, 500).unref()

  try {
    await untilReady(origin, child)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    await stopAll(1)
    return
  }
  console.log(banner(origin, args.stateDir, account, config.mail.transport))
  // Locally nobody else triggers cron.
  setInterval(() => void fetch(`${origin}/cdn-cgi/handler/scheduled`).catch(() => null), CRON_INTERVAL_MS)
}

try {
  if (process.argv.includes("--help")) console.log(USAGE)
  else await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
