import { and, eq, lte, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { idempotencyKeys } from "./schema.ts"

/** A request at work under a key of its owner. */
export type KeyClaim = { key: string; holder: string }

const isHeld = (ownerId: string, { key, holder }: KeyClaim) =>
  and(eq(idempotencyKeys.ownerId, ownerId), eq(idempotencyKeys.key, key), eq(idempotencyKeys.holder, holder))

/** Takes a key that is new, was left by a request that died, or has had its time; false for any other. */
export async function claimKey(
  db: Db,
  ownerId: string,
  claim: KeyClaim,
  at: { nowMs: number; heldUntilMs: number; expiresAtMs: number },
): Promise<boolean> {
  const rows = await db.all(sql`insert into idempotency_keys (owner_id, key, holder, held_until_ms, expires_at_ms)
    values (${ownerId}, ${claim.key}, ${claim.holder}, ${at.heldUntilMs}, ${at.expiresAtMs})
    on conflict (owner_id, key) do update set holder = excluded.holder, held_until_ms = excluded.held_until_ms,
      fingerprint = null, answer = null, expires_at_ms = excluded.expires_at_ms
    where (idempotency_keys.fingerprint is null and idempotency_keys.held_until_ms <= ${at.nowMs})
      or idempotency_keys.expires_at_ms <= ${at.nowMs}
    returning key`)
  return rows.length > 0
}

export const findKey = (db: Db, ownerId: string, key: string) =>
  db
    .select()
    .from(idempotencyKeys)
    .where(and(eq(idempotencyKeys.ownerId, ownerId), eq(idempotencyKeys.key, key)))
    .get()

export const answerKey = (db: Db, ownerId: string, claim: KeyClaim, fingerprint: string, answer: string) =>
  db.update(idempotencyKeys).set({ fingerprint, answer, holder: null, heldUntilMs: null }).where(isHeld(ownerId, claim))

export const deleteKey = (db: Db, ownerId: string, claim: KeyClaim) => db.delete(idempotencyKeys).where(isHeld(ownerId, claim))

export const deleteKeysBefore = (db: Db, nowMs: number) =>
  db.delete(idempotencyKeys).where(and(lte(idempotencyKeys.expiresAtMs, nowMs)))
