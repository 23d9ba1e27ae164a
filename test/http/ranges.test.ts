// Ranges, conditions and digests of downloads (RFC 9110 sections 13 and 14, RFC 9530), over sealed bytes.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { PART_BYTES, SEALED_PART_BYTES, SEGMENT_BYTES } from "../../src/crypto/sealed-format.ts"
import { createDeps } from "../../src/deps.ts"
import { SEEN_BYTES } from "../../src/domain/seen-entries.ts"
import { openContent } from "../../src/domain/content.ts"
import { createMemoryBudget } from "../../src/domain/memory.ts"
import { blobs, files, downloads, uploads } from "../../src/db/schema.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { type ProblemBody, type TestClient, createTestClient } from "../support/client.ts"

const OVERHEAD = docxOfSize(0).length
const SIZE = 2 * PART_BYTES + 300_000
const document = docxOfSize(SIZE - OVERHEAD)
const PLAIN_SEGMENT = SEGMENT_BYTES - 16
/** Two full parts of 21 segments, one of two. */
const OVERHEAD_OF_SEALING = 3 * 40 + (21 + 21 + 2) * 16
const edges = [
  0,
  PLAIN_SEGMENT - 40,
  2 * PLAIN_SEGMENT - 40,
  PART_BYTES,
  PART_BYTES + PLAIN_SEGMENT - 40,
  2 * PART_BYTES,
  SIZE - 1,
]

let api: TestClient
let token: string
let path: string
let etag: string
let digest: string

const base64 = (bytes: ArrayBuffer): string =>
  btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""))
const sha = async (algorithm: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  base64(await crypto.subtle.digest(algorithm, bytes))

beforeAll(async () => {
  api = createTestClient()
  token = (await api.newOps()).tokens.accessToken
  const { file } = await (await api.upload(token, document, "a.docx")).json<{ file: { id: string; sha256: string } }>()
  path = `/api/ops/files/${file.id}/content`
  etag = `"${file.sha256}"`
  digest = `sha-256=:${await sha("SHA-256", document)}:`
})

const get = (headers: Record<string, string> = {}, method = "GET"): Promise<Response> =>
  api.request(path, { method, token, headers })
const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer())
const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

describe("one range", () => {
  it("is answered exactly at every edge of segments and parts", async () => {
    for (const edge of edges) {
      for (const start of [edge - 1, edge, edge + 1].filter((at) => at >= 0 && at < SIZE)) {
        for (const end of [start, start + 1, start + 5000].filter((at) => at < SIZE)) {
          const response = await get({ Range: `bytes=${String(start)}-${String(end)}` })
          expect(response.status).toBe(206)
          expect(response.headers.get("content-range")).toBe(`bytes ${String(start)}-${String(end)}/${String(SIZE)}`)
          expect(response.headers.get("content-length")).toBe(String(end - start + 1))
          expect(equal(await bytesOf(response), document.subarray(start, end + 1)), `${String(start)}-${String(end)}`).toBe(true)
        }
      }
    }
  })

  it.each<[string, number, number]>([
    ["bytes=0-", 0, SIZE],
    ["bytes=1000-", 1000, SIZE],
    [`bytes=${String(PART_BYTES - 3)}-`, PART_BYTES - 3, SIZE],
    ["bytes=-1", SIZE - 1, SIZE],
    [`bytes=-${String(SIZE + 5)}`, 0, SIZE],
    [`bytes=5-${String(SIZE * 3)}`, 5, SIZE],
    ["BYTES=7-9", 7, 10],
  ])("%s", async (range, start, end) => {
    const response = await get({ Range: range })
    expect(response.status).toBe(206)
    expect(response.headers.get("repr-digest")).toBe(digest)
    expect(response.headers.get("etag")).toBe(etag)
    expect(equal(await bytesOf(response), document.subarray(start, end))).toBe(true)
  })

  it("at random places is what the document has there", async () => {
    for (let i = 0; i < 60; i++) {
      const start = Math.floor(Math.random() * SIZE)
      const end = start + Math.floor(Math.random() * Math.min(SIZE - start, 800_000))
      expect(
        equal(await bytesOf(await get({ Range: `bytes=${String(start)}-${String(end)}` })), document.subarray(start, end + 1)),
      ).toBe(true)
    }
  })

  it.each([
    "bytes=0",
    "bytes=a-b",
    "bytes=5-2",
    "chunks=0-1",
    "bytes 0-1",
    "bytes=",
    `bytes=${"0-0,".repeat(20)}0-0`,
    "bytes=0-10,5-20",
  ])("that makes no sense (%s) is ignored", async (range) => {
    const response = await get({ Range: range })
    expect([response.status, response.headers.get("content-range")]).toEqual([200, null])
    expect(equal(await bytesOf(response), document)).toBe(true)
  })

  it.each([`bytes=${String(SIZE)}-`, `bytes=${String(SIZE + 1)}-${String(SIZE + 2)}`, "bytes=-0", `bytes=${"9".repeat(30)}-`])(
    "outside the document (%s) is 416",
    async (range) => {
      const response = await get({ Range: range })
      expect(response.headers.get("content-range")).toBe(`bytes */${String(SIZE)}`)
      expect(await response.json<ProblemBody>()).toMatchObject({ status: 416, code: "range_not_satisfiable" })
    },
  )
})

describe("several ranges", () => {
  it("come as multipart/byteranges, in order, with the right length", async () => {
    const wanted: [number, number][] = [
      [0, 9],
      [PART_BYTES - 5, PART_BYTES + 4],
      [SIZE - 3, SIZE - 1],
    ]
    const response = await get({ Range: `bytes=${wanted.map(([from, to]) => `${String(from)}-${String(to)}`).join(", ")}` })
    expect(response.status).toBe(206)
    const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(response.headers.get("content-type") ?? "")?.[1]
    const body = await bytesOf(response)
    expect(response.headers.get("content-length")).toBe(String(body.length))
    const text = Array.from(body, (byte) => String.fromCharCode(byte)).join("")
    const parts = text.split(`--${boundary ?? "?"}`).slice(1)
    expect(parts.pop()).toBe("--\r\n")
    expect(parts).toHaveLength(3)
    for (const [i, [from, to]] of wanted.entries()) {
      const [head = "", content = ""] = (parts[i] ?? "").split("\r\n\r\n")
      expect(head).toContain(`Content-Range: bytes ${String(from)}-${String(to)}/${String(SIZE)}`)
      const expected = Array.from(document.subarray(from, to + 1), (byte) => String.fromCharCode(byte)).join("")
      expect(content.slice(0, to - from + 1)).toBe(expected)
    }
  })
})

describe("HEAD", () => {
  it("has the headers of the whole, ignores Range, and reads nothing from R2", async () => {
    let reads = 0
    const bucket = new Proxy(env.BLOBS, {
      get(target, property) {
        reads++
        const value: unknown = Reflect.get(target, property)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    })
    const watched = createTestClient({ BLOBS: bucket })
    const head = await watched.request(path, { method: "HEAD", token, headers: { Range: "bytes=0-0" } })
    expect([head.status, head.headers.get("content-length"), head.headers.get("accept-ranges")]).toEqual([
      200,
      String(SIZE),
      "bytes",
    ])
    expect([head.headers.get("etag"), head.headers.get("repr-digest"), head.headers.get("content-range")]).toEqual([
      etag,
      digest,
      null,
    ])
    expect(reads).toBe(0)
    await watched.request(path, { token })
    expect(reads).toBeGreaterThan(0)
  })
})

describe("conditions", () => {
  const wrong = `"${"0".repeat(64)}"`
  it.each<[string, () => Record<string, string>, number]>([
    ["If-None-Match hit", () => ({ "If-None-Match": etag }), 304],
    ["If-None-Match weak hit", () => ({ "If-None-Match": `W/${etag}` }), 304],
    ["If-None-Match in a list", () => ({ "If-None-Match": `${wrong}, ${etag}` }), 304],
    ["If-None-Match *", () => ({ "If-None-Match": "*" }), 304],
    ["If-None-Match miss", () => ({ "If-None-Match": wrong }), 200],
    ["If-Match hit", () => ({ "If-Match": etag }), 200],
    ["If-Match weak", () => ({ "If-Match": `W/${etag}` }), 412],
    ["If-Match miss", () => ({ "If-Match": wrong }), 412],
    ["If-Modified-Since now", () => ({ "If-Modified-Since": "Mon, 23 Nov 2026 12:00:00 GMT" }), 304],
    ["If-Modified-Since before", () => ({ "If-Modified-Since": "Mon, 23 Nov 2026 11:59:59 GMT" }), 200],
    ["If-Unmodified-Since before", () => ({ "If-Unmodified-Since": "Mon, 23 Nov 2026 11:59:59 GMT" }), 412],
    ["If-Range hit", () => ({ Range: "bytes=0-0", "If-Range": etag }), 206],
    ["If-Range miss", () => ({ Range: "bytes=0-0", "If-Range": wrong }), 200],
    ["If-Range weak", () => ({ Range: "bytes=0-0", "If-Range": `W/${etag}` }), 200],
    ["If-Range date", () => ({ Range: "bytes=0-0", "If-Range": "Mon, 23 Nov 2026 12:00:00 GMT" }), 206],
    ["If-Range other date", () => ({ Range: "bytes=0-0", "If-Range": "Mon, 23 Nov 2026 12:00:01 GMT" }), 200],
    ["If-None-Match hit with Range", () => ({ Range: "bytes=0-0", "If-None-Match": etag }), 304],
    ["If-Match miss with an unsatisfiable range", () => ({ Range: `bytes=${String(SIZE)}-`, "If-Match": wrong }), 412],
  ])("%s", async (_, headers, status) => {
    const response = await get(headers())
    expect(response.status).toBe(status)
    if (status === 304) {
      expect(response.headers.get("etag")).toBe(etag)
      expect((await response.arrayBuffer()).byteLength).toBe(0)
    }
    if (status === 412) expect((await response.json<ProblemBody>()).code).toBe("precondition_failed")
  })
})

/** A client in a fresh isolate's place, and the lengths of its reads of R2. */
function watchReads(): { watched: TestClient; read: number[] } {
  const read: number[] = []
  const bucket = new Proxy(env.BLOBS, {
    get(target, property) {
      if (property === "get") {
        return (key: string, options: { range: { length: number } }) => {
          read.push(options.range.length)
          return target.get(key, options)
        }
      }
      const value: unknown = Reflect.get(target, property)
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
  return { watched: createTestClient({ BLOBS: bucket }), read }
}

describe("a range costs little", () => {
  it("the last byte: at most three reads of R2 and two MiB", async () => {
    const { watched, read } = watchReads()
    expect((await watched.request(path, { token, headers: { Range: "bytes=-1" } })).status).toBe(206)
    expect(read.length).toBeLessThanOrEqual(3)
    expect(read.reduce((sum, length) => sum + length, 0)).toBeLessThan(2 * 1024 * 1024)
  })

  it("a further range of the same part: one read, as long as the object is the same", async () => {
    const { watched, read } = watchReads()
    const { file } = await (await api.upload(token, document, "c.docx")).json<{ file: { id: string } }>()
    const ask = async (start: number): Promise<Response> => {
      read.length = 0
      const Range = `bytes=${String(start)}-${String(start + 9)}`
      return watched.request(`/api/ops/files/${file.id}/content`, { token, headers: { Range } })
    }
    const start = PART_BYTES + 3 * PLAIN_SEGMENT
    expect(equal(await bytesOf(await ask(start)), document.subarray(start, start + 10))).toBe(true)
    expect(read).toHaveLength(2)
    expect(equal(await bytesOf(await ask(start + 600_000)), document.subarray(start + 600_000, start + 600_010))).toBe(true)
    expect(read).toHaveLength(1)

    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    const sealed = new Uint8Array((await (await env.BLOBS.get(row?.objectKey ?? ""))?.arrayBuffer()) ?? new ArrayBuffer(0))
    await env.BLOBS.put(row?.objectKey ?? "", sealed.with(SEALED_PART_BYTES + 5, (sealed[SEALED_PART_BYTES + 5] ?? 0) ^ 1))
    expect(await (await ask(start)).json<ProblemBody>()).toMatchObject({ code: "integrity_failure" })
    await env.BLOBS.put(row?.objectKey ?? "", sealed)
    expect(equal(await bytesOf(await ask(start)), document.subarray(start, start + 10))).toBe(true)
    expect(read).toHaveLength(2)
  })

  it("a large one begins with a read of one segment, and reads no byte twice", async () => {
    const { watched, read } = watchReads()
    const response = await watched.request(path, { token, headers: { Range: `bytes=${String(PLAIN_SEGMENT)}-` } })
    expect(equal(await bytesOf(response), document.subarray(PLAIN_SEGMENT))).toBe(true)
    expect(read.slice(0, 2)).toEqual([SEGMENT_BYTES, 40])
    const touched = SIZE + OVERHEAD_OF_SEALING - (SEGMENT_BYTES - 40)
    expect(read.reduce((sum, length) => sum + length, 0)).toBe(touched)
  })
})

describe("a damaged object", () => {
  it("is refused for ranges too that never touch the damage's place in its length", async () => {
    const { file } = await (await api.upload(token, document, "b.docx")).json<{ file: { id: string } }>()
    const row = (await api.db.select().from(blobs)).find(({ fileId }) => fileId === file.id)
    const object = await env.BLOBS.get(row?.objectKey ?? "")
    const sealed = new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer(0))
    const read = (range: string) => api.request(`/api/ops/files/${file.id}/content`, { token, headers: { Range: range } })
    for (const cut of [1, 16, SEGMENT_BYTES, sealed.length - SEALED_PART_BYTES, sealed.length - 2 * SEALED_PART_BYTES]) {
      await env.BLOBS.put(row?.objectKey ?? "", sealed.slice(0, sealed.length - cut))
      expect(await (await read("bytes=0-9")).json<ProblemBody>(), `cut by ${String(cut)}`).toMatchObject({
        status: 500,
        code: "integrity_failure",
      })
    }
    await env.BLOBS.put(row?.objectKey ?? "", sealed.with(SEALED_PART_BYTES + 5, (sealed[SEALED_PART_BYTES + 5] ?? 0) ^ 1))
    expect((await read("bytes=0-9")).status).toBe(206)
    expect(await (await read(`bytes=${String(PART_BYTES)}-${String(PART_BYTES + 9)}`)).json<ProblemBody>()).toMatchObject({
      code: "integrity_failure",
    })
    expect(
      await (await read(`bytes=${String(PART_BYTES + 600_000)}-${String(PART_BYTES + 600_009)}`)).json<ProblemBody>(),
    ).toMatchObject({ code: "integrity_failure" })
    await env.BLOBS.put(row?.objectKey ?? "", sealed)
    expect((await read(`bytes=${String(PART_BYTES)}-`)).status).toBe(206)
  })
})

describe("digests on the way in", () => {
  const small = realDocument("openpyxl.xlsx")
  const zero = `sha-256=:${btoa("\0".repeat(32))}:`
  const send = (bytes: Uint8Array<ArrayBuffer>, name: string, headers: Record<string, string>): Promise<Response> => {
    const form = new FormData()
    form.set("file", new File([bytes], name))
    return api.request("/api/ops/upload", { method: "POST", token, body: form, headers })
  }
  const holdings = async (): Promise<number[]> => [
    (await api.db.select().from(files)).length,
    (await api.db.select().from(uploads)).length,
    (await env.BLOBS.list()).objects.length,
  ]

  it.each<[string, string, (bytes: Uint8Array<ArrayBuffer>) => Promise<string> | string, number]>([
    ["Repr-Digest", "right sha-256", async (bytes) => `sha-256=:${await sha("SHA-256", bytes)}:`, 201],
    ["Repr-Digest", "right sha-512", async (bytes) => `sha-512=:${await sha("SHA-512", bytes)}:`, 201],
    [
      "Repr-Digest",
      "both right",
      async (bytes) => `sha-512=:${await sha("SHA-512", bytes)}:, sha-256=:${await sha("SHA-256", bytes)}:`,
      201,
    ],
    ["Repr-Digest", "one of two wrong", async (bytes) => `sha-512=:${await sha("SHA-512", bytes)}:, ${zero}`, 400],
    ["Repr-Digest", "wrong", () => zero, 400],
    ["Repr-Digest", "of unknown algorithms only", () => "md5=:AAAAAAAAAAAAAAAAAAAAAA==:", 201],
    ["Repr-Digest", "malformed", () => "sha-256=abc", 400],
    ["Repr-Digest", "of the wrong length", () => "sha-256=:AAAA:", 400],
    ["Content-Digest", "right, of the document", async (bytes) => `sha-256=:${await sha("SHA-256", bytes)}:`, 201],
    ["Content-Digest", "wrong", () => zero, 400],
    ["Content-Digest", "malformed", () => "x", 400],
  ])("%s %s", async (field, what, value, status) => {
    for (const [bytes, name] of [
      [small, "a.xlsx"],
      [document, "a.docx"],
    ] as const) {
      const before = await holdings()
      const response = await send(bytes, name, { [field]: await value(bytes) })
      expect(response.status).toBe(status)
      if (status === 400) {
        expect((await response.json<ProblemBody>()).code).toBe(what.endsWith("wrong") ? "digest_mismatch" : "digest_malformed")
        expect(await holdings()).toEqual(before)
      }
    }
  })

  it("Content-Digest of the whole form, as RFC 9530 has it", async () => {
    const body = new Uint8Array(
      await new Blob([
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.xlsx"\r\n\r\n',
        small,
        "\r\n--b--\r\n",
      ]).arrayBuffer(),
    )
    const headers = {
      "Content-Type": "multipart/form-data; boundary=b",
      "Content-Digest": `sha-256=:${await sha("SHA-256", body)}:`,
    }
    expect((await api.request("/api/ops/upload", { method: "POST", token, body, headers })).status).toBe(201)
  })
})

describe("links", () => {
  it("serve ranges to their client, and count HEAD, 304, 412 and 416 as nothing", async () => {
    const client = await api.newClient()
    const id = path.split("/")[4] ?? ""
    const minted = await api.request(`/api/client/download/${id}`, { token: client.tokens.accessToken })
    const link = (await minted.json<{ "download-link": string }>())["download-link"]
    const use = (headers: Record<string, string>, method = "GET") =>
      api.request(link, { method, token: client.tokens.accessToken, headers })
    expect((await use({}, "HEAD")).status).toBe(200)
    expect((await use({ "If-None-Match": etag })).status).toBe(304)
    expect((await use({ "If-Match": '"x"' })).status).toBe(412)
    expect((await use({ Range: `bytes=${String(SIZE)}-` })).status).toBe(416)
    const used = async (): Promise<boolean> => (await api.db.select().from(downloads)).some((row) => row.fileId === id)
    expect(await used()).toBe(false)
    const part = await use({ Range: "bytes=100-199" })
    expect([part.status, equal(await bytesOf(part), document.subarray(100, 200))]).toEqual([206, true])
    expect(await used()).toBe(true)
  })
})

describe("memory", () => {
  it("of many uploads and downloads at once stays within the budget, and all come back right", async () => {
    const memory = createMemoryBudget(24 * 1024 * 1024, 60_000)
    const busy = createTestClient({}, { memory })
    const uploadsAtOnce = await Promise.all(
      Array.from({ length: 5 }, (_, i) => busy.upload(token, document, `${String(i)}.docx`)),
    )
    expect(uploadsAtOnce.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201])
    // Two parts for each of the two uploads that fit, what each keeps for its check, and nothing beside.
    expect(memory.usage.peakBorrowedBytes).toBeLessThanOrEqual(2 * (2 * SEALED_PART_BYTES + SEEN_BYTES))
    const downloads = await Promise.all(Array.from({ length: 20 }, () => busy.request(path, { token })))
    for (const response of downloads) expect(equal(await bytesOf(response), document)).toBe(true)
    expect(memory.usage.peakLeasedBytes).toBeLessThanOrEqual(24 * 1024 * 1024)
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })

  it("that is all taken answers 503 with Retry-After, and is free again afterwards", async () => {
    const memory = createMemoryBudget(16 * 1024 * 1024, 10)
    const busy = createTestClient({}, { memory })
    const lease = await memory.admit(16 * 1024 * 1024)
    for (const attempt of [() => busy.request(path, { token }), () => busy.upload(token, document, "a.docx")]) {
      const response = await attempt()
      expect(response.headers.get("retry-after")).toBe("5")
      expect(await response.json<ProblemBody>()).toMatchObject({ status: 503, code: "busy" })
    }
    expect((await busy.request(path, { method: "HEAD", token })).status).toBe(200)
    lease.release()
    expect((await busy.request(path, { token })).status).toBe(200)
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })

  it("is given back when a receiver takes nothing for too long, not while it takes", async () => {
    const memory = createMemoryBudget(16 * 1024 * 1024, 10)
    const [row] = await api.db
      .select()
      .from(blobs)
      .where(eq(blobs.fileId, path.split("/")[4] ?? ""))
    if (row === undefined) throw new Error("no such file")
    const context = createExecutionContext()
    const occasion = { now: () => api.clock.nowMs, request: { id: "r", clientAddress: null }, log: () => undefined }
    const afterwards = (work: Promise<unknown>): void => {
      context.waitUntil(work)
    }
    const deps = { ...(await createDeps(api.env, { ...occasion, afterwards })), memory }
    const whole = [{ start: 0, end: row.sizeBytes }]
    const ended: number[] = []
    const watch = {
      progress: () => undefined,
      ended: (sentBytes: number): Promise<void> => {
        ended.push(sentBytes)
        return Promise.resolve()
      },
    }
    const taken = await openContent(deps, row, whole, watch, 60_000)
    expect(equal(new Uint8Array(await new Response(taken).arrayBuffer()), document)).toBe(true)
    const left = await openContent(deps, row, whole, watch, 20)
    expect(memory.usage.leasedBytes).toBeGreaterThan(0)
    await waitOnExecutionContext(context)
    expect(ended).toEqual([SIZE, 0])
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
    await expect(new Response(left).arrayBuffer()).rejects.toThrow()
  })

  it("is given back when uploads are refused or downloads break off", async () => {
    const memory = createMemoryBudget(16 * 1024 * 1024, 10)
    const busy = createTestClient({}, { memory })
    for (const bytes of [new Uint8Array(10), new Uint8Array(7_000_000), docxOfSize(7_000_000).slice(0, 6_500_000)]) {
      expect((await busy.upload(token, bytes, "a.docx")).status).toBe(422)
    }
    const { body } = await busy.rawRequest(path, { token })
    await body?.cancel()
    await new Promise((wake) => setTimeout(wake, 50))
    expect(memory.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })
})
