// Stock clients against the running service, through a proxy that cuts, delays and sends twice: tus-js-client, curl.
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { Upload, type UploadOptions } from "tus-js-client"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { createPresentation } from "../../bench/presentation.ts"
import { type Subject, startSubject, writeDocument } from "../../bench/subject.ts"
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.ts"
import { run } from "./service.ts"

const MB = 1_000_000

let dir: string
let proxy: FaultyProxy
let subject: Subject
let origin: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-uploads-"))
  let port = 0
  proxy = await startFaultyProxy(() => port)
  origin = `http://localhost:${String(proxy.port)}`
  subject = await startSubject(join(dir, "state"), { PUBLIC_ORIGIN: origin })
  port = Number(new URL(subject.origin).port)
})

afterAll(async () => {
  await subject.stop()
  await proxy.close()
  rmSync(dir, { recursive: true, force: true })
})

beforeEach(async () => {
  await proxy.setFaults({})
})

const authorization = (): string => (subject.auth[1] ?? "").replace("Authorization: ", "")
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

function documentOf(sizeBytes: number): Buffer {
  const path = join(dir, "document.docx")
  writeDocument(path, sizeBytes)
  return readFileSync(path)
}

type Outcome = { fileId: string; retries: number }

/** Uploads as the client's documentation says. */
function upload(bytes: Buffer | Readable, name: string, options: Partial<UploadOptions> = {}): Promise<Outcome> {
  let retries = 0
  return new Promise((resolve, reject) => {
    // Its types know of no Node stream but that of a file.
    new Upload(bytes as Buffer, {
      endpoint: `${origin}/api/ops/uploads`,
      headers: { Authorization: authorization() },
      metadata: { filename: name, filetype: "application/octet-stream" },
      retryDelays: [0, 500, 1000, 2000, 4000, 8000, 8000, 8000],
      onError: reject,
      onShouldRetry: (error) => {
        retries++
        const status = error.originalResponse?.getStatus() ?? 0
        return status < 400 || status >= 500 || status === 409 || status === 423
      },
      onSuccess: ({ lastResponse }) => {
        resolve({ fileId: lastResponse.getHeader("Sealpost-File-Id") ?? "", retries })
      },
      ...options,
    }).start()
  })
}

async function expectDigest(fileId: string, expected: string): Promise<void> {
  const response = await fetch(subject.contentUrl(fileId), { headers: { Authorization: authorization() } })
  expect(response.status).toBe(200)
  const hash = createHash("sha256")
  for await (const chunk of response.body ?? []) hash.update(chunk as Uint8Array)
  expect(hash.digest("hex")).toBe(expected)
}

const expectStored = (fileId: string, bytes: Uint8Array): Promise<void> => expectDigest(fileId, sha256(bytes))

describe("tus-js-client", () => {
  it.each<[string, () => Buffer, string, Partial<UploadOptions>]>([
    ["a small presentation", () => readFileSync("test/corpus/libreoffice.pptx"), "a.pptx", {}],
    ["30 MB in one request", () => documentOf(30 * MB), "a.docx", {}],
    ["30 MB with the creation", () => documentOf(30 * MB), "a.docx", { uploadDataDuringCreation: true }],
    ["12 MB in pieces of 5 MB", () => documentOf(12 * MB), "a.docx", { chunkSize: 5 * MB }],
    ["7 MB in pieces of 1 MiB", () => documentOf(7 * MB), "a.docx", { chunkSize: 1024 * 1024 }],
    [
      "12 MB of a length that it tells at last",
      () => documentOf(12 * MB),
      "a.docx",
      { uploadLengthDeferred: true, chunkSize: 4 * MB },
    ],
    ["7 MB by POST in place of PATCH", () => documentOf(7 * MB), "a.docx", { overridePatchMethod: true, chunkSize: 3 * MB }],
  ])("uploads %s", async (_, document, name, options) => {
    const bytes = document()
    const { fileId } = await upload(bytes, name, options)
    await expectStored(fileId, bytes)
  })

  // One of 300 MB takes longer than a suite should: npm run bench:uploads.
  it.each([
    ["just over a part", 5_300_000, 1, 5 * MB],
    ["60 MB, of many pictures", 60 * MB, 40, 25 * MB],
  ])("uploads a presentation of %s from a stream, never whole in memory", async (_, size, pictures, chunkSize) => {
    const presentation = createPresentation(size, pictures)
    const options = { uploadSize: presentation.sizeBytes, chunkSize }
    // Not by objects: of those the client would send each in a request of its own.
    const stream = Readable.from(presentation.chunks(), { objectMode: false })
    const { fileId } = await upload(stream, "a.pptx", options)
    await expectDigest(fileId, presentation.sha256)
  })

  it("is told why what it sent is no document", async () => {
    const failure = await upload(Buffer.from("P"), "a.docx").then(
      () => "taken",
      (error: unknown) => String(error),
    )
    expect(failure).toContain("document_refused")
  })

  it("arrives although its connections are cut again and again", async () => {
    const bytes = documentOf(40 * MB)
    await proxy.setFaults({ cutAfterBytes: [9 * MB, 3 * MB, 100, 7 * MB, 5_300_000, 1 * MB] })
    const before = proxy.cuts()
    const { fileId, retries } = await upload(bytes, "a.docx", { chunkSize: 20 * MB })
    expect(proxy.cuts() - before).toBeGreaterThanOrEqual(3)
    expect(retries).toBeGreaterThan(0)
    await expectStored(fileId, bytes)
  })

  it("arrives although it never hears the answers to what was done", async () => {
    const bytes = documentOf(12 * MB)
    // The creation's answer passes; then answers to PATCHes, the last one among them, are lost.
    const before = proxy.cuts()
    await proxy.setFaults({ cutAnswersAfterBytes: [1800, 100, 1800, 100] })
    const { fileId } = await upload(bytes, "a.docx", { chunkSize: 6 * MB })
    expect(proxy.cuts() - before).toBeGreaterThanOrEqual(3)
    await expectStored(fileId, bytes)
  })

  it("arrives once although everything that it sends arrives twice", async () => {
    const bytes = documentOf(12 * MB)
    const list = async (): Promise<{ sha256: string }[]> => {
      const response = await fetch(`${subject.origin}/api/ops/files?limit=200`, { headers: { Authorization: authorization() } })
      const { files } = await response.json<{ files: { sha256: string }[] }>()
      return files
    }
    await proxy.setFaults({ isDoubled: true })
    const { fileId } = await upload(bytes, "a.docx", { chunkSize: 6 * MB })
    await expectStored(fileId, bytes)
    expect((await list()).filter((file) => file.sha256 === sha256(bytes))).toHaveLength(1)
  })

  it("arrives over a slow line", async () => {
    const bytes = documentOf(7 * MB)
    await proxy.setFaults({ delayMs: 5 })
    const { fileId } = await upload(bytes, "a.docx")
    await expectStored(fileId, bytes)
  })

  it("gives up what it has begun", async () => {
    const open = async (): Promise<number> => {
      const response = await fetch(`${subject.origin}/api/ops/uploads`, { headers: { Authorization: authorization() } })
      const { uploads } = await response.json<{ uploads: unknown[] }>()
      return uploads.length
    }
    const before = await open()
    const url = await new Promise<string>((resolve, reject) => {
      const begun = new Upload(documentOf(7 * MB), {
        endpoint: `${origin}/api/ops/uploads`,
        headers: { Authorization: authorization() },
        metadata: { filename: "a.docx" },
        chunkSize: 6 * MB,
        retryDelays: [0, 1000, 3000],
        onError: reject,
        onChunkComplete: () => {
          begun.abort(true).then(() => {
            resolve(begun.url ?? "")
          }, reject)
        },
      })
      begun.start()
    })
    expect(url).toContain("/api/ops/uploads/")
    expect(await open()).toBe(before)
  })
})

describe("curl", () => {
  it("uploads with -T, with a length and without", async () => {
    const path = join(dir, "Report 1.docx")
    writeFileSync(path, documentOf(12 * MB))
    const bytes = readFileSync(path)
    const id = (text: string): string => (JSON.parse(text) as { file: { id: string } }).file.id
    const sized = await run("curl", ["-sS", "-T", path, ...subject.auth, `${origin}/api/ops/upload/`])
    await expectStored(id(sized.stdout), bytes)
    const chunked = await run("bash", [
      "-c",
      `cat "$0" | curl -sS -T - -H "$1" "$2"`,
      path,
      subject.auth[1] ?? "",
      `${origin}/api/ops/upload/b.docx`,
    ])
    await expectStored(id(chunked.stdout), bytes)
  })
})
