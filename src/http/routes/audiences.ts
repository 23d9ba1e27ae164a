// Whom files are for: one file's audience, and many files for many clients at once. For owners of the files.
import { Hono } from "hono"
import { z } from "zod"
import { FOR_EVERYONE, type Recipient, assign, changeAudience, pageOfAudience } from "../../domain/audiences.ts"
import { fieldError } from "../../errors.ts"
import { cursorField, idsField, limitField, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"

const MAX_FILES = 50
export const MAX_CLIENTS = 200
export const MAX_GROUPS = 50
const MAX_PAGE = 200

const recipients = { clients: idsField(MAX_CLIENTS).default([]), groups: idsField(MAX_GROUPS).default([]) }
const audienceBody = z.discriminatedUnion(
  "audience",
  [z.strictObject({ audience: z.literal("everyone") }), z.strictObject({ audience: z.literal("chosen"), ...recipients })],
  "Give everyone, or chosen with clients and groups.",
)
const assignmentBody = z.strictObject({
  files: idsField(MAX_FILES).min(1, "Give at least one file."),
  ...recipients,
  mode: wordField(["add", "remove"]),
})
const pageQuery = z.strictObject({ limit: limitField.default(MAX_PAGE), cursor: cursorField.optional() })

const recipientJson = ({ id, name, grantedAtMs, kind }: Recipient) => ({
  id,
  ...(kind === "client" ? { email: name } : { name }),
  assignedAt: new Date(grantedAtMs).toISOString(),
})

/** Below /files. */
export const audienceRoutes = new Hono<GuardedEnv>()
  .get("/:id/audience", singleParameters, queryParameters(pageQuery), async (c) => {
    const id = pathId(c.req.param("id"))
    const page = await pageOfAudience(c.var.deps, c.var.caller, id, c.req.valid("query"))
    const of = (kind: Recipient["kind"]) => page.recipients.filter((recipient) => recipient.kind === kind).map(recipientJson)
    return c.json({ audience: page.audience, clients: of("client"), groups: of("group"), nextCursor: page.nextCursor })
  })
  .put("/:id/audience", requireJson, limitJson, jsonBody(audienceBody), async (c) => {
    const id = pathId(c.req.param("id"))
    const body = c.req.valid("json")
    await changeAudience(c.var.deps, c.var.caller, id, body.audience === "everyone" ? FOR_EVERYONE : body)
    return c.json({ file: { id, audience: body.audience }, message: "success" })
  })

export const assignmentRoutes = new Hono<GuardedEnv>().post("/", requireJson, limitJson, jsonBody(assignmentBody), async (c) => {
  const { mode, ...assignment } = c.req.valid("json")
  if (assignment.clients.length + assignment.groups.length === 0)
    throw fieldError("clients", "missing", "Name at least one client or group.")
  const changed = await assign(c.var.deps, c.var.caller, mode, assignment)
  return c.json({ changed, message: "success" })
})
