// Download links: minted for one person and one file, verified before any lookup, and worth nothing without
// that person's login. A wrong link costs cryptography only, no D1 or R2 call.
import { openLinkToken, sealLinkToken } from "../crypto/link-token.ts"
import { runBatch } from "../db/client.ts"
import { type LinkRow, findLinkAccess, insertLink, markLinkUsed } from "../db/links.ts"
import { AppError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import { type SealedRow, findFile } from "./files.ts"
import type { Powers } from "./powers.ts"
import { type Caller, callerFrom, readAccessToken } from "./sessions.ts"
import { newId } from "../ids.ts"

export type MintedLink = { url: string; expiresAtMs: number }

/** A live link with its file and bytes. */
export type LinkedFile = SealedRow & { link: LinkRow }

type Deps = Pick<Powers, "db" | "keys" | "now" | "policy" | "request">

/** Makes a link for a client to a file that they may have. */
export async function mintLink(deps: Deps, caller: Caller, fileId: string): Promise<MintedLink> {
  await findFile(deps, fileId)
  const createdAtMs = deps.now()
  const expiresAtSeconds = Math.floor(createdAtMs / 1000) + deps.policy.linkLifetimeSeconds
  const expiresAtMs = expiresAtSeconds * 1000
  const claims = { linkId: newId(), userId: caller.userId, fileId, expiresAtSeconds }
  const token = await sealLinkToken(deps.keys.linkKeys, claims)
  await runBatch(deps.db, [
    insertLink(deps.db, { id: claims.linkId, fileId, userId: caller.userId, createdAtMs, expiresAtMs }),
    auditEvent(deps, "link.minted", caller.userId, claims.linkId),
  ])
  return { url: `${deps.policy.publicOrigin}/download-file/${token}`, expiresAtMs }
}

const linkNotFound = (reason: string): AppError => new AppError("link_not_found", { detail: "There is no such link.", reason })
const linkExpired = (): AppError => new AppError("link_expired", { detail: "This link has expired. Ask for a new one." })

/**
 * Resolves a link for whoever presents it.
 * @param accessToken - null when the request carries none
 * @throws AppError `link_not_found` for anything not genuine, before any I/O · `authentication_required` or
 *   `invalid_token` without a live login · `link_not_yours` for everybody but its client · `link_expired` and
 *   `link_revoked` to that client alone
 */
export async function openLink(deps: Deps, token: string, accessToken: string | null): Promise<LinkedFile> {
  const claims = await openLinkToken(deps.keys.linkKeys, token)
  if (claims === null) throw linkNotFound("not genuine")
  if (accessToken === null)
    throw new AppError("authentication_required", { detail: "Log in as the person this link was made for." })
  const access = await readAccessToken(deps, accessToken)
  if (access === null) throw new AppError("invalid_token", { detail: "The access token is not valid (any more). Log in again." })
  // A link that is expired by its own word is refused to its own user without asking the database.
  if (access.userId === claims.userId && claims.expiresAtSeconds * 1000 <= deps.now()) throw linkExpired()
  const row = await findLinkAccess(deps.db, access.sessionId, claims.linkId, deps.now())
  const caller = callerFrom(access, row?.caller)
  if (caller.userId !== claims.userId) {
    await runBatch(deps.db, [auditEvent(deps, "link.refused", caller.userId, claims.linkId)])
    throw new AppError("link_not_yours", { detail: "This link was made for somebody else." })
  }
  // The link's own user must still be one who may have links at all.
  if (caller.role !== "client" || !caller.isVerified)
    throw new AppError("forbidden", { detail: "This is for clients with a proven e-mail address." })
  const { link, file, blob } = row ?? { link: null, file: null, blob: null }
  if (link?.userId !== claims.userId || link.fileId !== claims.fileId || file === null || blob === null) {
    throw linkNotFound("link or file gone")
  }
  if (link.revokedAtMs !== null) throw new AppError("link_revoked", { detail: "This link was withdrawn." })
  return { link, file, blob }
}

/** Records that a link's file begins to go out. A fault here is noted and stops nobody's download. */
export async function noteLinkUse(deps: Deps & Pick<Powers, "log">, link: LinkedFile["link"]): Promise<void> {
  try {
    const atMs = deps.now()
    await runBatch(deps.db, [markLinkUsed(deps.db, link.id, atMs), auditEvent(deps, "link.used", link.userId, link.id)])
  } catch (error) {
    deps.log("link_use_not_noted", { error: error instanceof Error ? error.name : "unknown" })
  }
}
