// Is everything there, and is it what it should be? Walks files, sealed objects and keys against each other,
// opens every byte and compares its digest. In steps, so that a run of cron can do a part of it.
import { type BlobPosition, type BlobRow, fillCrc32, findBlobByObjectKey, listBlobs, listFilesWithoutBlob } from "../db/files.ts"
import { runBatch } from "../db/client.ts"
import { readJobCursor, writeJobCursor } from "../db/job-cursors.ts"
import { findOwnedObjects } from "../db/uploads.ts"
import { AppError } from "../errors.ts"
import { CONTENT_FAULTS, type ContentDeps, type ContentFault, openContent } from "./content.ts"
import { createRunningDigest } from "./digests.ts"

/**
 * What is wrong: which check of docs/storage-format.md failed, or what is not there. `not_opened` is whatever else kept a
 * file from being opened, for instance storage that did not answer; it may be well the next time.
 */
export type FindingKind = ContentFault | "sha256" | "not_opened" | "key_unavailable" | "file_without_bytes" | "orphaned_object"

/** One thing that is wrong. */
export type Finding = {
  kind: FindingKind
  fileId: string | null
  objectKey: string | null
  /** Id of the master key under which the file's key is wrapped, as the row says. */
  keyId: number | null
}

function finding(kind: FindingKind, about: Partial<Omit<Finding, "kind">>): Finding {
  const { fileId = null, objectKey = null, keyId = null } = about
  return { kind, fileId, objectKey, keyId }
}

export type InspectionStep = {
  findings: Finding[]
  /** Files that are whole and right, and their bytes. */
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

function faultOf(error: unknown): FindingKind {
  if (!(error instanceof AppError)) return "not_opened"
  if (error.code === "key_unavailable") return "key_unavailable"
  return CONTENT_FAULTS.find((fault) => error.code === "integrity_failure" && error.options.reason === fault) ?? "not_opened"
}

/** Opens a file to its end. */
async function inspectBlob(deps: ContentDeps, blob: BlobRow): Promise<FindingKind | null> {
  let reason: unknown = null
  const watch = {
    progress: () => undefined,
    ended: () => Promise.resolve(),
    brokeOff: (error: unknown) => (reason = error),
  }
  try {
    const running = createRunningDigest()
    for await (const chunk of await openContent(deps, blob, undefined, watch)) running.update(chunk)
    const { sha256, crc32 } = running.digests()
    if (sha256 !== blob.sha256) return "sha256"
    // A row from before it was kept: archives need it, and here is every byte of the file.
    if (blob.crc32 === null) await runBatch(deps.db, [fillCrc32(deps.db, blob, crc32)])
    return null
  } catch (error) {
    if (error instanceof AppError && error.code === "busy") throw error
    return faultOf(reason ?? error)
  }
}

/** Takes any text as a file's id: refused, a row that somebody edited would begin the walk anew for ever. */
function parseBlobCursor(cursor: string | null): BlobPosition | null {
  const [, fileId, version] = /^blobs:(.*):(.*)$/s.exec(cursor ?? "") ?? []
  return fileId === undefined ? null : { fileId, version: Number(version) }
}

async function inspectBlobs(deps: ContentDeps, cursor: string | null, budgetBytes: number): Promise<InspectionStep> {
  const step: InspectionStep = { findings: [], filesOpened: 0, bytesOpened: 0, objectsListed: 0, next: null }
  if (cursor === null) {
    const missing = await listFilesWithoutBlob(deps.db, PAGE)
    step.findings.push(...missing.map(({ id }) => finding("file_without_bytes", { fileId: id })))
  }
  const page = await listBlobs(deps.db, parseBlobCursor(cursor), PAGE)
  let spentBytes = 0
  for (const blob of page) {
    const kind = await inspectBlob(deps, blob)
    if (kind === null) {
      step.filesOpened++
      step.bytesOpened += blob.sizeBytes
    } else if ((await findBlobByObjectKey(deps.db, blob.objectKey)) !== undefined) {
      // One that was deleted meanwhile is not damaged.
      step.findings.push(finding(kind, blob))
    }
    spentBytes += blob.sizeBytes
    step.next = `blobs:${blob.fileId}:${String(blob.version)}`
    if (spentBytes >= budgetBytes) return step
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
    findings: orphans.map((objectKey) => finding("orphaned_object", { objectKey })),
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
  for (const found of step.findings) deps.log("inspection_finding", found)
  await writeJobCursor(deps.db, JOB, step.next, deps.now())
  return step
}
