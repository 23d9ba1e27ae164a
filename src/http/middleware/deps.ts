// Puts what rules may use into the context. A deployment that is not set up answers every request with
// `misconfigured` from here.
import { createMiddleware } from "hono/factory"
import type { Powers } from "../../domain/powers.ts"
import { logLine } from "../../log.ts"
import type { AppEnv } from "../types.ts"

export type DepsFactory = (env: Env, occasion: Pick<Powers, "now" | "request" | "afterwards" | "log">) => Promise<Powers>

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
  })
