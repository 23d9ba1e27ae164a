// What an upload refuses, and that a refused one leaves nothing anywhere.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { blobs, files, uploads } from "../../src/db/schema.ts"
import { docxOfSize, minimalParts, realDocument, relationships, zipOf } from "../support/documents.ts"
import { type ProblemBody, type RequestOptions, type TestClient, createTestClient } from "../support/client.ts"

const UPLOAD = "/api/ops/upload"

async function holdings(api: TestClient): Promise<Record<string, number>> {
  const objects = await env.BLOBS.list()
  return {
    files: (await api.db.select().from(files)).length,
    blobs: (await api.db.select().from(blobs)).length,
    uploads: (await api.db.select().from(uploads)).length,
    objects: objects.objects.length,
  }
}

/** A multipart body written by hand, for what FormData would never send. */
function rawForm(parts: { head: string; content: Uint8Array | string }[], boundary = "xyz"): RequestOptions {
  const pieces = parts.flatMap(({ head, content }) => [
    `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`,
    content,
    "\r\n",
  ])
  return {
    method: "POST",
    body: new Blob([...pieces, `--${boundary}--\r\n`]),
    headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
  }
}

const docx = realDocument("npm-docx.docx")
const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content) as Uint8Array<ArrayBuffer>

async function expectRefused(api: TestClient, response: Promise<Response>, expected: Partial<ProblemBody>): Promise<ProblemBody> {
  const before = await holdings(api)
  const answer = await response
  const problem = await answer.json<ProblemBody>()
  expect(problem).toMatchObject(expected)
  expect(answer.headers.get("content-type")).toBe("application/problem+json; charset=utf-8")
  expect(await holdings(api)).toEqual(before)
  return problem
}

describe("F1, F2: a name is refused with 415, naming what is allowed, and leaves nothing", () => {
  it.each<[string, string]>([
    ["a.pdf", "other_extension"],
    ["a.odt", "other_extension"],
    ["a.exe", "other_extension"],
    ["a.zip", "other_extension"],
    ["docx", "other_extension"],
    ["a.docx.exe", "other_extension"],
    ["a.docx.", "other_extension"],
    ["a.docx ", "other_extension"],
    ["a.docm", "macro_extension"],
    ["a.XLSM", "macro_extension"],
    ["a.pptm", "macro_extension"],
    ["a.dotx", "template_extension"],
    ["a.potx", "template_extension"],
    ["a.xltx", "template_extension"],
    ["a.ppsx", "slide_show_extension"],
    ["a.xlsb", "binary_workbook_extension"],
    ["a.doc", "legacy_extension"],
    ["a.xls", "legacy_extension"],
    ["a.ppt", "legacy_extension"],
    ["a.rtf", "legacy_extension"],
  ])("%j as %s", async (name, reason) => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const problem = await expectRefused(api, api.upload(tokens.accessToken, docx, name), {
      status: 415,
      code: "unsupported_document",
      reason,
      remedy: expect.stringMatching(/\.(?:docx|xlsx|pptx)/) as never,
    })
    expect(problem.detail).toContain(".docx, .xlsx and .pptx")
    expect((await api.upload(tokens.accessToken, docx, "a.docx")).status).toBe(201)
  })
})

describe("G1, G2, F1: a document is refused with 422, with reason, part and remedy, and leaves nothing", () => {
  const large = { "a.bin": docxOfSize(6 * 1024 * 1024) }
  it.each<[string, Uint8Array<ArrayBuffer>, string, string?]>([
    ["text", text("just some text, and long enough to be a zip"), "not_a_zip"],
    ["a PDF", text("%PDF-1.7 and more and more and more"), "pdf"],
    ["nothing at all", new Uint8Array(0), "empty_file"],
    ["a plain zip", zipOf({ "readme.txt": "hello" }), "zip_archive"],
    ["a jar", zipOf({ "META-INF/MANIFEST.MF": "Manifest-Version: 1.0" }), "java_archive", "META-INF/MANIFEST.MF"],
    ["an OpenDocument text", zipOf({ mimetype: "application/vnd.oasis.opendocument.text" }), "open_document", "mimetype"],
    ["macros", zipOf({ ...minimalParts(), "word/vbaProject.bin": "x" }), "macro_enabled", "word/vbaProject.bin"],
    ["a workbook", realDocument("openpyxl.xlsx"), "other_type"],
    ["a presentation", realDocument("libreoffice.pptx"), "other_type"],
    ["half of a document", docx.slice(0, docx.length / 2), "truncated"],
    ["a part that hides", zipOf({ ...minimalParts(), "\u202egnp.exe": "x" }), "undeclared_part", "\ufffdgnp.exe"],
    ["a large file that is none", new Uint8Array(6 * 1024 * 1024), "not_a_zip"],
    ["a large zip that is no document", zipOf(large, 0), "zip_archive"],
    [
      "a large document with macros",
      zipOf({ ...minimalParts(), ...large, "vbaProject.bin": "x" }, 0),
      "macro_enabled",
      "vbaProject.bin",
    ],
    ["a large document cut short", docxOfSize(7 * 1024 * 1024).slice(0, -1), "truncated"],
  ])("when it is %s", async (_, bytes, reason, part) => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const problem = await expectRefused(api, api.upload(tokens.accessToken, bytes, "a.docx"), {
      status: 422,
      code: "document_refused",
      reason,
      ...(part === undefined ? {} : { part }),
    })
    expect(problem.detail).toContain(problem.remedy)
    expect(problem.detail).toContain(".docx, .xlsx and .pptx")
    if (part === undefined) expect(problem).not.toHaveProperty("part")
    else expect(problem.detail).toContain(part)
  })

  it("by the deployment's policy, until that allows it", async () => {
    const target = "https://example.com/t.dotx"
    const bytes = zipOf({
      ...minimalParts(),
      "_rels/part0.xml.rels": relationships({ kind: "attachedTemplate", target, mode: "External" }),
    })
    const api = createTestClient()
    const { tokens } = await api.newOps()
    await expectRefused(api, api.upload(tokens.accessToken, bytes, "a.docx"), {
      status: 422,
      code: "document_refused",
      reason: "external_relationship",
      part: "_rels/part0.xml.rels",
    })
    const lenient = createTestClient({ ALLOW_EXTERNAL_RELATIONSHIPS: "true" })
    expect((await lenient.upload(tokens.accessToken, bytes, "a.docx")).status).toBe(201)
  })
})

describe("a name", () => {
  const upload = async (api: TestClient, filename: string): Promise<Response> => {
    const { tokens } = await api.newOps()
    return api.request(UPLOAD, {
      token: tokens.accessToken,
      ...rawForm([{ head: `name="file"; filename*=UTF-8''${encodeURIComponent(filename)}`, content: docx }]),
    })
  }

  it.each([
    ["report.DOCX", "report.DOCX"],
    ["Отчёт за 測試.docx", "Отчёт за 測試.docx"],
    ["e\u0301te\u0301.docx", "été.docx"],
    ["../../etc/x.docx", "x.docx"],
    ["C:\\Users\\me\\x.docx", "x.docx"],
    ["/etc/x.docx", "x.docx"],
    ["  spaced.docx", "spaced.docx"],
    ["a;b\"c'd%00.docx", "a;b\"c'd%00.docx"],
    ["<script>alert(1)<.docx", "<script>alert(1)<.docx"],
    ["-rf.docx", "-rf.docx"],
    ["~$x.docx", "~$x.docx"],
    ["a.exe.docx", "a.exe.docx"],
    ["Contract.docx", "Contract.docx"],
    ["می\u200cخواهم.docx", "می\u200cخواهم.docx"],
    ["क्\u200dष.docx", "क्\u200dष.docx"],
    ["👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3.docx", "👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3.docx"],
    [`${"x".repeat(250)}.docx`, `${"x".repeat(250)}.docx`],
  ])("F2, F4, F5, F7: %j is kept as %j", async (sent, kept) => {
    const response = await upload(createTestClient(), sent)
    expect([response.status, (await response.json<{ file: { name: string } }>()).file.name]).toEqual([201, kept])
  })

  it.each([
    ["a\u202excod.docx", "name_characters"],
    ["a\u200b.docx", "name_characters"],
    ["a\r\nb.docx", "name_characters"],
    ["a\u0000.docx", "name_characters"],
    ["a\u007f.docx", "name_characters"],
    ["\ufeffa.docx", "name_characters"],
    ["a\u00ad.docx", "name_characters"],
    ["a\u034f.docx", "name_characters"],
    ["a\u115f.docx", "name_characters"],
    ["a\u2800.docx", "name_characters"],
    ["a\u3164.docx", "name_characters"],
    ["a\ufe0f.docx", "name_characters"],
    ["a\u200cb.docx", "name_characters"],
    ["a\u200db.docx", "name_characters"],
    ["a\u{e0041}.docx", "name_characters"],
    ["a\u{1d173}.docx", "name_characters"],
    ["a\ufffe.docx", "name_characters"],
    [`a${"\u0338".repeat(20)}.docx`, "name_characters"],
    ["CON.docx", "name_reserved"],
    ["nul.report.docx", "name_reserved"],
    ["Lpt1.docx", "name_reserved"],
    [`${"x".repeat(251)}.docx`, "name_length"],
    [".docx", "name_missing"],
    ["  .docx", "name_missing"],
  ])("F2, F4, F5, F7: %j is refused", async (sent, rule) => {
    const api = createTestClient()
    await expectRefused(api, upload(api, sent), {
      status: 422,
      code: "validation_failed",
      errors: [expect.objectContaining({ field: "file", rule }) as never],
    })
  })

  it("F11: may be used twice at once, by one and by others: each file its own id, object and bytes", async () => {
    const api = createTestClient()
    const [one, other] = [await api.newOps(), await api.newOps()]
    const sent = [one, one, other].map((owner, i) => ({ token: owner.tokens.accessToken, bytes: docxOfSize(1000 + i) }))
    const ids = await Promise.all(
      sent.map(
        async ({ token, bytes }) =>
          (await (await api.upload(token, bytes, "same.docx")).json<{ file: { id: string } }>()).file.id,
      ),
    )
    expect(new Set(ids).size).toBe(3)
    const rows = (await api.db.select().from(blobs)).filter(({ fileId }) => ids.includes(fileId))
    expect(new Set(rows.map(({ objectKey }) => objectKey)).size).toBe(3)
    for (const [i, { token, bytes }] of sent.entries()) {
      const response = await api.request(`/api/ops/files/${ids[i] ?? ""}/content`, { token })
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes)
    }
  })

  it("F8: counts, and the content; the type that the client declares does not", async () => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const send = (content: Uint8Array<ArrayBuffer>, type: string) =>
      api.request(UPLOAD, {
        token: tokens.accessToken,
        ...rawForm([{ head: `name="file"; filename="a.docx"${type === "" ? "" : `\r\nContent-Type: ${type}`}`, content }]),
      })
    const docxType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    for (const type of ["", "text/html", "image/png", "application/vnd.ms-word.document.macroEnabled.12", docxType]) {
      const { file } = await (await send(docx, type)).json<{ file: { id: string } }>()
      const response = await api.request(`/api/ops/files/${file.id}/content`, { token: tokens.accessToken })
      expect(response.headers.get("content-type"), type).toBe(docxType)
    }
    const html = await send(text("<!doctype html><script>alert(1)</script>"), docxType)
    expect(await html.json()).toMatchObject({ status: 422, code: "document_refused", reason: "not_a_zip" })
  })
})

describe("a form", () => {
  const file = { head: 'name="file"; filename="a.docx"', content: docx }

  it.each<[string, RequestOptions, Partial<ProblemBody>]>([
    ["without parts", { ...rawForm([]), body: "--xyz--\r\n" }, { status: 422, code: "validation_failed" }],
    [
      "with the file in another field",
      rawForm([{ ...file, head: 'name="upload"; filename="a.docx"' }]),
      { status: 422, code: "validation_failed" },
    ],
    ["with text in the field", rawForm([{ head: 'name="file"', content: "x" }]), { status: 422, code: "validation_failed" }],
    ["with two files", rawForm([file, file]), { status: 422, code: "validation_failed" }],
    [
      "with a field after the file",
      rawForm([file, { head: 'name="note"', content: "x" }]),
      { status: 422, code: "validation_failed" },
    ],
    [
      "that ends early",
      {
        ...rawForm([file]),
        body: new Blob(['--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.docx"\r\n\r\n', docx]),
      },
      { status: 400, code: "malformed_request" },
    ],
    [
      "with another boundary than it says",
      { ...rawForm([file]), headers: { "Content-Type": "multipart/form-data; boundary=abc" } },
      { status: 400, code: "malformed_request" },
    ],
    [
      "without boundary",
      { ...rawForm([file]), headers: { "Content-Type": "multipart/form-data" } },
      { status: 415, code: "unsupported_media_type" },
    ],
    ["that is JSON", { method: "POST", json: {} }, { status: 415, code: "unsupported_media_type" }],
    [
      "that is the bare document",
      { method: "POST", body: docx, headers: { "Content-Type": "application/octet-stream" } },
      { status: 415, code: "unsupported_media_type" },
    ],
    [
      "H8: that is compressed",
      { ...rawForm([file]), headers: { ...rawForm([]).headers, "Content-Encoding": "gzip" } },
      { status: 415, code: "unsupported_media_type" },
    ],
  ])("%s is refused and leaves nothing", async (_, options, expected) => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    await expectRefused(api, api.request(UPLOAD, { token: tokens.accessToken, ...options }), expected)
    expect((await api.request(UPLOAD, { token: tokens.accessToken, ...rawForm([file]) })).status).toBe(201)
  })
})

describe("the greatest size", () => {
  it.each([
    [0, 201],
    [1, 413],
  ])("plus %i is answered with %i", async (more, status) => {
    const bytes = docxOfSize(10_000)
    const api = createTestClient({ MAX_FILE_BYTES: String(bytes.length - more) })
    const { tokens } = await api.newOps()
    if (status === 413)
      await expectRefused(api, api.upload(tokens.accessToken, bytes, "a.docx"), { status, code: "payload_too_large" })
    else expect((await api.upload(tokens.accessToken, bytes, "a.docx")).status).toBe(status)
  })

  it("is enforced on a stream without a declared length too, before anything is kept", async () => {
    const bytes = docxOfSize(12 * 1024 * 1024)
    const api = createTestClient({ MAX_FILE_BYTES: String(11 * 1024 * 1024) })
    const { tokens } = await api.newOps()
    const form = rawForm([{ head: 'name="file"; filename="a.docx"', content: bytes }])
    const body = (form.body as Blob).stream()
    await expectRefused(api, api.request(UPLOAD, { token: tokens.accessToken, ...form, body }), {
      status: 413,
      code: "payload_too_large",
    })
  })
})

describe("uploads that die on the way", () => {
  it("leave a row from which the sweeper removes everything, after a day and not before", async () => {
    const api = createTestClient()
    const { id } = await api.newOps()
    const multipart = await env.BLOBS.createMultipartUpload("dead-multipart")
    await env.BLOBS.put("dead-object", "sealed")
    await api.db.insert(uploads).values([
      { objectKey: "dead-multipart", ownerId: id, multipartId: multipart.uploadId, startedAtMs: api.clock.nowMs },
      { objectKey: "dead-object", ownerId: id, startedAtMs: api.clock.nowMs },
    ])
    await api.runCron()
    expect(await api.db.select().from(uploads)).toHaveLength(2)
    expect(await env.BLOBS.head("dead-object")).not.toBeNull()
    api.clock.nowMs += 24 * 60 * 60_000 + 1
    await Promise.all([api.runCron(), api.runCron()])
    expect(await api.db.select().from(uploads)).toEqual([])
    expect(await env.BLOBS.head("dead-object")).toBeNull()
    await expect(env.BLOBS.resumeMultipartUpload("dead-multipart", multipart.uploadId).uploadPart(1, "x")).rejects.toThrow()
  })

  it("never cost a published file its bytes, even when the row was left behind", async () => {
    const api = createTestClient()
    const { id, tokens } = await api.newOps()
    const { file } = await (await api.upload(tokens.accessToken, docx, "a.docx")).json<{ file: { id: string } }>()
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    await api.db.insert(uploads).values({ objectKey: row?.objectKey ?? "", ownerId: id, startedAtMs: 0 })
    await api.runCron()
    expect(await api.db.select().from(uploads)).toEqual([])
    expect((await api.request(`/api/ops/files/${file.id}/content`, { token: tokens.accessToken })).status).toBe(200)
  })

  it("are given up although one among them cannot be", async () => {
    const { bucket, id, api } = await stubbornBucket("stubborn")
    for (const objectKey of ["stubborn", "willing"]) {
      const { uploadId } = await env.BLOBS.createMultipartUpload(objectKey)
      await api.db.insert(uploads).values({ objectKey, ownerId: id, multipartId: uploadId, startedAtMs: 0 })
    }
    await createTestClient({ BLOBS: bucket }).runCron()
    expect((await api.db.select().from(uploads)).map(({ objectKey }) => objectKey)).toEqual(["stubborn"])
    await api.runCron()
    expect(await api.db.select().from(uploads)).toEqual([])
  })

  it("cannot be published any more once they were given up", async () => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const before = await holdings(api)
    // The sweeper comes while the object is being written, as if the upload had taken more than a day.
    const bucket = new Proxy(env.BLOBS, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property)
        if (property === "put") {
          return async (key: string, bytes: Uint8Array<ArrayBuffer>) => {
            const stored = await target.put(key, bytes)
            const later = createTestClient()
            later.clock.nowMs = api.clock.nowMs + 25 * 60 * 60_000
            await later.runCron()
            return stored
          }
        }
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    const slow = createTestClient({ BLOBS: bucket })
    expect((await slow.upload(tokens.accessToken, docx, "a.docx")).status).toBe(500)
    expect(await holdings(api)).toEqual(before)
    expect((await api.upload(tokens.accessToken, docx, "a.docx")).status).toBe(201)
  })
})

/** R2 that fails whenever one object's multipart upload is touched. */
async function stubbornBucket(stubbornKey: string) {
  const api = createTestClient()
  const { id } = await api.newOps()
  const bucket = new Proxy(env.BLOBS, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (property === "resumeMultipartUpload") {
        return (key: string, uploadId: string) => {
          if (key === stubbornKey) throw new Error("R2 is out of sorts (10000)")
          return target.resumeMultipartUpload(key, uploadId)
        }
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
  return { bucket, id, api }
}
