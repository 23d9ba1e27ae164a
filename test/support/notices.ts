// People, files and time for tests of notifications: whoever need not log in is put into D1, which costs no hashing.
import { users } from "../../src/db/schema.ts"
import { newId } from "../../src/ids.ts"
import { createDeps } from "../../src/deps.ts"
import { mailNotices } from "../../src/domain/notice-bundles.ts"
import { makeNotices } from "../../src/domain/notices.ts"
import { drainOutbox } from "../../src/domain/outbox.ts"
import { type TestClient, createTestClient, freshEmail } from "./client.ts"
import { realDocument } from "./documents.ts"

const MINUTE_MS = 60_000
export const FAR_MS = Date.parse("2090-01-01T00:00:00Z")

export type Person = { id: string; email: string }
export type ReceivedMail = { subject: string; text: string; headers: Record<string, string> }
type SentBody = { subject: string; content: { type: string; value: string }[]; headers?: Record<string, string> }

export async function createNoticeWorld() {
  const api = createTestClient()
  const ops = await api.newOps()
  const startMs = api.clock.nowMs
  const token = ops.tokens.accessToken

  /** Signed up after everything that tests give to everyone, unless said otherwise. */
  async function newPerson(facts: Partial<typeof users.$inferInsert> = {}): Promise<Person> {
    const [id, email] = [newId(), freshEmail()]
    const known = { id, email, emailKey: email, role: "client" as const, passwordHash: "", createdAtMs: FAR_MS, verifiedAtMs: 1 }
    await api.db.insert(users).values({ ...known, ...facts })
    return { id, email }
  }

  /** A call of the uploader that must succeed. */
  async function call(method: string, path: string, json?: unknown): Promise<Response> {
    const response = await api.request(path, { method, token, ...(json === undefined ? {} : { json }) })
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
    return response
  }

  async function newFile(query: string, name = "a.docx"): Promise<string> {
    const path = `/api/ops/upload/${encodeURIComponent(name)}?${query}`
    const response = await api.request(path, { method: "PUT", token, body: realDocument("npm-docx.docx") })
    if (!response.ok) throw new Error(await response.text())
    return (await response.json<{ file: { id: string } }>()).file.id
  }

  async function newGroup(...members: Person[]): Promise<string> {
    const made = await call("POST", "/api/ops/groups", { name: newId() })
    const { id } = (await made.json<{ group: { id: string } }>()).group
    if (members.length > 0) await call("POST", `/api/ops/groups/${id}/members`, { clients: members.map((member) => member.id) })
    return id
  }

  return {
    api,
    ops,
    startMs,
    newPerson,
    call,
    newFile,
    newGroup,

    /** So many minutes pass, and what cron does about notifications is done (all of cron: api.runCron). */
    async later(minutes: number): Promise<void> {
      api.clock.nowMs += minutes * MINUTE_MS
      await runNoticeJobs(api)
    },

    /** Files like this one, given to the same people at the same time. */
    async copyFile(fileId: string, count: number): Promise<void> {
      const numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?2)"
      const copies = ["files", "file_grants"].map(async (table) => {
        const { results } = await api.db.$client.prepare(`pragma table_info(${table})`).all<{ name: string }>()
        const names = results.map(({ name }) => name)
        const id = table === "files" ? "id" : "file_id"
        const values = names.map((name) => (name === id ? "substr(t." + id + ", 1, 24) || printf('%012x', i)" : `t.${name}`))
        const sql = `insert into ${table} (${names.join()}) ${numbers} select ${values.join()} from ${table} t, n where t.${id} = ?1`
        return api.db.$client.prepare(sql).bind(fileId, count)
      })
      await api.db.$client.batch(await Promise.all(copies))
    },

    async mailsTo({ email }: Pick<Person, "email">): Promise<ReceivedMail[]> {
      return (await api.mailsTo(email)).map(({ body }) => {
        const { subject, content, headers = {} } = body as SentBody
        return { subject, text: content[0]?.value ?? "", headers }
      })
    },

    /** As if they had been sent so much of the file: all, or a byte. */
    async download(fileId: string, person: Person, isWhole = true, version = 1): Promise<void> {
      await api.db.$client
        .prepare(
          "insert into downloads (link_id, file_id, user_id, version, started_at_ms, requests, joined_by, delivered_at_ms) values (?, ?, ?, ?, 1, 1, '', ?)",
        )
        .bind(newId(), fileId, person.id, version, isWhole ? api.clock.nowMs : null)
        .run()
    },

    async setExpiry(fileId: string, expiresAtMs: number | null): Promise<void> {
      await api.db.$client.prepare("update files set expires_at_ms = ? where id = ?").bind(expiresAtMs, fileId).run()
    },
  }
}

/** The jobs alone, on bindings of the test's choice. */
export async function runNoticeJobs(api: TestClient, bindings: object = {}): Promise<void> {
  const deps = await createDeps(
    { ...api.env, ...bindings },
    {
      now: () => api.clock.nowMs,
      request: { id: newId(), clientAddress: null },
      afterwards: () => undefined,
      log: () => undefined,
    },
  )
  await makeNotices(deps)
  await mailNotices(deps)
  await drainOutbox(deps)
}

export type NoticeWorld = Awaited<ReturnType<typeof createNoticeWorld>>
