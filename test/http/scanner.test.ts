// The scanner between the check and publication: nothing is published without its word, and what it refuses, or
// does not answer, leaves nothing.
import { describe, expect, it } from "vitest"
import { blobs } from "../../src/db/schema.ts"
import { createTestClient } from "../support/client.ts"
import { docxOfSize, minimalParts, realDocument, zipOf } from "../support/documents.ts"
import { REFUSED, scannedService } from "../support/scanned.ts"
import type { PlannedScan } from "../support/scanner-server.ts"
import { holdings } from "../support/tus.ts"

const small = realDocument("npm-docx.docx")
const large = docxOfSize(11 * 1024 * 1024)

const hexOf = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

describe.each([
  ["a document in memory", small],
  ["a document of several parts", large],
])("%s", (_, bytes) => {
  it("is sent whole, with type, length and digest, and the verdict is kept with it", async () => {
    const { api, memory, upload, seen } = await scannedService()
    const answer = await upload(bytes)
    expect(answer.status).toBe(201)
    const { file } = await answer.json<{ file: { id: string } }>()
    const sha256 = await crypto.subtle.digest("SHA-256", bytes)
    expect(await seen()).toEqual([
      {
        type: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        length: String(bytes.length),
        digest: `sha-256=:${btoa(String.fromCharCode(...new Uint8Array(sha256)))}:`,
        sha256: hexOf(sha256),
        bytes: bytes.length,
      },
    ])
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    expect(JSON.parse(row?.scan ?? "null")).toEqual({ verdict: "clean", scanner: "stand-in 1", atMs: api.clock.nowMs })
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })

  it("F13: that it refuses is refused with what it says, and leaves nothing", async () => {
    const { api, upload, plan } = await scannedService(REFUSED)
    const before = await holdings(api)
    const answer = await upload(bytes)
    const problem = await answer.json<{ detail: string }>()
    expect(problem).toMatchObject({ status: 422, code: "document_refused", reason: "malware" })
    expect(problem.detail).toContain("Eicar-Test-Signature")
    expect(await holdings(api)).toEqual(before)
    await plan({ status: 200, body: JSON.stringify({ verdict: "clean" }) })
    expect((await upload(bytes)).status).toBe(201)
  })

  it.each<[string, PlannedScan]>([
    ["an error", { status: 500, body: JSON.stringify({ verdict: "clean" }) }],
    ["another success", { status: 201, body: JSON.stringify({ verdict: "clean" }) }],
    ["a redirect", { status: 307, body: JSON.stringify({ verdict: "clean" }) }],
    ["no JSON", { status: 200, body: "clean" }],
    ["no verdict", { status: 200, body: "{}" }],
    ["null", { status: 200, body: "null" }],
    ["an unknown verdict", { status: 200, body: JSON.stringify({ verdict: "Clean" }) }],
    ["too much", { status: 200, body: JSON.stringify({ verdict: "clean", more: "x".repeat(20_000) }) }],
    ["nothing", { status: 0, body: "" }],
    ["silence", { status: 200, body: JSON.stringify({ verdict: "clean" }), delayMs: 6000 }],
    ["an error before it has read anything", { status: 503, body: "", isEarly: true }],
  ])("is not published when the scanner answers %s", async (_, planned) => {
    const { api, memory, upload, plan } = await scannedService(planned, { SCANNER_TIMEOUT_MS: "5000" })
    const before = await holdings(api)
    const answer = await upload(bytes)
    expect(answer.headers.get("retry-after")).toBe("60")
    expect(await answer.json()).toMatchObject({ status: 503, code: "scanner_unavailable" })
    expect(await holdings(api)).toEqual(before)
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
    await plan({ status: 200, body: JSON.stringify({ verdict: "clean" }) })
    expect((await upload(bytes)).status).toBe(201)
  })
})

describe("the scanner", () => {
  it("is not asked about what is no document", async () => {
    const { upload, seen } = await scannedService()
    expect((await upload(small.slice(0, -1))).status).toBe(422)
    expect(await seen()).toEqual([])
    expect((await upload(small)).status).toBe(201)
    expect(await seen()).toHaveLength(1)
  })

  it("F13: is alone in finding what media hold: without it a test virus in a picture is taken", async () => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const eicar = String.raw`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
    const infected = zipOf({ ...minimalParts(), "word/media/image1.png": eicar })
    expect((await api.upload(tokens.accessToken, infected, "a.docx")).status).toBe(201)
  })

  it("is nobody by default: nothing is kept of it", async () => {
    const api = createTestClient()
    const { tokens } = await api.newOps()
    const answer = await api.upload(tokens.accessToken, small, "a.docx")
    const { file } = await answer.json<{ file: { id: string } }>()
    expect((await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)?.scan).toBeNull()
  })
})
