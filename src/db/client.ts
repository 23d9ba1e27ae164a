// The D1 database through Drizzle. Reads return rows; writes return statements, and the caller decides
// which batch makes them true together. D1 has no interactive transactions: a rule that must hold under
// concurrency stands in the statement itself.
import type { SQL } from "drizzle-orm"
import { drizzle } from "drizzle-orm/d1"
import type { BatchItem } from "drizzle-orm/batch"

export const createDb = (binding: D1Database) => drizzle(binding)
export type Db = ReturnType<typeof createDb>

/** A write that somebody else will run, alone or in a batch. */
export type Statement = BatchItem<"sqlite">

/** What must hold for a write to happen. Opaque outside db/. */
export type Condition = SQL

/**
 * SQL by hand, for a batch or alone. Drizzle's own `db.run` and `db.all` cannot stand in a D1 batch when they have
 * parameters: it looks for a prepared statement on them that they lack (drizzle-orm 0.45).
 */
export function rawStatement(db: Db, query: SQL) {
  const raw = db.all(query)
  return Object.assign(raw, { stmt: db.$client.prepare(raw.getQuery().sql) })
}

/**
 * Runs statements as one transaction: all of them happened, or none. For writes: rows of a joined select would
 * lose columns here, because D1 returns batched rows by column name.
 */
export async function runBatch(db: Db, statements: readonly [Statement, ...Statement[]]): Promise<void> {
  await db.batch(statements as [Statement, ...Statement[]])
}

/** Does the database answer? */
export async function pingDb(db: Db): Promise<void> {
  await db.run("select 1")
}
