// Clients as operations users manage them: list, disable, enable, delete. All ops may do so, and only with clients: an
// ops account here is one that does not exist (docs/decisions/0015). All of it acts on the next request.
import { runBatch, type Statement } from "../db/client.ts"
import type { NoticeKind } from "../db/notices.ts"
import { isConstraintFailure } from "../db/d1-errors.ts"
import { addRevocationEvents } from "../db/events.ts"
import { linksToRevoke, revokeLinks } from "../db/links.ts"
import { touchBundlesAbout } from "../db/notice-bundles.ts"
import { NOTICE_KINDS } from "../db/notifications.ts"
import { deleteMailsTo, dropMailsOf, replaceInMails } from "../db/outbox.ts"
import { voidPasswordResets } from "../db/password-resets.ts"
import {
  type ListedClientRow,
  confirmClient,
  deleteClient,
  endSessionsOf,
  findClient,
  listClients,
  setDisabled,
} from "../db/users.ts"
import { deleteVerificationsOf } from "../db/verifications.ts"
import { AppError } from "../errors.ts"
import { addressPlaces } from "../mail/notice-messages.ts"
import { auditEvent } from "./audit.ts"
import { type Listing, cursorAfter, cutPage, newestAfter } from "./cursor.ts"
import type { EmailAddress } from "./email-address.ts"
import type { Powers } from "./powers.ts"
import type { Caller } from "./sessions.ts"

/** A client as ops see it. */
export type ListedClient = {
  id: string
  email: string
  createdAtMs: number
  /** Null only for accounts of older versions that nobody has proven. */
  verifiedAtMs: number | null
  disabledAtMs: number | null
  hasSecondFactor: boolean
}

type Deps = Pick<Powers, "db" | "now" | "request">

const shown = ({ id, email, createdAtMs, verifiedAtMs, disabledAtMs, hasSecondFactor }: ListedClientRow): ListedClient => ({
  id,
  email,
  createdAtMs,
  verifiedAtMs,
  disabledAtMs,
  hasSecondFactor: hasSecondFactor === 1,
})

/**
 * A page of clients, newest first; with an address only the one that has it.
 * @throws AppError `validation_failed` for a cursor of another list
 */
export async function pageOfClients(
  deps: Pick<Powers, "db" | "keys">,
  caller: Caller,
  query: { email?: EmailAddress | undefined; cursor?: string | undefined; limit: number },
): Promise<{ clients: ListedClient[]; nextCursor: string | null }> {
  const { email, limit } = query
  const listing: Listing = { callerId: caller.userId, list: "clients", terms: { email: email?.key } }
  const after = await newestAfter(deps, listing, query.cursor)
  const rows = await listClients(deps.db, {
    limit: limit + 1,
    ...(after === undefined ? {} : { after }),
    ...(email === undefined ? {} : { emailKey: email.key }),
  })
  const { page, next } = cutPage(rows, limit, ({ createdAtMs, id }) => ({ key: createdAtMs, id }))
  return { clients: page.map(shown), nextCursor: await cursorAfter(deps, listing, next) }
}

const notFound = (): AppError => new AppError("not_found", { detail: "There is no such client." })

async function existing(deps: Pick<Powers, "db">, id: string) {
  const client = await findClient(deps.db, id)
  if (client === undefined) throw notFound()
  return client
}

/** @throws AppError `not_found`, also for the id of an ops account */
export const getClient = async (deps: Pick<Powers, "db">, id: string): Promise<ListedClient> => shown(await existing(deps, id))

/** Runs a change of a client that may be deleted at this very moment. */
async function commit(deps: Deps, id: string, statements: readonly Statement[]): Promise<void> {
  try {
    await runBatch(deps.db, [confirmClient(deps.db, id), ...statements])
  } catch (error) {
    throw isConstraintFailure(error) ? notFound() : error
  }
}

/**
 * Shuts a client out: no login, and every session, link, pending password reset and waiting mail about files is over, so
 * that enabling brings none of them back. Harmless when repeated.
 * @throws AppError `not_found`
 */
export async function disableClient(deps: Deps, actor: Caller, id: string): Promise<ListedClient> {
  const client = await existing(deps, id)
  if (client.disabledAtMs !== null) return shown(client)
  const nowMs = deps.now()
  await commit(deps, id, [
    setDisabled(deps.db, id, nowMs),
    endSessionsOf(deps.db, id, null, nowMs),
    addRevocationEvents(deps.db, linksToRevoke(deps.db, { userId: id }, null, nowMs), nowMs),
    revokeLinks(deps.db, { userId: id }, null, nowMs),
    voidPasswordResets(deps.db, id, nowMs),
    dropMailsOf(deps.db, id, NOTICE_KINDS),
    auditEvent(deps, "account.disabled", actor.userId, id),
  ])
  return shown({ ...client, disabledAtMs: nowMs })
}

/**
 * Lets a client log in again. Harmless when repeated.
 * @throws AppError `not_found`
 */
export async function enableClient(deps: Deps, actor: Caller, id: string): Promise<ListedClient> {
  const client = await existing(deps, id)
  if (client.disabledAtMs === null) return shown(client)
  await commit(deps, id, [setDisabled(deps.db, id, null), auditEvent(deps, "account.enabled", actor.userId, id)])
  return shown({ ...client, disabledAtMs: null })
}

/** Mails to uploaders in which clients are named. */
const NAMING_MAILS = ["file_delivered", "expiry_report"] as const satisfies readonly NoticeKind[]

/**
 * Deletes a client and everything that names the person: account, sessions, links, downloads, second factor, sign-ups,
 * mails, and the address in mails to others that wait. The audit trail keeps its rows; they hold an id that names nobody any more.
 * @throws AppError `not_found`
 */
export async function deleteClientAccount(deps: Deps, actor: Caller, id: string): Promise<void> {
  const { email, emailKey } = await existing(deps, id)
  const nowMs = deps.now()
  await commit(deps, id, [
    addRevocationEvents(deps.db, linksToRevoke(deps.db, { userId: id }, null, nowMs), nowMs),
    deleteMailsTo(deps.db, emailKey),
    replaceInMails(deps.db, NAMING_MAILS, addressPlaces(email)),
    touchBundlesAbout(deps.db, id),
    deleteVerificationsOf(deps.db, emailKey),
    deleteClient(deps.db, id),
    auditEvent(deps, "account.deleted", actor.userId, id),
  ])
}
