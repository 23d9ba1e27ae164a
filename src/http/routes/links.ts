// Asking for download links, seeing and withdrawing them, and using one.
import { type Context, Hono } from "hono"
import { z } from "zod"
import { type FilePiece, openPieces, piecesOf } from "../../domain/content.ts"
import { type Download, watchDownloads } from "../../domain/downloads.ts"
import { findFileFor, ownerScope } from "../../domain/files.ts"
import { admit } from "../../domain/link-access.ts"
import {
  type LinkScope,
  type ListedLink,
  mintLink,
  openLink,
  pageOfLinks,
  revokeAllLinks,
  revokeLink,
} from "../../domain/links.ts"
import { type OpenSelection, claimSelection, mintSelection, openSelection } from "../../domain/selections.ts"
import type { Caller } from "../../domain/sessions.ts"
import { toItsEnd } from "../../domain/to-its-end.ts"
import { fieldError } from "../../errors.ts"
import { attachmentResponse, documentResponse, sendTerms } from "../document-response.ts"
import { cursorField, distinctIdsField, idField, limitField, ownerField, secondsField } from "../fields.ts"
import { credential } from "../middleware/guards.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"
import { jsonBody, limitJson, pathId, queryParameters, requireJson, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const MAX_SELECTED = 100
const selectionBody = z.strictObject({ files: distinctIdsField(MAX_SELECTED).min(1, "Give at least one file.") })
const mintQuery = z.strictObject({ expiresIn: secondsField.optional() })
const pageFields = { limit: limitField.default(DEFAULT_LIMIT), cursor: cursorField.optional() }
const scopeFields = { file: idField.optional(), client: idField.optional(), owner: ownerField.optional() }
const scopeQuery = z.strictObject(scopeFields)

/** GET /:id makes a link. HEAD, which Hono sends here too, must not. POST / makes one for several files at once. */
export const linkMintRoutes = new Hono<GuardedEnv>()
  .post("/", singleParameters, queryParameters(mintQuery), requireJson, limitJson, jsonBody(selectionBody), async (c) => {
    const { deps, caller } = c.var
    const { url } = await mintSelection(deps, caller, c.req.valid("json").files, c.req.valid("query").expiresIn)
    return c.json({ "download-link": url, message: "success" }, 201)
  })
  .get("/:id", singleParameters, queryParameters(mintQuery), async (c) => {
    const id = pathId(c.req.param("id"))
    if (c.req.method === "HEAD") {
      await findFileFor(c.var.deps, c.var.caller.userId, id)
      return c.body(null, 200, { "Content-Type": "application/json" })
    }
    const { url } = await mintLink(c.var.deps, c.var.caller, id, c.req.valid("query").expiresIn)
    return c.json({ "download-link": url, message: "success" })
  })

/** Exactly what callers see of a link; never the link itself, which is kept nowhere. */
const linkJson = (link: ListedLink) => ({
  id: link.id,
  file: { id: link.fileId, name: link.fileName },
  selection: link.selectionId,
  createdAt: isoTime(link.createdAtMs),
  expiresAt: isoTime(link.expiresAtMs),
  download: {
    state: link.download.state,
    percent: link.download.percent,
    startedAt: isoTime(link.download.startedAtMs),
    deliveredAt: isoTime(link.download.deliveredAtMs),
  },
})

const isoTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

async function pageJson<T>(
  { deps, caller }: Pick<GuardedEnv["Variables"], "deps" | "caller">,
  scope: LinkScope,
  query: { limit: number; cursor?: string | undefined },
  show: (link: ListedLink) => T,
) {
  const { links, nextCursor } = await pageOfLinks(deps, caller, scope, query)
  return { links: links.map(show), nextCursor }
}

/** A client's own live links. */
export const clientLinkRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(z.strictObject(pageFields)), async (c) => {
    const scope = { userId: c.var.caller.userId }
    return c.json(await pageJson(c.var, scope, c.req.valid("query"), linkJson))
  })
  .delete("/", async (c) => {
    const revoked = await revokeAllLinks(c.var.deps, c.var.caller, { userId: c.var.caller.userId })
    return c.json({ revoked, message: "success" })
  })
  .delete("/:id", async (c) => {
    await revokeLink(c.var.deps, c.var.caller, { userId: c.var.caller.userId }, pathId(c.req.param("id"), "link"))
    return c.body(null, 204)
  })

/** Of the caller's own files; of others' with the permission, when one is named, or its owner, or all are meant. */
function opsScope(caller: Caller, { file, client, owner }: z.output<typeof scopeQuery>): LinkScope {
  const isAnyones = owner === undefined && file !== undefined && caller.managesAllFiles
  const ownerId = isAnyones ? null : ownerScope(caller, owner)
  return {
    ...(ownerId === null ? {} : { ownerId }),
    ...(file === undefined ? {} : { fileId: file }),
    ...(client === undefined ? {} : { userId: client }),
  }
}

/** The live links to an operations user's own files. */
export const opsLinkRoutes = new Hono<GuardedEnv>()
  .get("/", singleParameters, queryParameters(z.strictObject({ ...pageFields, ...scopeFields })), async (c) => {
    const scope = opsScope(c.var.caller, c.req.valid("query"))
    const show = (link: ListedLink) => ({ ...linkJson(link), client: link.client })
    return c.json(await pageJson(c.var, scope, c.req.valid("query"), show))
  })
  .delete("/", singleParameters, queryParameters(scopeQuery), async (c) => {
    const query = c.req.valid("query")
    // Nobody means all links to all files by leaving something out.
    if (query.file === undefined && query.client === undefined)
      throw fieldError("file", "missing", "Name the file or the client whose links are to be withdrawn: ?file= or ?client=")
    const revoked = await revokeAllLinks(c.var.deps, c.var.caller, opsScope(c.var.caller, query))
    return c.json({ revoked, message: "success" })
  })
  .delete("/:id", async (c) => {
    const { userId: ownerId, managesAllFiles } = c.var.caller
    await revokeLink(c.var.deps, c.var.caller, managesAllFiles ? {} : { ownerId }, pathId(c.req.param("id"), "link"))
    return c.body(null, 204)
  })

/** Opens what was claimed, and sees to it that what is sent is counted, and what is not, is not. */
async function openClaimed(
  deps: AppEnv["Variables"]["deps"],
  downloads: readonly Download[],
  pieces: readonly FilePiece[],
): Promise<ReadableStream<Uint8Array>> {
  const watch = watchDownloads(deps, downloads, pieces)
  try {
    return await openPieces(deps, pieces, watch)
  } catch (error) {
    await watch.failed()
    throw error
  }
}

async function sendLinked(c: Context<AppEnv>): Promise<Response> {
  const { deps } = c.var
  const token = c.req.param("token") ?? ""
  // One spelling per link: a percent-encoded one is none.
  const isPlain = new URL(c.req.url).pathname.endsWith(`/${token}`)
  const { claims, access } = await admit(deps, isPlain ? token : "", credential(c))
  if (claims.kind === "selection") {
    const admission = { claims, access }
    const selection = await openSelection(deps, admission)
    return attachmentResponse(c.req.raw, archiveAttachment(selection), async (pieces) => {
      const opened = selection.archive.open(pieces)
      return openClaimed(deps, await claimSelection(deps, admission, selection, opened), opened)
    })
  }
  const found = await openLink(deps, { claims, access }, sendTerms(c.req.raw))
  return documentResponse(c.req.raw, found, (pieces) => {
    if (found.download === null) throw new TypeError("bytes are sent for a claimed download only")
    return openClaimed(deps, [found.download], piecesOf(found.blob, pieces))
  })
}

/**
 * GET /:token sends the document, or the archive of a selection. Not behind a guard: the link is checked first, because
 * a forged one must cost nothing, and then `admit` asks for the login itself. Goes on when the client hangs up: what was
 * claimed by then must be given back.
 */
export const downloadRoutes = new Hono<AppEnv>().get("/:token", (c) => toItsEnd(c.var.deps, () => sendLinked(c)))

/** Its name says when the link was made: two of one day may be told apart by what is in them. */
const archiveAttachment = ({ archive, createdAtMs }: OpenSelection) => ({
  name: `sealpost-${new Date(createdAtMs).toISOString().slice(0, 10)}.zip`,
  mediaType: "application/zip",
  // A file that is renamed makes it other bytes at no time of the link's own: the tag alone says which they are.
  lastModifiedMs: null,
  sizeBytes: archive.sizeBytes,
  tag: archive.tag,
})
