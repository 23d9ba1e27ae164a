// Telling people about files, second half: notices that have waited long enough become mails, one for each person and
// kind. A mail and what it settles are one batch, which does nothing where the bundle has changed since it was read: so
// whoever dies in between, or runs twice, neither loses a notice nor says it again.
import { sealUnsubscribe } from "../crypto/unsubscribe-token.ts"
import { type Statement, runBatch } from "../db/client.ts"
import {
  type Addressee,
  type BundleContent,
  type BundleRow,
  type ShownNotice,
  isUnchanged,
  listAddressees,
  listDueBundles,
  readBundles,
  readReach,
  settleBundle,
} from "../db/notice-bundles.ts"
import type { NoticeKind } from "../db/notices.ts"
import { countDueMails } from "../db/outbox.ts"
import { newId } from "../ids.ts"
import type { Message } from "../mail/messages.ts"
import {
  SHOWN_IN_MAIL,
  deliveriesMessage,
  expiryReminderMessage,
  expiryReportMessage,
  newFilesMessage,
} from "../mail/notice-messages.ts"
import { mailboxOf } from "./account-mail.ts"
import { kindCode } from "./notifications.ts"
import { DRAIN_LIMIT, enqueueMail } from "./outbox.ts"
import type { Powers } from "./powers.ts"

/** Mails made by one run; the outbox sends them in the same one. */
const RUN_MAILS = 100
/** Bundles read, and settled, together. */
const TOGETHER = 25
/** A report counts all clients of each file, so it speaks of few at a time. The rest gets a mail of its own. */
const FILES_IN_REPORT = 5
const REPORTS_TOGETHER = 2
/** Their keys are one value, far below the two megabytes that D1 takes for one. The rest gets a mail of its own. */
const NOTICES_IN_MAIL = 10_000

const MAIL_LIFETIME_MS = 48 * 60 * 60_000

type Deps = Pick<Powers, "db" | "now" | "keys" | "policy">
type Links = { publicOrigin: string; unsubscribeUrl: string }

async function linksFor(deps: Deps, userId: string, kind: NoticeKind): Promise<Links> {
  const { publicOrigin } = deps.policy
  const token = await sealUnsubscribe(deps.keys.unsubscribeKeys, { userId, kind: kindCode(kind) })
  return { publicOrigin, unsubscribeUrl: `${publicOrigin}/unsubscribe/${token}` }
}

const writers: Record<NoticeKind, (deps: Deps, content: BundleContent, links: Links) => Message | Promise<Message>> = {
  file_available: (_, { shown: files, total }, links) => newFilesMessage({ ...links, files, total }),
  expiry_reminder: (_, { shown: files, total }, links) => expiryReminderMessage({ ...links, files, total }),
  file_delivered: (_, { shown: deliveries, total }, links) => deliveriesMessage({ ...links, deliveries, total }),
  async expiry_report(deps, { shown }, links) {
    const report = async (file: ShownNotice) => ({ ...file, ...(await readReach(deps.db, file.fileId, SHOWN_IN_MAIL)) })
    return expiryReportMessage({ ...links, files: await Promise.all(shown.map(report)) })
  },
}

/** What speaks of dates is of no use after the last of them. */
function expiryOf(kind: NoticeKind, { shown }: BundleContent, nowMs: number): number {
  const latestMs = nowMs + MAIL_LIFETIME_MS
  if (kind === "file_available" || kind === "file_delivered") return latestMs
  return Math.min(latestMs, Math.max(...shown.map(({ expiresAtMs }) => expiresAtMs ?? latestMs)))
}

async function statementsOf(
  deps: Deps,
  bundle: BundleRow,
  addressee: Addressee | undefined,
  content: BundleContent | undefined,
): Promise<Statement[]> {
  const nowMs = deps.now()
  if (addressee === undefined || content === undefined) return [...settleBundle(deps.db, bundle, null, nowMs)]
  const { kind, recipientId } = bundle
  const links = await linksFor(deps, recipientId, kind)
  const mail = {
    id: newId(),
    kind,
    recipient: mailboxOf(addressee),
    createdAtMs: nowMs,
    expiresAtMs: expiryOf(kind, content, nowMs),
    unsubscribeUrl: links.unsubscribeUrl,
    ...(await writers[kind](deps, content, links)),
  }
  return [
    enqueueMail(deps.db, mail, isUnchanged(bundle)),
    ...settleBundle(deps.db, bundle, { mailId: mail.id, keys: content.keys }, nowMs),
  ]
}

async function mailTogether(deps: Deps, kind: NoticeKind, bundles: readonly BundleRow[]): Promise<void> {
  const recipientIds = bundles.map(({ recipientId }) => recipientId)
  const most = kind === "expiry_report" ? FILES_IN_REPORT : NOTICES_IN_MAIL
  const addressees = new Map((await listAddressees(deps.db, kind, recipientIds)).map((row) => [row.id, row]))
  const query = { nowMs: deps.now(), shown: SHOWN_IN_MAIL, most }
  const contents = new Map((await readBundles(deps.db, kind, recipientIds, query)).map((row) => [row.recipientId, row]))
  const statements: Statement[] = []
  for (const bundle of bundles) {
    const { recipientId } = bundle
    statements.push(...(await statementsOf(deps, bundle, addressees.get(recipientId), contents.get(recipientId))))
  }
  const [first, ...rest] = statements
  if (first !== undefined) await runBatch(deps.db, [first, ...rest])
}

/**
 * Puts due mails into the outbox: as many as it sends in one run, and fewer while others wait there. Meanwhile notices
 * gather, and there are fewer mails in the end.
 */
export async function mailNotices(deps: Deps): Promise<void> {
  const waiting = await countDueMails(deps.db, deps.now(), DRAIN_LIMIT)
  const limit = Math.min(RUN_MAILS, DRAIN_LIMIT - waiting)
  if (limit <= 0) return
  const due = Map.groupBy(await listDueBundles(deps.db, deps.now(), limit), ({ kind }) => kind)
  for (const [kind, bundles] of due) {
    const together = kind === "expiry_report" ? REPORTS_TOGETHER : TOGETHER
    for (let at = 0; at < bundles.length; at += together) await mailTogether(deps, kind, bundles.slice(at, at + together))
  }
}
