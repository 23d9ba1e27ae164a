// Runs maintenance-worker.ts over a local state for the length of one command; the service may run meanwhile.
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { bringUpToDate } from "./database.ts"
import { choosePort, startDevServer, stopDevServer, untilReady } from "./dev-server.ts"
import { DEFAULT_STATE_DIR, LOCAL_MAIL_FROM, keptSecrets, requireState, requireUsable } from "./local-state.ts"
import { PROJECT_DIR } from "./wrangler.ts"

/** Calls the Worker by path and returns its JSON. */
export type Step = (path: string) => Promise<unknown>

/** What such a command is told. `--help` prints what there is, and that is all. */
export function readArguments(usage: string): { stateDir: string; isJson: boolean } {
  const { values } = parseArgs({
    options: {
      "persist-to": { type: "string", default: DEFAULT_STATE_DIR },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit()
  }
  return { stateDir: values["persist-to"], isJson: values.json }
}

/**
 * Starts the Worker, lets `work` call it, and ends it whatever happens.
 * @throws Error when there is no state in the folder, or its secrets are not usable: nothing is made or changed then
 */
export async function withMaintenanceWorker<T>(stateDir: string, work: (step: Step) => Promise<T>): Promise<T> {
  const persistTo = requireState(stateDir)
  const secrets = keptSecrets(persistTo)
  const port = await choosePort(0)
  const origin = `http://localhost:${String(port)}`
  const token = randomBytes(32).toString("base64url")
  const vars = { PUBLIC_ORIGIN: origin, MAIL_TRANSPORT: "console", MAIL_FROM: LOCAL_MAIL_FROM, MAINTENANCE_TOKEN: token }
  requireUsable({ ...secrets, ...vars })
  await bringUpToDate(persistTo)
  const script = join(PROJECT_DIR, "scripts/maintenance-worker.ts")
  const child = startDevServer({ port, stateDir: persistTo, vars, script, args: [], isShown: false })
  const end = (): void => void stopDevServer(child).then(() => process.exit(1))
  process.once("SIGINT", end).once("SIGTERM", end)
  try {
    await untilReady(origin, child)
    return await work(async (path) => {
      const response = await fetch(`${origin}${path}`, { headers: { Authorization: `Bearer ${token}` } })
      if (response.ok) return response.json()
      // Not the body as it is: what does not come from the Worker is Wrangler's page, with source and headers.
      const { fault } = (await response.json().catch(() => ({}))) as { fault?: string }
      throw new Error(`The step ${path.split("?")[0] ?? ""} failed (${String(response.status)}): ${fault ?? "no reason given"}`)
    })
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end)
    await stopDevServer(child)
  }
}
