// The versions of a file: sent, listed, fetched, deleted, made current again. For those who may manage the file.
import { Hono } from "hono"
import { z } from "zod"
import { openContent } from "../../domain/content.ts"
import { type ListedFile, type SealedRow, findOwnFile } from "../../domain/files.ts"
import { requireQuota } from "../../domain/quota.ts"
import { type SentDocument, receiveVersion } from "../../domain/uploads.ts"
import { type FileVersion, deleteOwnVersion, findOwnVersion, pageOfVersions, restoreOwnVersion } from "../../domain/versions.ts"
import { type DocumentContext, receiveBody, receiveForm } from "../document-request.ts"
import { documentResponse } from "../document-response.ts"
import { cursorField, limitField, versionField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { pathId, pathNumber, queryParameters, singleParameters } from "../validate.ts"
import { fileJson } from "./files.ts"

const DEFAULT_LIMIT = 50
const pageQuery = z.strictObject({ limit: limitField.default(DEFAULT_LIMIT), cursor: cursorField.optional() })
const contentQuery = z.strictObject({ version: versionField.optional() })

const versionJson = (version: FileVersion) => ({
  version: version.version,
  size: version.sizeBytes,
  sha256: version.sha256,
  createdAt: new Date(version.createdAtMs).toISOString(),
  createdBy: version.createdBy,
  current: version.isCurrent,
})

/** The bytes are the owner's, whoever sends them. */
const requireRoom =
  (c: DocumentContext, { file }: SealedRow) =>
  (atLeastBytes: number): Promise<void> =>
    requireQuota(c.var.deps, { userId: file.ownerId, newFiles: 0 }, atLeastBytes)

function currentJson(file: ListedFile) {
  const json = { ...fileJson(file), version: file.version, updatedAt: new Date(file.updatedAtMs).toISOString() }
  return { file: json, message: "success" }
}

async function answer(
  c: DocumentContext,
  replaces: SealedRow,
  sentName: string | null,
  sent: SentDocument,
  status: 200 | 201,
): Promise<Response> {
  return c.json(currentJson(await receiveVersion(c.var.deps, replaces, sentName, sent)), status)
}

/** Below /files. */
export const versionRoutes = new Hono<GuardedEnv>()
  .get("/:id/versions", singleParameters, queryParameters(pageQuery), async (c) => {
    const id = pathId(c.req.param("id"))
    const { versions, nextCursor } = await pageOfVersions(c.var.deps, c.var.caller, id, c.req.valid("query"))
    return c.json({ versions: versions.map(versionJson), nextCursor })
  })
  .post("/:id/versions", async (c) => {
    const replaces = await findOwnFile(c.var.deps, c.var.caller, pathId(c.req.param("id")))
    return receiveForm(c, {
      before: requireRoom(c, replaces),
      receive: (sent, sentName) => answer(c, replaces, sentName, sent, 201),
    })
  })
  .delete("/:id/versions/:version", async (c) => {
    const version = pathNumber(c.req.param("version"), "version")
    await deleteOwnVersion(c.var.deps, c.var.caller, pathId(c.req.param("id")), version)
    return c.body(null, 204)
  })
  .post("/:id/versions/:version/restore", async (c) => {
    const [id, version] = [pathId(c.req.param("id")), pathNumber(c.req.param("version"), "version")]
    return c.json(currentJson(await restoreOwnVersion(c.var.deps, c.var.caller, id, version)))
  })
  .get("/:id/content", singleParameters, queryParameters(contentQuery), async (c) => {
    const id = pathId(c.req.param("id"))
    const found = await findOwnVersion(c.var.deps, c.var.caller, id, c.req.valid("query").version)
    return documentResponse(c.req.raw, found, (pieces) => openContent(c.var.deps, found.blob, pieces))
  })
  .put("/:id/content", async (c) => {
    const replaces = await findOwnFile(c.var.deps, c.var.caller, pathId(c.req.param("id")))
    return receiveBody(c, {
      before: requireRoom(c, replaces),
      receive: (sent) => answer(c, replaces, null, sent, 200),
    })
  })
