// What every answer of the tus resources carries (tus 1.0.0), errors included, and which version a request must speak.
import { createMiddleware } from "hono/factory"
import { AppError } from "../../errors.ts"
import { TUS_VERSION } from "../../protocol/tus.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"

/** Stands before every guard: whoever is refused hears the version, too. */
export const tusHeaders = createMiddleware<AppEnv>(async function tusHeaders(c, next) {
  await next()
  c.header("Tus-Resumable", TUS_VERSION)
  if (c.res.status === 412) c.header("Tus-Version", TUS_VERSION)
})

/** "If the version specified by the Client is not supported by the Server, it MUST respond with 412 …" */
export const requireTusVersion = createMiddleware<GuardedEnv>(async function requireTusVersion(c, next) {
  // GET is not of the protocol: it is our own view of an upload.
  if (c.req.method !== "GET" && c.req.header("tus-resumable") !== TUS_VERSION) {
    throw new AppError("tus_version_unsupported", { detail: `Send Tus-Resumable: ${TUS_VERSION}.` })
  }
  await next()
})
