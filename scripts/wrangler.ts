// Running Wrangler from commands: never asks anything, never phones home, leaves secrets of this shell alone.
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { getPlatformProxy } from "wrangler"
import { SECRET_NAMES } from "../src/config.ts"

export const PROJECT_DIR = join(import.meta.dirname, "..")
export const DATABASE = "sealpost"
export const WRANGLER_CONFIG = join(PROJECT_DIR, "wrangler.toml")
const WRANGLER = join(PROJECT_DIR, "node_modules/wrangler/bin/wrangler.js")

/** The command line of Wrangler with these arguments, by the Node that runs us. */
export const wranglerCommand = (args: readonly string[]): [string, string[]] => [process.execPath, [WRANGLER, ...args]]

export function wranglerEnv(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    CI: "true",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
    // Locally nothing needs the network, also not for a sample of request.cf.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    npm_config_update_notifier: "false",
    // Wrangler would keep traces of local requests in the state, with whole URLs, links among them.
    X_LOCAL_OBSERVABILITY: "false",
    // Its explorer would offer SQL and R2 on the service's own port, without a login.
    X_LOCAL_EXPLORER: "false",
    // Its log files would hold what the terminal shows, codes in mails among it.
    WRANGLER_WRITE_LOGS: "false",
  }
  // Wrangler would let them win over the ones we hand it.
  for (const name of SECRET_NAMES) Reflect.deleteProperty(env, name)
  return env
}

/**
 * The settings under `[vars]` in wrangler.toml: texts, numbers and truth values, one a line.
 * @throws Error for another way of writing them, which Wrangler knows and this does not
 */
export function readTomlVars(toml: string): Record<string, string> {
  const vars: Record<string, string> = {}
  let table = ""
  for (const line of toml.split(/\r?\n/)) {
    const header = /^\s*\[+([^\]]+)\]+\s*(?:#.*)?$/.exec(line)
    if (header?.[1] !== undefined) table = header[1].trim()
    else if (table === "" && /^\s*vars\s*[.=]/.test(line))
      throw new Error("In wrangler.toml the settings must stand one a line under [vars].")
    else if (table === "vars") {
      const match = /^\s*"?(\w+)"?\s*=\s*(?:"([^"\\]*)"|'([^']*)'|([\w.+-]+))\s*(?:#.*)?$/.exec(line)
      if (match?.[1] !== undefined) vars[match[1]] = match[2] ?? match[3] ?? match[4] ?? ""
    }
  }
  return vars
}

export const wranglerVars = (): Record<string, string> => readTomlVars(readFileSync(WRANGLER_CONFIG, "utf8"))

/** Runs Wrangler to its end and returns what it printed. Throws with its output when it fails. */
export async function runWrangler(args: readonly string[]): Promise<string> {
  const [command, commandArgs] = wranglerCommand(args)
  const child = spawn(command, commandArgs, { cwd: PROJECT_DIR, env: wranglerEnv(), stdio: ["ignore", "pipe", "pipe"] })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", resolve)
  })
  if (code !== 0) throw new Error(`wrangler ${args.slice(0, 3).join(" ")} failed (${String(code)}):\n${stdout}${stderr}`)
  return stdout
}

type LocalBindings = { DB: D1Database; BLOBS: R2Bucket }

/** Opens a local state's bindings for the length of `work`. */
export async function withLocalBindings<T>(stateDir: string, work: (env: LocalBindings) => Promise<T>): Promise<T> {
  const before = { ...process.env }
  // Its warnings are about the Worker's secrets, which nothing here needs.
  Object.assign(process.env, wranglerEnv(), { WRANGLER_LOG: "error" })
  const proxy = await getPlatformProxy<LocalBindings>({
    configPath: WRANGLER_CONFIG,
    envFiles: [],
    persist: { path: join(stateDir, "v3") },
    remoteBindings: false,
  })
  try {
    return await work(proxy.env)
  } finally {
    await proxy.dispose()
    // A service that is started next shows its log.
    process.env = before
  }
}
