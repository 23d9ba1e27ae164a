// Which files are refused for what is in them, whichever way they come and however large they are: with the reason, the
// part and what to do, and nothing is left of them.
import { beforeAll, describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import type { DocumentType } from "../../src/office/document-type.ts"
import type { FaultReason } from "../../src/office/fault.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"
import { compoundFile } from "../support/compound-file.ts"
import { docxOfSize, minimalParts, packaged, realDocument, relationships, zipOf } from "../support/documents.ts"
import { expectRefused, rawForm } from "../support/refusals.ts"
import { base64, holdings, tusClient } from "../support/tus.ts"

type Bytes = Uint8Array<ArrayBuffer>

const UPLOAD = "/api/ops/upload"
const docx = realDocument("npm-docx.docx")
const large = docxOfSize(6 * 1024 * 1024)
const text = (content: string): Bytes => new TextEncoder().encode(content) as Bytes

let api: TestClient
let token: string

beforeAll(async () => {
  api = createTestClient()
  token = (await api.newOps()).tokens.accessToken
})

describe("G1, G2, F1: a document is refused with 422, with reason, part and remedy, and leaves nothing", () => {
  const padding = { "a.bin": large }
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
    ["an old text", compoundFile(512, "WordDocument"), "legacy_format"],
    ["a document with a password", compoundFile(512, "EncryptedPackage", "EncryptionInfo"), "password_protected"],
    ["another compound file", compoundFile(512, "Contents"), "compound_file"],
    ["a large file that is none", new Uint8Array(6 * 1024 * 1024), "not_a_zip"],
    ["a large zip that is no document", zipOf(padding, 0), "zip_archive"],
    [
      "a large document with macros",
      zipOf({ ...minimalParts(), ...padding, "vbaProject.bin": "x" }, 0),
      "macro_enabled",
      "vbaProject.bin",
    ],
    ["a large document cut short", docxOfSize(7 * 1024 * 1024).slice(0, -1), "truncated"],
  ])("when it is %s", async (_, bytes, reason, part) => {
    const problem = await expectRefused(api, () => api.upload(token, bytes, "a.docx"), {
      status: 422,
      code: "document_refused",
      reason,
      ...(part === undefined ? {} : { part }),
    })
    expect(problem.detail).toContain(problem.remedy)
    expect(problem.detail).toContain(".docx, .xlsx and .pptx")
    if (part === undefined) expect(problem).not.toHaveProperty("part")
    else expect(problem.detail).toContain(part)
    expect((await api.upload(token, bytes.length > PART_BYTES ? large : docx, "a.docx")).status).toBe(201)
  })

  it("by the deployment's policy, until that allows it", async () => {
    const target = "https://example.com/t.dotx"
    const bytes = zipOf({
      ...minimalParts(),
      "_rels/part0.xml.rels": relationships({ kind: "attachedTemplate", target, mode: "External" }),
    })
    await expectRefused(api, () => api.upload(token, bytes, "a.docx"), {
      status: 422,
      code: "document_refused",
      reason: "external_relationship",
      part: "_rels/part0.xml.rels",
    })
    const lenient = createTestClient({ ALLOW_EXTERNAL_RELATIONSHIPS: "true" })
    expect((await lenient.upload(token, bytes, "a.docx")).status).toBe(201)
  })
})

describe("G1, G2: what Office itself writes beside documents is refused under every document's name", () => {
  const genuine = { docx: "Doc1.docx", xlsx: "Book1.xlsx", pptx: "1test.pptx" }
  function bytesOf(file: string): Bytes {
    const found = packaged.find(({ path }) => path === `officeprops/src/test/files/${file}`)
    if (found === undefined) throw new Error(`no ${file}`)
    return found.bytes
  }

  it.each<[string, DocumentType, FaultReason]>([
    ["Doc1.docm", "docx", "macro_enabled"],
    ["Doc1.dotm", "docx", "macro_enabled"],
    ["Doc1.dotx", "docx", "template"],
    ["Doc1.odt", "docx", "open_document"],
    ["Doc1.xml", "docx", "not_a_zip"],
    ["Book1.xlsm", "xlsx", "macro_enabled"],
    ["Book1.xltm", "xlsx", "macro_enabled"],
    ["Book1.xltx", "xlsx", "template"],
    ["Book1.xlsb", "xlsx", "binary_workbook"],
    ["Book1.ods", "xlsx", "open_document"],
    ["pp.pptm", "pptx", "macro_enabled"],
    ["pp.potm", "pptx", "macro_enabled"],
    ["pp.ppsm", "pptx", "macro_enabled"],
    ["pp.potx", "pptx", "template"],
    ["pp.ppsx", "pptx", "slide_show"],
    ["pp.odp", "pptx", "open_document"],
  ])("%s as .%s: %s", async (file, type, reason) => {
    const answer = { status: 422, code: "document_refused", reason }
    await expectRefused(api, () => api.upload(token, bytesOf(file), `a.${type}`), answer)
    expect((await api.upload(token, bytesOf(genuine[type]), `a.${type}`)).status).toBe(201)
  })

  it.each<[string, string, DocumentType]>([
    ["Workbook", "a workbook", "xlsx"],
    ["Book", "a very old workbook", "xlsx"],
    ["WordDocument", "a text", "docx"],
    ["PowerPoint Document", "a presentation", "pptx"],
  ])("the old format (%s) of %s as .%s", async (stream, _, type) => {
    const answer = { status: 422, code: "document_refused", reason: "legacy_format" }
    await expectRefused(api, () => api.upload(token, compoundFile(512, stream), `a.${type}`), answer)
    expect((await api.upload(token, bytesOf(genuine[type]), `a.${type}`)).status).toBe(201)
  })
})

describe("G4: a compound file of several parts, whose directory stands behind the first", () => {
  /** By tus, the first piece longer than a part. */
  async function byTus(bytes: Bytes): Promise<Response> {
    const tus = tusClient(api, token)
    const path = await tus.open(bytes.length, { "Upload-Metadata": `filename ${base64("a.docx")}` })
    const first = await tus.patch(path, 0, bytes.slice(0, 6 * 1024 * 1024))
    return first.ok ? tus.patch(path, 6 * 1024 * 1024, bytes.slice(6 * 1024 * 1024)) : first
  }
  const ways: Record<string, (bytes: Bytes) => Promise<Response>> = {
    POST: (bytes) => api.upload(token, bytes, "a.docx"),
    PUT: (bytes) => api.request(`${UPLOAD}/a.docx`, { method: "PUT", token, body: bytes }),
    tus: byTus,
  }
  const far = 12 * 1024 * 1024
  const near = 512
  const padded = (bytes: Bytes): Bytes => {
    const longer = new Uint8Array(far + 4096)
    longer.set(bytes)
    return longer
  }
  const genuine = docxOfSize(far)

  it.each(
    Object.keys(ways).flatMap((way) => [
      [way, "protected with a password", ["EncryptedPackage", "EncryptionInfo"], "password_protected"] as const,
      [way, "an old text", ["WordDocument"], "legacy_format"] as const,
      [way, "an old workbook", ["Workbook"], "legacy_format"] as const,
      [way, "something else", ["Contents"], "compound_file"] as const,
    ]),
  )("%s: that is %s (%j) is refused as %s, near its beginning or far from it", async (way, _, names, reason) => {
    const send = ways[way] ?? byTus
    for (const bytes of [padded(compoundFile(near, ...names)), compoundFile(far, ...names)])
      await expectRefused(api, () => send(bytes), { status: 422, code: "document_refused", reason })
    expect((await send(genuine)).ok).toBe(true)
  })

  it("is refused at its first part where that tells", async () => {
    const tus = tusClient(api, token)
    const patch = async (bytes: Bytes) => {
      const path = await tus.open(bytes.length)
      return tus.patch(path, 0, bytes.slice(0, 6 * 1024 * 1024))
    }
    const before = await holdings(api)
    const early = await patch(padded(compoundFile(near, "WordDocument")))
    expect(await early.json<ProblemBody>()).toMatchObject({ status: 422, reason: "legacy_format" })
    expect(await holdings(api)).toEqual(before)
    expect((await patch(compoundFile(far, "WordDocument"))).status).toBe(204)
    expect((await patch(genuine)).status).toBe(204)
  })
})

it("F8: name and content count; the type that the client declares does not", async () => {
  const send = (content: Uint8Array<ArrayBuffer>, type: string) =>
    api.request(UPLOAD, {
      token: token,
      ...rawForm([{ head: `name="file"; filename="a.docx"${type === "" ? "" : `\r\nContent-Type: ${type}`}`, content }]),
    })
  const docxType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
  for (const type of ["", "text/html", "image/png", "application/vnd.ms-word.document.macroEnabled.12", docxType]) {
    const { file } = await (await send(docx, type)).json<{ file: { id: string } }>()
    const response = await api.request(`/api/ops/files/${file.id}/content`, { token: token })
    expect(response.headers.get("content-type"), type).toBe(docxType)
  }
  const html = await send(text("<!doctype html><script>alert(1)</script>"), docxType)
  expect(await html.json()).toMatchObject({ status: 422, code: "document_refused", reason: "not_a_zip" })
})
