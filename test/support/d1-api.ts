// A real HTTP server in place of Cloudflare's API, as far as `wrangler d1 execute --remote` asks it: which database it is,
// and SQL for it (developers.cloudflare.com/api/resources/d1). Several statements are one batch: all of them, or none.
import { readFileSync, readdirSync } from "node:fs"
import { type Server, createServer } from "node:http"
import { type AddressInfo } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

const DRIZZLE = join(import.meta.dirname, "../../drizzle")
const DATABASE_ID = "00000000-0000-4000-8000-000000000001"
const ACCOUNT = "an-account"
const TOKEN = "a-token-for-the-stand-in"

/** A database with all migrations, of SQLite's own. */
export function freshDatabase(): DatabaseSync {
  const sqlite = new DatabaseSync(":memory:")
  for (const name of readdirSync(DRIZZLE).filter((file) => file.endsWith(".sql"))) {
    sqlite.exec(readFileSync(join(DRIZZLE, name), "utf8").replaceAll("--> statement-breakpoint", ""))
  }
  return sqlite
}

/** Statements with semicolons between; one in a text is the text's. */
const statementsOf = (sql: string): string[] =>
  (sql.match(/(?:'(?:[^']|'')*'|[^';])+/g) ?? []).filter((statement) => statement.trim() !== "")

function batch(sqlite: DatabaseSync, sql: string) {
  sqlite.exec("begin")
  try {
    const results = statementsOf(sql).map((statement) => ({
      results: sqlite.prepare(statement).all(),
      success: true,
      meta: { duration: 0 },
    }))
    sqlite.exec("commit")
    return results
  } catch (error) {
    sqlite.exec("rollback")
    throw error
  }
}

export type D1Api = {
  sqlite: DatabaseSync
  /** What a shell sets for Wrangler; another token is refused. */
  env: Record<string, string>
  /** The SQL of each request. */
  asked: string[]
  close: () => Promise<void>
}

export async function startD1Api(): Promise<D1Api> {
  const sqlite = freshDatabase()
  const asked: string[] = []
  const server: Server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => (body += chunk.toString()))
    request.on("end", () => {
      const answer = (status: number, json: object): void => {
        response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ messages: [], ...json }))
      }
      const refuse = (status: number, code: number, message: string): void => {
        answer(status, { success: false, result: null, errors: [{ code, message }] })
      }
      const path = request.url ?? ""
      if (request.headers.authorization !== `Bearer ${TOKEN}`) refuse(403, 10_000, "Authentication error")
      else if (path.startsWith(`/accounts/${ACCOUNT}/d1/database/sealpost?`))
        answer(200, { success: true, errors: [], result: { uuid: DATABASE_ID, name: "sealpost" } })
      else if (path === `/accounts/${ACCOUNT}/d1/database/${DATABASE_ID}/query`) {
        const { sql } = JSON.parse(body) as { sql: string }
        asked.push(sql)
        try {
          answer(200, { success: true, errors: [], result: batch(sqlite, sql) })
        } catch (error) {
          refuse(400, 7500, error instanceof Error ? error.message : "unknown")
        }
      } else refuse(404, 7404, `nothing at ${path}`)
    })
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const { port } = server.address() as AddressInfo
  const base = { CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${String(port)}`, CLOUDFLARE_ACCOUNT_ID: ACCOUNT }
  return {
    sqlite,
    env: { ...base, CLOUDFLARE_API_TOKEN: TOKEN },
    asked,
    close: () =>
      new Promise((done) => {
        server.close(() => {
          done()
        })
      }),
  }
}
