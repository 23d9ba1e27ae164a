// Lists of files for both roles, and what ops do with their own.
import { Hono } from "hono"
import { z } from "zod"
import { openContent } from "../../domain/content.ts"
import { limitDownloads } from "../../domain/downloads.ts"
import {
  type ClientFile,
  FILE_SORTS,
  type ListedFile,
  deleteOwnFile,
  findOwnFile,
  pageOfFilesFor,
  pageOfOwnFiles,
} from "../../domain/files.ts"
import { DOCUMENT_TYPES } from "../../domain/document-name.ts"
import { documentResponse } from "../document-response.ts"
import { cursorField, downloadLimitField, limitField, searchField, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const changes = z.strictObject({ downloadLimit: downloadLimitField })
const pageFields = {
  limit: limitField.default(DEFAULT_LIMIT),
  cursor: cursorField.optional(),
  sort: wordField(FILE_SORTS).default("-createdAt"),
  search: searchField.optional(),
  type: wordField(DOCUMENT_TYPES).optional(),
}
const opsQuery = z.strictObject({ ...pageFields, state: wordField(["everyone", "chosen"]).optional() })
const clientQuery = z.strictObject({ ...pageFields, state: wordField(["new", "downloaded"]).optional() })

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
const ownFileJson = (file: ListedFile) => ({
  ...fileJson(file),
  downloadLimit: file.downloadLimit,
  audience: file.audience,
})

/** What a client sees besides. */
const clientFileJson = (file: ClientFile) => ({ ...fileJson(file), state: file.state })

/** What clients may have. */
export const clientFileRoutes = new Hono<GuardedEnv>().get("/", singleParameters, queryParameters(clientQuery), async (c) => {
  const { files, nextCursor } = await pageOfFilesFor(c.var.deps, c.var.caller, c.req.valid("query"))
  return c.json({ files: files.map(clientFileJson), nextCursor })
})

/** An operations user's own files. */
export const opsFileRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(opsQuery), async (c) => {
    const { files, nextCursor } = await pageOfOwnFiles(c.var.deps, c.var.caller, c.req.valid("query"))
    return c.json({ files: files.map(ownFileJson), nextCursor })
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
