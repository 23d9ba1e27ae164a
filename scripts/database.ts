// The database for commands: the local state's, which a service may be using meanwhile, or the deployed one.
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { DATABASE, PROJECT_DIR, runWrangler, withLocalBindings } from "./wrangler.ts"

/** Statements wait that long for the running service to let go of the local database, again and again. */
const BUSY_WAIT_MS = 50
const BUSY_TRIES = 100

/** Which D1: the local one that keeps its data in a folder, or the deployed one. */
export type Place = { persistTo: string } | "remote"

export type Rows = Record<string, unknown>[]

export type Database = {
  /** Runs statements, all of them or none, and returns the rows of each. */
  batch(statements: readonly string[]): Promise<Rows[]>
}

/** An SQL text literal. SQLite knows no escape but the doubled quote. */
export function sqlText(text: string): string {
  if (text.includes("\0")) throw new Error("text with NUL")
  return `'${text.replaceAll("'", "''")}'`
}

async function remoteBatch(statements: readonly string[]): Promise<Rows[]> {
  const command = statements.join(";\n")
  const output = await runWrangler(["d1", "execute", DATABASE, "--remote", "--json", "--yes", "--command", command])
  const results = JSON.parse(output.slice(output.indexOf("["))) as { results?: Rows }[]
  return results.map(({ results: rows }) => rows ?? [])
}

/** What the local D1 says of a transaction that it rolled back for want of the file's lock; Wrangler's commands say more. */
const isBusy = (error: unknown): boolean =>
  error instanceof Error && /Failed to get session commit token|SQLITE_BUSY|database is locked/.test(error.message)

/**
 * Two processes share the file of a local database, and the one that comes second is refused instead of waiting. Nothing
 * of what is refused has happened, so it is tried again.
 */
async function unlessBusy<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error) || tries === BUSY_TRIES) throw error
      await new Promise((wake) => setTimeout(wake, BUSY_WAIT_MS))
    }
  }
}

const applyMigrations = (persistTo: string): Promise<string> =>
  unlessBusy(() => runWrangler(["d1", "migrations", "apply", DATABASE, "--local", "--persist-to", persistTo]))

/** Whether a migration of ours is not among those that Wrangler noted down as applied. */
async function isBehind(database: Database): Promise<boolean> {
  const [tables = []] = await database.batch(["select name from sqlite_master where name = 'd1_migrations'"])
  if (tables.length === 0) return true
  const [rows = []] = await database.batch(["select name from d1_migrations"])
  const applied = new Set(rows.map(({ name }) => name))
  return readdirSync(join(PROJECT_DIR, "drizzle")).some((name) => name.endsWith(".sql") && !applied.has(name))
}

/** Opens a local state's database, brought up to date, for the length of `work`. */
async function withLocalDatabase<T>(persistTo: string, work: (database: Database) => Promise<T>): Promise<T> {
  if (!existsSync(join(persistTo, "v3/d1"))) await applyMigrations(persistTo)
  return withLocalBindings(persistTo, async ({ DB }) => {
    const database: Database = {
      async batch(statements) {
        const results = await unlessBusy(() => DB.batch<Record<string, unknown>>(statements.map((sql) => DB.prepare(sql))))
        return results.map(({ results: rows }) => rows)
      },
    }
    if (await isBehind(database)) await applyMigrations(persistTo)
    return work(database)
  })
}

/** Opens the database for the length of `work`; a local one has all migrations then. */
export function withDatabase<T>(place: Place, work: (database: Database) => Promise<T>): Promise<T> {
  return place === "remote" ? work({ batch: remoteBatch }) : withLocalDatabase(place.persistTo, work)
}

/** Brings a local state's database up to date, making it where there is none. */
export const bringUpToDate = (persistTo: string): Promise<void> => withLocalDatabase(persistTo, () => Promise.resolve())
