// Download links of single files: minted for one person and one file, worth nothing without that person's login. A right
// one costs one round trip of D1. What they have in common with links of selections: link-access.ts.
import { type FileLinkClaims, sealLinkToken } from "../crypto/link-token.ts"
import { runBatch } from "../db/client.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import {
  type LinkAccess,
  type LinkScope,
  claimLinkAccess,
  countDownloads,
  findLinkAccess,
  findLinkInScope,
  hasLiveLinks,
  insertLink,
  listLinks,
  linksToRevoke,
  revokeLinks,
  revokeSelectionsOf,
} from "../db/links.ts"
import { addRevocationEvents } from "../db/events.ts"
import { recordLinks } from "../db/receipts.ts"
import { confirmUser } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, positionAt } from "./cursor.ts"
import { type DownloadState, type SendTerms, HOLD_MS, downloadState, termsHold } from "./downloads.ts"
import { findFileFor } from "./files.ts"
import { takeLimit } from "./limits.ts"
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
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

export type MintedLink = { url: string; expiresAtMs: number }

export type { LinkScope }

/** A link as lists show it. The link itself is not kept and cannot be shown again. */
export type ListedLink = {
  id: string
  fileId: string
  fileName: string
  /** The selection that it is a part of, or null for a link of its own. */
  selectionId: string | null
  client: { id: string; email: string }
  createdAtMs: number
  expiresAtMs: number
  download: DownloadState
}

/**
 * Makes a link for a client to a file that they may have.
 * @param lifetimeSeconds - shorter than the deployment's, if the client wants
 * @throws AppError `not_found` · `validation_failed` for a longer life · `downloads_used_up` · `too_many_requests`
 */
export async function mintLink(deps: LinkDeps, caller: Caller, fileId: string, lifetimeSeconds?: number): Promise<MintedLink> {
  const { createdAtMs, expiresAtMs, expiresAtSeconds } = linkExpiry(deps, lifetimeSeconds)
  await takeLimit(deps, "link-mint", caller.userId)
  const { file } = await findFileFor(deps, caller.userId, fileId)
  if (file.downloadLimit !== null && (await countDownloads(deps.db, fileId, file.version, caller.userId)) >= file.downloadLimit)
    throw usedUp()
  const claims = { kind: "file" as const, linkId: newId(), userId: caller.userId, fileId, expiresAtSeconds }
  const token = await sealLinkToken(deps.keys.linkKeys, claims)
  try {
    await runBatch(deps.db, [
      confirmUser(deps.db, caller.userId),
      insertLink(deps.db, { id: claims.linkId, fileId, userId: caller.userId, ownerId: file.ownerId, createdAtMs, expiresAtMs }),
      recordLinks(deps.db, [fileId], caller.userId, createdAtMs),
      auditEvent(deps, "link.minted", caller.userId, claims.linkId),
    ])
  } catch (error) {
    // The file was deleted, or the account deleted or disabled, at this moment.
    if (isConstraintFailure(error)) throw new AppError("not_found", { detail: "There is no such file." })
    throw error
  }
  return { url: downloadUrl(deps, token), expiresAtMs }
}

/**
 * Resolves a link for whoever presents it, and claims or joins its download.
 * @param admission - of `admit`
 * @param terms - under what terms the request will be sent bytes, or null when it will not be, e.g. for HEAD
 * @throws AppError `invalid_token` without a live session · `link_not_yours` for everybody but its client · to that
 *   client alone `link_not_found`, `link_revoked`, `link_superseded`, `downloads_used_up`, and `download_in_progress` while another request
 *   by this link is sending the limited document from its beginning
 */
export function openLink(deps: LinkDeps, admission: Admission<FileLinkClaims>, terms: SendTerms | null): Promise<LinkedFile> {
  const { claims, access } = admission
  return untilFree(async () => {
    const row = await look(deps, access.sessionId, claims, terms)
    await requireOwnClient(deps, admission, row)
    const found = row === undefined ? "gone" : stateOf(row, claims.userId, claims.fileId)
    if (found === "gone") throw linkNotFound("link or file gone, or not for them")
    if (found === "revoked") {
      await noteRefusal(deps, access.userId, claims, "withdrawn")
      throw linkRevoked()
    }
    if (found === "superseded") {
      await noteRefusal(deps, access.userId, claims, "superseded")
      throw new AppError("link_superseded", { detail: "There is a newer version of this document. Ask for a new link." })
    }
    const wantsBytes = terms !== null && termsHold(terms, found)
    const outcome = mayDownload(found, { wantsBytes, isDelivered: wasDelivered(found) }, deps.request.id)
    if (outcome === "used_up") {
      await noteRefusal(deps, access.userId, claims, "used_up")
      throw usedUp()
    }
    return outcome === "yes" ? found : null
  })
}

function look(
  deps: LinkDeps,
  sessionId: string,
  { linkId, userId, fileId }: FileLinkClaims,
  terms: SendTerms | null,
): Promise<LinkAccess | undefined> {
  const nowMs = deps.now()
  if (terms === null) return findLinkAccess(deps.db, sessionId, linkId, nowMs)
  const requestId = deps.request.id
  return claimLinkAccess(deps.db, { sessionId, linkId, userId, fileId, nowMs, terms, requestId, heldUntilMs: nowMs + HOLD_MS })
}

/** A page of live links in a scope, newest first. */
export async function pageOfLinks(
  deps: Pick<Powers, "db" | "now" | "keys">,
  caller: Caller,
  scope: LinkScope,
  query: { limit: number; cursor?: string | undefined },
): Promise<{ links: ListedLink[]; nextCursor: string | null }> {
  const listing: Listing = { callerId: caller.userId, list: "links", terms: { ...scope } }
  const after = await positionAt(deps, listing, query.cursor)
  const rows = await listLinks(deps.db, scope, { after, limit: query.limit + 1, nowMs: deps.now() })
  const { page, next } = cutPage(rows, query.limit, ({ createdAtMs, id }) => ({ key: createdAtMs, id }))
  const links = page.map(({ clientId, clientEmail, ...row }) => ({
    id: row.id,
    fileId: row.fileId,
    fileName: row.fileName,
    selectionId: row.selectionId,
    client: { id: clientId, email: clientEmail },
    createdAtMs: row.createdAtMs,
    expiresAtMs: row.expiresAtMs,
    download: downloadState(row),
  }))
  return { links, nextCursor: await cursorAfter(deps, listing, next) }
}

type RevokeDeps = Pick<Powers, "db" | "now" | "request">

/**
 * Withdraws one link, and with it the selection that it is a part of; harmless when repeated.
 * @throws AppError `not_found` for a link outside the scope, as for one that never was
 */
export async function revokeLink(deps: RevokeDeps, caller: Caller, scope: LinkScope, linkId: string): Promise<void> {
  if ((await findLinkInScope(deps.db, scope, linkId)) === undefined)
    throw new AppError("not_found", { detail: "There is no such link." })
  const nowMs = deps.now()
  await runBatch(deps.db, [
    // First, while it can still see whether there is something to withdraw: repeated, it leaves no row.
    auditEvent(deps, "link.revoked", caller.userId, linkId, { onlyIf: hasLiveLinks(deps.db, scope, linkId, nowMs) }),
    addRevocationEvents(deps.db, linksToRevoke(deps.db, scope, linkId, nowMs), nowMs),
    revokeSelectionsOf(deps.db, scope, linkId, nowMs),
    revokeLinks(deps.db, scope, linkId, nowMs),
  ])
}

/** Withdraws all live links of a scope and says how many they were. */
export async function revokeAllLinks(deps: RevokeDeps, caller: Caller, scope: LinkScope): Promise<number> {
  const subjectId = scope.fileId ?? scope.userId ?? null
  const nowMs = deps.now()
  const [, , , revoked] = await deps.db.batch([
    auditEvent(deps, "links.revoked", caller.userId, subjectId, { onlyIf: hasLiveLinks(deps.db, scope, null, nowMs) }),
    addRevocationEvents(deps.db, linksToRevoke(deps.db, scope, null, nowMs), nowMs),
    revokeSelectionsOf(deps.db, scope, null, nowMs),
    revokeLinks(deps.db, scope, null, nowMs),
  ])
  return revoked.length
}
