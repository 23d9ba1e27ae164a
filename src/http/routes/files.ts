// Lists of files for both roles, and what ops do with their own.
import { Hono } from "hono"
import { z } from "zod"
import { formatFilePosition } from "../../domain/cursor.ts"
import { openContent } from "../../domain/content.ts"
import { limitDownloads } from "../../domain/downloads.ts"
import { type FilePage, type ListedFile, deleteOwnFile, findOwnFile, pageOfFiles } from "../../domain/files.ts"
import { documentResponse } from "../document-response.ts"
import { cursorField, downloadLimitField, limitField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const changes = z.strictObject({ downloadLimit: downloadLimitField })
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

/** What its owner sees besides. */
const ownFileJson = (file: ListedFile) => ({ ...fileJson(file), downloadLimit: file.downloadLimit })

const pageJson = (page: FilePage, show: (file: ListedFile) => object) => ({
  files: page.files.map(show),
  nextCursor: page.next === null ? null : formatFilePosition(page.next),
})

function pageOf({ limit, cursor }: z.output<typeof pageQuery>) {
  return { limit: limit ?? DEFAULT_LIMIT, ...(cursor === undefined ? {} : { after: cursor }) }
}

/** What clients may have: every file, as long as files have no audience. */
export const clientFileRoutes = new Hono<GuardedEnv>().get("/", singleParameters, queryParameters(pageQuery), async (c) =>
  c.json(pageJson(await pageOfFiles(c.var.deps, pageOf(c.req.valid("query"))), fileJson)),
)

/** An operations user's own files. */
export const opsFileRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(pageQuery), async (c) => {
    const query = { ...pageOf(c.req.valid("query")), ownerId: c.var.caller.userId }
    return c.json(pageJson(await pageOfFiles(c.var.deps, query), ownFileJson))
  })
  .get("/:id/content", async (c) => {
    const found = await findOwnFile(c.var.deps, c.var.caller.userId, pathId(c.req.param("id")))
    return documentResponse(c.req.raw, found, (pieces) => openContent(c.var.deps, found.blob, pieces))
  })
  .patch("/:id", requireJson, limitJson, jsonBody(changes), async (c) => {
    const id = pathId(c.req.param("id"))
    const { downloadLimit } = c.req.valid("json")
    await limitDownloads(c.var.deps, c.var.caller.userId, id, downloadLimit)
    return c.json({ file: { id, downloadLimit }, message: "success" })
  })
  .delete("/:id", async (c) => {
    await deleteOwnFile(c.var.deps, c.var.caller.userId, pathId(c.req.param("id")))
    return c.body(null, 204)
  })
