// Which names documents may have, whichever way a name comes: kept as they were sent, or refused, leaving nothing.
import { beforeAll, describe, expect, it } from "vitest"
import { blobs } from "../../src/db/schema.ts"
import { type TestClient, createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { expectRefused, rawForm } from "../support/refusals.ts"
import { base64, tusClient } from "../support/tus.ts"

const UPLOAD = "/api/ops/upload"
const docx = realDocument("npm-docx.docx")

let api: TestClient
let token: string
let fileId: string

beforeAll(async () => {
  api = createTestClient()
  token = (await api.newOps()).tokens.accessToken
  fileId = (await (await api.upload(token, docx, "a.docx")).json<{ file: { id: string } }>()).file.id
})

/** In a form, whose part's head ends like this. */
const inForm = (head: string): Promise<Response> =>
  api.request(UPLOAD, { token, ...rawForm([{ head: `name="file"; ${head}`, content: docx }]) })
const extended = (name: string): Promise<Response> => inForm(`filename*=UTF-8''${encodeURIComponent(name)}`)

/** Every way in which a name is given, and whether its characters can be sent that way. */
const ways: [string, (name: string) => Promise<Response>][] = [
  ["in filename*", extended],
  ["in filename", (name) => api.upload(token, docx, name)],
  ["in the address", (name) => api.request(`${UPLOAD}/${encodeURIComponent(name)}`, { method: "PUT", token, body: docx })],
  ["by tus", (name) => tusClient(api, token).create(docx.length, { "Upload-Metadata": `filename ${base64(name)}` }, docx)],
  ["as a new name", (name) => api.request(`/api/ops/files/${fileId}`, { method: "PATCH", token, json: { name } })],
]

async function nameOf(response: Response): Promise<string> {
  const id = response.headers.get("sealpost-file-id")
  const answer = id === null ? response : await api.request(`/api/ops/files/${id}`, { token })
  return (await answer.json<{ file: { name: string } }>()).file.name
}

describe("F1, F2: an extension is refused with 415, naming what is allowed, and leaves nothing", () => {
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
    const problem = await expectRefused(api, () => api.upload(token, docx, name), {
      status: 415,
      code: "unsupported_document",
      reason,
      remedy: expect.stringMatching(/\.(?:docx|xlsx|pptx)/) as never,
    })
    expect(problem.detail).toContain(".docx, .xlsx and .pptx")
    expect((await api.upload(token, docx, "a.docx")).status).toBe(201)
  })
})

describe("F2, F4, F5, F7, F10: a name", () => {
  it.each([
    ["report.DOCX", "report.DOCX"],
    ["Отчёт за 測試.docx", "Отчёт за 測試.docx"],
    ["e\u0301te\u0301.docx", "été.docx"],
    ["../../etc/x.docx", "x.docx"],
    ["C:\\Users\\me\\x.docx", "x.docx"],
    ["/etc/x.docx", "x.docx"],
    ["  spaced.docx", "spaced.docx"],
    ["a;b\"c'd%0.docx", "a;b\"c'd%0.docx"],
    ["<script>alert(1)<.docx", "<script>alert(1)<.docx"],
    ['Who? "Me": 1|2 *.docx', 'Who? "Me": 1|2 *.docx'],
    ["-rf.docx", "-rf.docx"],
    ["~$x.docx", "~$x.docx"],
    ["a.exe.docx", "a.exe.docx"],
    ["CLOCK$.docx", "CLOCK$.docx"],
    ["Contract.docx", "Contract.docx"],
    ["می\u200cخواهم.docx", "می\u200cخواهم.docx"],
    ["র\u200d্যাব.docx", "র\u200d্যাব.docx"],
    ["葛\u{e0100}城市.docx", "葛\u{e0100}城市.docx"],
    ["ឯកសារ\u200bថ្មី.docx", "ឯកសារ\u200bថ្មី.docx"],
    ["👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3.docx", "👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3.docx"],
    [`${"x".repeat(250)}.docx`, `${"x".repeat(250)}.docx`],
  ])("like %j is kept as %j, and handed out so", async (sent, kept) => {
    const response = await extended(sent)
    expect(response.status).toBe(201)
    const { file } = await response.json<{ file: { id: string; name: string } }>()
    expect(file.name).toBe(kept)
    const content = await api.request(`/api/ops/files/${file.id}/content`, { token })
    const handed = /filename\*=UTF-8''(\S+)$/.exec(content.headers.get("content-disposition") ?? "")?.[1] ?? ""
    expect(decodeURIComponent(handed)).toBe(kept)
  })

  const twins: [string, string, string][] = [
    ...["\u202e", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u061c", "\u2066", "\u2067", "\u2068", "\u2069"],
    ...["\u2028", "\u2029", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u2800", "\u3164", "\ufe0f", "\ufffe", "\u{1d173}"],
    ...["\u0000", "\t", "\r", "\n", "\u001b", "\u007f", "\u0080", "\u0085", "\u009f", "\u{e0041}", "%00"],
  ].map((char) => [`a${char}b.docx`, "name_characters", "ab.docx"])
  twins.push(
    ["\ufeffa.docx", "name_characters", "a.docx"],
    [`a${"\u0338".repeat(9)}.docx`, "name_characters", `a${"\u0338".repeat(8)}.docx`],
    ["CON.docx", "name_reserved", "CONE.docx"],
    ["nul.report.docx", "name_reserved", "null.report.docx"],
    ["Lpt1.docx", "name_reserved", "Lpt.docx"],
    [`${"x".repeat(251)}.docx`, "name_length", `${"x".repeat(250)}.docx`],
    [".docx", "name_missing", "a.docx"],
    ["  .docx", "name_missing", "  a.docx"],
  )
  it.each(twins)("like %j is refused (%s), %j kept", async (sent, rule, twin) => {
    await expectRefused(api, () => extended(sent), {
      status: 422,
      code: "validation_failed",
      errors: [expect.objectContaining({ field: "file", rule }) as never],
    })
    expect((await extended(twin)).status).toBe(201)
  })

  it.each(ways)("is held to the same rules %s", async (way, give) => {
    const field = way === "as a new name" ? "name" : "file"
    for (const sent of ["a\u202eb.docx", "a\u200db.docx", "a\u0000b.docx", "a\u0085b.docx", "a%00b.docx", "a\u2067b.docx"]) {
      const answer = {
        code: "validation_failed",
        errors: [{ field, rule: "name_characters", message: expect.any(String) as never }],
      }
      await expectRefused(api, () => give(sent), answer)
    }
    for (const sent of ["ab.docx", "a%b.docx", "র\u200d্যাব 100%.docx"]) {
      const response = await give(sent)
      expect([response.ok, await nameOf(response)]).toEqual([true, sent])
    }
  })

  it.each([
    ["a NUL that filename* encodes", "filename*=UTF-8''a%00b.docx", "filename*=UTF-8''a%30b.docx"],
    ["one encoded twice", "filename*=UTF-8''a%2500b.docx", "filename*=UTF-8''a%2530b.docx"],
    ["one that filename spells", 'filename="a%00b.docx"', 'filename="a%30b.docx"'],
    ["a line feed that browsers encode", 'filename="a%0Ab.docx"', 'filename="a%22b.docx"'],
    ["a mark of direction that filename* encodes", "filename*=UTF-8''a%E2%81%A7b.docx", "filename*=UTF-8''a%E2%82%ACb.docx"],
  ])("with %s is refused", async (_, head, twin) => {
    const errors = [expect.objectContaining({ field: "file", rule: "name_characters" }) as never]
    await expectRefused(api, () => inForm(head), { status: 422, code: "validation_failed", errors })
    expect((await inForm(twin)).status).toBe(201)
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
})
