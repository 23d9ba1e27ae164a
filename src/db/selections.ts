import { sql } from "drizzle-orm"
import { isFor } from "./audiences.ts"
import type { Db } from "./client.ts"
import { links, selections } from "./schema.ts"

export type SelectionRow = typeof selections.$inferSelect

export const insertSelection = (db: Db, selection: SelectionRow) => db.insert(selections).values(selection)

/**
 * A link for each file of a selection, in one statement. Where one of the files is gone by now, or is not for the
 * selection's user any more, NOT NULL breaks the whole batch.
 */
export const insertSelectionLinks = (db: Db, selection: SelectionRow, parts: readonly { linkId: string; fileId: string }[]) => {
  const { id, userId, createdAtMs, expiresAtMs } = selection
  const values = JSON.stringify(parts.map(({ linkId, fileId }) => [linkId, fileId]))
  // Columns in the table's order, as Drizzle names them.
  return db.insert(links).select(
    sql`select p.value ->> 0, f.id, ${userId}, f.owner_id, ${createdAtMs}, ${expiresAtMs}, null, f.version, ${id}, p.key
      from json_each(${values}) p left join files f on f.id = p.value ->> 1 and ${isFor(sql`f.id`, sql`${userId}`, createdAtMs)}`,
  )
}
