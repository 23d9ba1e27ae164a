// D1: who may do what to what. One table of data: every route of the app, for whom it is, and what it answers to the
// right caller for each relation to the thing that the path names. A route that is not in the table fails the first test.
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { createApp } from "../../src/app.ts"
import { outbox, sessions, users } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { ORIGIN, type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"

const MISSING = "00000000-0000-4000-8000-000000000000"
const GONE = "404 not_found"

/** What a path names, in its relation to the caller. */
const things = {
  "own file": () => upload(ops),
  "own file in the trash": () => trashed(upload(ops)),
  "own file with an old version": () => withVersion(upload(ops)),
  "another's file with an old version": () => withVersion(upload(otherOps), otherOps),
  "another's file": () => upload(otherOps),
  "file for everyone": () => upload(otherOps),
  "file for them": () => upload(ops, `?clients=${client.id}`),
  "file for a group of theirs": async () => upload(ops, `?groups=${await newGroup(client.id)}`),
  "file for somebody else": () => upload(ops, `?clients=${otherClient.id}`),
  "file for a group without them": async () => upload(ops, `?groups=${await newGroup(otherClient.id)}`),
  "file for nobody yet": () => upload(ops, "?audience=chosen"),
  "file for them in the trash": () => trashed(upload(ops, `?clients=${client.id}`)),
  "file for them past its time": async () => {
    const file = await upload(ops, `?clients=${client.id}`)
    await api.db.$client.batch(
      ["update files set expires_at_ms = 1 where id = ?", "update file_grants set expires_at_ms = 1 where file_id = ?"].map(
        (sql) => api.db.$client.prepare(sql).bind(file),
      ),
    )
    return file
  },
  "own link": async () => (await mint(client, await upload(ops))).id,
  "another's link": async () => (await mint(otherClient, await upload(ops))).id,
  "link to own file": async () => (await mint(client, await upload(ops))).id,
  "link to another's file": async () => (await mint(client, await upload(otherOps))).id,
  "own token": async () => (await mint(client, await upload(ops))).token,
  "another's token": async () => (await mint(otherClient, await upload(ops))).token,
  "token to a file taken off them": async () => {
    const file = await upload(ops, `?clients=${client.id}`)
    const { token } = await mint(client, file)
    await must("PUT", `/api/ops/files/${file}/audience`, ops, { audience: "chosen" })
    return token
  },
  "own selection's token": async () => select(client, [await upload(ops), await upload(otherOps)]),
  "another's selection's token": async () => select(otherClient, [await upload(ops), await upload(otherOps)]),
  "token of a selection with a file taken off them": async () => {
    const file = await upload(ops, `?clients=${client.id}`)
    const token = await select(client, [await upload(ops), file])
    await must("PUT", `/api/ops/files/${file}/audience`, ops, { audience: "chosen" })
    return token
  },
  "token to an older version": async () => {
    const file = await upload(ops)
    const { token } = await mint(client, file)
    await withVersion(file)
    return token
  },
  "token to a file in the trash": async () => {
    const file = await upload(ops)
    const { token } = await mint(client, file)
    await trashed(file)
    return token
  },
  "forged token": async () => `${(await mint(client, await upload(ops))).token.slice(0, -2)}AA`,
  group: () => newGroup(),
  "a client": async () => (await personOf(await api.newClient())).id,
  "an ops account": () => Promise.resolve(otherOps.id),
  "own session": () => newSession(client),
  "another's session": () => newSession(otherClient),
  "own upload": () => newUpload(ops),
  "another's upload": () => newUpload(otherOps),
  "mail given up": () => newMail(true),
  "mail that was sent": () => newMail(false),
  nothing: () => Promise.resolve(MISSING),
  "no id": () => Promise.resolve("1"),
} satisfies Record<string, () => Promise<string>>
type Thing = keyof typeof things

type Answers = Partial<Record<Thing, string>>

type Row = {
  /** anyone: needs no login. */
  for: "anyone" | "login" | "ops" | "client"
  /** What the right caller is answered for each thing that the path may name. */
  answers?: Answers
  json?: () => object
  body?: () => BodyInit
  headers?: Record<string, string>
  /** What callers of the other role are told, where it is not "forbidden". */
  stranger?: string
  /** What an ops user with the permission to manage everybody's files is answered for another's. */
  manager?: Answers
}

const ownFile = (answer: string, inTrash = answer) => ({
  answers: { "own file": answer, "own file in the trash": inTrash, "another's file": GONE, nothing: GONE, "no id": GONE },
  manager: { "another's file": answer, nothing: GONE, "no id": GONE },
})
const IN_TRASH = "409 file_deleted"
const newBytes = () => realDocument("openpyxl.xlsx")
const ownUpload = (answer: string): Answers => ({ "own upload": answer, "another's upload": GONE, nothing: GONE, "no id": GONE })
const aClient = (answer: string): Answers => ({ "a client": answer, "an ops account": GONE, nothing: GONE, "no id": GONE })
const tus = { "Tus-Resumable": "1.0.0" }
const group = (answer: string): Answers => ({ group: answer, nothing: GONE, "no id": GONE })
const members = () => ({ clients: [client.id] })

const matrix: Record<string, Row> = {
  "GET /healthz": { for: "anyone" },
  "GET /": { for: "anyone" },
  "GET /page.css": { for: "anyone" },
  "GET /reset-password": { for: "anyone" },
  "GET /reset-password.js": { for: "anyone" },
  "GET /verify-email.js": { for: "anyone" },
  "GET /verify-email/:handle": { for: "anyone" },
  "GET /unsubscribe/:token": { for: "anyone" },
  "POST /unsubscribe/:token": { for: "anyone" },
  "POST /api/auth/password/forgot": { for: "anyone" },
  "POST /api/auth/password/reset": { for: "anyone" },
  "POST /api/auth/refresh": { for: "anyone" },
  "POST /api/client/login": { for: "anyone" },
  "POST /api/client/resend-verification": { for: "anyone" },
  "POST /api/client/signup": { for: "anyone" },
  "POST /api/client/verify-email": { for: "anyone" },
  "POST /api/ops/login": { for: "anyone" },

  "POST /api/auth/logout": { for: "login" },
  "GET /api/auth/me": { for: "login" },
  "POST /api/auth/password/change": { for: "login" },
  "GET /api/auth/sessions": { for: "login" },
  "DELETE /api/auth/sessions": { for: "login" },
  "DELETE /api/auth/sessions/:id": {
    for: "login",
    answers: { "own session": "204", "another's session": GONE, nothing: GONE, "no id": GONE },
  },
  "GET /api/auth/notifications": { for: "login" },
  "PATCH /api/auth/notifications": { for: "login" },
  "POST /api/auth/totp/enroll": { for: "login" },
  "POST /api/auth/totp/confirm": { for: "login" },
  "POST /api/auth/totp/recovery-codes": { for: "login" },
  "DELETE /api/auth/totp": { for: "login" },

  "GET /api/client/events": { for: "client" },
  "GET /api/client/files": { for: "client" },
  "GET /api/client/download/:id": {
    for: "client",
    answers: {
      "file for everyone": "200",
      "file for them": "200",
      "file for a group of theirs": "200",
      "file for somebody else": GONE,
      "file for a group without them": GONE,
      "file for nobody yet": GONE,
      "file for them in the trash": GONE,
      "file for them past its time": GONE,
      nothing: GONE,
      "no id": GONE,
    },
  },
  "POST /api/client/download": { for: "client", json: () => ({ files: [MISSING] }) },
  "GET /api/client/history": { for: "client" },
  "GET /api/client/links": { for: "client" },
  "DELETE /api/client/links": { for: "client" },
  "DELETE /api/client/links/:id": {
    for: "client",
    answers: { "own link": "204", "another's link": GONE, nothing: GONE, "no id": GONE },
  },
  "GET /download-file/:token": {
    for: "client",
    stranger: "403 link_not_yours",
    answers: {
      "own token": "200",
      "another's token": "403 link_not_yours",
      "token to a file taken off them": "404 link_not_found",
      "own selection's token": "200",
      "another's selection's token": "403 link_not_yours",
      "token of a selection with a file taken off them": "410 selection_incomplete",
      "token to a file in the trash": "404 link_not_found",
      "token to an older version": "410 link_superseded",
      "forged token": "404 link_not_found",
    },
  },

  "POST /api/ops/upload": { for: "ops" },
  "PUT /api/ops/upload/:name": { for: "ops" },
  "OPTIONS /api/ops/uploads": { for: "anyone" },
  "OPTIONS /api/ops/uploads/:id": { for: "anyone" },
  "GET /api/ops/uploads": { for: "ops", headers: tus },
  "POST /api/ops/uploads": { for: "ops", headers: tus },
  "GET /api/ops/uploads/:id": { for: "ops", headers: tus, answers: ownUpload("200") },
  "PATCH /api/ops/uploads/:id": {
    for: "ops",
    headers: { ...tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream" },
    answers: ownUpload("204"),
  },
  "POST /api/ops/uploads/:id": {
    for: "ops",
    headers: { ...tus, "X-HTTP-Method-Override": "DELETE" },
    answers: ownUpload("204"),
  },
  "DELETE /api/ops/uploads/:id": { for: "ops", headers: tus, answers: ownUpload("204") },
  "GET /api/ops/clients": { for: "ops" },
  "GET /api/ops/clients/:id": { for: "ops", answers: aClient("200") },
  "POST /api/ops/clients/:id/disable": { for: "ops", answers: aClient("200") },
  "POST /api/ops/clients/:id/enable": { for: "ops", answers: aClient("200") },
  "DELETE /api/ops/clients/:id": { for: "ops", answers: aClient("204") },
  "GET /api/ops/mails": { for: "ops" },
  "POST /api/ops/mails/:id/retry": {
    for: "ops",
    answers: { "mail given up": "202", "mail that was sent": "409 mail_not_retryable", nothing: GONE, "no id": GONE },
  },
  "GET /api/ops/files": { for: "ops" },
  "GET /api/ops/files/:id": { for: "ops", ...ownFile("200") },
  "PATCH /api/ops/files/:id": { for: "ops", ...ownFile("200", IN_TRASH), json: () => ({ downloadLimit: 3 }) },
  "DELETE /api/ops/files/:id": { for: "ops", ...ownFile("204") },
  "POST /api/ops/files/:id/restore": { for: "ops", ...ownFile("200") },
  "GET /api/ops/files/:id/content": { for: "ops", ...ownFile("200") },
  "PUT /api/ops/files/:id/content": { for: "ops", ...ownFile("200", IN_TRASH), body: newBytes },
  "GET /api/ops/files/:id/versions": { for: "ops", ...ownFile("200") },
  "POST /api/ops/files/:id/versions": {
    for: "ops",
    ...ownFile("201", IN_TRASH),
    body: () => {
      const form = new FormData()
      form.set("file", new File([newBytes()], "a.xlsx"))
      return form
    },
  },
  "DELETE /api/ops/files/:id/versions/:version": {
    for: "ops",
    answers: {
      "own file": "409 version_current",
      "own file with an old version": "204",
      "another's file with an old version": GONE,
      nothing: GONE,
      "no id": GONE,
    },
    manager: { "another's file with an old version": "204", nothing: GONE, "no id": GONE },
  },
  "POST /api/ops/files/:id/versions/:version/restore": {
    for: "ops",
    answers: {
      "own file": "200",
      "own file in the trash": IN_TRASH,
      "own file with an old version": "200",
      "another's file with an old version": GONE,
      nothing: GONE,
      "no id": GONE,
    },
    manager: { "another's file with an old version": "200", nothing: GONE, "no id": GONE },
  },
  "GET /api/ops/files/:id/audience": { for: "ops", ...ownFile("200") },
  "GET /api/ops/files/:id/receipts": { for: "ops", ...ownFile("200") },
  "GET /api/ops/events": { for: "ops" },
  "GET /api/ops/statistics": { for: "ops" },
  "PUT /api/ops/files/:id/audience": {
    for: "ops",
    ...ownFile("200"),
    json: () => ({ audience: "chosen", clients: [client.id] }),
  },
  "GET /api/ops/files/:id/notifications": { for: "ops", ...ownFile("200") },
  "PUT /api/ops/files/:id/notifications": {
    for: "ops",
    ...ownFile("200", IN_TRASH),
    json: () => ({ newFiles: false, expiryReminders: true, deliveries: false, expiryReports: true }),
  },
  "POST /api/ops/assignments": { for: "ops", json: () => ({ files: [MISSING], clients: [client.id], mode: "add" }) },
  "GET /api/ops/groups": { for: "ops" },
  "POST /api/ops/groups": { for: "ops", json: () => ({ name: crypto.randomUUID() }) },
  "GET /api/ops/groups/:id": { for: "ops", answers: group("200") },
  "PATCH /api/ops/groups/:id": { for: "ops", answers: group("200"), json: () => ({ name: crypto.randomUUID() }) },
  "DELETE /api/ops/groups/:id": { for: "ops", answers: group("204") },
  "GET /api/ops/groups/:id/members": { for: "ops", answers: group("200") },
  "POST /api/ops/groups/:id/members": { for: "ops", answers: group("200"), json: members },
  "PUT /api/ops/groups/:id/members": { for: "ops", answers: group("200"), json: members },
  "DELETE /api/ops/groups/:id/members": { for: "ops", answers: group("200"), json: members },
  "GET /api/ops/links": { for: "ops" },
  "DELETE /api/ops/links": { for: "ops" },
  "DELETE /api/ops/links/:id": {
    for: "ops",
    answers: { "link to own file": "204", "link to another's file": GONE, nothing: GONE, "no id": GONE },
    manager: { "link to another's file": "204", nothing: GONE, "no id": GONE },
  },
}

type Person = { id: string; email: string; token: string }
let api: TestClient
let ops: Person
let manager: Person
let otherOps: Person
let client: Person
let otherClient: Person

async function personOf({ email, tokens }: { email: string; tokens: { accessToken: string } }): Promise<Person> {
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  return { id: row?.id ?? "", email, token: tokens.accessToken }
}

beforeAll(async () => {
  api = createTestClient()
  ops = await personOf(await api.newOps())
  otherOps = await personOf(await api.newOps())
  manager = await personOf(await api.newOps())
  await api.db.update(users).set({ managesAllFiles: 1 }).where(eq(users.id, manager.id))
  client = await personOf(await api.newClient())
  otherClient = await personOf(await api.newClient())
}, 60_000)

async function upload(owner: Person, query = ""): Promise<string> {
  const form = new FormData()
  form.set("file", new File([realDocument("openpyxl.xlsx")], "a.xlsx"))
  const response = await api.request(`/api/ops/upload${query}`, { method: "POST", token: owner.token, body: form })
  return (await response.json<{ file: { id: string } }>()).file.id
}

async function trashed(file: Promise<string> | string): Promise<string> {
  const id = await file
  const response = await api.request(`/api/ops/files/${id}`, { method: "DELETE", token: ops.token })
  if (!response.ok) throw new Error(await response.text())
  return id
}

async function withVersion(file: Promise<string> | string, owner = ops): Promise<string> {
  const id = await file
  const response = await api.request(`/api/ops/files/${id}/content`, { method: "PUT", token: owner.token, body: newBytes() })
  if (!response.ok) throw new Error(await response.text())
  return id
}

async function must(method: string, path: string, who: Person, json: unknown): Promise<Response> {
  const response = await api.request(path, { method, token: who.token, json })
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  return response
}

async function newGroup(...clients: string[]): Promise<string> {
  const made = await must("POST", "/api/ops/groups", ops, { name: crypto.randomUUID() })
  const { id } = (await made.json<{ group: { id: string } }>()).group
  await must("POST", `/api/ops/groups/${id}/members`, otherOps, { clients })
  return id
}

async function mint(who: Person, fileId: string): Promise<{ id: string; token: string }> {
  const made = await (
    await api.request(`/api/client/download/${fileId}`, { token: who.token })
  ).json<{ "download-link": string }>()
  const { links } = await (
    await api.request("/api/client/links?limit=200", { token: who.token })
  ).json<{
    links: { id: string; file: { id: string } }[]
  }>()
  const id = links.find(({ file }) => file.id === fileId)?.id ?? ""
  return { id, token: made["download-link"].slice(made["download-link"].lastIndexOf("/") + 1) }
}

async function select(who: Person, files: string[]): Promise<string> {
  const made = await must("POST", "/api/client/download", who, { files })
  const link = (await made.json<{ "download-link": string }>())["download-link"]
  return link.slice(link.lastIndexOf("/") + 1)
}

async function newSession({ id, email }: Person): Promise<string> {
  await api.logIn("client", email)
  return (await api.db.select().from(sessions).where(eq(sessions.userId, id))).at(-1)?.id ?? ""
}

async function newUpload(who: Person): Promise<string> {
  const headers = { ...tus, "Upload-Length": "10", "Upload-Metadata": `filename ${btoa("a.docx")}` }
  const made = await api.request("/api/ops/uploads", { method: "POST", token: who.token, headers })
  return made.headers.get("location")?.split("/").at(-1) ?? ""
}

async function newMail(isGivenUp: boolean): Promise<string> {
  const id = crypto.randomUUID()
  const { nowMs } = api.clock
  const times = { createdAtMs: nowMs, expiresAtMs: nowMs + 3_600_000, sentAtMs: isGivenUp ? null : nowMs }
  const mail = { id, kind: "verification", recipient: client.email, subject: "s", body: isGivenUp ? "b" : null }
  await api.db.insert(outbox).values({ ...mail, ...times, attempts: 11, nextAttemptAtMs: null, lastFailure: "503" })
  return id
}

const split = (route: string): [method: string, pattern: string] => route.split(" ") as [string, string]

async function told(route: string, id: string, options: RequestOptions): Promise<string> {
  const [method, pattern] = split(route)
  const json = matrix[route]?.json?.()
  const body = matrix[route]?.body?.()
  const response = await api.request(pattern.replace(/:\w+/, id).replace(":version", "1"), {
    method,
    ...(json === undefined ? {} : { json }),
    ...(body === undefined ? {} : { body }),
    ...options,
    headers: { ...matrix[route]?.headers, ...options.headers },
  })
  if (response.ok) return String(response.status)
  return `${String(response.status)} ${(await response.json<ProblemBody>()).code}`
}

/** Everything that a refused request could have changed. */
async function world(): Promise<string> {
  const tables = [
    "files",
    "blobs",
    "discarded_objects",
    "file_grants",
    '"groups"',
    "group_members",
    "links",
    "selections",
    "link_receipts",
    "downloads",
    "uploads",
    "file_mutes",
    "notification_preferences",
    "events",
  ]
  const queries = [
    ...tables.map((table) => `select * from ${table}`),
    // Not what the tests themselves change of the people who ask.
    "select id, offset_bytes, state from resumable_uploads",
    "select id, email, disabled_at_ms from users",
    `select id, revoked_at_ms from sessions where user_id = '${otherClient.id}'`,
    "select id, attempts, next_attempt_at_ms from outbox where attempts > 10",
  ]
  const rows = await api.db.$client.batch(queries.map((query) => api.db.$client.prepare(query)))
  return JSON.stringify(rows.map(({ results }) => results))
}

const guarded = Object.entries(matrix).filter(([, row]) => row.for !== "anyone")
const firstThing = (row: Row): Promise<string> => things[(Object.keys(row.answers ?? {})[0] ?? "nothing") as Thing]()

describe("the table", () => {
  it("holds every route of the app, and no other", () => {
    const mounted = createApp().routes.filter(({ method }) => method !== "ALL")
    const routes = [...new Set(mounted.map(({ method, path }) => `${method} ${path}`))]
    expect(Object.keys(matrix).sort()).toEqual(routes.sort())
  })

  it("says of every path with an id what becomes of what is missing", () => {
    const withId = guarded.filter(([route]) => route.endsWith(":id") || route.includes(":id/"))
    expect(withId.length).toBeGreaterThan(10)
    for (const [route, row] of withId) expect([route, row.answers?.nothing, row.answers?.["no id"]]).toEqual([route, GONE, GONE])
  })
})

describe("without a login", () => {
  it.each(Object.entries(matrix).filter(([, row]) => row.for === "anyone"))("%s answers", async (route) => {
    expect(await told(route, "x", {})).not.toMatch(/authentication_required|invalid_token|forbidden/)
  })

  it.each(guarded)("%s answers 401 and changes nothing", async (route, row) => {
    const id = await firstThing(row)
    const before = await world()
    expect(await told(route, id, {})).toBe("401 authentication_required")
    expect(await told(route, id, { token: "x" })).toBe("401 invalid_token")
    expect(await told(route, id, { headers: { Authorization: "Basic eDp5" } })).toBe("401 invalid_token")
    expect(await world()).toBe(before)
  })
})

describe("with a login that is worth nothing any more", () => {
  it.each(guarded)("%s answers 401 and changes nothing", async (route, row) => {
    const id = await firstThing(row)
    const role = row.for === "ops" ? "ops" : "client"
    const who = role === "ops" ? ops : client
    const { accessToken: token } = await api.logIn(role, who.email)
    const before = await world()
    const set = (values: Partial<typeof users.$inferInsert>) => api.db.update(users).set(values).where(eq(users.id, who.id))
    await set({ disabledAtMs: 1 })
    const disabled = await told(route, id, { token })
    await set({ disabledAtMs: null })
    const newest = (await api.db.select().from(sessions).where(eq(sessions.userId, who.id))).at(-1)
    await api.db
      .update(sessions)
      .set({ revokedAtMs: 1 })
      .where(eq(sessions.id, newest?.id ?? ""))
    expect([disabled, await told(route, id, { token })]).toEqual(["401 invalid_token", "401 invalid_token"])
    expect(await world()).toBe(before)
  })
})

describe("with the other role, or an address that is not proven", () => {
  it.each(guarded.filter(([, row]) => row.for !== "login"))("%s answers 403 and changes nothing", async (route, row) => {
    const id = await firstThing(row)
    const before = await world()
    expect(await told(route, id, { token: (row.for === "ops" ? client : ops).token })).toBe(row.stranger ?? "403 forbidden")
    await api.db.update(users).set({ verifiedAtMs: null }).where(eq(users.id, client.id))
    const unproven = await told(route, id, { token: client.token })
    await api.db.update(users).set({ verifiedAtMs: 1 }).where(eq(users.id, client.id))
    expect(unproven).toBe("403 forbidden")
    expect(await world()).toBe(before)
  })

  it.each(guarded.filter(([, row]) => row.for === "login"))("%s does not ask for a role", async (route) => {
    // People of their own: some of these calls end every session.
    for (const { tokens } of [await api.newOps(), await api.newClient()]) {
      const token = tokens.accessToken
      expect(await told(route, "", { token })).not.toMatch(/authentication_required|invalid_token|forbidden/)
    }
  })
})

describe("with the right login", () => {
  const cases = guarded.flatMap(([route, row]) =>
    Object.entries(row.answers ?? {}).map(([thing, answer]) => [route, thing as Thing, answer] as const),
  )
  it.each(cases)("%s for %s: %s", async (route, thing, answer) => {
    const id = await things[thing]()
    const before = await world()
    expect(await told(route, id, { token: (matrix[route]?.for === "ops" ? ops : client).token })).toBe(answer)
    if (answer.startsWith("4")) expect(await world()).toBe(before)
  })

  it.each(guarded.filter(([, row]) => row.answers === undefined && row.for !== "login"))(
    "%s is not refused",
    async (route, row) => {
      // A name, for the path that has one.
      expect(await told(route, "a.docx", { token: (row.for === "ops" ? ops : client).token })).not.toMatch(/^40[134]/)
    },
  )
})

describe("L7: with a browser's session in cookies", () => {
  const foreign: Record<string, Record<string, string>> = {
    "another site": { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" },
    "a sibling host": { Origin: "https://other.sealpost.test", "Sec-Fetch-Site": "same-site" },
    "an origin that is none": { Origin: "null" },
    "a link on a sibling host": { "Sec-Fetch-Site": "same-site" },
  }
  const own = { Origin: ORIGIN, "Sec-Fetch-Site": "same-origin" }
  const safe = ["GET", "HEAD"]
  // Somebody of their own for calls that may end every session.
  let ender: Person
  beforeAll(async () => {
    ender = await personOf(await api.newClient())
  })

  it.each(guarded)("%s is refused to every page but our own, and changes nothing", async (route, row) => {
    const id = await firstThing(row)
    const who = row.for === "ops" ? ops : client
    const Cookie = `__Host-sealpost_access=${who.token}`
    const before = await world()
    for (const [page, headers] of Object.entries(foreign)) {
      expect(await told(route, id, { headers: { Cookie, ...headers } }), page).toBe("403 cross_site")
    }
    const isSafe = safe.includes(split(route)[0])
    if (!isSafe) expect(await told(route, id, { headers: { Cookie } }), "no origin").toBe("403 cross_site")
    expect(await world()).toBe(before)
    const token = row.for === "login" ? (await api.logIn("client", ender.email)).accessToken : who.token
    const twin = { Cookie: `__Host-sealpost_access=${token}`, ...(isSafe ? {} : own) }
    expect(await told(route, id, { headers: twin })).not.toMatch(/^401|^403/)
  })

  it.each(Object.entries(matrix).filter(([route, row]) => row.for === "anyone" && !safe.includes(split(route)[0])))(
    "%s does nothing in the name of whoever brings them",
    async (route) => {
      const Cookie = `__Host-sealpost_access=${client.token}; __Host-sealpost_refresh=x`
      const headers = { Cookie, ...foreign["another site"] }
      const without = await told(route, "x", { headers: foreign["another site"] ?? {} })
      // Only the refresh takes its token from a cookie.
      const refused = route === "POST /api/auth/refresh"
      const options = refused ? { headers, json: {} } : { headers }
      expect(await told(route, "x", options)).toBe(refused ? "403 cross_site" : without)
      if (refused) expect(await told(route, "x", { headers: { Cookie, ...own }, json: {} })).toBe("401 invalid_token")
    },
  )
})

describe("with the permission to manage everybody's files", () => {
  const cases = guarded.flatMap(([route, row]) =>
    Object.entries(row.manager ?? {}).map(([thing, answer]) => [route, thing as Thing, answer] as const),
  )

  it("there is a row for every call that takes a file or its link", () => {
    const ofFiles = guarded.filter(([route, row]) => row.for === "ops" && /\/(?:files|links)\/:id/.test(route))
    expect(ofFiles.length).toBeGreaterThan(10)
    for (const [route, row] of ofFiles) expect([route, row.manager === undefined]).toEqual([route, false])
  })

  it.each(cases)("%s for %s: %s; withdrawn, as for everybody else", async (route, thing, answer) => {
    const id = await things[thing]()
    const permit = (managesAllFiles: number) => api.db.update(users).set({ managesAllFiles }).where(eq(users.id, manager.id))
    await permit(0)
    const before = await world()
    expect(await told(route, id, { token: manager.token })).toBe(GONE)
    expect(await world()).toBe(before)
    await permit(1)
    expect(await told(route, id, { token: manager.token })).toBe(answer)
  })

  it.each([
    ["GET", "/api/ops/files?owner=OWNER"],
    ["GET", "/api/ops/files?owner=all"],
    ["GET", "/api/ops/links?owner=OWNER"],
    ["GET", "/api/ops/links?owner=all"],
    ["DELETE", "/api/ops/links?owner=all&client=CLIENT"],
  ])("%s %s shows or takes others' files, and is forbidden without it", async (method, path) => {
    const target = path.replace("OWNER", otherOps.id).replace("CLIENT", client.id)
    const file = await upload(otherOps)
    await mint(client, file)
    const before = await world()
    expect(await api.problem(target, { method, token: ops.token })).toMatchObject({ code: "forbidden" })
    expect(await world()).toBe(before)
    const answer = await (
      await api.request(`${target}&limit=200`.replace(/&limit.*/, method === "GET" ? "&limit=200" : ""), {
        method,
        token: manager.token,
      })
    ).text()
    if (method === "GET") expect(answer).toContain(file)
    else expect((JSON.parse(answer) as { revoked: number }).revoked).toBeGreaterThan(0)
    const own = await (await api.request("/api/ops/files?limit=200", { method: "GET", token: manager.token })).text()
    expect(own).not.toContain(file)
  })

  it("is shown to whoever has it, and is gone with the next request when it is taken away", async () => {
    const shown = async ({ token }: Person): Promise<unknown> =>
      (await (await api.request("/api/auth/me", { token })).json<{ user: { permissions: unknown } }>()).user.permissions
    expect(await Promise.all([manager, ops, client].map(shown))).toEqual([["manage-all-files"], [], []])
    const permit = (managesAllFiles: number) => api.db.update(users).set({ managesAllFiles }).where(eq(users.id, manager.id))
    await permit(0)
    expect(await shown(manager)).toEqual([])
    await permit(1)
  })

  it("files of others are assigned like own ones, and are unknown without it", async () => {
    const file = await upload(otherOps, "?audience=chosen")
    const json = { files: [file], clients: [client.id], mode: "add" }
    expect(await api.problem("/api/ops/assignments", { token: ops.token, json })).toMatchObject({
      code: "validation_failed",
      errors: [{ field: "files.0", rule: "unknown" }],
    })
    const done = await api.request("/api/ops/assignments", { token: manager.token, json })
    expect(await done.json()).toMatchObject({ changed: 1 })
  })

  it("a foreign file costs as much as a missing one: the same queries", async () => {
    const queries: string[] = []
    const spied = new Proxy(api.db.$client, {
      get(target, name) {
        if (name === "prepare")
          return (sql: string) => {
            queries.push(sql)
            return target.prepare(sql)
          }
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    const watched = createTestClient({ DB: spied })
    const foreign = await upload(otherOps)
    const asked = async (path: string, id: string): Promise<[string, string[]]> => {
      queries.length = 0
      const response = await watched.request(path.replace("ID", id), { token: ops.token })
      const { detail } = await response.json<ProblemBody>()
      return [detail ?? "", [...queries]]
    }
    for (const path of [
      "/api/ops/files/ID",
      "/api/ops/files/ID/content",
      "/api/ops/files/ID/content?version=1",
      "/api/ops/files/ID/versions",
    ])
      expect(await asked(path, foreign)).toEqual(await asked(path, MISSING))
  })
})
