// Groups of clients and their members. For every operations user.
import { type Context, Hono } from "hono"
import { z } from "zod"
import {
  GROUP_SORTS,
  type Group,
  type MemberChange,
  changeGroup,
  changeMembers,
  createGroup,
  pageOfGroups,
  pageOfMembers,
  removeGroup,
  showGroup,
} from "../../domain/groups.ts"
import { cursorField, idsField, limitField, nameField, searchField, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"
import { MAX_CLIENTS } from "./audiences.ts"

const DEFAULT_LIMIT = 50
const pageFields = { limit: limitField.default(DEFAULT_LIMIT), cursor: cursorField.optional() }
const groupsQuery = z.strictObject({
  ...pageFields,
  sort: wordField(GROUP_SORTS).default("name"),
  search: searchField.optional(),
})
const groupBody = z.strictObject({ name: nameField })
const membersBody = z.strictObject({ clients: idsField(MAX_CLIENTS) })

const groupJson = ({ id, name, createdAtMs }: Group) => ({ id, name, createdAt: new Date(createdAtMs).toISOString() })

const groupId = (c: Context<GuardedEnv>): string => pathId(c.req.param("id") ?? "", "group")

async function members(c: Context<GuardedEnv>, change: MemberChange, { clients }: z.output<typeof membersBody>) {
  await changeMembers(c.var.deps, c.var.caller, groupId(c), change, clients)
  return c.json({ message: "success" })
}

export const groupRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(groupsQuery), async (c) => {
    const { groups, nextCursor } = await pageOfGroups(c.var.deps, c.var.caller, c.req.valid("query"))
    return c.json({ groups: groups.map(groupJson), nextCursor })
  })
  .post("/", requireJson, limitJson, jsonBody(groupBody), async (c) => {
    const group = await createGroup(c.var.deps, c.var.caller, c.req.valid("json").name)
    return c.json({ group: groupJson(group), message: "success" }, 201)
  })
  .get("/:id", async (c) => {
    const { memberCount, ...group } = await showGroup(c.var.deps, groupId(c))
    return c.json({ group: { ...groupJson(group), memberCount } })
  })
  .patch("/:id", requireJson, limitJson, jsonBody(groupBody), async (c) => {
    const group = await changeGroup(c.var.deps, c.var.caller, groupId(c), c.req.valid("json").name)
    return c.json({ group: groupJson(group), message: "success" })
  })
  .delete("/:id", async (c) => {
    await removeGroup(c.var.deps, c.var.caller, groupId(c))
    return c.body(null, 204)
  })
  .get("/:id/members", singleParameters, queryParameters(z.strictObject(pageFields)), async (c) => {
    const page = await pageOfMembers(c.var.deps, c.var.caller, groupId(c), c.req.valid("query"))
    const json = page.members.map(({ id, email, addedAtMs }) => ({ id, email, addedAt: new Date(addedAtMs).toISOString() }))
    return c.json({ members: json, nextCursor: page.nextCursor })
  })
  .post("/:id/members", requireJson, limitJson, jsonBody(membersBody), (c) => members(c, "add", c.req.valid("json")))
  .put("/:id/members", requireJson, limitJson, jsonBody(membersBody), (c) => members(c, "replace", c.req.valid("json")))
  .delete("/:id/members", requireJson, limitJson, jsonBody(membersBody), (c) => members(c, "remove", c.req.valid("json")))
