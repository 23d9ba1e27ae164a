// Resumable uploads from clients that speak raw TCP: lengths that lie, bodies that end in the middle of a byte count,
// two framings at once, addresses that no client library would send. The offset says what is there, whatever they do.
import { createHash, randomInt } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createPresentation } from "../../bench/presentation.ts"
import { type Subject, startSubject } from "../../bench/subject.ts"

const BYTES = Buffer.concat([...createPresentation(7_000_000, 2).chunks()])
const SMALL = readFileSync("test/corpus/libreoffice.pptx")
const TEN = SMALL.subarray(0, 10).toString("latin1")
const TWENTY = SMALL.subarray(0, 20).toString("latin1")
const PIECE_BYTES = 64 * 1024

let dir: string
let subject: Subject

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-sockets-"))
  subject = await startSubject(join(dir, "state"))
})

afterAll(async () => {
  await subject.stop()
  rmSync(dir, { recursive: true, force: true })
})

const tus = (path: string, method: string, headers: Record<string, string> = {}, body?: Buffer) =>
  fetch(subject.origin + path, {
    method,
    headers: { Authorization: subject.authorization, "Tus-Resumable": "1.0.0", ...headers },
    ...(body === undefined ? {} : { body: new Uint8Array(body) }),
  })

async function open(lengthBytes = BYTES.length): Promise<string> {
  const metadata = `filename ${Buffer.from("a.pptx").toString("base64")}`
  const created = await tus("/api/ops/uploads", "POST", { "Upload-Length": String(lengthBytes), "Upload-Metadata": metadata })
  expect(created.status).toBe(201)
  return new URL(created.headers.get("location") ?? "").pathname
}

const patch = (path: string, offset: number, body: Buffer) =>
  tus(path, "PATCH", { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) }, body)

/** What HEAD says once nobody is at work on the upload any more. */
async function settled(path: string): Promise<Response> {
  for (let i = 0; i < 200; i++) {
    const head = await tus(path, "HEAD")
    if (head.status !== 423) return head
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error("locked for good")
}

const offsetOf = async (path: string): Promise<number> => Number((await settled(path)).headers.get("upload-offset") ?? Number.NaN)

type End = "wait" | "finish" | "reset"

/** Sends this and nothing else; what comes back until the other side, or we, hang up. */
function raw(lines: readonly string[], body: Buffer | string = "", end: End = "wait"): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(subject.origin).port), "127.0.0.1")
    let answer = ""
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1")
      if (end === "wait" && answer.includes("\r\n\r\n")) socket.destroy()
    })
    socket.on("error", () => undefined)
    socket.on("close", () => {
      resolve(answer)
    })
    socket.write(`${lines.join("\r\n")}\r\n\r\n`)
    socket.write(body, () => {
      if (end === "finish") socket.end()
      // What was written is on its way; what follows is silence.
      if (end === "reset") setTimeout(() => socket.resetAndDestroy(), 20)
    })
  })
}

const patchHead = (path: string, ...more: string[]): string[] => [
  `PATCH ${path} HTTP/1.1`,
  "Host: localhost",
  `Authorization: ${subject.authorization}`,
  "Tus-Resumable: 1.0.0",
  "Content-Type: application/offset+octet-stream",
  ...more,
]

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Goes on from where the upload stands, as every client does, and has the document there, byte for byte. */
async function expectGoesOn(path: string, bytes = BYTES): Promise<void> {
  const offset = await offsetOf(path)
  const last = await patch(path, offset, bytes.subarray(offset))
  expect(last.status).toBe(204)
  const fileId = last.headers.get("sealpost-file-id") ?? ""
  const content = await fetch(subject.contentUrl(fileId), { headers: { Authorization: subject.authorization } })
  expect(sha256(new Uint8Array(await content.arrayBuffer()))).toBe(sha256(bytes))
}

describe("a body", () => {
  it.each<[string, End]>([
    ["that ends in peace", "finish"],
    ["that is torn off", "reset"],
  ])("I10: shorter than its Content-Length, %s: what has come counts, and no more", async (_, end) => {
    const path = await open()
    const sent = 5_500_000
    await raw(patchHead(path, "Upload-Offset: 0", `Content-Length: ${String(BYTES.length)}`), BYTES.subarray(0, sent), end)
    expect(await offsetOf(path)).toBeLessThanOrEqual(sent)
    await expectGoesOn(path)
  })

  it("I10: killed again and again, anywhere: the offset never goes back, nor past what was sent", async () => {
    const path = await open()
    let offset = 0
    for (let i = 0; i < 10; i++) {
      const end = Math.min(BYTES.length, offset + randomInt(1, 1_500_000))
      const length = `Content-Length: ${String(BYTES.length - offset)}`
      await raw(patchHead(path, `Upload-Offset: ${String(offset)}`, length), BYTES.subarray(offset, end), "reset")
      const now = await offsetOf(path)
      expect(now).toBeGreaterThanOrEqual(offset)
      expect(now).toBeLessThanOrEqual(end)
      offset = now
      if (offset === BYTES.length) break
    }
    await expectGoesOn(path)
  })

  it("I11: whose client hangs up at its last byte makes one file all the same", async () => {
    const path = await open()
    await raw(patchHead(path, "Upload-Offset: 0", `Content-Length: ${String(BYTES.length)}`), BYTES, "reset")
    await expectGoesOn(path)
    const id = (await settled(path)).headers.get("sealpost-file-id")
    const list = await fetch(`${subject.origin}/api/ops/files?limit=200`, { headers: { Authorization: subject.authorization } })
    const { files } = await list.json<{ files: { id: string; sha256: string }[] }>()
    expect(files.filter((file) => file.id === id)).toHaveLength(1)
  })

  it("longer than its Content-Length is what that says; the rest is no body", async () => {
    const path = await open()
    const victim = await open()
    // The rest reads like a request of its own: it has no login, so it is nobody's.
    const smuggled = `DELETE ${victim} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\n\r\n`
    const head = patchHead(path, "Upload-Offset: 0", "Content-Length: 1000")
    const answer = await raw(head, Buffer.concat([BYTES.subarray(0, 1000), Buffer.from(smuggled)]), "finish")
    expect(statusOf(answer)).toBe(204)
    expect([await offsetOf(path), await offsetOf(victim)]).toEqual([1000, 0])
    await expectGoesOn(path)
  })

  it.each<[string, string[], string, number[]]>([
    ["H4: a length and chunks", ["Content-Length: 500", "Transfer-Encoding: chunked"], `a\r\n${TEN}\r\n0\r\n\r\n`, [0, 10]],
    ["two lengths", ["Content-Length: 10", "Content-Length: 20"], TWENTY, [0]],
    ["a negative length", ["Content-Length: -1"], TEN, [0]],
    ["a length in hexadecimals", ["Content-Length: 0x0a"], TEN, [0]],
    ["chunks of no size", ["Transfer-Encoding: chunked"], `zz\r\n${TEN}\r\n0\r\n\r\n`, [0]],
    ["a chunk that says more than it brings", ["Transfer-Encoding: chunked"], `a\r\n${TEN.slice(0, 5)}\r\n0\r\n\r\n`, [0, 5, 10]],
    ["an encoding that nobody knows", ["Transfer-Encoding: x, chunked"], `a\r\n${TEN}\r\n0\r\n\r\n`, [0, 10]],
  ])("with %s brings what is certain, or nothing", async (_, lines, body, offsets) => {
    const path = await open(SMALL.length)
    await raw(patchHead(path, "Upload-Offset: 0", ...lines), Buffer.from(body, "latin1"), "finish")
    expect(offsets).toContain(await offsetOf(path))
    // Had anything of the framing been taken for bytes of the document, it would be none.
    await expectGoesOn(path, SMALL)
  })

  it("H5: without a length, past the upload's own, is cut off there", async () => {
    const path = await open(1000)
    const chunk = (bytes: Buffer) => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")])
    const pieces = Array.from({ length: 40 }, (_, i) => chunk(BYTES.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES)))
    const answer = await raw(
      patchHead(path, "Upload-Offset: 0", "Transfer-Encoding: chunked"),
      Buffer.concat([...pieces, Buffer.from("0\r\n\r\n")]),
    )
    expect([statusOf(answer), await offsetOf(path)]).toEqual([413, 0])
  })
})

describe("a request", () => {
  it.each<[string, string[]]>([
    ["two offsets", ["Upload-Offset: 0", "Upload-Offset: 0"]],
    ["an offset and another", ["Upload-Offset: 0", "Upload-Offset: 5"]],
    ["an offset with a sign", ["Upload-Offset: +0"]],
    ["two versions", ["Upload-Offset: 0", "Tus-Resumable: 0.2.2"]],
    [
      "two checksums",
      ["Upload-Offset: 0", `Upload-Checksum: sha1 ${"A".repeat(27)}=`, `Upload-Checksum: sha1 ${"B".repeat(27)}=`],
    ],
  ])("I4: with %s is refused and changes nothing", async (_, lines) => {
    const path = await open()
    const status = statusOf(await raw(patchHead(path, ...lines, "Content-Length: 4"), "PK\u0003\u0004"))
    expect([400, 412]).toContain(status)
    expect(await offsetOf(path)).toBe(0)
    expect(statusOf(await raw(patchHead(path, "Upload-Offset: 0", "Content-Length: 4"), "PK\u0003\u0004"))).toBe(204)
  })

  it.each([
    (id: string) => `/api/ops/uploads/../uploads/${id}/../x`,
    (id: string) => `/api/ops/uploads/%2e%2e/${id}`,
    (id: string) => `/api/ops/uploads/..%5c${id}`,
    (id: string) => `/api/ops/uploads/${id}%00`,
    (id: string) => `/api/ops/uploads/${id}/`,
    (id: string) => `/api/ops/uploads//${id}`,
    (id: string) => `/api/ops/uploads/${id};x=1`,
    (id: string) => `/api/ops/uploads/${id.toUpperCase()}`,
    (id: string) => `/api/ops/uploads/${id.replace("-", "%2d")}x`,
  ])("I12: to an address that is not quite an upload's finds nothing (%#)", async (spell) => {
    const path = await open()
    const id = path.slice(path.lastIndexOf("/") + 1)
    const answer = await raw(patchHead(spell(id), "Upload-Offset: 0", "Content-Length: 4"), "PK\u0003\u0004")
    expect([400, 404, 405]).toContain(statusOf(answer))
    expect(await offsetOf(path)).toBe(0)
  })
})
