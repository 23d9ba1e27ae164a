// Is everything there, and is it what it should be? Walks files, sealed objects and keys against each other,
// opens every byte and compares its digest. In steps, so that a run of cron can do a part of it.
import { createHash } from "node:crypto"
import { type BlobPosition, type BlobRow, findBlobByObjectKey, listBlobs, listFilesWithoutBlob } from "../db/files.ts"
import { readJobCursor, writeJobCursor } from "../db/job-cursors.ts"
import { findOwnedObjects } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { type ContentDeps, openContent } from "./content.ts"

export type FindingKind = "damaged" | "key_unavailable" | "file_without_bytes" | "orphaned_object"

/** One thing that is wrong. */
export type Finding = { kind: FindingKind; fileId: string | null; objectKey: string | null }

export type InspectionStep = {
  findings: Finding[]
  /** What this step has looked at. */
  filesOpened: number
  bytesOpened: number
  objectsListed: number
  /** Where the next step goes on; null when everything has been seen. */
  next: string | null
}

const PAGE = 20
/** Bound by D1's parameters, see findOwnedObjects. */
const OBJECTS_PAGE = 30
const JOB = "inspection"

/** Opens a file to its end. */
async function inspectBlob(deps: ContentDeps, blob: BlobRow): Promise<FindingKind | null> {
  try {
    const hash = createHash("sha256")
    for await (const chunk of await openContent(deps, blob)) hash.update(chunk)
    return hash.digest("hex") === blob.sha256 ? null : "damaged"
  } catch (error) {
    if (error instanceof AppError && error.code === "key_unavailable") return "key_unavailable"
    if (error instanceof AppError && error.code === "busy") throw error
    return "damaged"
  }
}

const formatBlobCursor = ({ fileId, version }: BlobPosition): string => `blobs:${String(version)}:${fileId}`

/** Takes any text as an id: a row with a wrong one must not send the walk back to its beginning. */
function parseBlobCursor(cursor: string | null): BlobPosition | null {
  const [, version = "", fileId = ""] = /^blobs:([^:]*):(.*)$/s.exec(cursor ?? "") ?? []
  if (fileId === "") return null
  const number = Number(version)
  return { fileId, version: Number.isNaN(number) ? Number.MAX_SAFE_INTEGER : number }
}

async function inspectBlobs(deps: ContentDeps, cursor: string | null, budgetBytes: number): Promise<InspectionStep> {
  const step: InspectionStep = { findings: [], filesOpened: 0, bytesOpened: 0, objectsListed: 0, next: null }
  if (cursor === null) {
    const missing = await listFilesWithoutBlob(deps.db, PAGE)
    step.findings.push(...missing.map(({ id }): Finding => ({ kind: "file_without_bytes", fileId: id, objectKey: null })))
  }
  const page = await listBlobs(deps.db, parseBlobCursor(cursor), PAGE)
  for (const blob of page) {
    const kind = await inspectBlob(deps, blob)
    // A file that was deleted meanwhile is not damaged.
    const isStillThere = kind !== null && (await findBlobByObjectKey(deps.db, blob.objectKey)) !== undefined
    if (kind !== null && isStillThere) step.findings.push({ kind, fileId: blob.fileId, objectKey: blob.objectKey })
    step.filesOpened++
    step.bytesOpened += blob.sizeBytes
    step.next = formatBlobCursor(blob)
    if (step.bytesOpened >= budgetBytes) return step
  }
  return page.length < PAGE ? { ...step, next: "objects:" } : step
}

/**
 * Objects that nobody answers for. An upload's row is written before its object and removed only together with the
 * file's appearance, so a live upload is never an orphan.
 */
async function inspectObjects(deps: ContentDeps, cursor: string): Promise<InspectionStep> {
  const start = cursor.slice("objects:".length)
  const { objectKeys, next } = await deps.blobs.list(start === "" ? null : start, OBJECTS_PAGE)
  const owned = objectKeys.length === 0 ? new Set<string>() : await findOwnedObjects(deps.db, objectKeys)
  const orphans: string[] = []
  for (const objectKey of objectKeys) {
    // Looked for once more: it may have been deleted since it was listed.
    if (!owned.has(objectKey) && (await deps.blobs.has(objectKey))) orphans.push(objectKey)
  }
  return {
    findings: orphans.map((objectKey): Finding => ({ kind: "orphaned_object", fileId: null, objectKey })),
    filesOpened: 0,
    bytesOpened: 0,
    objectsListed: objectKeys.length,
    next: next === null ? null : `objects:${next}`,
  }
}

/**
 * One step of the walk.
 * @param cursor - `next` of the step before; null starts a new round
 * @param budgetBytes - the step ends once it has opened this many bytes
 */
export function inspect(deps: ContentDeps, cursor: string | null, budgetBytes: number): Promise<InspectionStep> {
  return cursor?.startsWith("objects:") === true ? inspectObjects(deps, cursor) : inspectBlobs(deps, cursor, budgetBytes)
}

/** A step for cron: goes on where the last run stopped, and logs what it finds. */
export async function continueInspection(deps: ContentDeps, budgetBytes: number): Promise<InspectionStep> {
  const step = await inspect(deps, await readJobCursor(deps.db, JOB), budgetBytes)
  for (const { kind, fileId, objectKey } of step.findings) deps.log("inspection_finding", { kind, fileId, objectKey })
  await writeJobCursor(deps.db, JOB, step.next, deps.now())
  return step
}
