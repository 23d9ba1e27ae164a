// Links for several files at once, fetched as one archive. A selection is a parent over ordinary links, one for each
// file, so that counting, limits, receipts and withdrawal are theirs; it is opened whole or not at all.
import { type SelectionLinkClaims, contentsOf, sealLinkToken } from "../crypto/link-token.ts"
import { runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import type { DownloadRow } from "../db/downloads.ts"
import { type BlobRow, fillCrc32, selectSealedFilesFor } from "../db/files.ts"
import { type LinkAccess, claimSelectionAccess, findSelectionAccess } from "../db/links.ts"
import { recordLinks } from "../db/receipts.ts"
import { insertSelection, insertSelectionLinks } from "../db/selections.ts"
import { confirmUser } from "../db/users.ts"
import { AppError, type FieldError, fieldErrors } from "../errors.ts"
import { newId } from "../ids.ts"
import { auditEvent, auditEvents } from "./audit.ts"
import { type ContentDeps, type FilePiece, requireSane, withContent } from "./content.ts"
import { createRunningDigest } from "./digests.ts"
import { HOLD_MS } from "./downloads.ts"
import { takeLimitTimes } from "./limits.ts"
import {
  type Admission,
  type LinkDeps,
  type LinkedFile,
  downloadUrl,
  linkExpiry,
  linkNotFound,
  linkRevoked,
  mayDownload,
  noteRefusal,
  requireOwnClient,
  stateOf,
  untilFree,
  usedUp,
  wasDelivered,
} from "./link-access.ts"
import type { MintedLink } from "./links.ts"
import { type Archive, archiveOf } from "./selection-archive.ts"
import type { Caller } from "./sessions.ts"

/** How much of files from before CRC-32 was kept is read for one new link; inspection does the rest in its time. */
export const MAX_FILL_BYTES = 64 * 1024 * 1024

const at = (place: number, rule: string, message: string): FieldError => ({ field: `files.${String(place)}`, rule, message })

const usedUpAt = (place: number, name: string): FieldError =>
  at(place, "used_up", `You have downloaded ${name} as often as you may.`)

type Wanted = Awaited<ReturnType<typeof selectSealedFilesFor>>[number]

/** The files, in their order, if the client may have every one of them. */
async function requireFiles(deps: LinkDeps, userId: string, fileIds: readonly string[]): Promise<Wanted[]> {
  const found = new Map((await selectSealedFilesFor(deps.db, fileIds, userId, deps.now())).map((row) => [row.file.id, row]))
  const wanted = fileIds.flatMap((id) => found.get(id) ?? [])
  if (wanted.length < fileIds.length)
    throw fieldErrors(fileIds.flatMap((id, place) => (found.has(id) ? [] : [at(place, "unknown", "There is no such file.")])))
  const spent = wanted.flatMap(({ file, used }, place) =>
    file.downloadLimit !== null && used >= file.downloadLimit ? [usedUpAt(place, file.name)] : [],
  )
  if (spent.length > 0) throw usedUp(spent)
  return wanted
}

const crc32Of = (deps: ContentDeps, blob: BlobRow): Promise<number> =>
  withContent(deps, blob, async (chunks) => {
    const running = createRunningDigest()
    for await (const bytes of chunks) running.update(bytes)
    return running.digests().crc32
  })

/** Reads those whose CRC-32 was never computed, if that is little. */
async function fillChecksums(deps: LinkDeps & ContentDeps, wanted: readonly Wanted[]): Promise<void> {
  const places = wanted.flatMap(({ blob }, place) => (blob.crc32 === null ? [{ blob, place }] : []))
  if (places.reduce((sum, { blob }) => sum + blob.sizeBytes, 0) > MAX_FILL_BYTES) {
    const message = "This older file is still to be prepared for this, which happens by itself. Download it alone, or try later."
    throw fieldErrors(places.map(({ place }) => at(place, "not_ready", message)))
  }
  for (const { blob } of places) await runBatch(deps.db, [fillCrc32(deps.db, blob, await crc32Of(deps, blob))])
}

/**
 * Makes a link for a client to several files that they may have.
 * @param fileIds - distinct, in the order in which the archive will have them
 * @param lifetimeSeconds - shorter than the deployment's, if the client wants
 * @throws AppError `validation_failed` naming by its place in the list every file that there is not · `downloads_used_up`
 *   likewise · `too_many_requests`
 */
export async function mintSelection(
  deps: LinkDeps & ContentDeps,
  caller: Caller,
  fileIds: readonly string[],
  lifetimeSeconds?: number,
): Promise<MintedLink> {
  const { createdAtMs, expiresAtMs, expiresAtSeconds } = linkExpiry(deps, lifetimeSeconds)
  const { userId } = caller
  await takeLimitTimes(deps, "link-mint", fileIds.length, userId)
  await fillChecksums(deps, await requireFiles(deps, userId, fileIds))
  const selection = { id: newId(), userId, fileCount: fileIds.length, createdAtMs, expiresAtMs }
  const parts = fileIds.map((fileId) => ({ linkId: newId(), fileId }))
  const contents = await contentsOf(fileIds)
  const claims = { kind: "selection" as const, selectionId: selection.id, userId, contents, expiresAtSeconds }
  const token = await sealLinkToken(deps.keys.linkKeys, claims)
  const linkIds = parts.map(({ linkId }) => linkId)
  try {
    await runBatch(deps.db, [
      confirmUser(deps.db, userId),
      insertSelection(deps.db, selection),
      insertSelectionLinks(deps.db, selection, parts),
      recordLinks(deps.db, fileIds, userId, createdAtMs),
      auditEvent(deps, "selection.minted", userId, selection.id),
      auditEvents(deps, "link.minted", userId, linkIds),
    ])
  } catch (error) {
    if (!isConstraintFailure(error)) throw error
    // A file was deleted or taken off at this moment: the second look says which. Otherwise it was the account.
    await requireFiles(deps, userId, fileIds)
    throw new AppError("not_found", { detail: "There are no such files." })
  }
  return { url: downloadUrl(deps, token), expiresAtMs }
}

/** A selection that may be opened: every file as it is now, and the archive that they make. */
export type OpenSelection = { parts: readonly SelectedFile[]; archive: Archive; createdAtMs: number }

type SelectedFile = LinkedFile & { linkId: string }

type SelectionAdmission = Admission<SelectionLinkClaims>

/** All files of the selection, if everything allows all of them but what only a claim can say. */
async function requireParts(deps: LinkDeps, admission: SelectionAdmission, rows: readonly LinkAccess[]): Promise<SelectedFile[]> {
  const { claims, access } = admission
  await requireOwnClient(deps, admission, rows[0])
  const links = rows.flatMap(({ link }) => link ?? [])
  const count = rows[0]?.selectionFiles ?? 0
  if (count === 0 || links.length > count) throw linkNotFound("selection gone")
  // The token names the files, so that nobody can put others under it.
  if (links.length === count && (await contentsOf(links.map(({ fileId }) => fileId))) !== claims.contents)
    throw linkNotFound("not the files that the link was made for")
  const states = new Map(
    rows.map((row) => [row.link?.place, { linkId: row.link?.id ?? "", state: stateOf(row, claims.userId, null) }]),
  )
  if ([...states.values()].some(({ state }) => state === "revoked")) {
    await noteRefusal(deps, access.userId, claims, "withdrawn")
    throw linkRevoked()
  }
  if ([...states.values()].every(({ state }) => state === "gone")) throw linkNotFound("none of its files is there for them")
  const parts: SelectedFile[] = []
  const missing: FieldError[] = []
  for (let place = 0; place < count; place++) {
    const { state = "gone", linkId = "" } = states.get(place) ?? {}
    if (state === "superseded") missing.push(at(place, state, "There is a newer version of this file."))
    // The same words for a file that was deleted as for one taken off this client.
    else if (typeof state === "string" || state.blob.crc32 === null)
      missing.push(at(place, "gone", "What was chosen here is not there for you any more."))
    else parts.push({ ...state, linkId })
  }
  if (missing.length > 0) {
    await noteRefusal(deps, access.userId, claims, "incomplete")
    throw new AppError("selection_incomplete", {
      detail: "Some of the files of this link are not there for you any more, or newer (see errors). Make a new link.",
      fields: missing,
    })
  }
  return requireUnused(deps, admission, parts, () => false)
}

/** @param wantsStart - of which files the request, refused its claim, wanted the beginning */
async function requireUnused<T extends SelectedFile>(
  deps: LinkDeps,
  { claims, access }: SelectionAdmission,
  parts: T[],
  wantsStart: (part: T) => boolean,
): Promise<T[]> {
  const isDelivered = parts.every(wasDelivered)
  const spent = parts.flatMap((part, place) =>
    mayDownload(part, { wantsBytes: wantsStart(part), isDelivered }, deps.request.id) === "used_up"
      ? [usedUpAt(place, part.file.name)]
      : [],
  )
  if (spent.length === 0) return parts
  await noteRefusal(deps, access.userId, claims, "used_up")
  throw usedUp(spent)
}

/**
 * Resolves a selection's link for whoever presents it. Claims nothing yet.
 * @throws AppError as `openLink` does, and `selection_incomplete`, naming the places of files that are there no more;
 *   `integrity_failure` where a row makes no sense
 */
export async function openSelection(deps: LinkDeps & ContentDeps, admission: SelectionAdmission): Promise<OpenSelection> {
  const { claims, access } = admission
  const rows = await findSelectionAccess(deps.db, access.sessionId, claims.selectionId, deps.now())
  const parts = await requireParts(deps, admission, rows)
  for (const { blob } of parts) await requireSane(deps, blob)
  return { parts, archive: await archiveOf(parts), createdAtMs: rows[0]?.link?.createdAtMs ?? 0 }
}

/**
 * Claims or joins the downloads of those files of a selection of which anything is sent, if all of it may be; or none.
 * @param pieces - what is going to be sent
 * @throws AppError why not, as {@link openSelection}, and `download_in_progress`
 */
export function claimSelection(
  deps: LinkDeps,
  admission: SelectionAdmission,
  { parts }: OpenSelection,
  pieces: readonly FilePiece[],
): Promise<DownloadRow[]> {
  const { claims, access } = admission
  const sent = new Set(pieces.flatMap((piece) => ("blob" in piece ? [piece.blob.fileId] : [])))
  const begun = new Set(pieces.flatMap((piece) => ("blob" in piece && piece.start === 0 ? [piece.blob.fileId] : [])))
  return untilFree(async () => {
    const nowMs = deps.now()
    const rows = await claimSelectionAccess(deps.db, {
      sessionId: access.sessionId,
      userId: claims.userId,
      selectionId: claims.selectionId,
      nowMs,
      requestId: deps.request.id,
      heldUntilMs: nowMs + HOLD_MS,
      parts: parts.map(({ linkId, blob: { fileId } }) => ({ linkId, isSent: sent.has(fileId), isFromStart: begun.has(fileId) })),
    })
    const now = await requireParts(deps, admission, rows)
    const joined = now.flatMap(({ download }) => (download?.joinedBy === deps.request.id ? [download] : []))
    if (joined.length === sent.size) return joined
    await requireUnused(deps, admission, now, ({ blob }) => begun.has(blob.fileId))
    return null
  })
}
