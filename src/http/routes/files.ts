// Lists of files for both roles, and what ops do with their own.
import { Hono } from "hono"
import { z } from "zod"
import { DOCUMENT_TYPES } from "../../domain/document-name.ts"
import { changeOwnFile, deleteOwnFile, getOwnFile, purgeOwnFile, restoreOwnFile } from "../../domain/file-life.ts"
import { type ClientFile, FILE_SORTS, type ListedFile, type OwnFile, pageOfFilesFor, pageOfOwnFiles } from "../../domain/files.ts"
import {
  cursorField,
  descriptionField,
  downloadLimitField,
  limitField,
  ownerField,
  searchField,
  timeField,
  wordField,
} from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const changes = z
  .strictObject({
    name: z.string("Give the file's name."),
    description: descriptionField.nullable(),
    expiresAt: timeField.nullable(),
    downloadLimit: downloadLimitField,
  })
  .partial()
  .refine((fields) => Object.keys(fields).length > 0, {
    error: "Give at least one of: name, description, expiresAt, downloadLimit.",
    params: { rule: "missing" },
  })
const deletion = z.strictObject({ purge: wordField(["true", "false"]).optional() })
const pageFields = {
  limit: limitField.default(DEFAULT_LIMIT),
  cursor: cursorField.optional(),
  sort: wordField(FILE_SORTS).default("-createdAt"),
  search: searchField.optional(),
  type: wordField(DOCUMENT_TYPES).optional(),
}
const opsQuery = z.strictObject({
  ...pageFields,
  state: wordField(["everyone", "chosen", "deleted"]).optional(),
  owner: ownerField.optional(),
})
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

const isoTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

/** What its owner sees besides. */
export const ownFileJson = (file: OwnFile) => ({
  ...fileJson(file),
  version: file.version,
  description: file.description,
  state: file.state,
  updatedAt: isoTime(file.updatedAtMs),
  expiresAt: isoTime(file.expiresAtMs),
  deletedAt: isoTime(file.deletedAtMs),
  purgeAt: isoTime(file.purgeAtMs),
  downloadLimit: file.downloadLimit,
  audience: file.audience,
  owner: file.owner,
})

/** What a client sees besides. */
const clientFileJson = (file: ClientFile) => ({
  ...fileJson(file),
  description: file.description,
  expiresAt: isoTime(file.expiresAtMs),
  state: file.state,
})

/** What clients may have. */
export const clientFileRoutes = new Hono<GuardedEnv>().get("/", singleParameters, queryParameters(clientQuery), async (c) => {
  const { files, nextCursor } = await pageOfFilesFor(c.var.deps, c.var.caller, c.req.valid("query"))
  return c.json({ files: files.map(clientFileJson), nextCursor })
})

/** An operations user's own files, and others' with the permission. */
export const opsFileRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(opsQuery), async (c) => {
    const { files, nextCursor } = await pageOfOwnFiles(c.var.deps, c.var.caller, c.req.valid("query"))
    return c.json({ files: files.map(ownFileJson), nextCursor })
  })
  .get("/:id", async (c) => c.json({ file: ownFileJson(await getOwnFile(c.var.deps, c.var.caller, pathId(c.req.param("id")))) }))
  .patch("/:id", requireJson, limitJson, jsonBody(changes), async (c) => {
    const { expiresAt: expiresAtMs, ...settings } = c.req.valid("json")
    const id = pathId(c.req.param("id"))
    const file = await changeOwnFile(c.var.deps, c.var.caller, id, { ...settings, expiresAtMs })
    return c.json({ file: ownFileJson(file), message: "success" })
  })
  .delete("/:id", singleParameters, queryParameters(deletion), async (c) => {
    const id = pathId(c.req.param("id"))
    const end = c.req.valid("query").purge === "true" ? purgeOwnFile : deleteOwnFile
    await end(c.var.deps, c.var.caller, id)
    return c.body(null, 204)
  })
  .post("/:id/restore", async (c) => {
    const file = await restoreOwnFile(c.var.deps, c.var.caller, pathId(c.req.param("id")))
    return c.json({ file: ownFileJson(file), message: "success" })
  })
