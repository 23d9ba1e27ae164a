// Runs maintenance-worker.ts over a local state for the length of one command; the service may run meanwhile.
import { randomBytes } from "node:crypto"
import { join, resolve } from "node:path"
import { choosePort, startDevServer, stopDevServer, untilReady } from "./dev-server.ts"
import { LOCAL_MAIL_FROM, localSecrets } from "./local-state.ts"
import { PROJECT_DIR, applyMigrations } from "./wrangler.ts"

/** Calls the Worker by path and returns its JSON. */
export type Step = (path: string) => Promise<unknown>

/** Starts the Worker, lets `work` call it, and ends it whatever happens. */
export async function withMaintenanceWorker<T>(stateDir: string, work: (step: Step) => Promise<T>): Promise<T> {
  const persistTo = resolve(stateDir)
  localSecrets(persistTo)
  await applyMigrations({ persistTo })
  const port = await choosePort(0)
  const origin = `http://localhost:${String(port)}`
  const token = randomBytes(32).toString("base64url")
  const vars = { PUBLIC_ORIGIN: origin, MAIL_TRANSPORT: "console", MAIL_FROM: LOCAL_MAIL_FROM, MAINTENANCE_TOKEN: token }
  const script = join(PROJECT_DIR, "scripts/maintenance-worker.ts")
  const child = startDevServer({ port, stateDir: persistTo, vars, script, args: [], isShown: false })
  const end = (): void => void stopDevServer(child).then(() => process.exit(1))
  process.once("SIGINT", end).once("SIGTERM", end)
  try {
    await untilReady(origin, child)
    return await work(async (path) => {
      const response = await fetch(`${origin}${path}`, { headers: { Authorization: `Bearer ${token}` } })
      if (!response.ok) throw new Error(`step ${path} failed with ${String(response.status)}: ${await response.text()}`)
      return response.json()
    })
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end)
    await stopDevServer(child)
  }
}
