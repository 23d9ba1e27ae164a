// A Worker for maintenance.ts: runs the steps of long jobs over the same D1, R2 and keys as the service, through
// the service's own rules. Started on loopback for the length of one command, with a token of that command;
// never deployed.
import { createDeps } from "../src/deps.ts"
import { inspect } from "../src/domain/inspection.ts"
import { rotateKeys } from "../src/domain/rotation.ts"
import { newId } from "../src/ids.ts"
import { errorFacts } from "../src/log.ts"

type MaintenanceEnv = Env & { MAINTENANCE_TOKEN: string }

const ROTATION_LIMIT = 100
const INSPECTION_BUDGET_BYTES = 64 * 1024 * 1024

async function runStep(url: URL, env: Env, context: ExecutionContext): Promise<Response> {
  const deps = await createDeps(env, {
    now: Date.now,
    request: { id: newId(), clientAddress: null },
    afterwards: (work) => {
      context.waitUntil(work)
    },
    log: () => undefined,
  })
  if (url.pathname === "/rotate") return Response.json(await rotateKeys(deps, ROTATION_LIMIT))
  if (url.pathname === "/inspect")
    return Response.json(await inspect(deps, url.searchParams.get("cursor"), INSPECTION_BUDGET_BYTES))
  return new Response(null, { status: 404 })
}

export default {
  async fetch(request, env, context) {
    const url = new URL(request.url)
    if (url.pathname === "/healthz") return new Response("ok")
    if (request.headers.get("authorization") !== `Bearer ${env.MAINTENANCE_TOKEN}`) return new Response(null, { status: 401 })
    try {
      return await runStep(url, env, context)
    } catch (error) {
      return Response.json({ fault: errorFacts(error)["message"] }, { status: 500 })
    }
  },
} satisfies ExportedHandler<MaintenanceEnv>
