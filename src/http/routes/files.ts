// Lists of files for both roles, and what ops do with their own.
import { Hono } from "hono"
import { z } from "zod"
import { formatFilePosition } from "../../domain/cursor.ts"
import { openContent } from "../../domain/content.ts"
import { type FilePage, type ListedFile, deleteOwnFile, findOwnFile, pageOfFiles } from "../../domain/files.ts"
import { documentResponse } from "../document-response.ts"
import { cursorField, limitField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { pathId, queryParameters, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const pageQuery = z.strictObject({ limit: limitField.optional(), cursor: cursorField.optional() })

/** Exactly what callers see of a file. */
export const fileJson = (file: ListedFile) => ({
  id: file.id,
  name: file.name,
  size: file.sizeBytes,
  type: file.type,
  sha256: file.sha256,
  createdAt: new Date(file.createdAtMs).toISOString(),
})

const pageJson = (page: FilePage) => ({
  files: page.files.map(fileJson),
  nextCursor: page.next === null ? null : formatFilePosition(page.next),
})

function pageOf({ limit, cursor }: z.output<typeof pageQuery>) {
  return { limit: limit ?? DEFAULT_LIMIT, ...(cursor === undefined ? {} : { after: cursor }) }
}

/** What clients may have: every file, as long as files have no audience. */
export const clientFileRoutes = new Hono<GuardedEnv>().get("/", singleParameters, queryParameters(pageQuery), async (c) =>
  c.json(pageJson(await pageOfFiles(c.var.deps, pageOf(c.req.valid("query"))))),
)

/** An operations user's own files. */
export const opsFileRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(pageQuery), async (c) => {
    const query = { ...pageOf(c.req.valid("query")), ownerId: c.var.caller.userId }
    return c.json(pageJson(await pageOfFiles(c.var.deps, query)))
  })
  .get("/:id/content", async (c) => {
    const found = await findOwnFile(c.var.deps, c.var.caller.userId, pathId(c.req.param("id")))
    return documentResponse(c.req.raw, found, (pieces) => openContent(c.var.deps, found.blob, pieces))
  })
  .delete("/:id", async (c) => {
    await deleteOwnFile(c.var.deps, c.var.caller.userId, pathId(c.req.param("id")))
    return c.body(null, 204)
  })
