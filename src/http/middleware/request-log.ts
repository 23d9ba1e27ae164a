// Gives every request an id and writes one line about it: operation, status, time, problem code. Never the
// URL, which may be a link, nor any header. A client's own request id is not trusted.
import { createMiddleware } from "hono/factory"
import { logLine } from "../../log.ts"
import type { AppEnv } from "../types.ts"
import { newId } from "../../ids.ts"

export const requestLog = (now: () => number) =>
  createMiddleware<AppEnv>(async function requestLog(c, next) {
    const startedMs = now()
    c.set("requestId", newId())
    c.set("operation", "unknown route")
    await next()
    c.header("X-Request-Id", c.var.requestId)
    // Undefined where nothing went wrong; the type cannot say so.
    const problem = c.get("problem") as AppEnv["Variables"]["problem"] | undefined
    logLine("request", {
      requestId: c.var.requestId,
      operation: c.var.operation,
      status: c.res.status,
      durationMs: now() - startedMs,
      ...problem,
    })
  })
