// Whom files are for, as clients meet it: what they may list, ask a link for and download, and what changes at once
// when ops change groups and audiences. Every refusal stands beside the same request that succeeds.
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { auditEvents, fileGrants, users } from "../../src/db/schema.ts"
import { realDocument } from "../support/documents.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"

const docx = realDocument("npm-docx.docx")
const nobody = "00000000-0000-4000-8000-000000000000"

type Client = { id: string; email: string; token: string }
let api: TestClient
let ops: string
let otherOps: string
let ann: Client
let bob: Client

async function newClient(): Promise<Client> {
  const { email, tokens } = await api.newClient()
  const row = await api.db.select().from(users).where(eq(users.email, email)).get()
  return { id: row?.id ?? "", email, token: tokens.accessToken }
}

beforeAll(async () => {
  api = createTestClient()
  ops = (await api.newOps()).tokens.accessToken
  otherOps = (await api.newOps()).tokens.accessToken
  ann = await newClient()
  bob = await newClient()
})

async function post(query = "", token = ops): Promise<Response> {
  const form = new FormData()
  form.set("file", new File([docx], "a.docx"))
  return api.request(`/api/ops/upload${query}`, { method: "POST", token, body: form })
}

async function newFile(query = "", token = ops): Promise<string> {
  return (await (await post(query, token)).json<{ file: { id: string } }>()).file.id
}

async function newGroup(...members: Client[]): Promise<string> {
  const name = `group ${crypto.randomUUID()}`
  const made = await api.request("/api/ops/groups", { token: ops, json: { name } })
  expect(made.status).toBe(201)
  const { id } = (await made.json<{ group: { id: string } }>()).group
  if (members.length > 0) await send("POST", `/api/ops/groups/${id}/members`, { clients: members.map((member) => member.id) })
  return id
}

/** A call of ops that must succeed. */
async function send(method: string, path: string, json: unknown): Promise<void> {
  const response = await api.request(path, { method, token: ops, json })
  expect([method, path, response.status]).toEqual([method, path, 200])
}

async function told(path: string, options: Parameters<TestClient["request"]>[1] = {}): Promise<string> {
  const response = await api.request(path, options)
  if (response.ok) return String(response.status)
  const { code, detail } = await response.json<ProblemBody>()
  return `${String(response.status)} ${code} ${detail ?? ""}`
}

async function mint(client: Client, fileId: string): Promise<string> {
  const response = await api.request(`/api/client/download/${fileId}`, { token: client.token })
  expect(response.status).toBe(200)
  return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
}

const lists = async (client: Client, fileId: string): Promise<boolean> =>
  (
    await (await api.request("/api/client/files?limit=200", { token: client.token })).json<{ files: { id: string }[] }>()
  ).files.some(({ id }) => id === fileId)

/** Sees it in the list, gets a link, is answered HEAD: all three, or none. */
async function may(client: Client, fileId: string): Promise<boolean> {
  const path = `/api/client/download/${fileId}`
  const answers = [
    await lists(client, fileId),
    (await api.request(path, { token: client.token })).ok,
    (await api.request(path, { token: client.token, method: "HEAD" })).ok,
  ]
  expect(new Set(answers).size).toBe(1)
  return answers[0] === true
}

describe("a file is for", () => {
  it("everyone, when nothing is said", async () => {
    const file = await newFile()
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, true])
  })

  it("nobody at first with ?audience=chosen, then for whom it is assigned to", async () => {
    const file = await newFile("?audience=chosen")
    expect([await may(ann, file), await may(bob, file)]).toEqual([false, false])
    await send("POST", "/api/ops/assignments", { files: [file], clients: [ann.id], mode: "add" })
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, false])
  })

  it("the clients and groups named with the upload, from its first moment on", async () => {
    const byClient = await newFile(`?clients=${ann.id}`)
    expect([await may(ann, byClient), await may(bob, byClient)]).toEqual([true, false])
    const byGroup = await newFile(`?groups=${await newGroup(bob)}`)
    expect([await may(ann, byGroup), await may(bob, byGroup)]).toEqual([false, true])
  })

  it.each([
    ["an unknown client", `clients=${nobody}`, "clients.0", "unknown"],
    ["an unknown group", `groups=${nobody}`, "groups.0", "unknown"],
    ["no id", "clients=x", "clients.0", "id"],
    ["a contradiction", "audience=everyone&groups=GROUP", "audience", "contradiction"],
    ["another word", "audience=all", "audience", "invalid_value"],
  ])("refuses an upload with %s and stores nothing", async (_, query, field, rule) => {
    const group = await newGroup()
    const count = async () => (await api.db.select().from(fileGrants)).length
    const before = await count()
    const response = await post(`?${query.replace("GROUP", group)}`)
    const problem = await response.json<ProblemBody>()
    expect([response.status, problem.code, problem.errors?.[0]?.field]).toEqual([422, "validation_failed", field])
    if (rule !== "id") expect(problem.errors?.[0]?.rule).toBe(rule)
    expect(await count()).toBe(before)
    expect((await post(`?groups=${group}`)).status).toBe(201)
  })

  it("a group: who joins later has its files, who leaves or loses the group has them no more", async () => {
    const group = await newGroup(ann)
    const file = await newFile(`?groups=${group}`)
    const members = `/api/ops/groups/${group}/members`
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, false])
    await send("POST", members, { clients: [bob.id, ann.id] })
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, true])
    await send("DELETE", members, { clients: [ann.id] })
    expect([await may(ann, file), await may(bob, file)]).toEqual([false, true])
    await send("PUT", members, { clients: [ann.id] })
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, false])
    expect((await api.request(`/api/ops/groups/${group}`, { method: "DELETE", token: ops })).status).toBe(204)
    expect([await may(ann, file), await may(bob, file)]).toEqual([false, false])
  })

  it("an audience that its owner changes, and shows", async () => {
    const group = await newGroup(bob)
    const file = await newFile()
    const path = `/api/ops/files/${file}/audience`
    await send("PUT", path, { audience: "chosen", clients: [ann.id], groups: [group] })
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, true])
    const shown = await (await api.request(path, { token: ops })).json<Record<string, unknown>>()
    const assignedAt = new Date(api.clock.nowMs).toISOString()
    expect(shown).toEqual({
      audience: "chosen",
      clients: [{ id: ann.id, email: ann.email, assignedAt }],
      groups: [{ id: group, name: expect.stringContaining("group ") as string, assignedAt }],
      nextCursor: null,
    })
    await send("PUT", path, { audience: "chosen" })
    expect([await may(ann, file), await may(bob, file)]).toEqual([false, false])
    await send("PUT", path, { audience: "everyone" })
    expect([await may(ann, file), await may(bob, file)]).toEqual([true, true])
  })

  it("goes away with the client and the group that it was for", async () => {
    const gone = await newClient()
    const file = await newFile(`?clients=${gone.id},${ann.id}`)
    await api.db.delete(users).where(eq(users.id, gone.id))
    const left = await api.db.select().from(fileGrants).where(eq(fileGrants.fileId, file))
    expect(left.map(({ audience }) => audience)).toEqual([ann.id])
  })
})

describe("E14: taking a file off somebody", () => {
  const off: [string, (file: string, group: string) => Promise<void>][] = [
    ["the assignment", (file) => send("POST", "/api/ops/assignments", { files: [file], clients: [ann.id], mode: "remove" })],
    ["the audience", (file) => send("PUT", `/api/ops/files/${file}/audience`, { audience: "chosen", clients: [bob.id] })],
  ]
  it.each(off)("by %s acts on the next request by a link that is under way, ranges and HEAD included", async (_, takeOff) => {
    const file = await newFile(`?clients=${ann.id}`)
    const link = await mint(ann, file)
    const range = (first: number) => ({ token: ann.token, headers: { Range: `bytes=${String(first)}-${String(first + 9)}` } })
    expect(await told(link, range(0))).toBe("206")
    await takeOff(file, "")
    for (const options of [range(10), { token: ann.token }]) expect(await told(link, options)).toMatch(/^404 link_not_found /)
    expect((await api.request(link, { token: ann.token, method: "HEAD" })).status).toBe(404)
    expect(await told(`/api/client/download/${file}`, { token: ann.token })).toMatch(/^404 not_found /)
    const links = await (
      await api.request("/api/client/links?limit=200", { token: ann.token })
    ).json<{ links: { file: { id: string } }[] }>()
    expect(links.links.filter((listed) => listed.file.id === file)).toEqual([])
    // Given back, it goes on where it was: the link itself was never at fault.
    await send("PUT", `/api/ops/files/${file}/audience`, { audience: "chosen", clients: [ann.id] })
    expect(await told(link, range(10))).toBe("206")
  })

  it("by leaving a group likewise, and a claim that comes too late counts as nothing", async () => {
    const group = await newGroup(ann)
    const file = await newFile(`?groups=${group}&downloadLimit=1`)
    const link = await mint(ann, file)
    await send("DELETE", `/api/ops/groups/${group}/members`, { clients: [ann.id] })
    expect(await told(link, { token: ann.token })).toMatch(/^404 link_not_found /)
    await send("POST", `/api/ops/groups/${group}/members`, { clients: [ann.id] })
    expect(await told(link, { token: ann.token })).toBe("200")
  })

  it("but not while another way is left", async () => {
    const group = await newGroup(ann)
    const file = await newFile(`?groups=${group}&clients=${ann.id}`)
    const link = await mint(ann, file)
    await send("POST", "/api/ops/assignments", { files: [file], clients: [ann.id], mode: "remove" })
    expect(await told(link, { token: ann.token })).toBe("200")
    await send("POST", "/api/ops/assignments", { files: [file], groups: [group], mode: "remove" })
    expect(await told(link, { token: ann.token })).toMatch(/^404 link_not_found /)
  })
})

describe("a file for others is, to a client, no file", () => {
  it("in the same words as one that never was", async () => {
    const file = await newFile(`?clients=${bob.id}`)
    for (const method of ["GET", "HEAD"]) {
      const answers = await Promise.all(
        [file, nobody].map(async (id) => {
          const response = await api.request(`/api/client/download/${id}`, { token: ann.token, method })
          const { type, title, status, code, detail } =
            method === "HEAD" ? ({} as ProblemBody) : await response.json<ProblemBody>()
          const headers = [...response.headers].filter(([name]) => name !== "x-request-id")
          return JSON.stringify([response.status, headers, type, title, status, code, detail])
        }),
      )
      expect(answers[0]).toBe(answers[1])
      expect(answers[0]).toContain("404")
    }
    expect((await api.request(`/api/client/download/${file}`, { token: bob.token })).status).toBe(200)
  })
})

describe("many files for many clients", () => {
  it("50 × 200 in one call, of one batch with few statements", async () => {
    const ids = Array.from({ length: 200 }, () => crypto.randomUUID())
    const files = Array.from({ length: 50 }, () => crypto.randomUUID())
    const ownerId = (await api.db.select().from(auditEvents).where(eq(auditEvents.kind, "session.started")).get())?.actorId ?? ""
    const me = await api.newOps()
    expect(ownerId).not.toBe(me.id)
    await api.db.$client.batch([
      ...ids.map((id) =>
        api.db.$client
          .prepare(
            "insert into users (id, role, email, email_key, password_hash, created_at_ms) values (?1, 'client', ?1, ?1, '', 0)",
          )
          .bind(id),
      ),
      ...files.map((id) =>
        api.db.$client
          .prepare(
            "insert into files (id, owner_id, version, name, type, created_at_ms, audience) values (?1, ?2, 1, 'x', 'docx', 0, 'chosen')",
          )
          .bind(id, me.id),
      ),
    ])
    const batches: number[] = []
    const watched = new Proxy(api.env.DB, {
      get(target, name) {
        if (name === "batch")
          return (statements: D1PreparedStatement[]) => {
            batches.push(statements.length)
            return target.batch(statements)
          }
        const value: unknown = Reflect.get(target, name)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    const mine = createTestClient({ DB: watched })
    const json = { files, clients: ids, mode: "add" }
    const response = await mine.request("/api/ops/assignments", { token: me.tokens.accessToken, json })
    expect([response.status, await response.json()]).toEqual([200, { changed: 10_000, message: "success" }])
    // Check, trail, grants, events for owner and recipients; what follows seals the audit trail, after the answer.
    expect(batches[0]).toBe(5)
    const trail = await api.db.select().from(auditEvents).where(eq(auditEvents.kind, "file.assigned"))
    expect(new Set(trail.filter(({ actorId }) => actorId === me.id).map(({ subjectId }) => subjectId))).toEqual(new Set(files))
    const again = await mine.request("/api/ops/assignments", { token: me.tokens.accessToken, json: { ...json, mode: "remove" } })
    expect(await again.json()).toMatchObject({ changed: 10_000 })
  })

  it.each<[string, (ids: { own: string; foreign: string; open: string; group: string }) => object, string, string]>([
    ["an unknown file", ({ own }) => ({ files: [own, nobody], clients: [ann.id] }), "files.1", "unknown"],
    ["somebody else's file", ({ own, foreign }) => ({ files: [own, foreign], clients: [ann.id] }), "files.1", "unknown"],
    ["a file for everyone", ({ own, open }) => ({ files: [own, open], clients: [ann.id] }), "files.1", "for_everyone"],
    ["an unknown client", ({ own }) => ({ files: [own], clients: [ann.id, nobody] }), "clients.1", "unknown"],
    ["an unknown group", ({ own, group }) => ({ files: [own], groups: [group, nobody] }), "groups.1", "unknown"],
    ["no file", () => ({ files: [], clients: [ann.id] }), "files", "too_small"],
    ["51 files", ({ own }) => ({ files: Array(51).fill(own), clients: [ann.id] }), "files", "too_big"],
    ["201 clients", ({ own }) => ({ files: [own], clients: Array(201).fill(ann.id) }), "clients", "too_big"],
    ["nobody", ({ own }) => ({ files: [own] }), "clients", "missing"],
    ["another mode", ({ own }) => ({ files: [own], clients: [ann.id], mode: "swap" }), "mode", "invalid_value"],
  ])("with %s change nothing at all", async (_, body, field, rule) => {
    const ids = {
      own: await newFile("?audience=chosen"),
      foreign: await newFile("?audience=chosen", otherOps),
      open: await newFile(),
      group: await newGroup(),
    }
    const grants = async () => JSON.stringify(await api.db.select().from(fileGrants))
    const before = await grants()
    for (const mode of ["add", "remove"]) {
      const response = await api.request("/api/ops/assignments", { token: ops, json: { mode, ...body(ids) } })
      const problem = await response.json<ProblemBody>()
      expect([response.status, problem.code]).toEqual([422, "validation_failed"])
      expect(problem.errors?.[0]).toMatchObject({ field, rule })
    }
    expect(await grants()).toBe(before)
    await send("POST", "/api/ops/assignments", { files: [ids.own], clients: [ann.id], groups: [ids.group], mode: "add" })
    expect(await grants()).not.toBe(before)
  })

  it("an ops user is no client", async () => {
    const file = await newFile("?audience=chosen")
    const { id } = await api.newOps()
    const problem = await api.problem("/api/ops/assignments", { token: ops, json: { files: [file], clients: [id], mode: "add" } })
    expect(problem.errors?.[0]).toMatchObject({ field: "clients.0", rule: "unknown" })
  })
})

describe("groups", () => {
  it("have names that are unique however they are written, in any script", async () => {
    const salt = crypto.randomUUID().slice(0, 8)
    const make = (name: string) => api.request("/api/ops/groups", { token: ops, json: { name } })
    expect((await make(`Straße ${salt}`)).status).toBe(201)
    for (const name of [`STRASSE ${salt}`, `  straße   ${salt} `, `Ｓtraße ${salt}`]) {
      const response = await make(name)
      expect([name, response.status]).toEqual([name, 422])
      expect((await response.json<ProblemBody>()).errors?.[0]).toMatchObject({ field: "name", rule: "taken" })
    }
    const other = (await (await make(`Σίσυφος ${salt}`)).json<{ group: { id: string } }>()).group.id
    const rename = (name: string) => told(`/api/ops/groups/${other}`, { method: "PATCH", token: otherOps, json: { name } })
    expect(await rename(`straße ${salt}`)).toMatch(/^422 /)
    expect(await rename(`ΣΊΣΥΦΟΣ ${salt}`)).toBe("200")
    // Nor by what nobody sees.
    expect((await make(`می\u200cخواهم ${salt}`)).status).toBe(201)
    expect(await told("/api/ops/groups", { token: ops, json: { name: `میخواهم ${salt}` } })).toMatch(/^422 /)
    expect((await make(`میخواهد ${salt}`)).status).toBe(201)
    expect(await rename(`İZMİR ${salt}`)).toBe("200")
    const search = encodeURIComponent(`izmir ${salt}`)
    const found = await api.request(`/api/ops/groups?search=${search}`, { token: ops })
    expect((await found.json<{ groups: { id: string }[] }>()).groups.map(({ id }) => id)).toEqual([other])
  })

  it.each(["", "   ", "a\u0000b", "a\u202eb", "\u3164", "a\u00adb", "\u2800", "a\u200cb", "\ud800", "x".repeat(101), 5, null])(
    "are not called %j",
    async (name) => {
      expect(await told("/api/ops/groups", { token: ops, json: { name } })).toMatch(/^422 validation_failed/)
    },
  )

  it.each(["نمی\u200cخواهم", "👩🏽\u200d🚀", "क्\u200dष"])("may be called %j: what nobody sees is needed there", async (name) => {
    expect(await told("/api/ops/groups", { token: ops, json: { name } })).toBe("201")
  })

  it("tell who is in them, and write down every change", async () => {
    const group = await newGroup(ann, bob)
    const shown = await (
      await api.request(`/api/ops/groups/${group}`, { token: otherOps })
    ).json<{ group: Record<string, unknown> }>()
    expect(shown.group).toMatchObject({ id: group, memberCount: 2 })
    type Page = { members: { id: string; email: string }[]; nextCursor: string | null }
    const path = `/api/ops/groups/${group}/members?limit=1`
    const first = await (await api.request(path, { token: ops })).json<Page>()
    const second = await (await api.request(`${path}&cursor=${first.nextCursor ?? ""}`, { token: ops })).json<Page>()
    const emails = [...first.members, ...second.members].map(({ email }) => email)
    expect(new Set(emails)).toEqual(new Set([ann.email, bob.email]))
    expect(second.nextCursor).toBeNull()
    await send("PUT", `/api/ops/groups/${group}/members`, { clients: [] })
    const trail = await api.db.select().from(auditEvents).where(eq(auditEvents.subjectId, group))
    expect(trail.map(({ kind }) => kind)).toEqual(["group.created", "group.members_added", "group.members_replaced"])
  })

  it("take no unknown member, and then none at all", async () => {
    const group = await newGroup()
    for (const method of ["POST", "PUT", "DELETE"]) {
      const json = { clients: [ann.id, nobody] }
      const problem = await api.problem(`/api/ops/groups/${group}/members`, { method, token: ops, json })
      expect(problem.errors).toEqual([expect.objectContaining({ field: "clients.1", rule: "unknown" })])
    }
    const shown = await (await api.request(`/api/ops/groups/${group}`, { token: ops })).json<{ group: Record<string, unknown> }>()
    expect(shown.group).toMatchObject({ memberCount: 0 })
  })
})
