// D1 that counts the rows which statements read, as D1 itself says (meta.rows_read): for tests and benches.

/** @param isCounted - which statements count, by their SQL */
export function countReads(db: D1Database, isCounted: (sql: string) => boolean) {
  let rows = 0

  const counted = (statement: D1PreparedStatement): D1PreparedStatement =>
    new Proxy(statement, {
      get(target, name) {
        if (name === "bind") return (...values: unknown[]) => counted(target.bind(...values))
        if (name === "all")
          return async () => {
            const result = await target.all()
            rows += result.meta.rows_read
            return result
          }
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })

  return {
    db: new Proxy(db, {
      get(target, name) {
        if (name === "prepare") return (sql: string) => (isCounted(sql) ? counted(target.prepare(sql)) : target.prepare(sql))
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    }),
    /** Rows read since the last call. */
    take: (): number => {
      const taken = rows
      rows = 0
      return taken
    },
  }
}

/** The statement that reads a page of files (src/db/file-lists.ts). */
export const isFileList = (sql: string): boolean => sql.includes("walked(")
