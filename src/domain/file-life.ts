// The life of a file after it was published: other words and terms, its time, the trash and the way out of it, and its
// end. All of it acts on the next request; cron does what nobody asks for. Its bytes are never read here.
import { type Statement, runBatch } from "../db/client.ts"
import {
  EVER_MS,
  type FileChanges,
  type Stage,
  changeFile,
  deleteFile,
  discardObjectsOfFile,
  isFileAt,
  listFilesAt,
  listObjectsOfFile,
  repeatInGrants,
  restoreFile,
  trashFile,
} from "../db/file-life.ts"
import { addFileEvents } from "../db/events.ts"
import { findUser } from "../db/users.ts"
import { AppError, fieldError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import { parseDocumentName } from "./document-name.ts"
import { type FileActor, type OwnFile, type SealedRow, discardObject, findOwnFile, ownFile, requireThere } from "./files.ts"
import { noticesOfRestoredFile } from "./notices.ts"
import type { Powers } from "./powers.ts"
import { searchKey } from "./search-key.ts"

type Deps = Pick<Powers, "db" | "now" | "policy" | "request">

async function shown(deps: Pick<Powers, "db" | "now" | "policy">, { file, blob }: SealedRow): Promise<OwnFile> {
  const owner = await findUser(deps.db, file.ownerId)
  return ownFile(deps, { ...file, sha256: blob.sha256 }, { id: file.ownerId, email: owner?.email ?? "" })
}

/** @throws AppError `not_found` */
export const getOwnFile = async (deps: Deps, actor: FileActor, id: string): Promise<OwnFile> =>
  shown(deps, await findOwnFile(deps, actor, id))

/** @throws AppError `validation_failed` for a time that is not in the future */
export function requireFuture({ now }: Pick<Powers, "now">, expiresAtMs: number | null): void {
  if (expiresAtMs !== null && expiresAtMs <= now())
    throw fieldError("expiresAt", "in_past", "Give a time in the future, or null for a file that does not expire.")
}

/** What of a file may be set; left out, it stays as it is. */
export type FileSettings = {
  /** As the owner wrote it. */
  name?: string | undefined
  description?: string | null | undefined
  expiresAtMs?: number | null | undefined
  downloadLimit?: number | null | undefined
}

/** Another name for the same document: the same rules as for an upload, and the same type. */
function renamed(sent: string, type: string): { name: string; nameKey: string } {
  const other = (): AppError => fieldError("name", "type_changed", `The name must end in .${type}, as the document's type is.`)
  let parsed
  try {
    parsed = parseDocumentName(sent, "name")
  } catch (error) {
    throw error instanceof AppError && error.code === "unsupported_document" ? other() : error
  }
  if (parsed.type !== type) throw other()
  return { name: parsed.name, nameKey: searchKey(parsed.name) }
}

/**
 * Changes what is said of a file and on what terms it is had. Downloads already begun count towards a limit set later.
 * @throws AppError `not_found` · `file_deleted` for one in the trash · `validation_failed`
 */
export async function changeOwnFile(deps: Deps, actor: FileActor, id: string, settings: FileSettings): Promise<OwnFile> {
  const { file, blob } = await findOwnFile(deps, actor, id)
  requireThere(file)
  const { name, description, expiresAtMs, downloadLimit } = settings
  if (expiresAtMs !== undefined) requireFuture(deps, expiresAtMs)
  const changes: FileChanges = {
    ...(name === undefined ? {} : renamed(name, file.type)),
    ...(description === undefined ? {} : { description }),
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
    ...(downloadLimit === undefined ? {} : { downloadLimit }),
  }
  const updatedAtMs = deps.now()
  const kinds = [
    name === undefined ? null : ("file.renamed" as const),
    description === undefined ? null : ("file.described" as const),
    expiresAtMs === undefined ? null : ("file.expiry_set" as const),
    downloadLimit === undefined ? null : ("file.download_limit_set" as const),
  ]
  await runBatch(deps.db, [
    changeFile(deps.db, id, changes, updatedAtMs),
    repeatInGrants(deps.db, id),
    addFileEvents(deps.db, "file.changed", id, updatedAtMs),
    ...kinds.flatMap((kind) => (kind === null ? [] : [auditEvent(deps, kind, actor.userId, id)])),
  ])
  return shown(deps, { file: { ...file, ...changes, updatedAtMs }, blob })
}

/** Statements that put a file into the trash, if it stands at that stage. The row of the trail first: it looks at the stage. */
const trashing = (deps: Pick<Powers, "db" | "now" | "request">, actorId: string | null, id: string, stage: Stage) => {
  const onlyIf = isFileAt(deps.db, id, stage)
  const event =
    stage.is === "expired"
      ? auditEvent(deps, "file.expired", actorId, id, { onlyIf })
      : auditEvent(deps, "file.deleted", actorId, id, { onlyIf })
  const nowMs = deps.now()
  return [
    event,
    addFileEvents(deps.db, "file.removed", id, nowMs, onlyIf),
    trashFile(deps.db, id, stage, nowMs),
    repeatInGrants(deps.db, id),
  ] as const
}

/** Statements that end a file with all its keys, if it stands at that stage. From the trash nobody misses it. */
const purging = (
  deps: Pick<Powers, "db" | "now" | "request">,
  actorId: string | null,
  id: string,
  stage: Stage,
): [Statement, ...Statement[]] => [
  auditEvent(deps, "file.purged", actorId, id, { onlyIf: isFileAt(deps.db, id, stage) }),
  addFileEvents(deps.db, "file.removed", id, deps.now(), isFileAt(deps.db, id, { is: "there" })),
  discardObjectsOfFile(deps.db, id, stage, deps.now()),
  deleteFile(deps.db, id, stage),
]

type EndDeps = Deps & Pick<Powers, "blobs" | "afterwards" | "log">

/**
 * Deletes a file for everybody who was to have it, at once. For its owner it waits in the trash, whole, as long as the
 * deployment says. Harmless when repeated.
 * @throws AppError `not_found`
 */
export async function deleteOwnFile(deps: EndDeps, actor: FileActor, id: string): Promise<void> {
  await findOwnFile(deps, actor, id)
  if (deps.policy.deleteGraceMs === 0) return purge(deps, actor, id)
  await runBatch(deps.db, trashing(deps, actor.userId, id, { is: "there" }))
}

/**
 * Ends a file, in the trash or not: its wrapped keys go in one batch, so its bytes are unreadable at once; the objects
 * follow, by the sweeper if not now.
 * @throws AppError `not_found`
 */
export async function purgeOwnFile(deps: EndDeps, actor: FileActor, id: string): Promise<void> {
  await findOwnFile(deps, actor, id)
  await purge(deps, actor, id)
}

async function purge(deps: EndDeps, actor: FileActor, id: string): Promise<void> {
  const objects = await listObjectsOfFile(deps.db, id)
  await runBatch(deps.db, purging(deps, actor.userId, id, { is: "any" }))
  deps.afterwards(Promise.all(objects.map(({ objectKey }) => discardObject(deps, objectKey))))
}

/**
 * Takes a file out of the trash: with its recipients, its versions, and the links that were live, as far as their time
 * is not over. Harmless for one that is not there.
 * @throws AppError `not_found`, also when the trash has given it up meanwhile
 */
export async function restoreOwnFile(deps: Deps, actor: FileActor, id: string): Promise<OwnFile> {
  await findOwnFile(deps, actor, id)
  const onlyIf = isFileAt(deps.db, id, { is: "trash", deletedAtMostMs: EVER_MS })
  await runBatch(deps.db, [
    auditEvent(deps, "file.restored", actor.userId, id, { onlyIf }),
    addFileEvents(deps.db, "file.added", id, deps.now(), onlyIf),
    restoreFile(deps.db, id, deps.now()),
    repeatInGrants(deps.db, id),
    noticesOfRestoredFile(deps, id),
  ])
  return getOwnFile(deps, actor, id)
}

/**
 * What time does to files: those that are expired go to the trash, those that were there long enough are purged. One
 * that was changed or restored at this very moment is left alone; one that fails does not stop the others.
 */
export async function ageFiles(deps: Pick<Powers, "db" | "now" | "policy" | "request" | "log">, limit: number): Promise<void> {
  const nowMs = deps.now()
  const expired: Stage = { is: "expired", nowMs }
  await eachOnItsOwn(deps, await listFilesAt(deps.db, expired, limit), (id) => trashing(deps, null, id, expired))
  const old: Stage = { is: "trash", deletedAtMostMs: nowMs - deps.policy.deleteGraceMs }
  await eachOnItsOwn(deps, await listFilesAt(deps.db, old, limit), (id) => purging(deps, null, id, old))
}

async function eachOnItsOwn(
  deps: Pick<Powers, "db" | "log">,
  rows: readonly { id: string }[],
  statements: (id: string) => readonly [Statement, ...Statement[]],
): Promise<void> {
  for (const { id } of rows) {
    try {
      await runBatch(deps.db, statements(id))
    } catch (error) {
      deps.log("file_not_aged", { fileId: id, error: error instanceof Error ? error.name : "unknown" })
    }
  }
}
