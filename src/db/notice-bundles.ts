// The mails that waiting notices make: which are due, what they have to say, and the writes that settle a notice
// together with the mail that says it. A bundle that has changed since it was read is left alone by all of them.
import { type SQL, and, eq, sql } from "drizzle-orm"
import { isFor } from "./audiences.ts"
import type { Condition, Db } from "./client.ts"
import { type BundleTimes, hasCurrent, recipientsOf } from "./notices.ts"
import { isMuted, mayBeTold } from "./notifications.ts"
import { type NoticeKind, noticeBundles, notices } from "./schema.ts"

export type BundleRow = typeof noticeBundles.$inferSelect

export const listDueBundles = (db: Db, nowMs: number, limit: number) =>
  db
    .select()
    .from(noticeBundles)
    .where(sql`${noticeBundles.dueAtMs} <= ${nowMs}`)
    .orderBy(noticeBundles.dueAtMs)
    .limit(limit)
    .all()

type NoticeColumns = { fileId: SQL; clientId: SQL; expiryMs: SQL }

const NOTHING = sql`false`

/** What makes a notice that waits needless for good, besides that its recipient wants no mails. */
const needless = (kind: NoticeKind, { fileId, clientId }: NoticeColumns): SQL => {
  const isKnown: Record<NoticeKind, SQL> = {
    file_available: sql`exists (select 1 from downloads d where d.file_id = ${fileId} and d.user_id = ${clientId})`,
    expiry_reminder: hasCurrent(fileId, clientId),
    file_delivered: NOTHING,
    expiry_report: NOTHING,
  }
  return sql`(${isMuted(fileId, kind)} or ${isKnown[kind]})`
}

/** May it be said now? Not what was taken off, is in the trash or past its time. */
const isTrue = (kind: NoticeKind, { fileId, clientId, expiryMs }: NoticeColumns, nowMs: number): SQL => {
  // Of a later date there will be another notice; of an earlier one, this is it.
  const isOfDate = sql`exists (select 1 from files x where x.id = ${fileId} and x.deleted_at_ms is null and x.expires_at_ms > ${nowMs} and x.expires_at_ms <= ${expiryMs})`
  const truth: Record<NoticeKind, SQL> = {
    file_available: isFor(fileId, clientId, nowMs),
    expiry_reminder: sql`(${isOfDate} and ${isFor(fileId, clientId, nowMs)})`,
    file_delivered: sql`true`,
    expiry_report: isOfDate,
  }
  return truth[kind]
}

/** Nobody is told of it now, but its owner may take it out of the trash: its notices stay, and wait for no mail. */
const isAway = (kind: NoticeKind, { fileId }: NoticeColumns, nowMs: number): SQL => {
  if (kind === "file_delivered") return NOTHING
  const isExpired = kind === "file_available" ? sql`y.expires_at_ms <= ${nowMs}` : NOTHING
  return sql`exists (select 1 from files y where y.id = ${fileId} and (y.deleted_at_ms is not null or ${isExpired}))`
}

const n = { fileId: sql`n.file_id`, clientId: sql`n.client_id`, expiryMs: sql`n.expiry_ms` }
const pending = { fileId: sql`notices.file_id`, clientId: sql`notices.client_id`, expiryMs: sql`notices.expiry_ms` }

/** What identifies a notice among those of one recipient and kind. */
const KEY = sql`n.file_id || n.client_id`

/** What a mail says first; the rest it only counts. */
export type ShownNotice = {
  place: number
  fileId: string
  name: string
  expiresAtMs: number | null
  /** Whom it is about, and when they first had the whole file. */
  email: string
  deliveredAtMs: number | null
}

export type BundleContent = { recipientId: string; total: number; keys: readonly string[]; shown: readonly ShownNotice[] }

/**
 * What the notices of a kind that wait for these recipients have to say: only what is true and not needless, the oldest
 * first.
 * @param most - how many a mail may settle
 */
export async function readBundles(
  db: Db,
  kind: NoticeKind,
  recipientIds: readonly string[],
  query: { nowMs: number; shown: number; most: number },
): Promise<BundleContent[]> {
  const deliveredAt =
    kind === "file_delivered"
      ? sql`(select min(d.delivered_at_ms) from downloads d where d.file_id = n.file_id and d.user_id = n.client_id)`
      : sql`null`
  const rows = await db.all<{ recipientId: string; total: number; keys: string; shown: string }>(sql`
    select recipient_id as recipientId, count(*) as total, json_group_array(key) as keys,
      json_group_array(json_object('place', place, 'fileId', file_id, 'name', name, 'expiresAtMs', expires_at_ms, 'email', email, 'deliveredAtMs', delivered_at_ms))
        filter (where place <= ${query.shown}) as shown
    from (
      select n.recipient_id, ${KEY} as key, n.file_id, f.name, f.expires_at_ms, c.email, ${deliveredAt} as delivered_at_ms,
        row_number() over (partition by n.recipient_id order by n.created_at_ms, f.name_key, n.file_id, n.client_id) as place
      from json_each(${JSON.stringify(recipientIds)}) r cross join notices n indexed by notices_pending
        join files f on f.id = n.file_id join users c on c.id = n.client_id
      where n.recipient_id = r.value and n.kind = ${kind} and n.settled_at_ms is null
        and not ${needless(kind, n)} and ${isTrue(kind, n, query.nowMs)}
    ) where place <= ${query.most} group by recipient_id`)
  return rows.map(({ recipientId, total, keys, shown }) => ({
    recipientId,
    total,
    keys: JSON.parse(keys) as string[],
    shown: (JSON.parse(shown) as ShownNotice[]).toSorted((a, b) => a.place - b.place),
  }))
}

/** A mail for everybody to whom something about the file is still to be said: when it is back. */
export const bundleAgain = (db: Db, fileId: string, { nowMs, quietMs }: BundleTimes) =>
  db
    .insert(noticeBundles)
    .select(
      sql`select recipient_id, kind, ${nowMs}, ${nowMs + quietMs}, 1 from notices where file_id = ${fileId} and settled_at_ms is null group by recipient_id, kind`,
    )
    .onConflictDoUpdate({
      target: [noticeBundles.recipientId, noticeBundles.kind],
      set: { changes: sql`${noticeBundles.changes} + 1` },
    })

export type Addressee = { id: string; email: string; emailKey: string }

/** Those of these users who may have mails of the kind. */
export const listAddressees = (db: Db, kind: NoticeKind, userIds: readonly string[]) =>
  db.all<Addressee>(sql`
    select u.id, u.email, u.email_key as emailKey from json_each(${JSON.stringify(userIds)}) x join users u on u.id = x.value
    where ${mayBeTold(sql`u.id`, kind)}`)

export type Reach = { recipients: number; missing: number; addresses: readonly string[] }

/** How many clients a file is for, how many of them have not got it, and the first of those. */
export async function readReach(db: Db, fileId: string, addresses: number): Promise<Reach> {
  const [row] = await db.all<{ recipients: number; missing: number; addresses: string }>(sql`
    with reached(id, email, has_it) as (
      select u.id, u.email, ${hasCurrent(sql`${fileId}`, sql`u.id`)}
      from ${recipientsOf(sql`${fileId}`, false)} r join users u on u.id = r.id where u.verified_at_ms is not null and u.disabled_at_ms is null
    )
    select count(*) as recipients, coalesce(sum(not has_it), 0) as missing,
      (select json_group_array(email) from (select email from reached where not has_it order by email limit ${addresses})) as addresses
    from reached`)
  return {
    recipients: row?.recipients ?? 0,
    missing: row?.missing ?? 0,
    addresses: JSON.parse(row?.addresses ?? "[]") as string[],
  }
}

/** Has bundles that may name this client be read anew by whoever is writing a mail of them at this moment. */
export const touchBundlesAbout = (db: Db, clientId: string) =>
  db
    .update(noticeBundles)
    .set({ changes: sql`${noticeBundles.changes} + 1` })
    .where(
      sql`${noticeBundles.kind} = 'expiry_report' or (${noticeBundles.kind} = 'file_delivered' and ${noticeBundles.recipientId} in (select n.recipient_id from notices n where n.client_id = ${clientId}))`,
    )

/** Is the bundle still as it was read? */
export const isUnchanged = ({ recipientId, kind, changes }: BundleRow): Condition =>
  sql`exists (select 1 from notice_bundles b where b.recipient_id = ${recipientId} and b.kind = ${kind} and b.changes = ${changes})`

/**
 * Settles a bundle, if it is unchanged: what the mail says, and what is needless. What was taken off is forgotten, so
 * that it can be said when it is given again; what is away stays. The bundle stays for what is left to say, if anything,
 * but is another one from then on: whoever has read it before must not say the same again.
 * @param told - the keys of what the mail says
 */
export const settleBundle = (
  db: Db,
  bundle: BundleRow,
  told: { mailId: string; keys: readonly string[] } | null,
  nowMs: number,
) => {
  const { recipientId, kind } = bundle
  const waits = and(
    eq(notices.recipientId, recipientId),
    eq(notices.kind, kind),
    sql`${notices.settledAtMs} is null`,
    isUnchanged(bundle),
  )
  const isTold = sql`notices.file_id || notices.client_id in (select value from json_each(${JSON.stringify(told?.keys ?? [])}))`
  return [
    db
      .update(notices)
      .set({ settledAtMs: nowMs, mailId: sql`case when ${isTold} then ${told?.mailId ?? null} end` })
      .where(and(waits, sql`(${isTold} or ${needless(kind, pending)} or not ${mayBeTold(sql`${recipientId}`, kind)})`)),
    db.delete(notices).where(and(waits, sql`not ${isTrue(kind, pending, nowMs)}`, sql`not ${isAway(kind, pending, nowMs)}`)),
    db
      .delete(noticeBundles)
      .where(
        and(
          eq(noticeBundles.recipientId, recipientId),
          eq(noticeBundles.kind, kind),
          eq(noticeBundles.changes, bundle.changes),
          sql`not exists (select 1 from notices n where n.recipient_id = ${recipientId} and n.kind = ${kind} and n.settled_at_ms is null and not ${isAway(kind, n, nowMs)})`,
        ),
      ),
    db
      .update(noticeBundles)
      .set({ changes: sql`${noticeBundles.changes} + 1` })
      .where(
        and(eq(noticeBundles.recipientId, recipientId), eq(noticeBundles.kind, kind), eq(noticeBundles.changes, bundle.changes)),
      ),
  ] as const
}
