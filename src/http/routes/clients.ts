// Clients, for operations users.
import { Hono } from "hono"
import { z } from "zod"
import {
  type ListedClient,
  deleteClientAccount,
  disableClient,
  enableClient,
  getClient,
  pageOfClients,
} from "../../domain/clients.ts"
import { cursorField, emailField, limitField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { pathId, queryParameters, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const pageQuery = z.strictObject({
  limit: limitField.default(DEFAULT_LIMIT),
  cursor: cursorField.optional(),
  email: emailField.optional(),
})

const isoTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

/** Exactly what ops see of a client. */
const clientJson = (client: ListedClient) => ({
  id: client.id,
  email: client.email,
  createdAt: isoTime(client.createdAtMs),
  verifiedAt: isoTime(client.verifiedAtMs),
  disabledAt: isoTime(client.disabledAtMs),
  secondFactor: client.hasSecondFactor,
})

const clientId = (text: string): string => pathId(text, "client")

export const opsClientRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(pageQuery), async (c) => {
    const { clients, nextCursor } = await pageOfClients(c.var.deps, c.var.caller, c.req.valid("query"))
    return c.json({ clients: clients.map(clientJson), nextCursor })
  })
  .get("/:id", async (c) => c.json({ client: clientJson(await getClient(c.var.deps, clientId(c.req.param("id")))) }))
  .post("/:id/disable", async (c) => {
    const client = await disableClient(c.var.deps, c.var.caller, clientId(c.req.param("id")))
    return c.json({ client: clientJson(client), message: "success" })
  })
  .post("/:id/enable", async (c) => {
    const client = await enableClient(c.var.deps, c.var.caller, clientId(c.req.param("id")))
    return c.json({ client: clientJson(client), message: "success" })
  })
  .delete("/:id", async (c) => {
    await deleteClientAccount(c.var.deps, c.var.caller, clientId(c.req.param("id")))
    return c.body(null, 204)
  })
