// Selections under attack and under change: who may open one, that wrong ones cost nothing, and that it is all or nothing.
import { env } from "cloudflare:workers"
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { eq, inArray } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { fromBase64url, toBase64url } from "../../src/crypto/bytes.ts"
import { type LinkClaims, type LinkKey, importLinkKey, openLinkToken, sealLinkToken } from "../../src/crypto/link-token.ts"
import { type KeyRing, mapKeyRing, parseKeyRing } from "../../src/crypto/keyring.ts"
import { auditEvents, blobs, files, limitCounters, links, selections, users } from "../../src/db/schema.ts"
import { LIMITS } from "../../src/domain/limits.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { type Death, mortalBindings } from "../support/mortal-bindings.ts"
import { type World, bytesOf, equal, newWorld, unpack } from "../support/selections.ts"

const docx = realDocument("npm-docx.docx")
const PREFIX = "/download-file/"
const MISSING = "00000000-0000-4000-8000-000000000000"

let world: World
let api: TestClient
let other: Awaited<ReturnType<TestClient["newClient"]>>
let keys: KeyRing<LinkKey>
let clientId: string

beforeAll(async () => {
  api = createTestClient()
  world = await newWorld(api)
  other = await api.newClient()
  const ring = parseKeyRing(api.env.LINK_KEYS)
  if (typeof ring === "string") throw new Error(ring)
  keys = await mapKeyRing(ring, importLinkKey)
  clientId = (await api.db.select().from(users).where(eq(users.email, world.client.email)).get())?.id ?? ""
}, 60_000)

const post = (query = "") => world.post("a.docx", docx, query)
const posts = (count: number, query = "") => Promise.all(Array.from({ length: count }, () => post(query)))
const ours = () => ({ token: world.client.tokens.accessToken })

const claimsOf = async (link: string) => {
  const claims = await openLinkToken(keys, link.slice(PREFIX.length))
  if (claims?.kind !== "selection") throw new Error("not a link of a selection")
  return claims
}

/** D1 and R2 that count every call made through them. */
function countingBindings() {
  let calls = 0
  const counting = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, property) {
        calls++
        const value: unknown = Reflect.get(object, property)
        return typeof value === "function" ? (value.bind(object) as unknown) : value
      },
    })
  return { bindings: { DB: counting(env.DB), BLOBS: counting(env.BLOBS) }, calls: () => calls }
}

describe("asking for a link", () => {
  const errors = (response: Response) =>
    response
      .json<ProblemBody>()
      .then(({ code, errors: all }) => [code, ...(all ?? []).map(({ field, rule }) => `${field} ${rule}`)])
  const rows = async () => [await api.db.$count(links), await api.db.$count(selections)]

  it("names by place every file that is not for the caller, the same for none as for others'", async () => {
    const [mine, theirs, nobodys] = [await post(), await post(`?clients=${clientId}`), await post("?audience=chosen")]
    const before = await rows()
    const refused = await world.ask([mine, nobodys, theirs, MISSING])
    expect(refused.status).toBe(422)
    const body = await refused.json<ProblemBody>()
    expect(body.errors).toEqual([
      { field: "files.1", rule: "unknown", message: "There is no such file." },
      { field: "files.3", rule: "unknown", message: "There is no such file." },
    ])
    expect(await errors(await world.ask([mine, theirs], "", other.tokens))).toEqual(["validation_failed", "files.1 unknown"])
    expect(await rows()).toEqual(before)
    expect((await world.ask([mine, theirs])).status).toBe(201)
    expect(await rows()).toEqual([(before[0] ?? 0) + 2, (before[1] ?? 0) + 1])
  })

  it("takes 1 to 100 ids, each once", async () => {
    const id = await post()
    const fake = (count: number) => Array.from({ length: count }, () => crypto.randomUUID())
    expect(await errors(await world.ask([]))).toEqual(["validation_failed", "files too_small"])
    expect(await errors(await world.ask(fake(101)))).toEqual(["validation_failed", "files too_big"])
    expect((await errors(await world.ask(fake(100)))).slice(0, 2)).toEqual(["validation_failed", "files.0 unknown"])
    expect(await errors(await world.ask([id, await post(), id]))).toEqual(["validation_failed", "files.2 repeated"])
    expect(await errors(await world.ask([id, id.toUpperCase()]))).toEqual(["validation_failed", "files.1 id"])
    expect(await errors(await world.ask("x"))).toEqual(["validation_failed", "files invalid_type"])
    expect(await errors(await world.ask([id], "?expiresIn=3601"))).toEqual(["validation_failed", "expiresIn too_big"])
    expect(await errors(await world.ask([id], "?expiresIn=0"))).toEqual(["validation_failed", "expiresIn invalid_format"])
    const extra = await api.request("/api/client/download", { ...ours(), json: { files: [id], all: true } })
    expect(await errors(extra)).toEqual(["validation_failed", "all unknown_field"])
    expect((await world.ask([id], "?expiresIn=3600")).status).toBe(201)
  })

  it("says which files were downloaded as often as may be", async () => {
    const [free, limited] = [await post(), await post("?downloadLimit=1")]
    expect((await world.use(await world.mint(limited))).status).toBe(200)
    const refused = await world.ask([free, limited])
    expect(refused.status).toBe(410)
    expect(await errors(refused)).toEqual(["downloads_used_up", "files.1 used_up"])
    expect((await world.ask([free])).status).toBe(201)
  })

  it("N2: counts every file of it as a link made", async () => {
    const ids = await posts(3)
    const someone = await api.newClient()
    await world.mint(ids[0] ?? "", someone.tokens)
    const key = (await api.db.select().from(limitCounters)).filter(({ key: text }) => text.startsWith("link-mint:")).at(-1)?.key
    const { quota } = LIMITS["link-mint"]
    const set = (count: number) =>
      api.db
        .update(limitCounters)
        .set({ count })
        .where(eq(limitCounters.key, key ?? ""))
    await set(quota - 2)
    const before = await rows()
    const refused = await world.ask(ids, "", someone.tokens)
    expect([refused.status, refused.headers.get("retry-after") !== null]).toEqual([429, true])
    expect(await rows()).toEqual(before)
    await set(quota - 3)
    expect((await world.ask(ids, "", someone.tokens)).status).toBe(201)
    expect((await world.ask(ids.slice(1), "", someone.tokens)).status).toBe(429)
  })
})

describe("E1, E2, E5: who presents a selection's link, and which", () => {
  it("is its own client, and nobody else; nothing is counted of others", async () => {
    const ids = await posts(2, "?downloadLimit=1")
    const link = await world.select(ids)
    const { accessToken: ended } = await api.logIn("client", world.client.email)
    await api.request("/api/auth/logout", { method: "POST", token: ended })
    for (const [options, answer] of [
      [{}, "401 authentication_required"],
      [{ token: "x.y.z" }, "401 invalid_token"],
      [{ token: ended }, "401 invalid_token"],
      [{ headers: { Authorization: "Basic eDp5" } }, "401 invalid_token"],
      [{ token: other.tokens.accessToken }, "403 link_not_yours"],
      [{ token: world.ops.tokens.accessToken }, "403 link_not_yours"],
    ] as const) {
      expect(await world.told(link, options)).toBe(answer)
    }
    await api.db.update(users).set({ verifiedAtMs: null }).where(eq(users.id, clientId))
    expect(await world.told(link, ours())).toBe("403 forbidden")
    await api.db.update(users).set({ verifiedAtMs: 1 }).where(eq(users.id, clientId))
    expect(await world.rowsOf(ids)).toEqual([])
    expect(await world.told(link, ours())).toBe("200")
    expect(await world.rowsOf(ids)).toHaveLength(2)
    for (const method of ["POST", "PUT", "DELETE"])
      expect(await world.told(link, { ...ours(), method })).toBe("405 method_not_allowed")
  })

  it("with any bit flipped, or expired by its own word, costs no call of D1 or R2", async () => {
    const ids = await posts(2)
    const link = await world.select(ids)
    const counted = countingBindings()
    const watched = createTestClient(counted.bindings)
    const bytes = fromBase64url(link.slice(PREFIX.length)) ?? new Uint8Array(0)
    const answers = new Set<string>()
    // Every bit is flipped in test/crypto/link-token.test.ts; here one of every byte.
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice()
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at & 7))
      const { status, code, detail } = await watched.problem(PREFIX + toBase64url(flipped), ours())
      answers.add(`${String(status)} ${code} ${detail ?? ""}`)
    }
    expect([...answers]).toEqual(["404 link_not_found There is no such link."])
    const past = PREFIX + (await sealLinkToken(keys, { ...(await claimsOf(link)), expiresAtSeconds: 1 }))
    expect(await watched.problem(past, ours())).toMatchObject({ status: 410, code: "link_expired" })
    expect(counted.calls()).toBe(0)
    expect((await watched.request(link, ours())).status).toBe(200)
    expect(counted.calls()).toBeGreaterThan(0)
  })

  it.each<[string, (claims: Awaited<ReturnType<typeof claimsOf>>, partId: string, fileId: string) => LinkClaims, string]>([
    ["nothing", (claims) => claims, "200"],
    ["the selection", (claims) => ({ ...claims, selectionId: MISSING }), "404 link_not_found"],
    ["the user", (claims) => ({ ...claims, userId: MISSING }), "403 link_not_yours"],
    ["the contents", (claims) => ({ ...claims, contents: "0".repeat(32) }), "404 link_not_found"],
    ["the expiry, into the past", (claims) => ({ ...claims, expiresAtSeconds: 1 }), "410 link_expired"],
    [
      "its kind, to a link of its first file",
      ({ userId, expiresAtSeconds }, linkId, fileId) => ({ kind: "file", linkId, userId, fileId, expiresAtSeconds }),
      "404 link_not_found",
    ],
    [
      "its kind, with the same ids",
      ({ userId, expiresAtSeconds, selectionId }, _, fileId) => ({
        kind: "file",
        linkId: selectionId,
        userId,
        fileId,
        expiresAtSeconds,
      }),
      "404 link_not_found",
    ],
  ])("E4, with %s altered alone under the genuine key", async (_, change, answer) => {
    const ids = await posts(2)
    const link = await world.select(ids)
    const part = await api.db
      .select()
      .from(links)
      .where(eq(links.fileId, ids[0] ?? ""))
      .get()
    const altered = PREFIX + (await sealLinkToken(keys, change(await claimsOf(link), part?.id ?? "", ids[0] ?? "")))
    expect(await world.told(altered, ours())).toBe(answer)
    expect(await world.rowsOf(ids)).toHaveLength(answer === "200" ? 2 : 0)
  })

  it.each<[string, (ids: string[], selectionId: string, extra: string) => Promise<unknown>, string]>([
    ["nothing", () => Promise.resolve(), "200"],
    [
      "another file under it",
      (ids, _, extra) =>
        api.db
          .update(links)
          .set({ fileId: extra })
          .where(eq(links.fileId, ids[1] ?? "")),
      "404 link_not_found",
    ],
    [
      "one more file under it",
      async (ids, selectionId, extra) => {
        const row = await api.db
          .select()
          .from(links)
          .where(eq(links.fileId, ids[0] ?? ""))
          .get()
        if (row === undefined) throw new Error("no link")
        await api.db.insert(links).values({ ...row, id: crypto.randomUUID(), fileId: extra, place: 2 })
        await api.db.update(selections).set({ fileCount: 3 }).where(eq(selections.id, selectionId))
      },
      "404 link_not_found",
    ],
    [
      "its files in another order",
      async (ids) => {
        for (const [id, place] of [
          [ids[0], 7],
          [ids[1], 0],
          [ids[0], 1],
        ] as const)
          // prettier-ignore
          await api.db.update(links).set({ place }).where(eq(links.fileId, id ?? ""))
      },
      "404 link_not_found",
    ],
  ])("a database in which somebody put %s", async (_, change, answer) => {
    const [ids, extra] = [await posts(2), await post()]
    const link = await world.select(ids)
    await change(ids, (await claimsOf(link)).selectionId, extra)
    expect(await world.told(link, ours())).toBe(answer)
    expect(await world.rowsOf([...ids, extra])).toHaveLength(answer === "200" ? 2 : 0)
  })
})

describe("E13, E14: all or nothing", () => {
  const ops = (method: string, path: string, json?: unknown) =>
    api.request(path, { method, token: world.ops.tokens.accessToken, ...(json === undefined ? {} : { json }) })
  const cases: [string, string, string[], (id: string, link: string) => Promise<unknown>][] = [
    ["nothing", "200", [], () => Promise.resolve()],
    [
      "a file used up by another link",
      "410 downloads_used_up",
      ["files.1 used_up"],
      async (id) => world.use(await world.mint(id)),
    ],
    [
      "a file taken off its client",
      "410 selection_incomplete",
      ["files.1 gone"],
      (id) => ops("PUT", `/api/ops/files/${id}/audience`, { audience: "chosen" }),
    ],
    ["a file in the trash", "410 selection_incomplete", ["files.1 gone"], (id) => ops("DELETE", `/api/ops/files/${id}`)],
    ["a file deleted", "410 selection_incomplete", ["files.1 gone"], (id) => ops("DELETE", `/api/ops/files/${id}?purge=true`)],
    [
      "a file that has expired",
      "410 selection_incomplete",
      ["files.1 gone"],
      (id) => api.db.update(files).set({ expiresAtMs: api.clock.nowMs }).where(eq(files.id, id)),
    ],
    [
      "a file that was replaced",
      "410 selection_incomplete",
      ["files.1 superseded"],
      (id) =>
        api.request(`/api/ops/files/${id}/content`, { method: "PUT", token: world.ops.tokens.accessToken, body: docxOfSize(10) }),
    ],
    ["a link withdrawn by ops", "410 link_revoked", [], (id) => ops("DELETE", `/api/ops/links?file=${id}`)],
    [
      "a link withdrawn by its client",
      "410 link_revoked",
      [],
      async (id) => {
        const row = await api.db.select().from(links).where(eq(links.fileId, id)).get()
        return api.request(`/api/client/links/${row?.id ?? ""}`, { ...ours(), method: "DELETE" })
      },
    ],
  ]
  it.each(cases)("%s: %s", async (_, answer, places, change) => {
    const ids = await posts(3, "?downloadLimit=1")
    const link = await world.select(ids)
    await change(ids[1] ?? "", link)
    const before = await world.rowsOf(ids)
    for (const method of ["HEAD", "GET"]) {
      const response = await world.use(link, {}, method)
      expect(String(response.status)).toBe(answer.slice(0, 3))
      if (response.ok || method === "HEAD") continue
      const text = await response.text()
      const { code, errors, detail } = JSON.parse(text) as ProblemBody
      expect(`${String(response.status)} ${code}`).toBe(answer)
      expect((errors ?? []).map(({ field, rule }) => `${field} ${rule}`)).toEqual(places)
      expect(detail).not.toBe("")
      // To nobody else.
      expect(await world.told(link, { token: other.tokens.accessToken })).toBe("403 link_not_yours")
      expect(response.headers.get("content-disposition")).toBeNull()
    }
    expect(await world.rowsOf(ids)).toHaveLength(answer === "200" ? 3 : before.length)
  })

  it("says the same of a file deleted as of one taken off, and not its name", async () => {
    const texts: string[] = []
    for (const change of [
      (id: string) => ops("DELETE", `/api/ops/files/${id}`),
      (id: string) => ops("DELETE", `/api/ops/files/${id}?purge=true`),
      (id: string) => ops("PUT", `/api/ops/files/${id}/audience`, { audience: "chosen" }),
    ]) {
      const ids = await posts(2)
      const link = await world.select(ids)
      await change(ids[1] ?? "")
      const { detail, errors, code } = await api.problem(link, ours())
      texts.push(JSON.stringify({ detail, errors, code }))
    }
    expect(new Set(texts).size).toBe(1)
    expect(texts[0]).not.toContain("a.docx")
  })

  it("is gone when all of its files are", async () => {
    const ids = await posts(2)
    const link = await world.select(ids)
    expect((await world.use(link, {}, "HEAD")).status).toBe(200)
    for (const id of ids) await ops("DELETE", `/api/ops/files/${id}`)
    expect(await world.told(link, ours())).toBe("404 link_not_found")
  })

  it("withdrawn in one file, is withdrawn in all, also where those are others'", async () => {
    const stranger = await api.newOps()
    const form = new FormData()
    form.set("file", new File([docx], "b.docx"))
    const made = await api.request("/api/ops/upload", { method: "POST", token: stranger.tokens.accessToken, body: form })
    const theirs = (await made.json<{ file: { id: string } }>()).file.id
    const mine = await post()
    await world.select([mine, theirs])
    const single = await world.mint(theirs)
    const answer = await ops("DELETE", `/api/ops/links?file=${mine}`)
    // What is counted is what was asked for.
    expect(await answer.json()).toMatchObject({ revoked: 1 })
    const rows = await api.db
      .select()
      .from(links)
      .where(inArray(links.fileId, [mine, theirs]))
    expect(rows.map(({ selectionId, revokedAtMs }) => [selectionId !== null, revokedAtMs !== null]).sort()).toEqual([
      [false, false],
      [true, true],
      [true, true],
    ])
    expect((await world.use(single)).status).toBe(200)
  })

  it("E11, J13: what changes while it is fetched acts on the next range, and never mixes", async () => {
    const [ids, range] = [await posts(2), { Range: "bytes=0-99" }]
    const link = await world.select(ids)
    const first = await world.use(link, range)
    expect(first.status).toBe(206)
    const etag = first.headers.get("etag") ?? ""
    // Renamed: another archive, so the rest of the old one is not sent.
    await api.db
      .update(files)
      .set({ name: "renamed.docx" })
      .where(eq(files.id, ids[1] ?? ""))
    expect((await world.use(link, { ...range, "If-Range": etag })).status).toBe(200)
    expect((await world.use(link, { ...range, "If-Match": etag })).status).toBe(412)
    await ops("DELETE", `/api/ops/files/${ids[1] ?? ""}`)
    expect(await world.told(link, { ...ours(), headers: { ...range, "If-Range": etag } })).toBe("410 selection_incomplete")
  })

  it("a version that comes between look and claim is refused, and nothing is claimed", async () => {
    const ids = await posts(2)
    const link = await world.select(ids)
    let isReplaced = false
    const racing = new Proxy(env.DB, {
      get(database, property) {
        const value: unknown = Reflect.get(database, property)
        if (typeof value !== "function") return value
        if (property === "batch")
          return async (all: D1PreparedStatement[]) => {
            if (!isReplaced) {
              isReplaced = true
              const blob = await api.db
                .select()
                .from(blobs)
                .where(eq(blobs.fileId, ids[1] ?? ""))
                .get()
              if (blob !== undefined) await api.db.insert(blobs).values({ ...blob, version: 2, objectKey: crypto.randomUUID() })
              await api.db
                .update(files)
                .set({ version: 2 })
                .where(eq(files.id, ids[1] ?? ""))
            }
            return database.batch(all)
          }
        return value.bind(database) as unknown
      },
    })
    const racer = createTestClient({ DB: racing })
    const { code, errors } = await racer.problem(link, ours())
    expect(isReplaced).toBe(true)
    expect([code, errors?.map(({ field }) => field)]).toEqual(["selection_incomplete", ["files.1"]])
    expect(await world.rowsOf(ids)).toEqual([])
  })
})

describe("E16: a limit of one for each file", () => {
  it("delivers one of 50 parallel GETs, whole, and counts one download of each file", async () => {
    const ids = await posts(3, "?downloadLimit=1")
    const link = await world.select(ids)
    const answers = await Promise.all(Array.from({ length: 50 }, () => world.use(link)))
    const good = answers.filter(({ status }) => status === 200)
    expect(good).toHaveLength(1)
    const unpacked = unpack(await bytesOf(good[0] ?? new Response()))
    expect(Object.values(unpacked).filter((content) => equal(content, docx))).toHaveLength(3)
    const refusals = await Promise.all(answers.filter(({ ok }) => !ok).map((answer) => answer.json<ProblemBody>()))
    for (const { code } of refusals) expect(["downloads_used_up", "download_in_progress"]).toContain(code)
    const rows = await world.rowsOf(ids)
    expect(rows).toHaveLength(3)
    for (const row of rows) expect(row).toMatchObject({ servedBytes: docx.length, holder: null })
    expect(await world.told(link, ours())).toBe("410 downloads_used_up")
    expect(await world.told(link, { ...ours(), headers: { Range: "bytes=-5" } })).toBe("206")
  })

  it("holds among selections that share a file, and links of its own", async () => {
    const [shared, ...others] = [await post("?downloadLimit=1"), ...(await posts(4))]
    const paths = [
      ...(await Promise.all(others.map((id) => world.select([id, shared])))),
      ...(await Promise.all([1, 2].map(() => world.mint(shared)))),
    ]
    const answers = await Promise.all([...paths, ...paths, ...paths].map((path) => world.use(path)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(await world.rowsOf([shared])).toHaveLength(1)
    // Whoever did not get the shared one claimed none of the rest.
    expect((await world.rowsOf(others)).length).toBe((await world.rowsOf([shared]))[0]?.linkId === undefined ? 0 : answers.findIndex(({ status }) => status === 200) % paths.length < 4 ? 1 : 0) // prettier-ignore
  })

  it("lets a broken transfer go on by its own link, also from where it began", async () => {
    const ids = [
      await world.post("a.docx", docx, "?downloadLimit=1"),
      await world.post("b.docx", docxOfSize(2_000_000), "?downloadLimit=1"),
    ]
    const [link, second] = [await world.select(ids), await world.select(ids)]
    await world.takeSome(link, docx.length + 500_000)
    expect(await world.told(second, ours())).toBe("410 downloads_used_up")
    // The first file was delivered, the archive was not: without its end the beginning is worth nothing.
    expect(await world.told(link, { ...ours(), headers: { Range: `bytes=${String(docx.length + 200_000)}-` } })).toBe("206")
    expect(await world.told(link, ours())).toBe("410 downloads_used_up")
    const others = [await post("?downloadLimit=1"), await world.post("b.docx", docxOfSize(2_000_000), "?downloadLimit=1")]
    const third = await world.select(others)
    await world.takeSome(third, docx.length + 500_000)
    expect(await world.told(third, ours())).toBe("200")
    expect(await world.told(third, ours())).toBe("410 downloads_used_up")
    expect(await world.rowsOf(others)).toHaveLength(2)
  })

  it("keeps the beginning to one request as long as it runs, however long that is", async () => {
    const ids = [await post("?downloadLimit=1"), await world.post("b.docx", docxOfSize(4_000_000))]
    const link = await world.select(ids)
    const [startMs, context] = [api.clock.nowMs, createExecutionContext()]
    const running = await api.rawRequest(link, ours(), context)
    const reader = (running.body as ReadableStream<Uint8Array>).getReader()
    for (let taken = 0; taken < docx.length + 2_200_000;) {
      taken += (await reader.read()).value?.length ?? Number.POSITIVE_INFINITY
      // Some time into it: the first file is noted as delivered while the second is being sent.
      if (api.clock.nowMs === startMs && taken > docx.length + 300_000) api.clock.nowMs += 70_000
    }
    await expect.poll(async () => (await world.rowsOf(ids)).find(({ fileId }) => fileId === ids[0])?.deliveredAtMs).not.toBeNull()
    expect(await world.told(link, ours())).toBe("409 download_in_progress")
    while ((await reader.read()).value !== undefined);
    await waitOnExecutionContext(context)
    expect(await world.told(link, ours())).toBe("410 downloads_used_up")
  })
})

describe("K: damage", () => {
  const damage = async (id: string) => {
    const blob = await api.db.select().from(blobs).where(eq(blobs.fileId, id)).get()
    const object = await env.BLOBS.get(blob?.objectKey ?? "")
    const bytes = new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer(0))
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await env.BLOBS.put(blob?.objectKey ?? "", bytes)
  }

  it("of the first file is said before any byte, and nothing is counted", async () => {
    const ids = await posts(2, "?downloadLimit=1")
    const link = await world.select(ids)
    await damage(ids[0] ?? "")
    expect(await world.told(link, ours())).toBe("500 integrity_failure")
    expect(await world.rowsOf(ids)).toEqual([])
    expect((await world.use(await world.mint(ids[1] ?? ""))).status).toBe(200)
  })

  it("of a later file breaks the archive off after the ones before it, which count", async () => {
    const ids = await posts(3)
    const link = await world.select(ids)
    await damage(ids[1] ?? "")
    const broken = await world.use(link)
    expect(broken.headers.get("x-test-broken-off")).toBe("yes")
    expect((await world.rowsOf(ids)).map(({ fileId, servedBytes }) => [fileId, servedBytes])).toEqual([[ids[0], docx.length]])
    const noted = (await api.db.select().from(auditEvents)).filter(
      ({ kind, subjectId }) => kind === "file.unreadable" && subjectId === ids[1],
    )
    expect(noted).toHaveLength(1)
  })

  it.each<[string, Partial<typeof blobs.$inferInsert>, string]>([
    ["nothing", {}, "200"],
    ["its size", { sizeBytes: 5 }, "500 integrity_failure"],
    ["its size, to none", { sizeBytes: -1 }, "500 integrity_failure"],
    ["its digest", { sha256: "x" }, "500 integrity_failure"],
    ["its key", { wrappedKey: "00".repeat(40) }, "500 integrity_failure"],
    // Only a hint for whoever unpacks: integrity is the seal's.
    ["its CRC-32", { crc32: 5 }, "200"],
  ])("of a row, in %s: %s", async (_, change, answer) => {
    const ids = await posts(1)
    const link = await world.select(ids)
    if (Object.keys(change).length > 0)
      await api.db
        .update(blobs)
        .set(change)
        .where(eq(blobs.fileId, ids[0] ?? ""))
    expect(await world.told(link, ours())).toBe(answer)
    expect(await world.rowsOf(ids)).toHaveLength(answer === "200" ? 1 : 0)
  })
})

describe.each(["before", "after"] as const)("a Worker that dies %s a call", (when) => {
  const dying = (death: Death) => {
    const mortal = mortalBindings(death)
    return { mortal, client: createTestClient({ DB: mortal.DB, BLOBS: mortal.BLOBS }) }
  }

  it("of making a link leaves a whole selection or none", { timeout: 120_000 }, async () => {
    const ids = await posts(2)
    let at = 1
    for (; at < 40; at++) {
      const before = [await api.db.$count(links), await api.db.$count(selections)]
      const { mortal, client } = dying({ at, when })
      const answer = await client.request("/api/client/download", { ...ours(), json: { files: ids } }).catch(() => null)
      const made = [await api.db.$count(links), await api.db.$count(selections)].map((count, i) => count - (before[i] ?? 0))
      expect([[0, 0], [2, 1]]).toContainEqual(made) // prettier-ignore
      if (answer?.status === 201) expect(made).toEqual([2, 1])
      if (!mortal.hasDied()) break
    }
    expect(at).toBeGreaterThan(3)
    expect(at).toBeLessThan(40)
  })

  it("of sending one leaves claims of all of it or none, and its client can fetch it", { timeout: 240_000 }, async () => {
    let at = 1
    for (; at < 40; at++) {
      const ids = await posts(2, "?downloadLimit=1")
      const link = await world.select(ids)
      const { mortal, client } = dying({ at, when })
      const context = createExecutionContext()
      const response = await client.rawRequest(link, ours(), context).catch(() => null)
      const arrived = (await response?.arrayBuffer().catch(() => null)) ?? null
      await waitOnExecutionContext(context)
      const rows = await world.rowsOf(ids)
      expect([0, 2]).toContain(rows.length)
      if (!mortal.hasDied()) {
        expect(rows.every(({ deliveredAtMs }) => deliveredAtMs !== null)).toBe(true)
        break
      }
      // Not noted as delivered, it may be fetched again when the dead request's hold is over.
      if (rows.some(({ deliveredAtMs }) => deliveredAtMs === null) || rows.length === 0) {
        const nowMs = api.clock.nowMs
        api.clock.nowMs += 4 * 60_000
        const again = await world.use(link)
        expect(again.status, `call ${String(at)}, ${String(arrived?.byteLength)}`).toBe(200)
        expect(Object.keys(unpack(await bytesOf(again)))).toHaveLength(2)
        api.clock.nowMs = nowMs
      }
    }
    expect(at).toBeGreaterThan(3)
    expect(at).toBeLessThan(40)
  })
})
