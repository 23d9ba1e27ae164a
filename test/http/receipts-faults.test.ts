// Receipts when things cross each other: a version that goes while it is being sent, a file that is purged or a session
// that ends while its CSV is being read, and mails that never went out.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { eq } from "drizzle-orm"
import { beforeAll, beforeEach, describe, expect, it } from "vitest"
import { notices, outbox, users } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { type World, newWorld } from "../support/selections.ts"

const docx = realDocument("npm-docx.docx")
const DAY_MS = 24 * 60 * 60_000
const FILLERS = 700

type Receipt = {
  client: { id: string; email: string }
  state: string
  notifiedAt: string | null
  earlier: { version: number; bytes: number }[]
}

let world: World
let clientId: string
beforeAll(async () => {
  world = await newWorld()
  clientId = await idOf(world.client.email)
})

const idOf = async (email: string): Promise<string> =>
  (await world.api.db.select().from(users).where(eq(users.email, email)).get())?.id ?? ""

/** A call of the uploader that must succeed. */
async function must(method: string, path: string, body?: BodyInit): Promise<Response> {
  const token = world.ops.tokens.accessToken
  const response = await world.api.request(path, { method, token, ...(body === undefined ? {} : { body }) })
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  return response
}

async function receiptOf(fileId: string, email = world.client.email): Promise<Receipt | undefined> {
  const { receipts } = await (await must("GET", `/api/ops/files/${fileId}/receipts`)).json<{ receipts: Receipt[] }>()
  return receipts.find(({ client }) => client.email === email)
}

describe("a version that is superseded, and deleted, while it is being sent", () => {
  it.each([false, true])("counts as delivered when all of it was taken (deleted: %j)", async (isDeleted) => {
    const fileId = await world.post("a.docx", docx, `?clients=${clientId}`)
    const context = createExecutionContext()
    const response = await world.api.rawRequest(await world.mint(fileId), { token: world.client.tokens.accessToken }, context)
    await must("PUT", `/api/ops/files/${fileId}/content`, docx)
    if (isDeleted) await must("DELETE", `/api/ops/files/${fileId}/versions/1`)
    expect((await response.arrayBuffer()).byteLength).toBe(docx.length)
    await waitOnExecutionContext(context)
    expect(await receiptOf(fileId)).toMatchObject({ state: "not_yet", earlier: [{ version: 1, bytes: docx.length }] })
  })
})

describe("CSV that is read slowly", () => {
  let token: string
  let fileId: string

  beforeAll(async () => {
    await world.api.db.$client
      .prepare(
        `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
         with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
         select printf('%08x-0000-4000-8000-%012x', (i * 2654435761) % 4294967296, i), 'client', 'f' || i || '@example.com', 'f' || i || '@example.com', '', 1, 1 from n`,
      )
      .bind(FILLERS)
      .run()
  })
  beforeEach(async () => {
    token = (await world.api.logIn("ops", world.ops.email)).accessToken
    fileId = await world.post("a.docx", docx)
  })

  /** From here on it is read by one who may manage others' files. */
  const beManager = async (): Promise<void> => {
    const { id, tokens } = await world.api.newOps()
    await world.api.db.update(users).set({ managesAllFiles: 1 }).where(eq(users.id, id))
    token = tokens.accessToken
  }
  const beOwner = (): Promise<void> => Promise.resolve()

  it.each<[string, () => Promise<void>, () => Promise<unknown>]>([
    ["its file is purged", beOwner, () => must("DELETE", `/api/ops/files/${fileId}?purge=true`)],
    ["the session of its reader ends", beOwner, () => world.api.request("/api/auth/logout", { method: "POST", token })],
    ["its reader may not manage others' files any more", beManager, () => world.api.db.update(users).set({ managesAllFiles: 0 })],
  ])("breaks off, rather than end as if it were whole, when %s", async (_, prepare, happens) => {
    await prepare()
    const open = async () => {
      const response = await world.api.rawRequest(`/api/ops/files/${fileId}/receipts?format=csv`, { token })
      expect(response.status).toBe(200)
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      // The header and the first receipts.
      let text = ""
      for (let i = 0; i < 2; i++) text += new TextDecoder().decode((await reader.read()).value)
      expect(text.split("\r\n")).toHaveLength(1 + 500 + 1)
      return { reader, text }
    }
    // Its twin, to which nothing happens.
    const { reader, text } = await open()
    const rest = new TextDecoder().decode((await reader.read()).value)
    expect((text + rest).split("\r\n").length).toBeGreaterThan(FILLERS)
    expect((await reader.read()).done).toBe(true)

    const other = await open()
    await happens()
    await expect(other.reader.read()).rejects.toThrow()
  })
})

describe("statistics", () => {
  it("are of own files only, and do not pass for another owner's", async () => {
    const path = "/api/ops/statistics"
    expect((await must("GET", path)).status).toBe(200)
    const token = world.ops.tokens.accessToken
    const refused = await world.api.problem(`${path}?owner=all`, { token })
    expect(refused).toMatchObject({ code: "validation_failed", errors: [{ field: "owner", rule: "unknown_field" }] })
  })
})

describe("notifiedAt", () => {
  it("is null as long as the mail has not gone out, and for ever when it was given up", async () => {
    const { db, clock } = world.api
    const others = [await world.api.newClient(), await world.api.newClient()]
    const emails = [world.client.email, ...others.map(({ email }) => email)]
    const ids = await Promise.all(emails.map(idOf))
    const fileId = await world.post("a.docx", docx, `?clients=${ids.join()}`)
    const [sent, waiting, dead] = [0, 1, 2].map((i) => ({
      id: ids[i] ?? "",
      email: emails[i] ?? "",
      mailId: crypto.randomUUID(),
    }))
    if (sent === undefined || waiting === undefined || dead === undefined) throw new Error("three people")
    const createdAtMs = clock.nowMs - 8 * DAY_MS
    const mail = { kind: "file_available", subject: "", body: null, createdAtMs, expiresAtMs: createdAtMs + DAY_MS }
    const row = ({ mailId: id, email }: typeof sent) => ({ ...mail, id, recipient: email.toUpperCase() })
    await db.insert(outbox).values([
      { ...row(sent), sentAtMs: createdAtMs },
      { ...row(waiting), nextAttemptAtMs: clock.nowMs + DAY_MS },
      { ...row(dead), lastFailure: "status_400" },
    ])
    const notice = { fileId, kind: "file_available" as const, createdAtMs, settledAtMs: createdAtMs }
    const noticeOf = ({ id, mailId }: typeof sent) => ({ ...notice, clientId: id, recipientId: id, mailId })
    await db.insert(notices).values([sent, waiting, dead].map(noticeOf))
    const told = async () =>
      Promise.all([sent, waiting, dead].map(async ({ email }) => (await receiptOf(fileId, email))?.notifiedAt))
    const at = new Date(createdAtMs).toISOString()
    expect(await told()).toEqual([at, null, null])
    await world.api.runCron()
    // By now the outbox has forgotten what is settled.
    expect((await db.select().from(outbox).where(eq(outbox.subject, ""))).map(({ id }) => id)).toEqual([waiting.mailId])
    expect(await told()).toEqual([at, null, null])
    await db.update(outbox).set({ nextAttemptAtMs: null, sentAtMs: clock.nowMs }).where(eq(outbox.id, waiting.mailId))
    expect(await told()).toEqual([at, at, null])
  })
})
