// New versions of a file: sent, numbered, listed, fetched, deleted; what becomes of links, limits and downloads that were
// made for the version before. Every refusal stands beside the same request that succeeds.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { and, eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { auditEvents, blobs, discardedObjects, fileGrants, files, users } from "../../src/db/schema.ts"
import { createDeps } from "../../src/deps.ts"
import { inspect } from "../../src/domain/inspection.ts"
import { rotateKeys } from "../../src/domain/rotation.ts"
import { docxOfSize, isSame, realDocument } from "../support/documents.ts"
import { type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"
import { holdings } from "../support/tus.ts"

const first = realDocument("npm-docx.docx")
const second = realDocument("libreoffice.docx")
const sheet = realDocument("openpyxl.xlsx")

type VersionJson = {
  version: number
  size: number
  sha256: string
  createdAt: string
  createdBy: { id: string; email: string } | null
  current: boolean
}

let api: TestClient
let ops: { id: string; email: string; token: string }
let client: { id: string; token: string }
let bob: { id: string; token: string }

async function newClient() {
  const { email, tokens } = await api.newClient()
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  return { id: row?.id ?? "", token: tokens.accessToken }
}

beforeAll(async () => {
  api = createTestClient()
  const made = await api.newOps()
  ops = { id: made.id, email: made.email, token: made.tokens.accessToken }
  client = await newClient()
  bob = await newClient()
}, 60_000)

async function post(query = "", bytes = first, name = "a.docx"): Promise<string> {
  const body = new FormData()
  body.set("file", new File([bytes], name))
  const response = await api.request(`/api/ops/upload${query}`, { method: "POST", token: ops.token, body })
  return (await response.json<{ file: { id: string } }>()).file.id
}

function sendVersion(id: string, bytes = second, options: RequestOptions & { name?: string } = {}): Promise<Response> {
  const { name = "b.docx", ...rest } = options
  const body = new FormData()
  body.set("file", new File([bytes], name))
  return api.request(`/api/ops/files/${id}/versions`, { method: "POST", token: ops.token, body, ...rest })
}

const put = (id: string, bytes: Uint8Array<ArrayBuffer>, options: RequestOptions = {}): Promise<Response> =>
  api.request(`/api/ops/files/${id}/content`, { method: "PUT", token: ops.token, body: bytes, ...options })

async function told(answer: Promise<Response>): Promise<string> {
  const response = await answer
  if (response.ok) return String(response.status)
  const { code, errors } = await response.json<ProblemBody>()
  return [String(response.status), code, errors?.[0]?.field, errors?.[0]?.rule].filter((part) => part !== undefined).join(" ")
}

async function mint(id: string, who = client): Promise<string> {
  const response = await api.request(`/api/client/download/${id}`, { token: who.token })
  if (!response.ok) throw new Error(await response.text())
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

const fetchLink = (link: string, options: RequestOptions = {}): Promise<Response> =>
  api.request(link, { token: client.token, ...options })
const bytesOf = async (response: Promise<Response>): Promise<Uint8Array> => new Uint8Array(await (await response).arrayBuffer())
const content = (id: string, query = ""): Promise<Response> =>
  api.request(`/api/ops/files/${id}/content${query}`, { token: ops.token })
const versionsOf = async (id: string): Promise<VersionJson[]> =>
  (await (await api.request(`/api/ops/files/${id}/versions`, { token: ops.token })).json<{ versions: VersionJson[] }>()).versions
const listed = async (id: string, who = client) =>
  (
    await (
      await api.request("/api/client/files?limit=200", { token: who.token })
    ).json<{ files: { id: string; size: number; state: string; sha256: string; name: string }[] }>()
  ).files.find((file) => file.id === id)

describe("a new version", () => {
  it.each([
    ["as a form", 201, (id: string) => sendVersion(id)],
    ["as it is", 200, (id: string) => put(id, second)],
  ])("sent %s keeps id, name, recipients and terms, and is what everybody gets from then on", async (_, status, send) => {
    const id = await post(`?clients=${client.id}&downloadLimit=3&description=Terms`)
    const before = await listed(id)
    const answer = await send(id)
    expect(answer.status).toBe(status)
    const { file } = await answer.json<{ file: { version: number; sha256: string } }>()
    expect(file).toMatchObject({ id, name: "a.docx", version: 2, size: second.length })
    expect(await listed(id)).toEqual({ ...before, size: second.length, sha256: file.sha256 })
    expect(await bytesOf(fetchLink(await mint(id)))).toEqual(second)
    expect(await listed(id, bob)).toBeUndefined()
    const row = await api.db.select().from(files).where(eq(files.id, id)).get()
    expect(row).toMatchObject({ version: 2, sizeBytes: second.length, downloadLimit: 3, description: "Terms" })
    const grants = await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, id))
    expect(grants.map(({ audience, sizeBytes }) => [audience, sizeBytes])).toEqual([[client.id, second.length]])
    const trail = await api.db.select().from(auditEvents).where(eq(auditEvents.subjectId, id))
    expect(trail.at(-1)).toMatchObject({ kind: "file.version_added", actorId: ops.id, reason: "version_2" })
  })

  it("of several parts is sealed under its own number", async () => {
    const id = await post()
    const large = docxOfSize(PART_BYTES + 200_000)
    expect(await told(put(id, large))).toBe("200")
    expect(isSame(await bytesOf(content(id)), large)).toBe(true)
    expect(await bytesOf(content(id, "?version=1"))).toEqual(first)
  })

  it.each([
    [
      "another type by its name",
      (id: string) => sendVersion(id, sheet, { name: "b.xlsx" }),
      "422 validation_failed file type_changed",
    ],
    ["another type under this one's name", (id: string) => sendVersion(id, sheet), "422 document_refused"],
    ["another type as it is", (id: string) => put(id, sheet), "422 document_refused"],
    ["no document", (id: string) => put(id, new Uint8Array([1, 2, 3])), "422 document_refused"],
    [
      "another digest than announced",
      (id: string) => put(id, second, { headers: { "Repr-Digest": `sha-256=:${btoa("x".repeat(32))}:` } }),
      "400 digest_mismatch",
    ],
    [
      "a part of a document",
      (id: string) => put(id, second, { headers: { "Content-Range": "bytes 0-1/5" } }),
      "400 malformed_request",
    ],
    [
      "another field",
      (id: string) => {
        const body = new FormData()
        body.set("downloadLimit", "3")
        return api.request(`/api/ops/files/${id}/versions`, { method: "POST", token: ops.token, body })
      },
      "422 validation_failed downloadLimit unknown_field",
    ],
  ])("is refused with %s, and nothing changes", async (_, send, outcome) => {
    const id = await post()
    const link = await mint(id)
    const before = await holdings(api)
    expect(await told(send(id))).toBe(outcome)
    expect(await holdings(api)).toEqual(before)
    expect(await bytesOf(fetchLink(link))).toEqual(first)
    expect(await told(sendVersion(id))).toBe("201")
  })

  it("may be sent again under its Idempotency-Key, and only as the same", async () => {
    const [id, other] = [await post(), await post()]
    const headers = { "Idempotency-Key": `"${crypto.randomUUID()}"` }
    const answers = [await sendVersion(id, second, { headers }), await sendVersion(id, second, { headers })]
    const [one, again] = await Promise.all(answers.map((answer) => answer.json<object>()))
    expect(again).toEqual(one)
    expect(await versionsOf(id)).toHaveLength(2)
    expect(await told(sendVersion(other, second, { headers }))).toBe("422 idempotency_key_reused")
    expect(await told(sendVersion(id, first, { headers }))).toBe("422 idempotency_key_reused")
    expect(await told(sendVersion(other, second))).toBe("201")
  })

  it("of any number in parallel each has its own number or is refused, never a mix", async () => {
    const id = await post()
    const documents = Array.from({ length: 6 }, (_, i) => docxOfSize(1000 + i))
    const outcomes = await Promise.all(documents.map((bytes) => told(put(id, bytes))))
    const won = outcomes.filter((outcome) => outcome === "200").length
    expect(won).toBeGreaterThan(0)
    expect(new Set(outcomes)).toEqual(new Set(won === 6 ? ["200"] : ["200", "409 version_conflict"]))
    const versions = await versionsOf(id)
    expect(versions.map(({ version }) => version)).toEqual(Array.from({ length: won + 1 }, (_, i) => won + 1 - i))
    for (const { version, size } of versions.filter((each) => each.version > 1)) {
      const bytes = await bytesOf(content(id, `?version=${String(version)}`))
      expect(documents.some((document) => document.length === size && isSame(document, bytes))).toBe(true)
    }
    expect(versions.filter(({ current }) => current).map(({ version }) => version)).toEqual([won + 1])
  })

  it("F14: counts towards its owner's bytes, with all versions that are kept, and not as a file", async () => {
    const limited = createTestClient({ OPS_QUOTA_BYTES: String(first.length + 2 * second.length), OPS_QUOTA_FILES: "1" })
    const { tokens } = await limited.newOps()
    const token = tokens.accessToken
    const { file } = await (await limited.upload(token, first, "a.docx")).json<{ file: { id: string } }>()
    const next = () => told(limited.request(`/api/ops/files/${file.id}/content`, { method: "PUT", token, body: second }))
    expect((await Promise.all([next(), next(), next()])).filter((outcome) => outcome === "200").length).toBeGreaterThan(0)
    for (let i = 0; i < 2; i++) await next()
    expect(await next()).toBe("507 quota_exceeded")
    const kept = await limited.db.select().from(blobs).where(eq(blobs.fileId, file.id))
    expect(kept.map(({ version }) => version)).toEqual([1, 2, 3])
    expect(await told(limited.request(`/api/ops/files/${file.id}/versions/2`, { method: "DELETE", token }))).toBe("204")
    expect(await next()).toBe("200")
  })
})

describe("J13: what was made for the version before", () => {
  it("a link is dead, to its own client in words; a new one works", async () => {
    const id = await post()
    const [used, unused, others] = [await mint(id), await mint(id), await mint(id, bob)]
    expect(await bytesOf(fetchLink(used))).toEqual(first)
    await sendVersion(id)
    for (const link of [used, unused]) {
      expect(await told(fetchLink(link))).toBe("410 link_superseded")
      expect(await told(fetchLink(link, { headers: { Range: "bytes=5-" } }))).toBe("410 link_superseded")
      expect((await fetchLink(link, { method: "HEAD" })).status).toBe(410)
      expect(await told(fetchLink(link, { token: bob.token }))).toBe("403 link_not_yours")
    }
    expect(await told(api.request(others, { token: bob.token }))).toBe("410 link_superseded")
    expect(await bytesOf(fetchLink(await mint(id)))).toEqual(second)
    const own = await (
      await api.request("/api/client/links?limit=200", { token: client.token })
    ).json<{ links: { file: { id: string } }[] }>()
    expect(own.links.filter(({ file }) => file.id === id)).toHaveLength(1)
  })

  it("a download that is running brings the version that it began with, to its end", async () => {
    const large = docxOfSize(PART_BYTES + 1_000_000)
    const id = await post("", large)
    const context = createExecutionContext()
    const response = await api.rawRequest(await mint(id), { token: client.token }, context)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const pieces = [(await reader.read()).value ?? new Uint8Array()]
    expect(await told(put(id, second))).toBe("200")
    for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) pieces.push(next.value)
    await waitOnExecutionContext(context)
    expect(isSame(new Uint8Array(await new Blob(pieces).arrayBuffer()), large)).toBe(true)
  })

  it("a download whose version is deleted ends, or breaks visibly, and never brings other bytes", async () => {
    const large = docxOfSize(12 * 1024 * 1024)
    const id = await post("", large)
    const context = createExecutionContext()
    const response = await api.rawRequest(await mint(id), { token: client.token }, context)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    let taken = (await reader.read()).value?.length ?? 0
    await put(id, second)
    expect(await told(api.request(`/api/ops/files/${id}/versions/1`, { method: "DELETE", token: ops.token }))).toBe("204")
    let isBroken = false
    try {
      for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) {
        expect(isSame(next.value, large.subarray(taken, taken + next.value.length))).toBe(true)
        taken += next.value.length
      }
    } catch {
      isBroken = true
    }
    await waitOnExecutionContext(context)
    expect([isBroken, taken === large.length]).toContain(true)
    expect(isBroken).not.toBe(taken === large.length)
  })

  it("parts of two versions cannot be joined by date, not even when both came in one second", async () => {
    const id = await post()
    const modified = (await content(id)).headers.get("last-modified") ?? ""
    await put(id, second)
    const range = { Range: "bytes=10-", "If-Range": modified }
    const answer = await api.request(`/api/ops/files/${id}/content`, { token: ops.token, headers: range })
    expect(answer.status).toBe(200)
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(second)
    const now = (await content(id)).headers.get("last-modified") ?? ""
    const again = { Range: "bytes=10-", "If-Range": now }
    expect((await api.request(`/api/ops/files/${id}/content`, { token: ops.token, headers: again })).status).toBe(206)
  })

  it("limits and what was received count anew", async () => {
    const id = await post("?downloadLimit=1")
    expect((await listed(id))?.state).toBe("new")
    await bytesOf(fetchLink(await mint(id)))
    expect((await listed(id))?.state).toBe("downloaded")
    expect(await told(api.request(`/api/client/download/${id}`, { token: client.token }))).toBe("410 downloads_used_up")
    await sendVersion(id)
    expect((await listed(id))?.state).toBe("new")
    const links = [await mint(id), await mint(id)]
    expect(await bytesOf(fetchLink(links[0] ?? ""))).toEqual(second)
    expect(await told(fetchLink(links[1] ?? ""))).toBe("410 downloads_used_up")
    expect((await listed(id))?.state).toBe("downloaded")
  })
})

describe("versions that are kept", () => {
  it("are listed newest first, with who sent them, page by page", async () => {
    const id = await post()
    await sendVersion(id)
    await put(id, first)
    const versions = await versionsOf(id)
    expect(versions.map(({ version, size, current }) => [version, size, current])).toEqual([
      [3, first.length, true],
      [2, second.length, false],
      [1, first.length, false],
    ])
    expect(versions.every(({ createdBy }) => createdBy?.id === ops.id && createdBy.email === ops.email)).toBe(true)
    const times = versions.map(({ createdAt }) => Math.floor(Date.parse(createdAt) / 1000))
    expect(new Set(times).size).toBe(3)
    const path = `/api/ops/files/${id}/versions?limit=2`
    const page = await (await api.request(path, { token: ops.token })).json<{ versions: VersionJson[]; nextCursor: string }>()
    const rest = await (
      await api.request(`${path}&cursor=${page.nextCursor}`, { token: ops.token })
    ).json<{ versions: VersionJson[]; nextCursor: null }>()
    expect([...page.versions, ...rest.versions]).toEqual(versions)
    expect(rest.nextCursor).toBeNull()
  })

  it.each([
    ["?version=1", "200"],
    ["?version=2", "200"],
    ["?version=3", "404 not_found"],
    ["?version=0", "422 validation_failed version invalid_format"],
    ["?version=1&version=2", "422 validation_failed version repeated"],
    ["?other=1", "422 validation_failed other unknown_field"],
  ])("are fetched by number: %s", async (query, outcome) => {
    const id = await post()
    await sendVersion(id)
    expect(await told(content(id, query))).toBe(outcome)
  })

  it("O5: an old one is deleted with its key at once, its object follows; the current one never", async () => {
    const id = await post()
    await sendVersion(id)
    const old = await api.db
      .select()
      .from(blobs)
      .where(and(eq(blobs.fileId, id), eq(blobs.version, 1)))
      .get()
    const remove = (version: string, app = api) =>
      told(app.request(`/api/ops/files/${id}/versions/${version}`, { method: "DELETE", token: ops.token }))
    expect(await remove("2")).toBe("409 version_current")
    for (const version of ["3", "0", "x", "1e0", "9".repeat(40)]) expect(await remove(version)).toBe("404 not_found")
    const store = new Proxy(env.BLOBS, {
      get: (target, name) => {
        if (name === "delete") return () => Promise.reject(new Error("R2 is out"))
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    expect(await remove("1", createTestClient({ BLOBS: store }))).toBe("204")
    expect(await told(content(id, "?version=1"))).toBe("404 not_found")
    expect(await api.db.select().from(blobs).where(eq(blobs.fileId, id))).toHaveLength(1)
    const discarded = () =>
      api.db
        .select()
        .from(discardedObjects)
        .where(eq(discardedObjects.objectKey, old?.objectKey ?? ""))
    expect(await discarded()).toHaveLength(1)
    await api.runCron()
    expect(await discarded()).toHaveLength(0)
    expect(await env.BLOBS.head(old?.objectKey ?? "")).toBeNull()
    expect(await remove("1")).toBe("404 not_found")
    expect(await bytesOf(content(id))).toEqual(second)
    const trail = await api.db.select().from(auditEvents).where(eq(auditEvents.subjectId, id))
    expect(trail.filter(({ kind }) => kind === "file.version_deleted").map(({ reason }) => reason)).toEqual(["version_1"])
  })

  it("are inspected and rotated like current ones", async () => {
    const id = await post()
    await sendVersion(id)
    const old = and(eq(blobs.fileId, id), eq(blobs.version, 1))
    const ring = env.MASTER_KEYS
    const fresh = newKeyRingEntry(9)
    const occasion = {
      now: Date.now,
      afterwards: () => undefined,
      log: () => undefined,
      request: { id: "x", clientAddress: null },
    }
    const withKeys = (keys: string) => createDeps(createTestClient({ MASTER_KEYS: keys }).env, occasion)
    const rotated = await withKeys(`${fresh},${ring}`)
    await rotateKeys(rotated, 10_000)
    expect((await api.db.select().from(blobs).where(old).get())?.keyId).toBe(9)
    // Another digest in the row of the old version: only a walk that opens it can see that.
    await api.db
      .update(blobs)
      .set({ sha256: "0".repeat(64) })
      .where(old)
    const findings: (string | null)[] = []
    let cursor: string | null = null
    do {
      const step = await inspect(rotated, cursor, 1e9)
      findings.push(...step.findings.filter(({ kind }) => kind === "sha256").map(({ fileId }) => fileId))
      cursor = step.next
    } while (cursor?.startsWith("blobs:") === true)
    expect(findings).toContain(id)
    await rotateKeys(await withKeys(`${ring},${fresh}`), 10_000)
    await api.db.delete(blobs).where(old)
  })
})
