import { and, eq, gt, inArray, lte, sql } from "drizzle-orm"
import type { Db } from "./client.ts"
import { knownPlaces, limitCounters } from "./schema.ts"

export type Count = { count: number; resetsAtMs: number }

/**
 * Counts uses that come together, in one statement, so that parallel ones each get numbers of their own. Starts anew
 * when the window is over.
 */
export async function countUse(db: Db, use: { key: string; windowMs: number }, nowMs: number, uses = 1): Promise<Count> {
  const isOver = sql`${limitCounters.resetsAtMs} <= ${nowMs}`
  const rows = await db
    .insert(limitCounters)
    .values({ key: use.key, count: uses, resetsAtMs: nowMs + use.windowMs })
    .onConflictDoUpdate({
      target: limitCounters.key,
      set: {
        count: sql`case when ${isOver} then ${uses} else ${limitCounters.count} + ${uses} end`,
        resetsAtMs: sql`case when ${isOver} then excluded.resets_at_ms else ${limitCounters.resetsAtMs} end`,
      },
    })
    .returning({ count: limitCounters.count, resetsAtMs: limitCounters.resetsAtMs })
  const row = rows[0] as Count | undefined
  if (row === undefined) throw new TypeError("an upsert returns its row")
  return row
}

export const deleteCounters = (db: Db, keys: readonly string[]) =>
  db.delete(limitCounters).where(inArray(limitCounters.key, [...keys]))

export const deleteCountersBefore = (db: Db, nowMs: number) =>
  db.delete(limitCounters).where(lte(limitCounters.resetsAtMs, nowMs))

/** Has this account been logged in to from there since then? */
export async function isKnownPlace(db: Db, place: string, sinceMs: number): Promise<boolean> {
  const row = await db
    .select({ place: knownPlaces.place })
    .from(knownPlaces)
    .where(and(eq(knownPlaces.place, place), gt(knownPlaces.seenAtMs, sinceMs)))
    .get()
  return row !== undefined
}

export const upsertKnownPlace = (db: Db, row: typeof knownPlaces.$inferInsert) =>
  db
    .insert(knownPlaces)
    .values(row)
    .onConflictDoUpdate({ target: knownPlaces.place, set: { seenAtMs: row.seenAtMs, userId: row.userId } })

export const deleteKnownPlacesBefore = (db: Db, seenBeforeMs: number) =>
  db.delete(knownPlaces).where(lte(knownPlaces.seenAtMs, seenBeforeMs))
