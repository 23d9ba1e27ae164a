// The rows that recovery needs, from a copy of the database: an SQL dump as `wrangler d1 export` writes it, or
// an SQLite file, which is never written to. Imports nothing but Node. What rows say is user input and may have
// been edited: nothing is taken for granted here but the names of tables and columns.
import { closeSync, openSync, readFileSync, readSync } from "node:fs"
import { DatabaseSync, constants } from "node:sqlite"

/** A file with one version's row of `blobs`; whole numbers are bigints, and any column may hold anything. */
export type FileColumns = Record<string, unknown>

const SQLITE_MAGIC = "SQLite format 3\0"

function isSqliteFile(path: string): boolean {
  const start = Buffer.alloc(SQLITE_MAGIC.length)
  const file = openSync(path, "r")
  try {
    readSync(file, start, 0, start.length, 0)
  } finally {
    closeSync(file)
  }
  return start.toString("latin1") === SQLITE_MAGIC
}

function loadDump(path: string): DatabaseSync {
  const database = new DatabaseSync(":memory:", { enableForeignKeyConstraints: false })
  // A dump only makes tables and fills them. ATTACH, by which VACUUM INTO works as well, could write files.
  database.setAuthorizer((action) => (action === constants.SQLITE_ATTACH ? constants.SQLITE_DENY : constants.SQLITE_OK))
  // SQLite would stop reading at a NUL inside one row's text, and lose all rows behind it.
  const sql = readFileSync(path, "utf8").replaceAll("\0", "\ufffd")
  try {
    database.exec(sql)
  } catch (error) {
    throw new Error(`its SQL does not run: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  database.setAuthorizer(null)
  return database
}

/**
 * Reads the files in a copy of the database, oldest first, those in the trash among them.
 * @param versions - of each file only the current one, or all that are kept
 * @param path - an SQL dump (as text at most 512 MiB; load a larger one into an SQLite file) or an SQLite file
 * @throws Error when it cannot be read or holds no `files` and `blobs`
 */
export function readFileRows(path: string, versions: "current" | "all" = "current"): FileColumns[] {
  const database = isSqliteFile(path) ? new DatabaseSync(path, { readOnly: true }) : loadDump(path)
  try {
    const tables = new Set(
      database
        .prepare("select name from sqlite_schema")
        .all()
        .map(({ name }) => name),
    )
    for (const table of ["files", "blobs"]) if (!tables.has(table)) throw new Error(`it has no table ${table}`)
    // A copy made without people (`--table files --table blobs`) is enough; then nobody is named as owner.
    const owner = tables.has("users") ? "(select email from users where users.id = files.owner_id)" : "null"
    const columns = new Set(
      database
        .prepare("select name from pragma_table_info('files')")
        .all()
        .map(({ name }) => name),
    )
    // Copies from before there was a trash.
    const deleted = columns.has("deleted_at_ms") ? "files.deleted_at_ms" : "null"
    const read = (join: string) => {
      const query = database.prepare(`
        select files.id, files.name, files.created_at_ms as file_created_at_ms, files.version as current_version,
          ${deleted} as file_deleted_at_ms, ${owner} as owner_email, blobs.*
        from files ${join} order by files.created_at_ms, files.id, blobs.version`)
      // Otherwise one absurd number would throw for all rows.
      query.setReadBigInts(true)
      return query.all()
    }
    const current = read("left join blobs on blobs.file_id = files.id and blobs.version = files.version")
    if (versions === "current") return current
    // After them, so that those keep their names; a file whose current bytes are gone is still missed.
    return [...current, ...read("join blobs on blobs.file_id = files.id and blobs.version is not files.version")]
  } finally {
    database.close()
  }
}
