// Every other way in which bytes become what people fetch asks the scanner, too: uploads by tus, and versions however
// they are sent or restored. Whatever it does not call clean is published in none of them.
import { desc, eq } from "drizzle-orm"
import { beforeEach, describe, expect, it } from "vitest"
import { blobs, files, resumableUploads } from "../../src/db/schema.ts"
import type { ProblemBody } from "../support/client.ts"
import { docxOfSize, isSame, realDocument } from "../support/documents.ts"
import { CLEAN, REFUSED, type ScannedService, scannedService } from "../support/scanned.ts"
import type { PlannedScan } from "../support/scanner-server.ts"
import { UPLOADS, base64, holdings, sweepLeftovers, tusClient } from "../support/tus.ts"

type Bytes = Uint8Array<ArrayBuffer>

const before = realDocument("npm-docx.docx")
const small = realDocument("libreoffice.docx")
const large = docxOfSize(9 * 1024 * 1024)

async function idOf(response: Response): Promise<string> {
  const id = response.headers.get("sealpost-file-id")
  return id ?? (await response.clone().json<{ file: { id: string } }>()).file.id
}

async function openTus({ api, token }: ScannedService, bytes: Bytes, metadata: string): Promise<string> {
  const headers = { "Upload-Length": String(bytes.length), "Upload-Metadata": metadata }
  const response = await tusClient(api, token).send(UPLOADS, { method: "POST", headers })
  return new URL(response.headers.get("location") ?? "").pathname
}

/** Sends in two pieces: the second answers. */
async function sendTus(service: ScannedService, bytes: Bytes, metadata: string): Promise<Response> {
  const path = await openTus(service, bytes, metadata)
  const tus = tusClient(service.api, service.token)
  const half = Math.floor(bytes.length / 2)
  await tus.patch(path, 0, bytes.slice(0, half))
  return tus.patch(path, half, bytes.slice(half))
}

function form(bytes: Bytes): FormData {
  const data = new FormData()
  data.set("file", new File([bytes], "a.docx"))
  return data
}

/** Sends bytes as a new file, or as the next version of one. */
type Way = (service: ScannedService, id: string, bytes: Bytes) => Promise<Response>

const FILE_BY_TUS = "a file by tus"
const ways: Record<string, Way> = {
  [FILE_BY_TUS]: (service, _, bytes) => sendTus(service, bytes, `filename ${base64("a.docx")}`),
  "a version by tus": (service, id, bytes) => sendTus(service, bytes, `replaces ${base64(id)}`),
  "a version by POST": ({ api, token }, id, bytes) => api.request(`/api/ops/files/${id}/versions`, { token, body: form(bytes) }),
  "a version by PUT": ({ api, token }, id, bytes) =>
    api.request(`/api/ops/files/${id}/content`, { method: "PUT", token, body: bytes }),
}

/** A service with a file, of which the scanner has been asked already. */
async function scene(settings: Record<string, unknown> = {}) {
  const service = await scannedService(CLEAN, settings)
  const id = await idOf(await service.upload(before))
  const { api, token, seen } = service
  return {
    ...service,
    id,
    /** What is published: every file with its version and digest. */
    published: () => api.db.select({ id: blobs.fileId, version: blobs.version, sha256: blobs.sha256 }).from(blobs),
    content: async (fileId: string) =>
      new Uint8Array(await (await api.request(`/api/ops/files/${fileId}/content`, { token })).arrayBuffer()),
    /** What the scanner was sent after the first file. */
    asked: async () => (await seen()).slice(1),
  }
}

const cases = Object.entries(ways).flatMap(([name, send]): [string, string, Way, Bytes][] => [
  [name, "in memory", send, small],
  [name, "of several parts", send, large],
])

describe.each(cases)("%s, %s", (way, _, send, bytes) => {
  it("is sent to the scanner whole, and the verdict is kept with it", async () => {
    const service = await scene()
    const response = await send(service, service.id, bytes)
    expect(response.ok).toBe(true)
    expect(await service.asked()).toEqual([expect.objectContaining({ bytes: bytes.length, length: String(bytes.length) })])
    const [asked] = await service.asked()
    const id = await idOf(response)
    expect(id === service.id).toBe(way !== FILE_BY_TUS)
    const row = await service.api.db.select().from(blobs).where(eq(blobs.fileId, id)).orderBy(desc(blobs.version)).get()
    expect(asked?.sha256).toBe(row?.sha256)
    expect(JSON.parse(row?.scan ?? "null")).toEqual({ verdict: "clean", scanner: "stand-in 1", atMs: service.api.clock.nowMs })
    expect(isSame(await service.content(id), bytes)).toBe(true)
    expect(service.memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })

  it("F13: that it refuses is refused with what it says, and leaves nothing; what it calls clean is taken", async () => {
    const service = await scene()
    const [held, published] = [await holdings(service.api), await service.published()]
    await service.plan(REFUSED)
    const response = await send(service, service.id, bytes)
    const problem = await response.json<ProblemBody>()
    expect(problem).toMatchObject({ status: 422, code: "document_refused", reason: "malware" })
    expect(problem.detail).toContain("Eicar-Test-Signature")
    expect(await holdings(service.api)).toEqual(held)
    expect(await service.published()).toEqual(published)
    expect(isSame(await service.content(service.id), before)).toBe(true)
    await service.plan(CLEAN)
    expect((await send(service, service.id, bytes)).ok).toBe(true)
  })

  it.each<[string, PlannedScan]>([
    ["an error", { ...CLEAN, status: 500 }],
    ["no verdict", { status: 200, body: "{}" }],
    ["nothing in time", { ...CLEAN, delayMs: 6000 }],
    ["an error before it has read anything", { status: 503, body: "", isEarly: true }],
  ])("is not published when the scanner answers %s", async (_, planned) => {
    const service = await scene({ SCANNER_TIMEOUT_MS: "5000" })
    const [held, published] = [await holdings(service.api), await service.published()]
    await service.plan(planned)
    const response = await send(service, service.id, bytes)
    expect(response.headers.get("retry-after")).toBe("60")
    expect(await response.json()).toMatchObject({ status: 503, code: "scanner_unavailable" })
    expect(await service.published()).toEqual(published)
    expect(isSame(await service.content(service.id), before)).toBe(true)
    expect(service.memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
    // By tus the bytes are there, sealed, and wait; otherwise nothing is left.
    if (!way.endsWith("tus")) expect(await holdings(service.api)).toEqual(held)
    await service.plan(CLEAN)
    expect((await send(service, service.id, bytes)).ok).toBe(true)
  })
})

describe.each([
  ["in memory", small],
  ["of several parts", large],
])("an upload by tus that waits for the scanner, %s", (_, bytes) => {
  // Other tests leave uploads that wait, too, and cron would go on with all of them.
  beforeEach(sweepLeftovers)

  /** All bytes sent, none published: the scanner does not answer. */
  async function waiting() {
    const service = await scene()
    const held = await holdings(service.api)
    await service.plan({ status: 503, body: "" })
    const path = await openTus(service, bytes, `filename ${base64("a.docx")}`)
    const tus = tusClient(service.api, service.token)
    const response = await tus.patch(path, 0, bytes)
    const row = () =>
      service.api.db
        .select()
        .from(resumableUploads)
        .where(eq(resumableUploads.id, path.slice(path.lastIndexOf("/") + 1)))
        .get()
    return { ...service, held, path, tus, response, row }
  }

  it("is told so, and keeps one sealed object that no file has", async () => {
    const { api, held, response, tus, path, row } = await waiting()
    const problem = await response.json<ProblemBody>()
    expect([problem.code, problem.detail]).toEqual([
      "scanner_unavailable",
      expect.not.stringContaining("nothing was kept") as string,
    ])
    expect(await holdings(api)).toMatchObject({
      files: held.files,
      blobs: held.blobs,
      objects: held.objects + 1,
      keys: held.keys + 1,
    })
    expect((await row())?.state).toBe("received")
    // Stock clients begin anew after any refusal of HEAD but this one.
    expect((await tus.head(path)).status).toBe(423)
    expect((await row())?.state).toBe("received")
  })

  it.each<[string, (service: Awaited<ReturnType<typeof waiting>>) => Promise<unknown>]>([
    ["its client's next PATCH", ({ tus, path }) => tus.patch(path, bytes.length, new Uint8Array(0))],
    ["its client's next HEAD", ({ tus, path }) => tus.head(path)],
    ["cron", ({ api }) => api.runCron()],
  ])("is published by %s once the scanner calls it clean, and not before", async (_, finish) => {
    const service = await waiting()
    const known = await service.published()
    await finish(service)
    expect(await service.published()).toEqual(known)
    await service.plan(CLEAN)
    await finish(service)
    expect(await service.published()).toHaveLength(known.length + 1)
    const row = await service.row()
    const published = await service.api.db
      .select()
      .from(blobs)
      .where(eq(blobs.fileId, row?.fileId ?? ""))
      .get()
    expect(JSON.parse(published?.scan ?? "null")).toMatchObject({ verdict: "clean" })
    expect(isSame(await service.content(row?.fileId ?? ""), bytes)).toBe(true)
  })

  it.each<[string, (service: Awaited<ReturnType<typeof waiting>>) => Promise<unknown>]>([
    ["its client's next PATCH", ({ tus, path }) => tus.patch(path, bytes.length, new Uint8Array(0))],
    ["its client's next HEAD", ({ tus, path }) => tus.head(path)],
    ["cron", ({ api }) => api.runCron()],
  ])("leaves nothing when %s hears that it is refused, and says so from then on", async (_, finish) => {
    const service = await waiting()
    await service.plan(REFUSED)
    await finish(service)
    await service.api.runCron()
    expect(await holdings(service.api)).toEqual(service.held)
    const again = await service.tus.patch(service.path, bytes.length, new Uint8Array(0))
    expect(await again.json()).toMatchObject({ status: 422, code: "document_refused", reason: "malware" })
  })

  it("is gone with its bytes when the scanner never answers", async () => {
    const service = await waiting()
    service.api.clock.nowMs += 25 * 60 * 60_000
    await service.api.runCron()
    await service.api.runCron()
    expect(await holdings(service.api)).toEqual(service.held)
    expect((await service.row())?.state).toBe("expired")
  })
})

describe("an old version that is restored", () => {
  it.each<[string, PlannedScan, Partial<ProblemBody>]>([
    ["that the scanner refuses by now", REFUSED, { status: 422, code: "document_refused", reason: "malware" }],
    ["of which it says nothing", { status: 503, body: "" }, { status: 503, code: "scanner_unavailable" }],
  ])("is looked at like any upload: one %s does not come back", async (_, planned, expected) => {
    const { api, token, id, plan, content, asked } = await scene()
    await api.request(`/api/ops/files/${id}/content`, { method: "PUT", token, body: small })
    const held = await holdings(api)
    const restore = () => api.request(`/api/ops/files/${id}/versions/1/restore`, { method: "POST", token })
    await plan(planned)
    expect(await (await restore()).json()).toMatchObject(expected)
    expect(await holdings(api)).toEqual(held)
    expect(isSame(await content(id), small)).toBe(true)
    await plan(CLEAN)
    expect((await restore()).status).toBe(200)
    expect((await asked()).at(-1)?.bytes).toBe(before.length)
    expect(isSame(await content(id), before)).toBe(true)
    expect((await api.db.select().from(files).where(eq(files.id, id)).get())?.version).toBe(3)
  })
})
