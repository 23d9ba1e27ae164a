// Who wants to be told what: each person about the kinds that are theirs, and the owner of a file about that file. Also
// by the link in a mail, without a login (RFC 8058).
import { openUnsubscribe } from "../crypto/unsubscribe-token.ts"
import { type Statement, runBatch } from "../db/client.ts"
import {
  NOTICE_KINDS,
  type NoticeKind,
  changesPreference,
  listKindsMuted,
  listKindsOff,
  muteKinds,
  turnOff,
  turnOn,
  unmuteKindsBut,
} from "../db/notifications.ts"
import { dropMailsOf } from "../db/outbox.ts"
import { AppError } from "../errors.ts"
import { auditEvent } from "./audit.ts"
import { type FileActor, findOwnFile, requireThere } from "./files.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

/** What people call the kinds. */
export const NOTIFICATIONS = ["newFiles", "expiryReminders", "deliveries", "expiryReports"] as const
export type Notification = (typeof NOTIFICATIONS)[number]

const KIND_OF: Record<Notification, NoticeKind> = {
  newFiles: "file_available",
  expiryReminders: "expiry_reminder",
  deliveries: "file_delivered",
  expiryReports: "expiry_report",
}

const NAME_OF = Object.fromEntries(NOTIFICATIONS.map((name) => [KIND_OF[name], name])) as Record<NoticeKind, Notification>

/** In tokens, which outlive everything: numbers are never used again. */
const CODE_OF: Record<NoticeKind, number> = { file_available: 1, expiry_reminder: 2, file_delivered: 3, expiry_report: 4 }

export const kindCode = (kind: NoticeKind): number => CODE_OF[kind]

const OWN: Record<Caller["role"], readonly Notification[]> = {
  client: ["newFiles", "expiryReminders"],
  ops: ["deliveries", "expiryReports"],
}

/** The kinds that a role has. */
export const notificationsOf = ({ role }: Pick<Caller, "role">): readonly Notification[] => OWN[role]

/** Kinds and whether they are told. */
export type Switches = Partial<Record<Notification, boolean | undefined>>

const switches = (names: readonly Notification[], off: readonly NoticeKind[]): Switches =>
  Object.fromEntries(names.map((name) => [name, !off.includes(KIND_OF[name])]))

/** What the caller is told. */
export const ownNotifications = async (deps: Pick<Powers, "db">, caller: Caller): Promise<Switches> =>
  switches(OWN[caller.role], await listKindsOff(deps.db, caller.userId))

type Deps = Pick<Powers, "db" | "now" | "request">

/**
 * The change of one preference; there is a row in the trail only where it is one. What is turned off is not sent any more
 * either.
 */
function preference(
  deps: Deps,
  userId: string,
  kind: NoticeKind,
  isOn: boolean,
  actor: { id: string | null; reason?: string },
): [Statement, ...Statement[]] {
  const { id, ...reason } = actor
  const onlyIf = changesPreference(userId, kind, isOn)
  return [
    auditEvent(deps, "account.notifications_set", id, userId, { ...reason, onlyIf }),
    ...(isOn
      ? [turnOn(deps.db, userId, kind)]
      : [turnOff(deps.db, userId, kind, deps.now()), dropMailsOf(deps.db, userId, [kind])]),
  ]
}

/**
 * Changes what the caller is told from now on; what was turned off meanwhile is not told afterwards.
 * @param wanted - kinds of the caller's role only (http/routes/notifications.ts)
 */
export async function changeOwnNotifications(deps: Deps, caller: Caller, wanted: Switches): Promise<Switches> {
  const changes = NOTIFICATIONS.flatMap((name): Statement[] => {
    const isOn = wanted[name]
    return isOn === undefined ? [] : [...preference(deps, caller.userId, KIND_OF[name], isOn, { id: caller.userId })]
  })
  const [first, ...rest] = changes
  if (first !== undefined) await runBatch(deps.db, [first, ...rest])
  return ownNotifications(deps, caller)
}

/**
 * What is told about a file that the actor may manage.
 * @throws AppError `not_found`
 */
export async function fileNotifications(deps: Pick<Powers, "db">, actor: FileActor, fileId: string): Promise<Switches> {
  await findOwnFile(deps, actor, fileId)
  return switches(NOTIFICATIONS, await listKindsMuted(deps.db, fileId))
}

const mutedOf = (wanted: Switches): NoticeKind[] => NOTICE_KINDS.filter((kind) => wanted[NAME_OF[kind]] === false)

/**
 * Decides what is told about such a file from now on.
 * @throws AppError `not_found` · `file_deleted` for one in the trash
 */
export async function changeFileNotifications(deps: Deps, actor: FileActor, fileId: string, wanted: Switches): Promise<void> {
  const { file } = await findOwnFile(deps, actor, fileId)
  requireThere(file)
  const muted = mutedOf(wanted)
  await runBatch(deps.db, [
    unmuteKindsBut(deps.db, fileId, muted),
    muteKinds(deps.db, fileId, muted),
    auditEvent(deps, "file.notifications_set", actor.userId, fileId),
  ])
}

/** For a file that the same batch has just inserted: nobody is told anything else of it than these. */
export function notificationsOfNewFile(deps: Pick<Powers, "db">, fileId: string, told: readonly Notification[]): Statement[] {
  const muted = NOTIFICATIONS.filter((name) => !told.includes(name)).map((name) => KIND_OF[name])
  return muted.length === 0 ? [] : [muteKinds(deps.db, fileId, muted)]
}

/**
 * What the link in a mail is about. Asks nobody.
 * @throws AppError `not_found` for everything that is not a link of ours
 */
export async function openUnsubscribeLink(
  deps: Pick<Powers, "keys">,
  token: string,
): Promise<{ userId: string; kind: NoticeKind; notification: Notification }> {
  const opened = await openUnsubscribe(deps.keys.unsubscribeKeys, token)
  const kind = NOTICE_KINDS.find((known) => CODE_OF[known] === opened?.kind)
  if (opened === null || kind === undefined) throw new AppError("not_found", { detail: "There is nothing at this address." })
  return { userId: opened.userId, kind, notification: NAME_OF[kind] }
}

/**
 * Has the holder of a mail's link get no more such mails, or get them again. The same, and harmless, however often it is
 * repeated, and whether or not the account still exists.
 * @throws AppError `not_found`
 */
export async function followUnsubscribeLink(
  deps: Deps & Pick<Powers, "keys">,
  token: string,
  isOn: boolean,
): Promise<Notification> {
  const { userId, kind, notification } = await openUnsubscribeLink(deps, token)
  const reason = isOn ? "unsubscribe_undone" : "unsubscribe_link"
  await runBatch(deps.db, preference(deps, userId, kind, isOn, { id: null, reason }))
  return notification
}
