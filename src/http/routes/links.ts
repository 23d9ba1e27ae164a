// Asking for a download link, and using one.
import { Hono } from "hono"
import { openContent } from "../../domain/content.ts"
import { findFile } from "../../domain/files.ts"
import { mintLink, noteLinkUse, openLink } from "../../domain/links.ts"
import { documentResponse } from "../document-response.ts"
import { bearerToken } from "../middleware/guards.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"
import { pathId } from "../validate.ts"

/** GET /:id makes a link. HEAD, which Hono sends here too, must not. */
export const linkMintRoutes = new Hono<GuardedEnv>().get("/:id", async (c) => {
  const id = pathId(c.req.param("id"))
  if (c.req.method === "HEAD") {
    await findFile(c.var.deps, id)
    return c.body(null, 200, { "Content-Type": "application/json" })
  }
  const { url } = await mintLink(c.var.deps, c.var.caller, id)
  return c.json({ "download-link": url, message: "success" })
})

/**
 * GET /:token sends the document. Not behind a guard: the link is checked first, because a forged one must
 * cost nothing, and then openLink asks for the login itself.
 */
export const downloadRoutes = new Hono<AppEnv>().get("/:token", async (c) => {
  const { deps } = c.var
  const bearer = bearerToken(c.req.header("authorization"))
  const token = c.req.param("token")
  // One spelling per link: a percent-encoded one is none.
  const isPlain = new URL(c.req.url).pathname.endsWith(`/${token}`)
  const found = await openLink(deps, isPlain ? token : "", bearer)
  return documentResponse(c.req.raw, found, async (pieces) => {
    const body = await openContent(deps, found.blob, pieces)
    deps.afterwards(noteLinkUse(deps, found.link))
    return body
  })
})
