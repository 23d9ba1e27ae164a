// Puts what rules may use into the context. A deployment that is not set up answers every request with
// `misconfigured` from here.
import { createMiddleware } from "hono/factory"
import { sealAuditTrail } from "../../domain/audit-trail.ts"
import type { Powers, RequestOrigin } from "../../domain/powers.ts"
import { logLine } from "../../log.ts"
import type { AppEnv } from "../types.ts"

type Occasion = Pick<Powers, "now" | "afterwards" | "log"> & { request: RequestOrigin }
export type DepsFactory = (env: Env, occasion: Occasion) => Promise<Powers>

export const provideDeps = (createDeps: DepsFactory, now: () => number) =>
  createMiddleware<AppEnv>(async function provideDeps(c, next) {
    const { requestId } = c.var
    const deps = await createDeps(c.env, {
      now,
      request: { id: requestId, clientAddress: c.req.header("cf-connecting-ip") ?? null },
      afterwards: (work) => {
        c.executionCtx.waitUntil(work)
      },
      log: (event, facts) => {
        logLine(event, { requestId, ...facts })
      },
    })
    c.set("deps", deps)
    await next()
    if (deps.request.pen.isUsed) deps.afterwards(sealAuditTrail(deps))
  })
