// GET /healthz: 200 when configuration, D1 and R2 answer. Says nothing else about the deployment.
import { Hono } from "hono"
import { checkHealth } from "../../domain/health.ts"
import type { AppEnv } from "../types.ts"

export const healthRoutes = new Hono<AppEnv>().get("/healthz", async (c) => {
  await checkHealth(c.var.deps)
  return c.json({ status: "ok" })
})
