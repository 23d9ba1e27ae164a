// What D1's errors mean. It has no codes, only messages (developers.cloudflare.com/d1/observability/debug-d1), and
// Drizzle puts some of them behind a `cause`.

/** SQLite's own verdicts on a statement: the database is up and said no. */
const VERDICT = /SQLITE_|constraint failed|syntax error|no such (?:table|column)/i
/** Somebody else had the file: locally a command that runs beside the service. Nothing of the statement has happened. */
const BUSY = /SQLITE_(?:BUSY|LOCKED)/
/** The database was not reached, not ready, or too busy. */
const OUTAGE =
  /D1_ERROR|D1 DB|D1 is|Network connection lost|storage caused object to be reset|transient issue on remote node|overloaded|exceeded timeout/i

function messagesOf(error: unknown): string {
  const messages: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    // Drizzle's own message quotes the statement and its parameters, which may say anything.
    if (!at.message.startsWith("Failed query:")) messages.push(at.message)
  }
  return messages.join("\n")
}

/** Did a statement break a rule of the schema, and its batch with it? */
export const isConstraintFailure = (error: unknown): boolean => /constraint failed/i.test(messagesOf(error))

/** Is the database out of reach for now? */
export function isDatabaseOutage(error: unknown): boolean {
  const messages = messagesOf(error)
  return BUSY.test(messages) || (OUTAGE.test(messages) && !VERDICT.test(messages))
}
