// The door that every link goes through, of one file or of a selection: whether it is genuine, who presents it, and what
// is said to whom. A wrong link costs cryptography only, no D1 or R2 call, and its own client alone hears why a right
// one does not open.
import { type LinkClaims, openLinkToken } from "../crypto/link-token.ts"
import { runBatch } from "../db/client.ts"
import type { LinkAccess } from "../db/links.ts"
import { AppError, type FieldError } from "../errors.ts"
import { ONCE_MS, auditEvent } from "./audit.ts"
import type { SealedRow } from "./files.ts"
import type { Powers } from "./powers.ts"
import { type Caller, accessRefused, callerFrom, readAccessToken } from "./sessions.ts"

export type LinkDeps = Pick<Powers, "db" | "keys" | "now" | "policy" | "request">

/** A genuine link that has not expired, and who presents it; whether that is its own client is still to be asked. */
export type Admission<Claims extends LinkClaims = LinkClaims> = { claims: Claims; access: { userId: string; sessionId: string } }

/** A live link with its file and bytes, and its download if a GET has claimed one. */
export type LinkedFile = SealedRow & Pick<LinkAccess, "download" | "claimsUsed">

export const linkNotFound = (reason: string): AppError =>
  new AppError("link_not_found", { detail: "There is no such link.", reason })
export const linkRevoked = (): AppError => new AppError("link_revoked", { detail: "This link was withdrawn." })
export const usedUp = (fields?: readonly FieldError[]): AppError =>
  fields === undefined
    ? new AppError("downloads_used_up", {
        detail: "You have downloaded this document as often as you may. Ask its sender for more.",
      })
    : new AppError("downloads_used_up", {
        detail: "You have downloaded some of these documents as often as you may. Ask their sender for more, or leave them out.",
        fields,
      })
const notYours = (): AppError => new AppError("link_not_yours", { detail: "This link was made for somebody else." })

/**
 * Admits whoever presents a link, as far as that can be said without a call.
 * @param accessToken - null when the request carries none
 * @throws AppError `link_not_found` for anything not genuine · `authentication_required` or `invalid_token` without a
 *   login · `link_expired`, or to others than its client `link_not_yours`, for what has expired by its own word
 */
export async function admit(deps: LinkDeps, token: string, accessToken: string | null): Promise<Admission> {
  const claims = await openLinkToken(deps.keys.linkKeys, token)
  if (claims === null) throw linkNotFound("not genuine")
  if (accessToken === null)
    throw new AppError("authentication_required", { detail: "Log in as the person this link was made for." })
  const access = await readAccessToken(deps, accessToken)
  if (access === null) throw accessRefused("access token")
  // A link that is expired by its own word is refused without asking the database, in the words that are due to each.
  if (claims.expiresAtSeconds * 1000 <= deps.now()) {
    if (access.userId !== claims.userId) throw notYours()
    throw new AppError("link_expired", { detail: "This link has expired. Ask for a new one." })
  }
  return { claims, access }
}

const subjectOf = (claims: LinkClaims): string => (claims.kind === "file" ? claims.linkId : claims.selectionId)

/** Notes that a genuine link was refused to somebody logged in, who can try it as often as they like. */
export const noteRefusal = (deps: LinkDeps, userId: string, claims: LinkClaims, reason: string): Promise<void> =>
  runBatch(deps.db, [auditEvent(deps, "link.refused", userId, subjectOf(claims), { reason, oncePerMs: ONCE_MS })])

/**
 * Is the caller, as the database knows them now, the one whom the link is for?
 * @param row - what was found with their session, or undefined when that is not alive
 * @throws AppError `invalid_token` · `link_not_yours` · `forbidden`
 */
export async function requireOwnClient(
  deps: LinkDeps,
  { claims, access }: Admission,
  row: Pick<LinkAccess, "caller"> | undefined,
): Promise<Caller> {
  const caller = callerFrom(access, row?.caller)
  if (caller.userId !== claims.userId) {
    await noteRefusal(deps, caller.userId, claims, "other_client")
    throw notYours()
  }
  // The link's own user must still be one who may have links at all.
  if (caller.role !== "client" || !caller.isVerified)
    throw new AppError("forbidden", { detail: "This is for clients with a proven e-mail address." })
  return caller
}

/** The file that a link is for, if it still is, or what has become of it. */
export type LinkState = LinkedFile | "gone" | "revoked" | "superseded"

/** @param fileId - what the token says, or null where it says nothing of single files */
export function stateOf(row: LinkAccess, userId: string, fileId: string | null): LinkState {
  // Taken off somebody, a file is as good as gone, at once and for every range.
  const { link, file, blob, download, claimsUsed, isForCaller } = row
  if (!isForCaller || link?.userId !== userId || (fileId !== null && link.fileId !== fileId)) return "gone"
  if (file === null || blob === null) return "gone"
  if (link.revokedAtMs !== null) return "revoked"
  return link.version === file.version ? { file, blob, download, claimsUsed } : "superseded"
}

/**
 * What the limit says of a request that has made its claim, if it could.
 * @param wantsBytes - whether it will be sent any; what is answered without, e.g. HEAD, 304, 412, 416, needs no claim
 * @param isDelivered - whether everything that the link is for was sent
 */
export function mayDownload(
  { file, download, claimsUsed }: LinkedFile,
  { wantsBytes, isDelivered }: { wantsBytes: boolean; isDelivered: boolean },
  requestId: string,
): "yes" | "used_up" | "held" {
  if (file.downloadLimit === null || download?.joinedBy === requestId) return "yes"
  if (download === null && claimsUsed >= file.downloadLimit) return "used_up"
  if (!wantsBytes) return "yes"
  return isDelivered ? "used_up" : "held"
}

export const wasDelivered = ({ download }: LinkedFile): boolean => download !== null && download.deliveredAtMs !== null

/** A request that wants bytes waits this long, in all, for another one by the same link to end. */
const HOLDER_WAITS_MS = [100, 300, 600, 1000]
const HELD_RETRY_AFTER_SECONDS = 5

/**
 * Tries a claim until it is not another request that keeps it from succeeding.
 * @param attempt - null when another request holds what is wanted
 * @throws AppError `download_in_progress` when that goes on
 */
export async function untilFree<T>(attempt: () => Promise<T | null>): Promise<T> {
  for (const waitMs of [...HOLDER_WAITS_MS, null]) {
    const result = await attempt()
    if (result !== null) return result
    if (waitMs !== null) await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
  throw new AppError("download_in_progress", {
    detail:
      "This download is limited and under way in another request. Wait until that has ended, or ask for the rest with a Range.",
    retryAfterSeconds: HELD_RETRY_AFTER_SECONDS,
  })
}

/**
 * When a new link expires.
 * @param lifetimeSeconds - shorter than the deployment's, if the client wants
 * @throws AppError `validation_failed` for a longer life
 */
export function linkExpiry({ policy, now }: Pick<LinkDeps, "policy" | "now">, lifetimeSeconds: number | undefined) {
  if (lifetimeSeconds !== undefined && lifetimeSeconds > policy.linkLifetimeSeconds) {
    const message = `A link lives ${String(policy.linkLifetimeSeconds)} seconds at most.`
    throw new AppError("validation_failed", { detail: message, fields: [{ field: "expiresIn", rule: "too_big", message }] })
  }
  const createdAtMs = now()
  const expiresAtSeconds = Math.floor(createdAtMs / 1000) + (lifetimeSeconds ?? policy.linkLifetimeSeconds)
  return { createdAtMs, expiresAtSeconds, expiresAtMs: expiresAtSeconds * 1000 }
}

export const downloadUrl = ({ policy }: Pick<LinkDeps, "policy">, token: string): string =>
  `${policy.publicOrigin}/download-file/${token}`
