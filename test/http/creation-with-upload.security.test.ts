// Bytes that come with the creation of a resumable upload: where they come to nothing, nobody is told the upload's
// address, so nothing of it may be left.
import { describe, expect, it } from "vitest"
import { type ProblemBody, createTestClient } from "../support/client.ts"
import { realDocument } from "../support/documents.ts"
import { UPLOADS, holdings, streamOf, tusClient } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")

/** An ops user with room for one document. */
async function scene() {
  const api = createTestClient({ OPS_QUOTA_FILES: "1", OPS_QUOTA_BYTES: String(docx.length) })
  const { tokens } = await api.newOps()
  const token = tokens.accessToken
  const openUploads = async (): Promise<object[]> =>
    (await (await api.request(UPLOADS, { token })).json<{ uploads: object[] }>()).uploads
  return { api, tus: tusClient(api, token), openUploads }
}

describe("an upload is given up when what comes with its creation", () => {
  it.each<[string, number, string, Record<string, string>, () => BodyInit]>([
    ["has another checksum", 460, "checksum_mismatch", { "Upload-Checksum": `sha1 ${btoa("x".repeat(20))}` }, () => docx],
    ["breaks off", 400, "malformed_request", {}, () => streamOf([docx.slice(0, 100)], new Error("gone"))],
    ["is too long", 413, "payload_too_large", {}, () => streamOf([docx, docx])],
    ["is no document", 422, "document_refused", {}, () => "hello hello hello".padEnd(docx.length)],
  ])("%s: it holds no room any more", async (_, status, code, headers, body) => {
    const { api, tus, openUploads } = await scene()
    const before = await holdings(api)
    const refused = await tus.create(docx.length, headers, body())
    expect([refused.status, (await refused.json<ProblemBody>()).code]).toEqual([status, code])
    expect(refused.headers.get("location")).toBeNull()
    expect(await openUploads()).toEqual([])
    expect(await holdings(api)).toEqual(before)
    expect((await tus.create(docx.length, {}, docx)).status).toBe(201)
  })

  it("is only its beginning: no, that one goes on, and holds its room", async () => {
    const { tus, openUploads } = await scene()
    const created = await tus.create(docx.length, {}, docx.slice(0, 100))
    expect([created.status, (await openUploads()).length]).toEqual([201, 1])
    expect((await tus.create(docx.length, {}, docx)).status).toBe(507)
    const path = new URL(created.headers.get("location") ?? "").pathname
    expect((await tus.patch(path, 100, docx.slice(100))).status).toBe(204)
  })
})
