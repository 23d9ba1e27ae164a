// Download links: minted for one person and one file, verified before any lookup, and worth nothing without
// that person's login. A wrong link costs cryptography only, no D1 or R2 call; a right one costs one round trip of D1.
import { type LinkClaims, openLinkToken, sealLinkToken } from "../crypto/link-token.ts"
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
  liveLinks,
  revokeLinks,
} from "../db/links.ts"
import { addRevocationEvents } from "../db/events.ts"
import { recordLinks } from "../db/receipts.ts"
import { confirmUser } from "../db/users.ts"
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import { ONCE_MS, auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, positionAt } from "./cursor.ts"
import { type DownloadState, type SendTerms, HOLD_MS, downloadState, termsHold } from "./downloads.ts"
import { type SealedRow, findFileFor } from "./files.ts"
import { takeLimit } from "./limits.ts"
import type { Powers } from "./powers.ts"
import { type Caller, callerFrom, readAccessToken } from "./sessions.ts"

export type MintedLink = { url: string; expiresAtMs: number }

/** A live link with its file and bytes, and its download if a GET has claimed one. */
export type LinkedFile = SealedRow & { download: LinkAccess["download"] }

export type { LinkScope }

/** A link as lists show it. The link itself is not kept and cannot be shown again. */
export type ListedLink = {
  id: string
  fileId: string
  fileName: string
  client: { id: string; email: string }
  createdAtMs: number
  expiresAtMs: number
  download: DownloadState
}

type Deps = Pick<Powers, "db" | "keys" | "now" | "policy" | "request">

const usedUp = (): AppError =>
  new AppError("downloads_used_up", { detail: "You have downloaded this document as often as you may. Ask its sender for more." })

/**
 * Makes a link for a client to a file that they may have.
 * @param lifetimeSeconds - shorter than the deployment's, if the client wants
 * @throws AppError `not_found` · `validation_failed` for a longer life · `downloads_used_up` · `too_many_requests`
 */
export async function mintLink(
  deps: Deps,
  caller: Caller,
  fileId: string,
  lifetimeSeconds = deps.policy.linkLifetimeSeconds,
): Promise<MintedLink> {
  if (lifetimeSeconds > deps.policy.linkLifetimeSeconds) {
    const message = `A link lives ${String(deps.policy.linkLifetimeSeconds)} seconds at most.`
    throw new AppError("validation_failed", { detail: message, fields: [{ field: "expiresIn", rule: "too_big", message }] })
  }
  await takeLimit(deps, "link-mint", caller.userId)
  const { file } = await findFileFor(deps, caller.userId, fileId)
  if (file.downloadLimit !== null && (await countDownloads(deps.db, fileId, file.version, caller.userId)) >= file.downloadLimit)
    throw usedUp()
  const createdAtMs = deps.now()
  const expiresAtSeconds = Math.floor(createdAtMs / 1000) + lifetimeSeconds
  const expiresAtMs = expiresAtSeconds * 1000
  const claims = { linkId: newId(), userId: caller.userId, fileId, expiresAtSeconds }
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
  return { url: `${deps.policy.publicOrigin}/download-file/${token}`, expiresAtMs }
}

const linkNotFound = (reason: string): AppError => new AppError("link_not_found", { detail: "There is no such link.", reason })
const notYours = (): AppError => new AppError("link_not_yours", { detail: "This link was made for somebody else." })

/** A request that wants bytes waits this long, in all, for another one by the same link to end. */
const HOLDER_WAITS_MS = [100, 300, 600, 1000]
const HELD_RETRY_AFTER_SECONDS = 5

/**
 * Resolves a link for whoever presents it, and claims or joins its download.
 * @param accessToken - null when the request carries none
 * @param terms - under what terms the request will be sent bytes, or null when it will not be, e.g. for HEAD
 * @throws AppError `link_not_found` for anything not genuine, before any I/O · `authentication_required` or
 *   `invalid_token` without a live login · `link_not_yours` for everybody but its client · to that client alone
 *   `link_expired`, `link_revoked`, `link_superseded`, `downloads_used_up`, and `download_in_progress` while another request by this link
 *   is sending the limited document from its beginning
 */
export async function openLink(
  deps: Deps,
  token: string,
  accessToken: string | null,
  terms: SendTerms | null,
): Promise<LinkedFile> {
  const claims = await openLinkToken(deps.keys.linkKeys, token)
  if (claims === null) throw linkNotFound("not genuine")
  if (accessToken === null)
    throw new AppError("authentication_required", { detail: "Log in as the person this link was made for." })
  const access = await readAccessToken(deps, accessToken)
  if (access === null) throw new AppError("invalid_token", { detail: "The access token is not valid (any more). Log in again." })
  // A link that is expired by its own word is refused without asking the database, in the words that are due to each.
  if (claims.expiresAtSeconds * 1000 <= deps.now()) {
    if (access.userId !== claims.userId) throw notYours()
    throw new AppError("link_expired", { detail: "This link has expired. Ask for a new one." })
  }
  for (const waitMs of [...HOLDER_WAITS_MS, null]) {
    const row = await look(deps, access.sessionId, claims, terms)
    const found = await checkAccess(deps, claims, callerFrom(access, row?.caller), row)
    const outcome = mayDownload(found, terms, deps.request.id)
    if (outcome === "yes") return { file: found.file, blob: found.blob, download: found.download }
    if (outcome === "used_up") {
      await noteRefusal(deps, access.userId, claims.linkId, "used_up")
      throw usedUp()
    }
    if (waitMs !== null) await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
  throw new AppError("download_in_progress", {
    detail:
      "This download is limited and under way in another request. Wait until that has ended, or ask for the rest with a Range.",
    retryAfterSeconds: HELD_RETRY_AFTER_SECONDS,
  })
}

function look(deps: Deps, sessionId: string, claims: LinkClaims, terms: SendTerms | null): Promise<LinkAccess | undefined> {
  const { linkId, userId, fileId } = claims
  const nowMs = deps.now()
  if (terms === null) return findLinkAccess(deps.db, sessionId, linkId, nowMs)
  const requestId = deps.request.id
  return claimLinkAccess(deps.db, { sessionId, linkId, userId, fileId, nowMs, terms, requestId, heldUntilMs: nowMs + HOLD_MS })
}

type Found = SealedRow & Pick<LinkAccess, "download" | "claimsUsed">

/** Notes that a genuine link was refused to somebody logged in, who can try it as often as they like. */
const noteRefusal = (deps: Deps, userId: string, linkId: string, reason: string): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "link.refused", userId, linkId, { reason, oncePerMs: ONCE_MS })])

/** Everything that must hold but the limit. */
async function checkAccess(deps: Deps, claims: LinkClaims, caller: Caller, row: LinkAccess | undefined): Promise<Found> {
  if (caller.userId !== claims.userId) {
    await noteRefusal(deps, caller.userId, claims.linkId, "other_client")
    throw notYours()
  }
  // The link's own user must still be one who may have links at all.
  if (caller.role !== "client" || !caller.isVerified)
    throw new AppError("forbidden", { detail: "This is for clients with a proven e-mail address." })
  // Taken off somebody, a file is as good as gone, at once and for every range.
  if (row?.isForCaller !== true) throw linkNotFound("link or file gone, or not for them")
  const { link, file, blob, download, claimsUsed } = row
  const isMatch = link?.userId === claims.userId && link.fileId === claims.fileId
  if (!isMatch || file === null || blob === null) throw linkNotFound("link or file gone")
  if (link.revokedAtMs !== null) {
    await noteRefusal(deps, caller.userId, claims.linkId, "withdrawn")
    throw new AppError("link_revoked", { detail: "This link was withdrawn." })
  }
  if (link.version !== file.version) {
    await noteRefusal(deps, caller.userId, claims.linkId, "superseded")
    throw new AppError("link_superseded", { detail: "There is a newer version of this document. Ask for a new link." })
  }
  return { file, blob, download, claimsUsed }
}

/** What the limit says of a request that has made its claim, if it could. */
function mayDownload(found: Found, terms: SendTerms | null, requestId: string): "yes" | "used_up" | "held" {
  const { file, download, claimsUsed } = found
  if (file.downloadLimit === null || download?.joinedBy === requestId) return "yes"
  if (download === null && claimsUsed >= file.downloadLimit) return "used_up"
  // What will be answered without bytes needs no claim: HEAD, 304, 412, 416.
  if (terms === null || !termsHold(terms, found)) return "yes"
  return (download?.deliveredAtMs ?? null) === null ? "held" : "used_up"
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
    client: { id: clientId, email: clientEmail },
    createdAtMs: row.createdAtMs,
    expiresAtMs: row.expiresAtMs,
    download: downloadState(row),
  }))
  return { links, nextCursor: await cursorAfter(deps, listing, next) }
}

type RevokeDeps = Pick<Powers, "db" | "now" | "request">

/**
 * Withdraws one link; harmless when repeated.
 * @throws AppError `not_found` for a link outside the scope, as for one that never was
 */
export async function revokeLink(deps: RevokeDeps, caller: Caller, scope: LinkScope, linkId: string): Promise<void> {
  if ((await findLinkInScope(deps.db, scope, linkId)) === undefined)
    throw new AppError("not_found", { detail: "There is no such link." })
  const nowMs = deps.now()
  await runBatch(deps.db, [
    // First, while it can still see whether there is something to withdraw: repeated, it leaves no row.
    auditEvent(deps, "link.revoked", caller.userId, linkId, { onlyIf: hasLiveLinks(deps.db, scope, linkId, nowMs) }),
    addRevocationEvents(deps.db, liveLinks(scope, linkId, nowMs), nowMs),
    revokeLinks(deps.db, scope, linkId, nowMs),
  ])
}

/** Withdraws all live links of a scope and says how many they were. */
export async function revokeAllLinks(deps: RevokeDeps, caller: Caller, scope: LinkScope): Promise<number> {
  const subjectId = scope.fileId ?? scope.userId ?? null
  const nowMs = deps.now()
  const [, , revoked] = await deps.db.batch([
    auditEvent(deps, "links.revoked", caller.userId, subjectId, { onlyIf: hasLiveLinks(deps.db, scope, null, nowMs) }),
    addRevocationEvents(deps.db, liveLinks(scope, null, nowMs), nowMs),
    revokeLinks(deps.db, scope, null, nowMs),
  ])
  return revoked.length
}
