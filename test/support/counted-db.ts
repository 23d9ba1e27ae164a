// D1 that adds up what it says of every call, batches included: how many calls there were, and rows read and written.
export function countedDb(db: D1Database) {
  const originals = new WeakMap<object, D1PreparedStatement>()
  const seen = { calls: 0, rowsRead: 0, rowsWritten: 0, statements: [] as { sql: string; rowsRead: number }[] }

  function note(sql: string, { meta }: D1Result): void {
    seen.rowsRead += meta.rows_read
    seen.rowsWritten += meta.rows_written
    seen.statements.push({ sql, rowsRead: meta.rows_read })
  }

  function counted(statement: D1PreparedStatement, sql: string): D1PreparedStatement {
    const proxy = new Proxy(statement, {
      get(target, name) {
        if (name === "bind") return (...values: unknown[]) => counted(target.bind(...values), sql)
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== "function") return value
        return async (...args: unknown[]) => {
          seen.calls++
          // These say nothing of rows; asked in the other way, the same reads do.
          if (name === "raw" || name === "first") note(sql, await target.all())
          const result = (await value.apply(target, args)) as unknown
          if (name === "all" || name === "run") note(sql, result as D1Result)
          return result
        }
      },
    })
    originals.set(proxy, statement)
    sqlOf.set(proxy, sql)
    return proxy
  }
  const sqlOf = new WeakMap<object, string>()

  return {
    seen,
    db: new Proxy(db, {
      get(target, name) {
        if (name === "prepare") return (sql: string) => counted(target.prepare(sql), sql)
        if (name === "batch")
          return async (statements: D1PreparedStatement[]) => {
            seen.calls++
            const results = await target.batch(statements.map((statement) => originals.get(statement) ?? statement))
            results.forEach((result, i) => {
              note(sqlOf.get(statements[i] ?? {}) ?? "", result)
            })
            return results
          }
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    }),
  }
}
