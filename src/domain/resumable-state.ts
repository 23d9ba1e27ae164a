// How a resumable upload stands: what its owner sees of it, what may still be done with it, and how long it waits.
import type { Charge } from "../db/quota.ts"
import { type ResumableRow, findResumable } from "../db/resumable-uploads.ts"
import type { ResumableState } from "../db/schema.ts"
import { AppError, type AppErrorOptions, type ErrorCode } from "../errors.ts"
import type { ChosenAudience } from "./audiences.ts"
import { NOTIFICATIONS } from "./notifications.ts"
import type { Powers } from "./powers.ts"
import { FIRST_VERSION } from "./publication.ts"
import type { NewFile } from "./uploads.ts"

const RETRY_AFTER_SECONDS = 2
/** R2 drops parts after seven days, so an upload must end before. */
const LONGEST_MS = 6 * 24 * 60 * 60_000

/** An upload's row, with R2's multipart id where there is one. */
export type OpenUpload = ResumableRow & { multipartId: string | null }

/** What its owner sees of an upload. */
export type ResumableView = {
  id: string
  name: string
  lengthBytes: number | null
  offsetBytes: number
  state: ResumableState
  metadata: string
  createdAtMs: number
  expiresAtMs: number
  /** The file that it has become, or become a version of. */
  fileId: string | null
  /** The file that it is to be the next version of; null for a new file. */
  replaces: string | null
}

export const viewOf = (row: ResumableRow): ResumableView => ({
  id: row.id,
  name: row.name,
  lengthBytes: row.lengthBytes,
  offsetBytes: row.offsetBytes,
  state: row.state,
  metadata: row.metadata,
  createdAtMs: row.createdAtMs,
  expiresAtMs: row.expiresAtMs,
  fileId: row.state === "done" ? row.fileId : null,
  replaces: row.replacesVersion === null ? null : row.fileId,
})

/** What its bytes are sealed as. */
export const sealedAs = ({ fileId, replacesVersion }: Pick<ResumableRow, "fileId" | "replacesVersion">) => ({
  fileId,
  fileVersion: replacesVersion === null ? FIRST_VERSION : replacesVersion + 1,
})

/** What it takes room of. */
export const chargeOf = ({ chargedTo, replacesVersion }: ResumableRow): Charge => ({
  userId: chargedTo,
  newFiles: replacesVersion === null ? 1 : 0,
})

/** Until when an upload waits, after a sign of life. */
export const expiryOf = (deps: Pick<Powers, "policy" | "now">, createdAtMs: number): number =>
  Math.min(deps.now() + deps.policy.uploadExpiryMs, createdAtMs + LONGEST_MS)

export const locked = (): AppError =>
  new AppError("upload_locked", {
    detail: "Another request is working on this upload. Ask for its offset again in a moment.",
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })

export const conflict = (offsetBytes: number): AppError =>
  new AppError("upload_offset_conflict", { detail: `The upload stands at ${String(offsetBytes)}. Go on from there.` })

const expired = (): AppError =>
  new AppError("upload_expired", { detail: "The upload has waited too long for its next bytes. Start it again." })

/** What a file is published with besides its name and how often it may be downloaded. */
export type FileTerms = Omit<NewFile, "sentName" | "downloadLimit">

/** What a problem tells programs besides its code. */
type RefusalFacts = Pick<AppErrorOptions, "refusal" | "fields">

/** A verdict as it is kept with the upload. */
export const keepVerdict = ({ code, options: { detail, refusal, fields } }: AppError) => ({
  code,
  detail: detail ?? "The upload was refused.",
  facts: JSON.stringify({ refusal, fields } satisfies { [Key in keyof RefusalFacts]: RefusalFacts[Key] | undefined }),
})

/** The verdict again, word for word. */
const keptVerdict = ({ refusalCode, refusalDetail, refusalFacts }: ResumableRow): AppError =>
  new AppError((refusalCode ?? "upload_lost") as ErrorCode, {
    detail: refusalDetail ?? "The upload was refused.",
    ...(JSON.parse(refusalFacts ?? "{}") as RefusalFacts),
  })

/** What the upload's file will be published with. */
export function termsOfUpload({ audience, recipients, terms }: ResumableRow): FileTerms {
  const chosen = JSON.parse(recipients ?? '{"clients":[],"groups":[]}') as Omit<ChosenAudience, "audience">
  const nothingSaid = { description: null, expiresAtMs: null, notify: NOTIFICATIONS }
  const more = terms === null ? nothingSaid : (JSON.parse(terms) as Omit<FileTerms, "audience">)
  return { audience: { audience, ...chosen }, ...more }
}

/** The same as columns of its row. */
export function termColumns({ audience: { audience, clients, groups }, ...more }: FileTerms) {
  const recipients = audience === "everyone" ? null : JSON.stringify({ clients, groups })
  return { audience, recipients, terms: JSON.stringify(more) }
}

/** Has it ended badly? What its client was told then, it is told again. */
export function requireAlive(row: ResumableRow, nowMs: number): void {
  if (row.state === "refused") throw keptVerdict(row)
  const isUnderWay = row.state === "open" || row.state === "received"
  if (row.state === "expired" || (isUnderWay && row.expiresAtMs <= nowMs)) throw expired()
}

/**
 * One of the owner's uploads; somebody else's is indistinguishable from a missing one.
 * @throws AppError `not_found`, `upload_expired`, or why it was refused
 */
export async function requireUpload(deps: Pick<Powers, "db" | "now">, ownerId: string, id: string): Promise<OpenUpload> {
  const row = await findResumable(deps.db, ownerId, id)
  if (row === undefined) throw new AppError("not_found", { detail: "There is no such upload." })
  requireAlive(row, deps.now())
  return row
}

export const isLeased = (row: ResumableRow, nowMs: number): boolean =>
  row.holder !== null && row.heldUntilMs !== null && row.heldUntilMs > nowMs
