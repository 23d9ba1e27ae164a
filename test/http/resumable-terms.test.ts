// What a resumable upload is published with (for whom, how often), said at its creation and true from the file's first
// moment on; and the verdict of one that is refused, told word for word whenever somebody asks.
import { env } from "cloudflare:workers"
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { fileGrants, files, groups, users } from "../../src/db/schema.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"
import { minimalParts, realDocument, relationships, zipOf } from "../support/documents.ts"
import { UPLOADS, base64, holdings, tusClient } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")
const nobody = "00000000-0000-4000-8000-000000000000"

let api: TestClient
let token: string
let opsId: string
let tus: ReturnType<typeof tusClient>
let ann: string
let bob: string
let team: string

/** A client as the table has one; nobody needs to log in as one here. */
async function newClient(): Promise<string> {
  const id = crypto.randomUUID()
  const [createdAtMs, verifiedAtMs] = [api.clock.nowMs, api.clock.nowMs]
  const account = { id, role: "client" as const, email: id, emailKey: id, passwordHash: "", createdAtMs, verifiedAtMs }
  await api.db.insert(users).values(account)
  return id
}

async function newGroup(): Promise<string> {
  const json = { name: `group ${crypto.randomUUID()}` }
  return (await (await api.request("/api/ops/groups", { token, json })).json<{ group: { id: string } }>()).group.id
}

beforeAll(async () => {
  api = createTestClient()
  const ops = await api.newOps()
  token = ops.tokens.accessToken
  opsId = ops.id
  tus = tusClient(api, token)
  ;[ann, bob, team] = [await newClient(), await newClient(), await newGroup()]
})

const metadata = (pairs: Record<string, string>): Record<string, string> => ({
  "Upload-Metadata": Object.entries({ filename: "a.docx", ...pairs })
    .map(([key, value]) => `${key} ${base64(value)}`)
    .join(","),
})

/** Begins an upload with these in metadata and in the address. */
const begin = (pairs: Record<string, string>, query = ""): Promise<Response> =>
  tus.send(`${UPLOADS}${query}`, { method: "POST", headers: { "Upload-Length": String(docx.length), ...metadata(pairs) } })

const pathOf = (created: Response): string => new URL(created.headers.get("location") ?? "").pathname
const fileIdOf = (response: Response): string => response.headers.get("sealpost-file-id") ?? ""

/** Whom a file is for, and how often. */
async function termsOf(fileId: string) {
  const file = await api.db.select().from(files).where(eq(files.id, fileId)).get()
  const grants = await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, fileId))
  return { audience: file?.audience, limit: file?.downloadLimit ?? null, for: grants.map((grant) => grant.audience).toSorted() }
}

describe("the file of a resumable upload is for", () => {
  it.each<[string, () => [pairs: Record<string, string>, query?: string], () => Awaited<ReturnType<typeof termsOf>>]>([
    ["everyone, when nothing is said", () => [{}], () => ({ audience: "everyone", limit: null, for: ["everyone"] })],
    [
      "everyone, when that is said",
      () => [{ audience: "everyone" }],
      () => ({ audience: "everyone", limit: null, for: ["everyone"] }),
    ],
    ["nobody yet", () => [{ audience: "chosen" }], () => ({ audience: "chosen", limit: null, for: [] })],
    [
      "the clients in its metadata",
      () => [{ clients: `${ann},${bob}` }],
      () => ({ audience: "chosen", limit: null, for: [ann, bob].toSorted() }),
    ],
    [
      "the clients and groups in its metadata, so often",
      () => [{ audience: "chosen", clients: ann, groups: team, downloadLimit: "3" }],
      () => ({ audience: "chosen", limit: 3, for: [ann, team].toSorted() }),
    ],
    [
      "the clients and groups in its address, so often",
      () => [{}, `?clients=${bob}&groups=${team}&downloadLimit=2`],
      () => ({ audience: "chosen", limit: 2, for: [bob, team].toSorted() }),
    ],
    [
      "those of both together",
      () => [{ clients: bob, downloadLimit: "4" }, `?groups=${team}&audience=chosen`],
      () => ({ audience: "chosen", limit: 4, for: [bob, team].toSorted() }),
    ],
  ])("%s", async (_, request, terms) => {
    const created = await begin(...request())
    expect(created.status).toBe(201)
    const path = pathOf(created)
    await tus.patch(path, 0, docx.slice(0, 10))
    // By another isolate, so that nothing is remembered but the row.
    const last = await tusClient(createTestClient(), token).patch(path, 10, docx.slice(10))
    expect(last.status).toBe(204)
    expect(await termsOf(fileIdOf(last))).toEqual(terms())
  })

  it.each<[string, (pairs: { group: string }) => [pairs: Record<string, string>, query?: string], string, string]>([
    ["an unknown client", () => [{ clients: `${ann},${nobody}` }], "clients.1", "unknown"],
    ["an ops user", () => [{ clients: opsId }], "clients.0", "unknown"],
    ["an unknown group", () => [{ groups: nobody }], "groups.0", "unknown"],
    ["an unknown client in the address", () => [{}, `?clients=${nobody}`], "clients.0", "unknown"],
    ["no id", () => [{ clients: "x" }], "clients.0", "id"],
    ["an empty list", () => [{ clients: "" }], "clients.0", "id"],
    ["another word", () => [{ audience: "all" }], "audience", "invalid_value"],
    ["a contradiction", ({ group }) => [{ audience: "everyone", groups: group }], "audience", "contradiction"],
    ["a contradiction of both", ({ group }) => [{ audience: "everyone" }, `?groups=${group}`], "audience", "contradiction"],
    ["201 clients", () => [{ clients: Array(201).fill(ann).join(",") }], "clients", "too_big"],
    ["51 groups", ({ group }) => [{ groups: Array(51).fill(group).join(",") }], "groups", "too_big"],
    ["a limit of none", () => [{ downloadLimit: "0" }], "downloadLimit", "invalid_format"],
    ["a limit of none in the address", () => [{}, "?downloadLimit=0"], "downloadLimit", "invalid_format"],
    ["an end in the past", () => [{ expiresAt: "2020-01-01T00:00:00Z" }], "expiresAt", "in_past"],
    ["a description that hides something", () => [{ description: "a\u202eb" }], "description", "characters"],
    ["a notification that nobody knows", () => [{ notify: "x" }], "notify.0", "invalid_value"],
    ["the same in both", () => [{ clients: ann }, `?clients=${ann}`], "clients", "repeated"],
    ["two parameters", () => [{}, `?clients=${ann}&clients=${bob}`], "clients", "repeated"],
    ["another parameter", () => [{}, "?recipients=x"], "recipients", "unknown_field"],
  ])("%s: is refused, and nothing is left", async (_, request, field, rule) => {
    const before = await holdings(api)
    const response = await begin(...request({ group: team }))
    const problem = await response.json<ProblemBody>()
    expect([response.status, problem.code, problem.errors?.[0]]).toEqual([
      422,
      "validation_failed",
      expect.objectContaining({ field, rule }),
    ])
    expect(await holdings(api)).toEqual(before)
    expect((await begin({ clients: ann }, `?groups=${team}`)).status).toBe(201)
  })

  it("200 clients and 50 groups, which HEAD sends back", async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, newClient))
    const ids = Array.from({ length: 50 }, () => crypto.randomUUID())
    for (const id of ids) await api.db.insert(groups).values({ id, name: id, nameKey: id, createdAtMs: 0 })
    const pairs = { clients: clients.join(","), groups: ids.join(",") }
    const path = pathOf(await begin(pairs))
    expect((await tus.head(path)).headers.get("upload-metadata")).toBe(metadata(pairs)["Upload-Metadata"])
    const { for: all } = await termsOf(fileIdOf(await tus.patch(path, 0, docx)))
    expect(all).toEqual([...clients, ...ids].toSorted())
  })

  it("whoever of them is left at its end; when nobody is, for nobody, and never for everyone", async () => {
    const [gone, goneToo] = [await newClient(), await newGroup()]
    const some = pathOf(await begin({ clients: `${gone},${ann}`, groups: `${goneToo},${team}` }))
    const none = pathOf(await begin({ clients: gone, groups: goneToo }))
    await api.db.delete(users).where(eq(users.id, gone))
    await api.request(`/api/ops/groups/${goneToo}`, { method: "DELETE", token })
    expect(await termsOf(fileIdOf(await tus.patch(some, 0, docx)))).toMatchObject({
      audience: "chosen",
      for: [ann, team].toSorted(),
    })
    expect(await termsOf(fileIdOf(await tus.patch(none, 0, docx)))).toMatchObject({ audience: "chosen", for: [] })
  })

  it("so long, under that description, and told of or not, as its metadata or its address say", async () => {
    const terms = { description: " Draft\r\nof Отчёт ", expiresAt: "2026-12-24T18:00:00+01:00", notify: "deliveries" }
    const expected = { description: "Draft\nof Отчёт", expiresAtMs: Date.parse("2026-12-24T17:00:00Z") }
    for (const created of [await begin(terms), await begin({}, `?${new URLSearchParams(terms).toString()}`)]) {
      const id = fileIdOf(await tus.patch(pathOf(created), 0, docx))
      expect(await api.db.select().from(files).where(eq(files.id, id)).get()).toMatchObject(expected)
      const told = await api.request(`/api/ops/files/${id}/notifications`, { token })
      expect(await told.json()).toMatchObject({
        notifications: { newFiles: false, expiryReminders: false, deliveries: true, expiryReports: false },
      })
    }
  })

  it("them also when cron finishes what a request could not", async () => {
    const failing = new Proxy(env.BLOBS, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property)
        if (property === "get") return () => Promise.reject(new Error("get: We encountered an internal error. (10001)"))
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    const path = pathOf(await begin({ clients: bob, downloadLimit: "5" }))
    expect((await tusClient(createTestClient({ BLOBS: failing }), token).patch(path, 0, docx)).status).toBe(500)
    await api.runCron()
    expect(await termsOf(fileIdOf(await tus.head(path)))).toEqual({ audience: "chosen", limit: 5, for: [bob] })
  })
})

/** All that a problem says, but for what names the one request. */
async function told(response: Response): Promise<Record<string, unknown>> {
  const { instance, requestId, ...rest } = await response.json<ProblemBody>()
  expect(instance).toBe(`urn:uuid:${requestId}`)
  return { ...rest, contentType: response.headers.get("content-type") }
}

const linked = zipOf({
  ...minimalParts("docx"),
  "_rels/part0.xml.rels": relationships({ kind: "image", target: "https://example.com/x.png", mode: "External" }),
})

describe("the verdict on a refused upload", () => {
  it.each<[string, Uint8Array<ArrayBuffer>, Record<string, string>, object]>([
    [
      "by its first bytes",
      Uint8Array.from(atob(base64(`%PDF-1.7\n${"x".repeat(100)}`)), (char) => char.charCodeAt(0)),
      {},
      { code: "document_refused", reason: "pdf" },
    ],
    [
      "by one of its parts",
      linked,
      {},
      { code: "document_refused", reason: "external_relationship", part: "_rels/part0.xml.rels" },
    ],
    ["as another type", realDocument("libreoffice.pptx"), {}, { code: "document_refused", reason: "other_type" }],
    ["by its digest", docx, { "Repr-Digest": `sha-256=:${btoa("x".repeat(32))}:` }, { code: "digest_mismatch" }],
  ])("%s is the same, word for word, however late and whoever answers", async (_, bytes, headers, verdict) => {
    const path = await tus.open(bytes.length, headers)
    await tus.patch(path, 0, bytes.slice(0, 5))
    const refused = await tus.patch(path, 5, bytes.slice(5))
    const first = await told(refused)
    expect(first).toMatchObject(verdict)
    if ("reason" in verdict) expect(first["remedy"]).toMatch(/\w+/)
    const other = tusClient(createTestClient(), token)
    const again = [
      // The answer to the last PATCH was lost, and its client sends it again; or goes on; or asks.
      () => tus.patch(path, 5, bytes.slice(5)),
      () => other.patch(path, 5, bytes.slice(5)),
      () => other.patch(path, bytes.length, ""),
      () => api.request(path, { token }),
    ]
    for (const ask of again) {
      const response = await ask()
      expect([response.status, await told(response)]).toEqual([refused.status, first])
    }
    const head = await tus.head(path)
    expect([head.status, head.headers.get("upload-offset"), head.headers.get("content-type")]).toEqual([
      refused.status,
      null,
      refused.headers.get("content-type"),
    ])
  })

  it("is kept of uploads refused before reasons were", async () => {
    const path = await tus.open(docx.length)
    const id = path.slice(path.lastIndexOf("/") + 1)
    await api.db.$client
      .prepare(
        "update resumable_uploads set state = 'refused', refusal_code = 'document_refused', refusal_detail = 'Old.' where id = ?",
      )
      .bind(id)
      .run()
    expect(await told(await api.request(path, { token }))).toMatchObject({
      status: 422,
      code: "document_refused",
      detail: "Old.",
    })
  })
})
