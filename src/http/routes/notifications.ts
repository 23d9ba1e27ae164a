// What people are told: each about the kinds that are theirs, owners about each of their files.
import { Hono } from "hono"
import { z } from "zod"
import {
  NOTIFICATIONS,
  changeFileNotifications,
  changeOwnNotifications,
  fileNotifications,
  notificationsOf,
  ownNotifications,
} from "../../domain/notifications.ts"
import { fieldError, fieldErrors } from "../../errors.ts"
import { wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, requireJson } from "../validate.ts"

/** In a query: `none`, or with commas between them all kinds that are told. */
export const notifyParameter = z
  .string()
  .transform((text) => (text === "none" ? [] : text.split(",")))
  .pipe(z.array(wordField(NOTIFICATIONS)))

const isOn = z.boolean("Give true or false.")
const allSwitches = z.strictObject({ newFiles: isOn, expiryReminders: isOn, deliveries: isOn, expiryReports: isOn })
const someSwitches = allSwitches.partial()

export const ownNotificationRoutes = new Hono<GuardedEnv>()
  .get("/", async (c) => c.json({ notifications: await ownNotifications(c.var.deps, c.var.caller) }))
  .patch("/", requireJson, limitJson, jsonBody(someSwitches), async (c) => {
    const wanted = c.req.valid("json")
    const own = notificationsOf(c.var.caller)
    const others = NOTIFICATIONS.filter((name) => wanted[name] !== undefined && !own.includes(name))
    if (others.length > 0) {
      const message = `You have only these: ${own.join(", ")}.`
      const fields = others.map((field) => ({ field, rule: "unknown_field", message }))
      throw fieldErrors(fields)
    }
    if (own.every((name) => wanted[name] === undefined))
      throw fieldError("", "missing", `Give at least one of: ${own.join(", ")}.`)
    return c.json({ notifications: await changeOwnNotifications(c.var.deps, c.var.caller, wanted), message: "success" })
  })

/** Below /files. */
export const fileNotificationRoutes = new Hono<GuardedEnv>()
  .get("/:id/notifications", async (c) => {
    const id = pathId(c.req.param("id"))
    return c.json({ notifications: await fileNotifications(c.var.deps, c.var.caller, id) })
  })
  .put("/:id/notifications", requireJson, limitJson, jsonBody(allSwitches), async (c) => {
    const id = pathId(c.req.param("id"))
    const notifications = c.req.valid("json")
    await changeFileNotifications(c.var.deps, c.var.caller, id, notifications)
    return c.json({ notifications, message: "success" })
  })
