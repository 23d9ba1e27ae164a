// /uploads: resumable uploads by the tus protocol 1.0.0, and our own view of them as JSON (GET). docs/tus-conformance.md
// says which of its clauses is tested where.
import { type Context, Hono } from "hono"
import { requireSha256 } from "../announced-digests.ts"
import { requireTusVersion } from "../middleware/tus.ts"
import { createUpload, cancelUpload, findUpload, inspectUpload, listUploads } from "../../domain/resumable-uploads.ts"
import type { ResumableView } from "../../domain/resumable-uploads.ts"
import { type Patch, receivePatch } from "../../domain/resumable-receipt.ts"
import { toItsEnd } from "../../domain/to-its-end.ts"
import { AppError, fieldError } from "../../errors.ts"
import { type BodySource, createBodySource } from "../../protocol/body.ts"
import {
  CHECKSUM_ALGORITHMS,
  TUS_CONTENT_TYPE,
  TUS_EXTENSIONS,
  TUS_VERSION,
  httpDate,
  parseChecksum,
  parseCount,
  parseMetadata,
} from "../../protocol/tus.ts"
import type { AppEnv, GuardedEnv } from "../types.ts"
import { type UploadSettings, creationSettings, termsOf, withSettingsOf } from "../upload-settings.ts"
import { pathId, requireFields, singleParameters } from "../validate.ts"

type GuardedContext = Context<GuardedEnv>

const malformed = (detail: string): AppError => new AppError("malformed_request", { detail })

/** A count in a header, or null without it. */
function count(c: GuardedContext, name: string): number | null {
  const value = parseCount(c.req.header(name))
  if (value === "malformed") throw malformed(`${name} must be a whole number of bytes, in digits.`)
  return value
}

/** Upload-Length, or null where Upload-Defer-Length says that it comes later. */
function announcedLength(c: GuardedContext): number | null {
  const lengthBytes = count(c, "Upload-Length")
  const deferred = c.req.header("upload-defer-length")
  if (deferred !== undefined && deferred !== "1") throw malformed("Upload-Defer-Length must be 1.")
  if ((lengthBytes === null) === (deferred === undefined)) {
    throw malformed("Send either Upload-Length, or Upload-Defer-Length: 1.")
  }
  return lengthBytes
}

/** The name, and what else the file is published with: from Upload-Metadata, or from the address. */
function metadataOf(c: GuardedContext): { sentName: string | null; replaces: string | null; settings: UploadSettings } {
  const query = requireFields(creationSettings, c.req.query())
  const pairs = parseMetadata(c.req.header("upload-metadata"))
  if (pairs === "malformed") throw malformed("Upload-Metadata must be pairs of a key and a Base64 value, each key once.")
  const text = (key: string): string | null => {
    const value = pairs.get(key)
    if (value === undefined) return null
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value)
    } catch {
      throw malformed(`The value of ${key} in Upload-Metadata is not UTF-8.`)
    }
  }
  const sentName = text("filename")
  const { replaces = null, ...settings } = withSettingsOf(query, text)
  if (sentName === null && replaces === null)
    throw fieldError("file", "name_missing", "Give the file's name as filename in Upload-Metadata.")
  const [other] = Object.keys(settings)
  if (replaces !== null && other !== undefined)
    throw fieldError(other, "contradiction", "A new version has the name, recipients and terms of its file: change them there.")
  return { sentName, replaces, settings }
}

const isTusBody = (c: GuardedContext): boolean => (c.req.header("content-type") ?? "").trim().toLowerCase() === TUS_CONTENT_TYPE

function requirePlainBody(c: GuardedContext): void {
  if (!/^(?:identity)?$/i.test(c.req.header("content-encoding") ?? "")) {
    throw new AppError("unsupported_media_type", { detail: "Send the bytes as they are, without a Content-Encoding." })
  }
  if (!isTusBody(c))
    throw new AppError("unsupported_media_type", { detail: `Send the bytes as Content-Type: ${TUS_CONTENT_TYPE}.` })
}

function checksumOf(c: GuardedContext): Patch["checksum"] {
  const checksum = parseChecksum(c.req.header("upload-checksum"))
  if (checksum === "malformed") throw malformed("Upload-Checksum must be an algorithm and the Base64 checksum.")
  if (checksum === "unsupported") throw malformed(`Upload-Checksum must be one of: ${CHECKSUM_ALGORITHMS.join(", ")}.`)
  return checksum
}

/** Small: whoever is refused before any byte was taken may as well be cut off. */
const DRAIN_EARLY_BYTES = 1024 * 1024
const TAKEN_EARLY: readonly string[] = ["upload_offset_conflict", "upload_locked", "busy", "not_found", "upload_expired"]

/** Hands over the body of a PATCH, and takes what is left of it when it is refused, so that the client hears why. */
async function withBody<T>(c: GuardedContext, work: (chunks: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T> {
  const body = c.req.raw.body as ReadableStream<Uint8Array> | null
  const source: BodySource | null = body === null ? null : createBodySource(body)
  let drainBytes = 0
  try {
    // So that what has arrived is counted and the lease given back.
    return await toItsEnd(c.var.deps, () => work(source?.chunks() ?? nothing()))
  } catch (error) {
    const isEarly = error instanceof AppError && TAKEN_EARLY.includes(error.code)
    drainBytes = isEarly ? DRAIN_EARLY_BYTES : c.var.deps.policy.maxFileBytes
    throw error
  } finally {
    await source?.close(drainBytes)
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {
  // An absent body has no bytes.
}

function contentLength(c: GuardedContext): number | null {
  // Workers fold both framings into one: without a length the body is chunked, or there is none.
  if (c.req.raw.body === null) return 0
  return count(c, "Content-Length")
}

/** Where an upload stands, as every answer about it says. */
function standing(c: GuardedContext, upload: ResumableView): void {
  c.header("Upload-Offset", String(upload.offsetBytes))
  if (upload.fileId === null) c.header("Upload-Expires", httpDate(upload.expiresAtMs))
  else c.header("Sealpost-File-Id", upload.fileId)
}

const urlOf = (c: GuardedContext, upload: ResumableView): string =>
  `${c.var.deps.policy.publicOrigin}/api/ops/uploads/${upload.id}`

const uploadJson = (c: GuardedContext, upload: ResumableView) => ({
  id: upload.id,
  name: upload.name,
  size: upload.lengthBytes,
  offset: upload.offsetBytes,
  state: upload.state,
  url: urlOf(c, upload),
  createdAt: new Date(upload.createdAtMs).toISOString(),
  expiresAt: new Date(upload.expiresAtMs).toISOString(),
  fileId: upload.fileId,
  replaces: upload.replaces,
})

/**
 * Takes the bytes that come with the creation. Where that fails, nobody is told the upload's address: it is given up, or
 * it would hold its room, and a place among the open ones, until it expires.
 */
async function receiveFirst(c: GuardedContext, { id }: ResumableView, first: Patch): Promise<ResumableView> {
  const { deps, caller } = c.var
  try {
    return await receivePatch(deps, caller.userId, id, first)
  } catch (error) {
    // One that was refused has ended already.
    await cancelUpload(deps, caller.userId, id).catch(() => undefined)
    throw error
  }
}

async function create(c: GuardedContext): Promise<Response> {
  if (c.req.header("upload-concat") !== undefined) throw malformed("Upload-Concat is not supported here.")
  const lengthBytes = announcedLength(c)
  const { settings, ...named } = metadataOf(c)
  const [downloadLimit, terms] = [settings.downloadLimit ?? null, termsOf(settings)]
  const bodyBytes = contentLength(c)
  const hasBody = bodyBytes !== 0
  if (hasBody) requirePlainBody(c)
  const checksum = checksumOf(c)
  if (lengthBytes !== null && bodyBytes !== null && bodyBytes > lengthBytes) {
    throw new AppError("payload_too_large", { detail: "The body is longer than Upload-Length." })
  }
  const expectedSha256 = requireSha256(c.req.raw.headers)
  const metadata = c.req.header("upload-metadata") ?? ""
  const wanted = { ...named, lengthBytes, downloadLimit, terms, metadata, expectedSha256 }
  const created = await createUpload(c.var.deps, c.var.caller, wanted)
  let upload = created
  c.header("Location", urlOf(c, upload))
  // An upload of no bytes is complete at once.
  if (hasBody || lengthBytes === 0) {
    const first = { offsetBytes: 0, lengthBytes: null, bodyBytes, checksum }
    upload = await withBody(c, (chunks) => receiveFirst(c, created, { ...first, chunks }))
  }
  standing(c, upload)
  return c.body(null, 201)
}

async function patch(c: GuardedContext): Promise<Response> {
  const id = uploadId(c)
  requirePlainBody(c)
  const offsetBytes = count(c, "Upload-Offset")
  if (offsetBytes === null) throw malformed("Upload-Offset is missing.")
  const request = { offsetBytes, lengthBytes: count(c, "Upload-Length"), bodyBytes: contentLength(c), checksum: checksumOf(c) }
  const { userId } = c.var.caller
  standing(c, await withBody(c, (chunks) => receivePatch(c.var.deps, userId, id, { ...request, chunks })))
  return c.body(null, 204)
}

async function remove(c: GuardedContext): Promise<Response> {
  await cancelUpload(c.var.deps, c.var.caller.userId, uploadId(c))
  return c.body(null, 204)
}

async function head(c: GuardedContext): Promise<Response> {
  const id = uploadId(c)
  // It may finish the upload.
  const upload = await toItsEnd(c.var.deps, () => inspectUpload(c.var.deps, c.var.caller.userId, id))
  standing(c, upload)
  if (upload.lengthBytes === null) c.header("Upload-Defer-Length", "1")
  else c.header("Upload-Length", String(upload.lengthBytes))
  if (upload.metadata !== "") c.header("Upload-Metadata", upload.metadata)
  return c.body(null, 200)
}

const uploadId = (c: GuardedContext): string => pathId(c.req.param("id") ?? "", "upload")

/**
 * X-HTTP-Method-Override: "MUST be interpreted as the request's method by the Server". Here of POST only, to the methods
 * that an environment may lack; the guards before this have let the caller through for all of them alike.
 */
function overridden(c: GuardedContext): Promise<Response> {
  const method = c.req.header("x-http-method-override")
  if (method === "PATCH") return patch(c)
  if (method === "DELETE") return remove(c)
  throw new AppError("method_not_allowed", {
    detail: "POST to an upload needs X-HTTP-Method-Override: PATCH or DELETE.",
    allow: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST"],
  })
}

/** "An OPTIONS request MAY be used to gather information about the Server's current configuration." By anybody. */
const discover = (c: Context<AppEnv>): Response => {
  c.header("Tus-Version", TUS_VERSION)
  c.header("Tus-Extension", TUS_EXTENSIONS.join(","))
  c.header("Tus-Max-Size", String(c.var.deps.policy.maxFileBytes))
  c.header("Tus-Checksum-Algorithm", CHECKSUM_ALGORITHMS.join(","))
  return c.body(null, 204)
}

export const tusDiscoveryRoutes = new Hono<AppEnv>().options("/", discover).options("/:id", discover)

export const resumableUploadRoutes = new Hono<GuardedEnv>()
  .use(requireTusVersion)
  .get("/", async (c) => {
    const uploads = await listUploads(c.var.deps, c.var.caller.userId)
    return c.json({ uploads: uploads.map((upload) => uploadJson(c, upload)) })
  })
  .post("/", singleParameters, create)
  .get("/:id", async (c) => {
    if (c.req.method === "HEAD") return head(c)
    return c.json({ upload: uploadJson(c, await findUpload(c.var.deps, c.var.caller.userId, uploadId(c))) })
  })
  .post("/:id", overridden)
  .patch("/:id", patch)
  .delete("/:id", remove)
