// Live changes: what has happened to the files that a caller may see, in order, since an event that they name. What is
// told is the truth of this moment: of a file that is not theirs any more only that it is gone. Whoever applies the
// events to a list that they fetched has the list as it is.
import { type EventKind, type EventRow, listEvents } from "../db/events.ts"
import { AppError } from "../errors.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

/** After this they are swept. */
export const EVENT_LIFETIME_MS = 7 * 24 * 60 * 60_000

/** A file as events show it, like lists do. */
export type EventFile = {
  id: string
  name: string
  type: string
  sizeBytes: number
  sha256: string
  createdAtMs: number
  version: number
  description: string | null
  expiresAtMs: number | null
}

export type LiveEvent = {
  /** Later events have greater ones. */
  id: number
  kind: EventKind
  atMs: number
  fileId: string | null
  /** Null where it is gone, or not theirs (any more). */
  file: EventFile | null
  clientId: string | null
  linkId: string | null
}

export type EventPage = {
  events: LiveEvent[]
  /** What to ask for next: everything up to here was told. */
  next: number
  /** More follows at once. */
  hasMore: boolean
}

function fileOf({ fileId: id, isVisible, name, type, description, expiresAtMs, ...row }: EventRow): EventFile | null {
  if (isVisible === 0 || id === null || name === null || type === null) return null
  const { sizeBytes, sha256, createdAtMs, version } = row
  const bytes = { sizeBytes: sizeBytes ?? 0, sha256: sha256 ?? "", version: version ?? 0 }
  return { id, name, type, description, expiresAtMs, createdAtMs: createdAtMs ?? 0, ...bytes }
}

/** What a row says to its reader by now; null for nothing. */
function told(row: EventRow & { seq: number }, role: Caller["role"]): LiveEvent | null {
  const { seq: id, kind, atMs, fileId, clientId, linkId } = row
  const file = fileOf(row)
  const event = { id, atMs, fileId, file, clientId, linkId }
  switch (kind) {
    case "file.added":
    case "file.changed":
    case "file.version_added":
      if (row.isBefore === 1 && file === null) return null
      return { ...event, kind: file === null ? "file.removed" : kind }
    case "file.removed":
      // Theirs in another way, or given back meanwhile, which a later event says.
      return file !== null || row.isBefore === 1 ? null : { ...event, kind }
    case "link.revoked":
      return file === null && role === "client" ? null : { ...event, kind }
    case "download.started":
    case "download.delivered":
    case "client.verified":
    case "reset":
      return { ...event, kind }
  }
}

/**
 * What has happened for the caller after an event.
 * @param since - null for nothing but where to begin. An event that is unknown, or so old that later ones are gone, is
 *   answered with a `reset`: lists are to be fetched anew
 * @returns null when the session is over, or the account may not read these events any more
 */
export async function readEvents(
  deps: Pick<Powers, "db" | "now">,
  caller: Pick<Caller, "sessionId" | "role">,
  since: number | null,
  limit: number,
): Promise<EventPage | null> {
  const { sessionId, role } = caller
  const nowMs = deps.now()
  const rows = await listEvents(deps.db, { sessionId, role, since, limit, nowMs })
  const [row] = rows
  if (row === undefined) return null
  const { first, last } = row
  if (since !== null && (since > last || since < first - 1)) {
    const reset = { id: last, kind: "reset" as const, atMs: nowMs, fileId: null, file: null, clientId: null, linkId: null }
    return { events: [reset], next: last, hasMore: false }
  }
  const found = rows.filter((entry): entry is EventRow & { seq: number } => entry.seq !== null)
  const hasMore = found.length === limit
  const events = found.map((entry) => told(entry, role)).filter((event) => event !== null)
  // All of the caller's were read: what others' there are need not be looked through again.
  return { events, next: hasMore ? (found.at(-1)?.seq ?? last) : last, hasMore }
}

/**
 * The same for one request.
 * @throws AppError `invalid_token` when the session has ended meanwhile
 */
export async function pageOfEvents(
  deps: Pick<Powers, "db" | "now">,
  caller: Caller,
  since: number | null,
  limit: number,
): Promise<EventPage> {
  const page = await readEvents(deps, caller, since, limit)
  if (page === null) throw new AppError("invalid_token", { detail: "The session has ended. Log in again." })
  return page
}
