// Resumable uploads. One request at a time works on an upload: it holds a lease, and every write of its own applies only
// while it does. Whoever lost the lease changes nothing any more, whenever it wakes up.
import { and, asc, eq, gt, inArray, lte, sql } from "drizzle-orm"
import { type Db, type Statement, rawStatement } from "./client.ts"
import { type Charge, type Quota, fits } from "./quota.ts"
import { resumableParts, resumableUploads, uploads } from "./schema.ts"

export type ResumableRow = typeof resumableUploads.$inferSelect
export type Lease = { id: string; holder: string }

/** Adds an upload if its owner has room and not too many open ones, and with it the row that answers for its object. */
export const insertResumable = (
  db: Db,
  row: Omit<
    typeof resumableUploads.$inferInsert,
    "chargedTo" | "offsetBytes" | "parts" | "nextPart" | "state" | "holder" | "heldUntilMs"
  >,
  charge: Charge,
  limits: Quota & { maxOpen: number },
): [Statement, Statement] => [
  rawStatement(
    db,
    sql`insert into resumable_uploads
    (id, owner_id, charged_to, file_id, replaces_version, object_key, name, type, download_limit, audience, recipients, terms, metadata, expected_sha256, length_bytes, state,
     key_id, wrapped_key, commitment, created_at_ms, expires_at_ms)
    select ${row.id}, ${row.ownerId}, ${charge.userId}, ${row.fileId}, ${row.replacesVersion ?? null}, ${row.objectKey}, ${row.name}, ${row.type}, ${row.downloadLimit ?? null},
      ${row.audience ?? "everyone"}, ${row.recipients ?? null}, ${row.terms ?? null}, ${row.metadata}, ${row.expectedSha256 ?? null}, ${row.lengthBytes ?? null}, 'open',
      ${row.keyId}, ${row.wrappedKey}, ${row.commitment}, ${row.createdAtMs}, ${row.expiresAtMs}
    where (select count(*) from resumable_uploads where owner_id = ${row.ownerId} and state in ('open', 'received')) < ${limits.maxOpen}
      and ${fits(charge, row.lengthBytes ?? 0, limits)}`,
  ),
  rawStatement(
    db,
    sql`insert into uploads (object_key, owner_id, started_at_ms)
    select object_key, owner_id, created_at_ms from resumable_uploads where id = ${row.id}`,
  ),
]

/** An upload of this owner, with R2's multipart id where there is one. */
export async function findResumable(
  db: Db,
  ownerId: string,
  id: string,
): Promise<(ResumableRow & { multipartId: string | null }) | undefined> {
  const row = await db
    .select({ resumable: resumableUploads, multipartId: uploads.multipartId })
    .from(resumableUploads)
    .leftJoin(uploads, eq(uploads.objectKey, resumableUploads.objectKey))
    .where(and(eq(resumableUploads.id, id), eq(resumableUploads.ownerId, ownerId)))
    .get()
  return row === undefined ? undefined : { ...row.resumable, multipartId: row.multipartId }
}

/** What an owner has under way, oldest first. */
export const listOpenResumables = (db: Db, ownerId: string) =>
  db
    .select()
    .from(resumableUploads)
    .where(and(eq(resumableUploads.ownerId, ownerId), inArray(resumableUploads.state, ["open", "received"])))
    .orderBy(asc(resumableUploads.createdAtMs), asc(resumableUploads.id))
    .all()

export async function countOpenResumables(db: Db, ownerId: string): Promise<number> {
  return db.$count(
    resumableUploads,
    and(eq(resumableUploads.ownerId, ownerId), inArray(resumableUploads.state, ["open", "received"])),
  )
}

/**
 * Takes the lease, if nobody else has it, the upload still waits for bytes or for its end, and stands where the client
 * believes it to. Who takes it from a request that never gave it back skips the part number that one may still be using.
 */
export async function claimResumable(
  db: Db,
  lease: Lease,
  at: { offsetBytes: number; nowMs: number; heldUntilMs: number },
): Promise<boolean> {
  const rows = await db.all(sql`update resumable_uploads set
      next_part = next_part + (holder is not null), holder = ${lease.holder}, held_until_ms = ${at.heldUntilMs}
    where id = ${lease.id} and state in ('open', 'received') and offset_bytes = ${at.offsetBytes}
      and (holder is null or held_until_ms <= ${at.nowMs}) and expires_at_ms > ${at.nowMs}
    returning id`)
  return rows.length > 0
}

/**
 * Prolongs the lease; false when it is lost.
 * @param nextPart - the number of the part that may be stored next, where those before it do not count yet
 */
export async function renewResumable(db: Db, lease: Lease, heldUntilMs: number, nextPart = 1): Promise<boolean> {
  const rows = await db.all(sql`update resumable_uploads
    set held_until_ms = ${heldUntilMs}, next_part = max(next_part, ${nextPart})
    where id = ${lease.id} and holder = ${lease.holder} returning id`)
  return rows.length > 0
}

/** Gives the lease back. `isClean`: none of its part numbers can still be in use. */
export const releaseResumable = (db: Db, lease: Lease, isClean: boolean) =>
  rawStatement(
    db,
    sql`update resumable_uploads set holder = null, held_until_ms = null, next_part = next_part + ${isClean ? 0 : 1}
    where id = ${lease.id} and holder = ${lease.holder}`,
  )

/** Says how long the upload is, once and for all, if there is room for it; false when it was said before, or is too much. */
export async function declareLength(db: Db, lease: Lease, charge: Charge, lengthBytes: number, quota: Quota): Promise<boolean> {
  const rows = await db.all(sql`update resumable_uploads set length_bytes = ${lengthBytes}
    where id = ${lease.id} and holder = ${lease.holder} and length_bytes is null
      and ${fits(charge, lengthBytes, quota, lease.id)} returning id`)
  return rows.length > 0
}

/** Notes R2's multipart upload, if none is known yet. */
export async function setResumableMultipart(db: Db, lease: Lease, multipartId: string): Promise<boolean> {
  const rows = await db.all(sql`update uploads set multipart_id = ${multipartId}
    where multipart_id is null
      and object_key = (select object_key from resumable_uploads where id = ${lease.id} and holder = ${lease.holder})
    returning object_key`)
  return rows.length > 0
}

/** Where an upload stands after some work on it. */
export type Progress = {
  offsetBytes: number
  parts: number
  nextPart: number
  /** New parts that R2 holds. */
  stored: readonly { number: number; etag: string }[]
  /** What the tail is now; its object's row in `uploads` was written before. */
  tailKey: string | null
  state: "open" | "received"
  expiresAtMs: number
  /** Until when the lease goes on; null gives it back. */
  heldUntilMs: number | null
}

const mine = ({ id, holder }: Lease) => sql`(select 1 from resumable_uploads where id = ${id} and holder = ${holder})`

/**
 * Makes progress true, all of it at once. The tail before it is discarded.
 * @returns false when the lease is lost, or the quota too small for an upload that has not said its length
 */
export async function advanceResumable(
  db: Db,
  lease: Lease,
  charge: Charge,
  to: Progress,
  quota: Quota,
  nowMs: number,
): Promise<boolean> {
  const isAllowed = sql`id = ${lease.id} and holder = ${lease.holder}
    and (length_bytes is not null or ${fits(charge, to.offsetBytes, quota, lease.id)})`
  const results = await db.batch([
    rawStatement(
      db,
      sql`insert into resumable_parts (upload_id, number, etag)
      select ${lease.id}, json_extract(value, '$.number'), json_extract(value, '$.etag') from json_each(${JSON.stringify(to.stored)})
      where exists (select 1 from resumable_uploads where ${isAllowed})`,
    ),
    rawStatement(
      db,
      sql`insert into discarded_objects (object_key, discarded_at_ms)
      select tail_key, ${nowMs} from resumable_uploads where ${isAllowed} and tail_key is not null and tail_key is not ${to.tailKey}
      on conflict do nothing`,
    ),
    rawStatement(
      db,
      sql`delete from uploads where object_key in (
      select tail_key from resumable_uploads where ${isAllowed} and tail_key is not null and tail_key is not ${to.tailKey})`,
    ),
    rawStatement(
      db,
      sql`update resumable_uploads set offset_bytes = ${to.offsetBytes}, parts = ${to.parts}, next_part = ${to.nextPart},
        tail_key = ${to.tailKey}, state = ${to.state}, expires_at_ms = ${to.expiresAtMs},
        held_until_ms = ${to.heldUntilMs}, holder = ${to.heldUntilMs === null ? null : lease.holder}
      where ${isAllowed} returning id`,
    ),
  ])
  return results[3].length > 0
}

export const listResumableParts = (db: Db, uploadId: string) =>
  db
    .select({ partNumber: resumableParts.number, etag: resumableParts.etag })
    .from(resumableParts)
    .where(eq(resumableParts.uploadId, uploadId))
    .orderBy(asc(resumableParts.number))
    .all()

/** Turns a checked upload into what it was for, in the batch that publishes its file; only its holder can. */
export const finishResumable = (db: Db, lease: Lease): [Statement, Statement] => [
  rawStatement(db, sql`delete from resumable_parts where upload_id = ${lease.id} and exists ${mine(lease)}`),
  rawStatement(
    db,
    sql`update resumable_uploads set state = 'done', wrapped_key = '', holder = null, held_until_ms = null
    where id = ${lease.id} and holder = ${lease.holder}`,
  ),
]

/** Which uploads a statement means: the one that a request holds, the one that an owner gives up, or one out of time. */
export type Ending = { holder: string } | { ownerId: string } | { expiredAtMs: number }

const isEnding = (id: string, ending: Ending) => {
  const live = sql`id = ${id} and state in ('open', 'received')`
  if ("holder" in ending) return sql`${live} and holder = ${ending.holder}`
  if ("ownerId" in ending) return sql`${live} and owner_id = ${ending.ownerId}`
  return sql`${live} and expires_at_ms <= ${ending.expiredAtMs} and (holder is null or held_until_ms <= ${ending.expiredAtMs})`
}

/**
 * Leaves an upload's objects to the sweeper, at once, or, while another request may still be writing them, in a day: as
 * if they had just been begun. Comes before the statement that ends the upload itself.
 */
export const releaseResumableObjects = (db: Db, id: string, ending: Ending, nowMs: number) =>
  rawStatement(
    db,
    sql`update uploads set started_at_ms = (
      select case when ${"holder" in ending ? 1 : 0} or holder is null or held_until_ms <= ${nowMs} then 0 else ${nowMs} end
      from resumable_uploads where id = ${id})
    where object_key in (select object_key from resumable_uploads where ${isEnding(id, ending)}
      union select tail_key from resumable_uploads where ${isEnding(id, ending)})`,
  )

/** Ends an upload that was refused or has expired; its row stays to say so. */
export const closeResumable = (
  db: Db,
  id: string,
  ending: Ending,
  outcome: { state: "refused"; code: string; detail: string; facts: string } | { state: "expired" },
): [Statement, Statement] => [
  rawStatement(
    db,
    sql`delete from resumable_parts where upload_id in (select id from resumable_uploads where ${isEnding(id, ending)})`,
  ),
  rawStatement(
    db,
    sql`update resumable_uploads set state = ${outcome.state}, wrapped_key = '', tail_key = null, holder = null, held_until_ms = null,
      refusal_code = ${outcome.state === "refused" ? outcome.code : null}, refusal_detail = ${outcome.state === "refused" ? outcome.detail : null},
      refusal_facts = ${outcome.state === "refused" ? outcome.facts : null}
    where ${isEnding(id, ending)}`,
  ),
]

export const deleteResumable = (db: Db, id: string, ending: Ending) =>
  rawStatement(db, sql`delete from resumable_uploads where ${isEnding(id, ending)}`)

// As the partial index resumable_uploads_live spells it: parameters in its place would read every upload there was.
const isLive = sql`${resumableUploads.state} in ('open', 'received')`

/** Uploads out of time that nobody works on. */
export const listExpiredResumables = (db: Db, nowMs: number, limit: number) =>
  db
    .select()
    .from(resumableUploads)
    .where(and(lte(resumableUploads.expiresAtMs, nowMs), isLive))
    .limit(limit)
    .all()

/** Uploads that have all their bytes, while nobody is checking them; others each time, so that none stands in another's way. */
export const listReceivedResumables = (db: Db, nowMs: number, limit: number) =>
  db
    .select()
    .from(resumableUploads)
    .where(
      and(
        isLive,
        eq(resumableUploads.state, "received"),
        gt(resumableUploads.expiresAtMs, nowMs),
        sql`(${resumableUploads.holder} is null or ${resumableUploads.heldUntilMs} <= ${nowMs})`,
      ),
    )
    .orderBy(sql`random()`)
    .limit(limit)
    .all()

/** Forgets uploads that ended, and were kept long enough to say so. */
export const deleteEndedResumables = (db: Db, expiredBeforeMs: number) =>
  db
    .delete(resumableUploads)
    .where(
      and(lte(resumableUploads.expiresAtMs, expiredBeforeMs), inArray(resumableUploads.state, ["done", "refused", "expired"])),
    )

/** Uploads under way whose key is wrapped under another master key than this one. */
export const countResumablesNotUnder = (db: Db, keyId: number): Promise<number> =>
  db.$count(resumableUploads, and(isLive, sql`${resumableUploads.keyId} <> ${keyId}`))
