// What handlers find in their context. A guarded sub-app has a caller, an open one has not: the compiler
// refuses a handler that asks for a caller where no guard has put one.
import type { Context } from "hono"
import type { Powers } from "../domain/powers.ts"
import type { Caller } from "../domain/sessions.ts"

export type AppEnv = {
  Bindings: Env
  Variables: {
    requestId: string
    /** Method and route pattern, e.g. `GET /download-file/:token`: what logs name, instead of the URL. */
    operation: string
    /** Set by the error renderer, for the log. */
    problem: { code: string; reason?: string }
    deps: Powers
  }
}

export type GuardedEnv = AppEnv & { Variables: { caller: Caller } }

/** The context of a handler, guarded or not. */
export type AnyContext = Context<AppEnv> | Context<GuardedEnv>
