// Floods from one network address, stopped before anything is parsed, by the runtime's own counter: per location
// and approximate, so it only keeps the exact limits in D1 (domain/limits.ts) from having to answer them all.
import { createMiddleware } from "hono/factory"
import { callerAddress } from "../../domain/limits.ts"
import { AppError } from "../../errors.ts"
import type { AppEnv } from "../types.ts"

const RETRY_AFTER_SECONDS = 10

/** For calls that anybody may make. */
export const limitFloods = createMiddleware<AppEnv>(async function limitFloods(c, next) {
  const { deps } = c.var
  if (!(await deps.admitsFlood(callerAddress(deps)))) {
    throw new AppError("too_many_requests", {
      detail: `Too many requests. Wait ${String(RETRY_AFTER_SECONDS)} seconds, then try again.`,
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      reason: "flood",
    })
  }
  await next()
})
