import { eq } from "drizzle-orm"
import type { Db } from "./client.ts"
import { jobCursors } from "./schema.ts"

export async function readJobCursor(db: Db, job: string): Promise<string | null> {
  const row = await db.select().from(jobCursors).where(eq(jobCursors.job, job)).get()
  return row?.cursor ?? null
}

export const writeJobCursor = (db: Db, job: string, cursor: string | null, updatedAtMs: number) =>
  db
    .insert(jobCursors)
    .values({ job, cursor, updatedAtMs })
    .onConflictDoUpdate({ target: jobCursors.job, set: { cursor, updatedAtMs } })
