// Uploads in one request, by PUT and by form: names, settings, repeats under an idempotency key, and room.
import { describe, expect, it } from "vitest"
import { eq } from "drizzle-orm"
import { idempotencyKeys, users } from "../../src/db/schema.ts"
import { newId } from "../../src/ids.ts"
import { type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { holdings, streamOf } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")
const other = realDocument("libreoffice.docx")
type Answer = { file: { id: string; name: string; sha256: string; size: number } }

async function scene(overrides: Record<string, unknown> = {}) {
  const api = createTestClient(overrides)
  const ops = await api.newOps()
  const token = ops.tokens.accessToken
  const put = (name: string, body: BodyInit, headers: Record<string, string> = {}) =>
    api.request(`/api/ops/upload/${name}`, { method: "PUT", token, body, headers })
  return { api, ops, token, put }
}

const codeOf = async (response: Response): Promise<[number, string]> => [
  response.status,
  response.ok ? "" : (await response.json<ProblemBody>()).code,
]

/** A form with fields in a given order. */
function form(fields: [string, string | File][]): RequestOptions {
  const body = new FormData()
  for (const [name, value] of fields) body.append(name, value)
  return { method: "POST", body }
}
const file = (bytes = docx, name = "a.docx"): File => new File([bytes], name)

async function limitOf(api: TestClient, token: string, id: string): Promise<number | null | undefined> {
  const list = await (
    await api.request("/api/ops/files", { token })
  ).json<{ files: { id: string; downloadLimit: number | null }[] }>()
  return list.files.find((each) => each.id === id)?.downloadLimit
}

describe("PUT", () => {
  it.each([
    ["a.docx", "a.docx"],
    ["%D0%9E%D1%82%D1%87%D1%91%D1%82%20%E6%B8%AC.docx", "Отчёт 測.docx"],
    ["..%2F..%2Fetc%2Fx.docx", "x.docx"],
    ["50%25.docx", "50%.docx"],
  ])("of %s makes %s", async (path, name) => {
    const { api, token, put } = await scene()
    const response = await put(path, docx)
    expect(response.status).toBe(201)
    const { file: made } = await response.json<Answer>()
    expect(made).toMatchObject({ name, size: docx.length })
    const content = await api.request(`/api/ops/files/${made.id}/content`, { token })
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(docx)
  })

  it("takes a body without a length, of several parts", async () => {
    const { api, token, put } = await scene()
    const bytes = docxOfSize(6 * 1024 * 1024)
    const response = await put("a.docx", streamOf([bytes.slice(0, 1000), bytes.slice(1000)]))
    const { file: made } = await response.json<Answer>()
    const content = await api.request(`/api/ops/files/${made.id}/content`, { token })
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
  })

  it.each<[string, string, BodyInit, Record<string, string>, number, string]>([
    ["a broken name", "a%zz.docx", docx, {}, 400, "malformed_request"],
    ["a name that is not UTF-8", "a%ff.docx", docx, {}, 400, "malformed_request"],
    ["another type", "a.exe", docx, {}, 415, "unsupported_document"],
    ["a compressed body", "a.docx", docx, { "Content-Encoding": "gzip" }, 415, "unsupported_media_type"],
    ["a form", "a.docx", docx, { "Content-Type": "multipart/form-data; boundary=x" }, 415, "unsupported_media_type"],
    ["a part", "a.docx", docx, { "Content-Range": "bytes 0-9/100" }, 400, "malformed_request"],
    ["no document", "a.docx", "hello hello hello", {}, 422, "document_refused"],
    ["nothing", "a.docx", "", {}, 422, "document_refused"],
    ["another digest", "a.docx", docx, { "Repr-Digest": `sha-256=:${btoa("x".repeat(32))}:` }, 400, "digest_mismatch"],
    ["another content digest", "a.docx", docx, { "Content-Digest": `sha-256=:${btoa("x".repeat(32))}:` }, 400, "digest_mismatch"],
    ["a malformed digest", "a.docx", docx, { "Repr-Digest": "sha-256=x" }, 400, "digest_malformed"],
  ])("H7, H8: with %s is refused and leaves nothing", async (_, name, body, headers, status, code) => {
    const { api, put } = await scene()
    const before = await holdings(api)
    expect(await codeOf(await put(name, body, headers))).toEqual([status, code])
    expect(await holdings(api)).toEqual(before)
    expect((await put("a.docx", docx)).status).toBe(201)
  })

  it.each([
    [0, 201],
    [1, 413],
  ])("H2, H5: of the greatest size plus %i is answered with %i, with a length and without", async (more, status) => {
    const bytes = docxOfSize(10_000)
    const { api, put } = await scene({ MAX_FILE_BYTES: String(bytes.length - more) })
    const before = await holdings(api)
    expect((await put("a.docx", bytes)).status).toBe(status)
    expect((await put("a.docx", streamOf([bytes]))).status).toBe(status)
    if (status === 413) expect(await holdings(api)).toEqual(before)
  })

  it("that breaks off leaves nothing", async () => {
    const { api, put } = await scene()
    const before = await holdings(api)
    const bytes = docxOfSize(6 * 1024 * 1024)
    expect((await put("a.docx", streamOf([bytes.slice(0, -1)], new Error("gone")))).status).toBe(400)
    expect(await holdings(api)).toEqual(before)
  })
})

describe("a download limit", () => {
  it.each<[string, (api: TestClient, token: string) => Promise<Response>]>([
    [
      "in the query of a form",
      (api, token) => api.request("/api/ops/upload?downloadLimit=3", { token, ...form([["file", file()]]) }),
    ],
    [
      "in a field before the file",
      (api, token) =>
        api.request("/api/ops/upload", {
          token,
          ...form([
            ["downloadLimit", "3"],
            ["file", file()],
          ]),
        }),
    ],
    [
      "in the query of a PUT",
      (api, token) => api.request("/api/ops/upload/a.docx?downloadLimit=3", { method: "PUT", token, body: docx }),
    ],
  ])("%s is there with the file", async (_, send) => {
    const { api, token } = await scene()
    const { file: made } = await (await send(api, token)).json<Answer>()
    expect(await limitOf(api, token, made.id)).toBe(3)
  })

  it.each<[string, string, RequestOptions]>([
    ["none at all", "?downloadLimit=0", form([["file", file()]])],
    ["half of one", "?downloadLimit=1.5", form([["file", file()]])],
    ["too many", "?downloadLimit=1000001", form([["file", file()]])],
    [
      "no number",
      "",
      form([
        ["downloadLimit", "x"],
        ["file", file()],
      ]),
    ],
    [
      "long text",
      "",
      form([
        ["downloadLimit", "1".repeat(100_000)],
        ["file", file()],
      ]),
    ],
    [
      "two",
      "?downloadLimit=3",
      form([
        ["downloadLimit", "3"],
        ["file", file()],
      ]),
    ],
    [
      "two fields",
      "",
      form([
        ["downloadLimit", "3"],
        ["downloadLimit", "3"],
        ["file", file()],
      ]),
    ],
    ["two parameters", "?downloadLimit=3&downloadLimit=4", form([["file", file()]])],
    ["another parameter", "?limit=3", form([["file", file()]])],
    [
      "a file as such",
      "",
      form([
        ["downloadLimit", file()],
        ["file", file()],
      ]),
    ],
    [
      "a field after the file",
      "",
      form([
        ["file", file()],
        ["downloadLimit", "3"],
      ]),
    ],
  ])("of %s is refused and leaves nothing", async (_, query, options) => {
    const { api, token } = await scene()
    const before = await holdings(api)
    expect(await codeOf(await api.request(`/api/ops/upload${query}`, { token, ...options }))).toEqual([422, "validation_failed"])
    expect(await holdings(api)).toEqual(before)
  })

  it("in a field where it is not taken is refused with where to put it, and is taken there", async () => {
    const { api, token } = await scene()
    const send = async (query: string, ...fields: Parameters<typeof form>[0]) =>
      api.request(`/api/ops/upload${query}`, { token, ...form(fields) })
    const told = async (...fields: Parameters<typeof form>[0]) => {
      const { errors, detail } = await (await send("", ...fields)).json<ProblemBody>()
      return [errors?.[0]?.rule, detail]
    }
    const late = ["unknown_field", "Send downloadLimit in the address: ?downloadLimit=…"]
    expect(await told(["file", file()], ["downloadLimit", "3"])).toEqual(late)
    const chosen = ["unknown_field", "Send audience in the address: ?audience=…"]
    expect(await told(["audience", "chosen"], ["file", file()])).toEqual(chosen)
    const other = ["unknown_field", "Send the document alone, in the field `file`."]
    expect(await told(["note", "x"], ["file", file()])).toEqual(other)
    expect((await send("?audience=chosen&downloadLimit=3", ["file", file()])).status).toBe(201)
  })
})

describe("H11: an idempotency key", () => {
  const keyed = { "Idempotency-Key": '"one"' }

  it("gives the first answer again, and makes one file", async () => {
    const { api, token, put } = await scene()
    const first = await (await put("a.docx", docx, keyed)).json<Answer>()
    const bare = await put("a.docx", docx, { "Idempotency-Key": "one" })
    expect([bare.status, await bare.json()]).toEqual([201, { ...first, message: "success" }])
    const { files } = await (await api.request("/api/ops/files", { token })).json<{ files: object[] }>()
    expect(files).toHaveLength(1)
  })

  it.each<[string, string, Uint8Array<ArrayBuffer>]>([
    ["another body", "a.docx", other],
    ["another name", "b.docx", docx],
    ["another limit", "a.docx?downloadLimit=2", docx],
    ["a body cut short", "a.docx", docx.slice(0, -1)],
  ])("with %s is refused", async (_, name, body) => {
    const { api, put } = await scene()
    await put("a.docx", docx, keyed)
    const before = await holdings(api)
    expect(await codeOf(await put(name, body, keyed))).toEqual([422, "idempotency_key_reused"])
    expect(await holdings(api)).toEqual(before)
    expect((await put(name, docx, { "Idempotency-Key": '"two"' })).status).toBe(201)
  })

  it.each<[string, Record<string, string>, string, (made: Awaited<ReturnType<typeof scene>> & { client: string }) => unknown]>([
    ["the quota is used up, by itself", { OPS_QUOTA_FILES: "1" }, "", () => undefined],
    ["its recipient is gone", {}, "?clients=", ({ api, client }) => api.db.delete(users).where(eq(users.id, client))],
    ["its file has expired", {}, "?expiresAt=2026-11-23T12:00:05Z", ({ api }) => (api.clock.nowMs += 10_000)],
  ])("gives the first answer again when %s", async (_, settings, query, change) => {
    const made = await scene(settings)
    const { api, token, put } = made
    const client = newId()
    const email = `${client}@example.com`
    const person = {
      id: client,
      email,
      emailKey: email,
      role: "client" as const,
      passwordHash: "",
      createdAtMs: 1,
      verifiedAtMs: 1,
    }
    await api.db.insert(users).values(person)
    const name = `a.docx${query === "?clients=" ? query + client : query}`
    const first = await put(name, docx, keyed)
    expect(first.status).toBe(201)
    await change({ ...made, client })
    const again = await put(name, docx, keyed)
    expect([again.status, await again.json()]).toEqual([201, await first.json()])
    const form = new FormData()
    form.set("file", file())
    const post = { method: "POST", token, body: form, headers: keyed }
    const byForm = await api.request(`/api/ops/upload${name.slice("a.docx".length)}`, post)
    expect(byForm.status).toBe(201)
    // Another request, and the same with a body of its own, is refused as ever.
    expect(await codeOf(await put(name, docx, { "Idempotency-Key": "two" }))).not.toEqual([201, ""])
    expect(await codeOf(await put(name, other, keyed))).toEqual([422, "idempotency_key_reused"])
    const { files } = await (await api.request("/api/ops/files", { token })).json<{ files: object[] }>()
    expect(files).toHaveLength(1)
  })

  it("of a request under way is refused; of ten at once one makes the file", async () => {
    const { api, token, put } = await scene()
    const codes = await Promise.all(Array.from({ length: 10 }, async () => codeOf(await put("a.docx", docx, keyed))))
    expect(codes.every(([status, code]) => status === 201 || (status === 409 && code === "idempotency_key_in_use"))).toBe(true)
    expect(codes.some(([status]) => status === 201)).toBe(true)
    const { files } = await (await api.request("/api/ops/files", { token })).json<{ files: object[] }>()
    expect(files).toHaveLength(1)
  })

  it("is free again after a refusal, after its time, and for everybody else", async () => {
    const { api, ops, put } = await scene()
    expect((await put("a.docx", "hello hello", keyed)).status).toBe(422)
    const first = await (await put("a.docx", docx, keyed)).json<Answer>()
    const theirs = await (await scene()).put("a.docx", docx, keyed)
    expect((await theirs.json<Answer>()).file.id).not.toBe(first.file.id)
    api.clock.nowMs += 24 * 60 * 60_000
    const { accessToken: token } = await api.logIn("ops", ops.email)
    const later = await api.request("/api/ops/upload/a.docx", { method: "PUT", token, body: other, headers: keyed })
    expect(later.status).toBe(201)
    await api.runCron()
    expect((await api.db.select().from(idempotencyKeys)).filter(({ ownerId }) => ownerId === ops.id)).toHaveLength(1)
    api.clock.nowMs += 24 * 60 * 60_000
    await api.runCron()
    expect((await api.db.select().from(idempotencyKeys)).filter(({ ownerId }) => ownerId === ops.id)).toHaveLength(0)
  })

  it("left by a request that died is taken over after a while, and the one that was only slow makes no second file", async () => {
    const { api, ops, put } = await scene()
    let release: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (release = resolve))
    let begun: () => void = () => undefined
    const started = new Promise<void>((resolve) => (begun = resolve))
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        begun()
        await gate
        controller.enqueue(docx)
        controller.close()
      },
    })
    const slow = put("a.docx", body, keyed)
    await started
    expect(await codeOf(await put("a.docx", docx, keyed))).toEqual([409, "idempotency_key_in_use"])
    api.clock.nowMs += 15 * 60_000
    const { accessToken } = await api.logIn("ops", ops.email)
    expect(
      (await api.request("/api/ops/upload/a.docx", { method: "PUT", token: accessToken, body: docx, headers: keyed })).status,
    ).toBe(201)
    const before = await holdings(api)
    release()
    expect(await codeOf(await slow)).toEqual([409, "idempotency_key_in_use"])
    expect(await holdings(api)).toEqual(before)
  })

  it.each(["", '""', '"a', "a b", '"a\u00e9"', "x".repeat(256), '"a\\x"'])("of %j is refused", async (key) => {
    const { put } = await scene()
    expect((await put("a.docx", docx, { "Idempotency-Key": key })).status).toBe(400)
  })
})

describe("room", () => {
  it("that is missing is told before any bytes are taken where the length is declared, else before anything is kept", async () => {
    const { api, token, put } = await scene({ OPS_QUOTA_BYTES: String(docx.length - 1) })
    const before = await holdings(api)
    expect(await codeOf(await put("a.docx", docx))).toEqual([507, "quota_exceeded"])
    expect(await codeOf(await put("a.docx", streamOf([docx])))).toEqual([507, "quota_exceeded"])
    expect(await codeOf(await api.upload(token, docx, "a.docx"))).toEqual([507, "quota_exceeded"])
    expect(await holdings(api)).toEqual(before)
  })

  it("is each user's own, and comes back with a purged file, not with one in the trash", async () => {
    const { api, token, put } = await scene({ OPS_QUOTA_BYTES: String(docx.length) })
    const { file: made } = await (await put("a.docx", docx)).json<Answer>()
    expect(await codeOf(await put("b.docx", docx))).toEqual([507, "quota_exceeded"])
    const { tokens } = await api.newOps()
    expect((await api.upload(tokens.accessToken, docx, "a.docx")).status).toBe(201)
    await api.request(`/api/ops/files/${made.id}`, { method: "DELETE", token })
    expect(await codeOf(await put("b.docx", docx))).toEqual([507, "quota_exceeded"])
    await api.request(`/api/ops/files/${made.id}?purge=true`, { method: "DELETE", token })
    expect((await put("b.docx", docx)).status).toBe(201)
  })
})
