// Resumable uploads under attack, under concurrency and out of time: the offset never lies, at most one wins, nobody
// reaches another's upload, and a refusal changes nothing.
import { env } from "cloudflare:workers"
import { describe, expect, it } from "vitest"
import { PART_BYTES } from "../../src/crypto/sealed-format.ts"
import { files, resumableParts, resumableUploads, uploads } from "../../src/db/schema.ts"
import { LEASE_MS } from "../../src/domain/resumable-lease.ts"
import { MAX_OPEN_UPLOADS } from "../../src/domain/resumable-uploads.ts"
import { type ProblemBody, createTestClient } from "../support/client.ts"
import { docxOfSize, realDocument } from "../support/documents.ts"
import { BYTES, UPLOADS, base64, holdings, streamOf, sweepLeftovers, tusClient } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")
const HOUR_MS = 60 * 60_000

async function scene(overrides: Record<string, unknown> = {}) {
  const api = createTestClient(overrides)
  const ops = await api.newOps()
  const token = ops.tokens.accessToken
  return { api, ops, token, tus: tusClient(api, token) }
}

const codeOf = async (response: Response): Promise<[number, string]> => {
  const body = response.status < 400 ? "" : await response.text()
  return [response.status, body === "" ? "" : (JSON.parse(body) as ProblemBody).code]
}

const sha = async (algorithm: "SHA-1" | "SHA-256", bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest(algorithm, bytes))))

/** A gate that a body waits at, to keep its request alive as long as a test wants. */
function gatedBody(first: Uint8Array, rest: Uint8Array) {
  let open: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  let step = 0
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      step++
      if (step === 1) controller.enqueue(first)
      else {
        await gate
        if (rest.length > 0) controller.enqueue(rest)
        controller.close()
      }
    },
  })
  return { body, open }
}

describe("the version", () => {
  it.each([undefined, "0.2.2", "1.0", "2.0.0", "1.0.0, 1.0.0"])(
    "I1: %j is refused with the one that is spoken",
    async (version) => {
      const { tus } = await scene()
      const path = await tus.open(docx.length)
      for (const [method, target] of [
        ["POST", UPLOADS],
        ["PATCH", path],
        ["HEAD", path],
        ["DELETE", path],
      ] as const) {
        const response = await tus.send(target, {
          method,
          headers: { "Tus-Resumable": version, "Upload-Offset": "0", "Upload-Length": "1" },
        })
        expect([response.status, response.headers.get("tus-version"), response.headers.get("tus-resumable")]).toEqual([
          412,
          "1.0.0",
          "1.0.0",
        ])
      }
      expect(await tus.offset(path)).toBe(0)
    },
  )

  it("is on every answer, refusals by the guards included", async () => {
    const { api, tus } = await scene()
    const client = await api.newClient()
    for (const response of [
      await tus.create(10),
      await tus.create(10, { "Upload-Length": "x" }),
      await api.request(UPLOADS),
      await api.request(UPLOADS, { token: client.tokens.accessToken }),
      await api.request(`${UPLOADS}/x`, { method: "PUT" }),
      await api.request(UPLOADS, { method: "OPTIONS" }),
    ]) {
      expect(response.headers.get("tus-resumable")).toBe("1.0.0")
    }
  })
})

describe("creation", () => {
  it.each<[string, Record<string, string | undefined>, number, string]>([
    ["I2: no length", { "Upload-Length": undefined }, 400, "malformed_request"],
    ["I2: both lengths", { "Upload-Defer-Length": "1" }, 400, "malformed_request"],
    ["I2: a deferred length of 2", { "Upload-Length": undefined, "Upload-Defer-Length": "2" }, 400, "malformed_request"],
    ["I2: a negative length", { "Upload-Length": "-1" }, 400, "malformed_request"],
    ["I2: half a byte", { "Upload-Length": "1.5" }, 400, "malformed_request"],
    ["I2: an exponent", { "Upload-Length": "1e9" }, 400, "malformed_request"],
    ["I2: hexadecimals", { "Upload-Length": "0x10" }, 400, "malformed_request"],
    ["I2: 2^53", { "Upload-Length": "9007199254740992" }, 400, "malformed_request"],
    ["I2: a length past the greatest", { "Upload-Length": "2147483649" }, 413, "payload_too_large"],
    ["I14: no name", { "Upload-Metadata": undefined }, 422, "validation_failed"],
    ["I14: no name among its metadata", { "Upload-Metadata": "filetype eA==" }, 422, "validation_failed"],
    [
      "I14: a key twice",
      { "Upload-Metadata": `filename ${base64("a.docx")},filename ${base64("b.docx")}` },
      400,
      "malformed_request",
    ],
    ["I14: bad Base64", { "Upload-Metadata": "filename *" }, 400, "malformed_request"],
    ["I14: a name that is not UTF-8", { "Upload-Metadata": `filename ${btoa("\xff.docx")}` }, 400, "malformed_request"],
    ["I14: a name with a line break", { "Upload-Metadata": `filename ${base64("a\r\nb.docx")}` }, 422, "validation_failed"],
    ["I14: a name that hides its end", { "Upload-Metadata": `filename ${base64("a\u202excod.docx")}` }, 422, "validation_failed"],
    ["I14: another type", { "Upload-Metadata": `filename ${base64("a.exe")}` }, 415, "unsupported_document"],
    [
      "I14: 64 kB of metadata",
      { "Upload-Metadata": `filename ${base64("a.docx")},x ${"A".repeat(65_536)}` },
      400,
      "malformed_request",
    ],
    [
      "a limit of no downloads",
      { "Upload-Metadata": `filename ${base64("a.docx")},downloadLimit ${base64("0")}` },
      422,
      "validation_failed",
    ],
    ["I13: a partial upload", { "Upload-Concat": "partial" }, 400, "malformed_request"],
    ["I13: a final upload", { "Upload-Concat": "final;/api/ops/uploads/a ../b" }, 400, "malformed_request"],
    ["H7: a malformed digest", { "Repr-Digest": "sha-256=x" }, 400, "digest_malformed"],
    ["H7: a digest that is not checked here", { "Repr-Digest": `sha-512=:${btoa("x".repeat(64))}:` }, 400, "digest_malformed"],
  ])("with %s is refused and leaves nothing", async (_, headers, status, code) => {
    const { api, tus } = await scene()
    const before = await holdings(api)
    expect(await codeOf(await tus.create(docx.length, headers))).toEqual([status, code])
    expect(await holdings(api)).toEqual(before)
    expect((await tus.create(docx.length)).status).toBe(201)
  })

  it("takes a name without its directories", async () => {
    const { api, token, tus } = await scene()
    await tus.patch(await tus.open(docx.length, { "Upload-Metadata": `filename ${base64("../../etc/x.docx")}` }), 0, docx)
    expect(await (await api.request("/api/ops/files", { token })).json()).toMatchObject({ files: [{ name: "x.docx" }] })
  })

  it("I20: answers with the configured origin, whatever the request says of itself", async () => {
    const { tus } = await scene()
    const forged = { "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "http", Forwarded: "host=evil.test" }
    const { headers } = await tus.create(docx.length, forged)
    expect(headers.get("location")).toMatch(/^https:\/\/sealpost\.test\/api\/ops\/uploads\/[0-9a-f-]{36}$/)
  })

  it("I22: of more than a hundred open uploads is refused, exactly, also when all come at once", async () => {
    const { api, ops, tus } = await scene()
    await tus.open(docx.length)
    // Ninety-five more, put there as they would be.
    await api.db.$client
      .prepare(
        `with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
         insert into resumable_uploads (id, owner_id, file_id, object_key, name, type, metadata, state, key_id, wrapped_key, commitment, created_at_ms, expires_at_ms)
         select 'x' || i || owner_id, owner_id, file_id, 'x' || i || owner_id, name, type, metadata, state, key_id, wrapped_key, commitment, created_at_ms, expires_at_ms
         from resumable_uploads, n where owner_id = ?`,
      )
      .bind(MAX_OPEN_UPLOADS - 5, ops.id)
      .run()
    const codes = await Promise.all(Array.from({ length: 10 }, async () => codeOf(await tus.create(docx.length))))
    expect(codes.filter(([status]) => status === 201)).toHaveLength(4)
    expect(codes.filter(([status, code]) => status === 429 && code === "too_many_uploads")).toHaveLength(6)
  })
})

describe("a PATCH", () => {
  it.each<[string, number | string | undefined, Record<string, string | undefined>, number, string]>([
    ["I4: at a lower offset", 5, {}, 409, "upload_offset_conflict"],
    ["I4: at a higher offset", 11, {}, 409, "upload_offset_conflict"],
    ["I4: at a negative offset", -1, {}, 400, "malformed_request"],
    ["I4: at half a byte", "10.5", {}, 400, "malformed_request"],
    ["I4: at no offset", undefined, {}, 400, "malformed_request"],
    ["of another content type", 10, { "Content-Type": "application/octet-stream" }, 415, "unsupported_media_type"],
    ["of no content type", 10, { "Content-Type": undefined }, 415, "unsupported_media_type"],
    ["H8: that is compressed", 10, { "Content-Encoding": "gzip" }, 415, "unsupported_media_type"],
    ["I7: with another length than before", 10, { "Upload-Length": "5000" }, 400, "malformed_request"],
    ["I8: with an unknown checksum", 10, { "Upload-Checksum": "md5 1B2M2Y8AsgTpgAmY7PhCfg==" }, 400, "malformed_request"],
    ["I8: with a malformed checksum", 10, { "Upload-Checksum": "sha1 x" }, 400, "malformed_request"],
    ["I8: with a wrong checksum", 10, { "Upload-Checksum": `sha1 ${btoa("x".repeat(20))}` }, 460, "checksum_mismatch"],
  ])("%s is refused and changes nothing", async (_, offset, headers, status, code) => {
    const { tus } = await scene()
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx.slice(0, 10))
    expect(await codeOf(await tus.patch(path, offset, new Blob([docx.slice(10)]), headers))).toEqual([status, code])
    expect(await tus.offset(path)).toBe(10)
    expect((await tus.patch(path, 10, docx.slice(10))).status).toBe(204)
  })

  it.each([
    ["with its length", (bytes: Uint8Array<ArrayBuffer>) => bytes],
    ["without it", (bytes: Uint8Array<ArrayBuffer>) => streamOf([bytes])],
  ])("I5: one byte past the upload, told %s, is refused, and the offset stays within", async (_, body) => {
    const { tus } = await scene()
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx.slice(0, 10))
    const past = new Uint8Array([...docx.slice(10), 0])
    expect(await codeOf(await tus.patch(path, 10, body(past)))).toEqual([413, "payload_too_large"])
    expect(await tus.offset(path)).toBe(10)
    expect((await tus.patch(path, 10, docx.slice(10))).status).toBe(204)
  })

  it("I7: cannot say another length once it was said, nor one below what has come, nor past the greatest", async () => {
    const { tus } = await scene()
    const path = await tus.open(null)
    await tus.patch(path, 0, docx.slice(0, 10))
    for (const [length, status] of [
      ["9", 400],
      ["2147483649", 413],
    ] as const) {
      expect((await tus.patch(path, 10, "", { "Upload-Length": length })).status).toBe(status)
    }
    expect((await tus.head(path)).headers.get("upload-defer-length")).toBe("1")
    await tus.patch(path, 10, docx.slice(10, 20), { "Upload-Length": String(docx.length) })
    expect((await tus.patch(path, 20, docx.slice(20), { "Upload-Length": String(docx.length + 1) })).status).toBe(400)
    expect((await tus.head(path)).headers.get("upload-length")).toBe(String(docx.length))
    expect((await tus.patch(path, 20, docx.slice(20), { "Upload-Length": String(docx.length) })).status).toBe(204)
  })

  it.each(["SHA-1", "SHA-256"] as const)(
    "I8: with a checksum (%s) counts when all of it is right, over several parts",
    async (algorithm) => {
      const { api, token, tus } = await scene()
      const bytes = docxOfSize(2 * PART_BYTES + 1000)
      const path = await tus.open(bytes.length)
      const name = algorithm === "SHA-1" ? "sha1" : "sha256"
      const piece = bytes.slice(0, PART_BYTES + 5)
      const wrong = new Uint8Array(piece)
      wrong[PART_BYTES] = (wrong[PART_BYTES] ?? 0) ^ 1
      expect((await tus.patch(path, 0, wrong, { "Upload-Checksum": `${name} ${await sha(algorithm, piece)}` })).status).toBe(460)
      expect(await tus.offset(path)).toBe(0)
      expect((await tus.patch(path, 0, piece, { "Upload-Checksum": `${name} ${await sha(algorithm, piece)}` })).status).toBe(204)
      const rest = bytes.slice(piece.length)
      const last = await tus.patch(path, piece.length, rest, { "Upload-Checksum": `${name} ${await sha(algorithm, rest)}` })
      expect(last.status).toBe(204)
      const content = await api.request(`/api/ops/files/${last.headers.get("sealpost-file-id") ?? ""}/content`, { token })
      expect(await sha("SHA-256", new Uint8Array(await content.arrayBuffer()))).toBe(await sha("SHA-256", bytes))
    },
  )

  it("with a checksum that breaks off counts for nothing", async () => {
    const { tus } = await scene()
    const path = await tus.open(docx.length)
    const checksum = { "Upload-Checksum": `sha1 ${await sha("SHA-1", docx)}` }
    await tus.patch(path, 0, streamOf([docx.slice(0, 100)], new Error("gone")), checksum)
    expect(await tus.offset(path)).toBe(0)
    expect((await tus.patch(path, 0, docx, checksum)).status).toBe(204)
  })
})

describe("the method", () => {
  it("D4: may be overridden from POST to PATCH and DELETE, with the same rights", async () => {
    const { api, tus } = await scene()
    const path = await tus.open(docx.length)
    const overridden = { ...BYTES, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0" }
    const other = tusClient(api, (await api.newOps()).tokens.accessToken)
    expect((await other.send(path, { method: "POST", body: docx, headers: overridden })).status).toBe(404)
    expect((await api.request(path, { method: "POST", body: docx, headers: overridden })).status).toBe(401)
    expect(await tus.offset(path)).toBe(0)
    expect((await tus.send(path, { method: "POST", body: docx.slice(0, 7), headers: overridden })).status).toBe(204)
    expect(await tus.offset(path)).toBe(7)
    expect((await tus.send(path, { method: "POST", headers: { "X-HTTP-Method-Override": "DELETE" } })).status).toBe(204)
    expect((await tus.head(path)).status).toBe(404)
  })

  it.each(["GET", "HEAD", "PUT", "delete", "TRACE", undefined])(
    "D4: is not overridden by %j, nor that of anything but POST",
    async (method) => {
      const { api, token, tus } = await scene()
      const path = await tus.open(docx.length)
      const headers = { "X-HTTP-Method-Override": method }
      expect(await codeOf(await tus.send(path, { method: "POST", headers }))).toEqual([405, "method_not_allowed"])
      expect((await tus.send(path, { method: "GET", headers: { "X-HTTP-Method-Override": "DELETE" } })).status).toBe(200)
      expect((await api.request("/api/ops/files", { token, headers: { "X-HTTP-Method-Override": "DELETE" } })).status).toBe(200)
      expect(await tus.offset(path)).toBe(0)
    },
  )
})

describe("another user", () => {
  it("D8, I16: neither sees, continues, cancels nor lists an upload; its owner goes on", async () => {
    const { api, tus } = await scene()
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx.slice(0, 10))
    const other = await api.newOps()
    const theirs = tusClient(api, other.tokens.accessToken)
    for (const response of [await theirs.head(path), await theirs.patch(path, 10, docx.slice(10)), await theirs.remove(path)]) {
      expect(response.status).toBe(404)
    }
    expect((await api.request(path, { token: other.tokens.accessToken })).status).toBe(404)
    expect(await (await api.request(UPLOADS, { token: other.tokens.accessToken })).json()).toEqual({ uploads: [] })
    expect((await tus.patch(path, 10, docx.slice(10))).status).toBe(204)
  })

  it("D2, I17: who is a client may nothing of it", async () => {
    const { api, tus } = await scene()
    const path = await tus.open(docx.length)
    const client = tusClient(api, (await api.newClient()).tokens.accessToken)
    for (const response of [
      await client.create(docx.length),
      await client.head(path),
      await client.patch(path, 0, docx),
      await client.remove(path),
    ]) {
      expect(response.status).toBe(403)
    }
    expect(await tus.offset(path)).toBe(0)
  })

  it("who was disabled in the middle goes no further, and what is there expires", async () => {
    await sweepLeftovers()
    const { api, ops, tus } = await scene()
    const before = await holdings(api)
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx.slice(0, 10))
    await api.db.$client.prepare("update users set disabled_at_ms = 1 where id = ?").bind(ops.id).run()
    expect((await tus.patch(path, 10, docx.slice(10))).status).toBe(401)
    api.clock.nowMs += 24 * HOUR_MS
    await api.runCron()
    expect(await holdings(api)).toEqual(before)
  })

  it("goes on with their own under a new session when a token expires in the middle", async () => {
    const { api, ops, tus } = await scene()
    const path = await tus.open(docx.length)
    await tus.patch(path, 0, docx.slice(0, 10))
    api.clock.nowMs += HOUR_MS
    expect(await codeOf(await tus.patch(path, 10, docx.slice(10)))).toEqual([401, "invalid_token"])
    const again = tusClient(api, (await api.logIn("ops", ops.email)).accessToken)
    expect(await again.offset(path)).toBe(10)
    expect((await again.patch(path, 10, docx.slice(10))).status).toBe(204)
  })

  it.each(["x", "..%2f..%2fetc", "%00", `${crypto.randomUUID()}%2f..`, "'; drop table users; --", "A".repeat(36)])(
    "I12: finds nothing at the id %j",
    async (id) => {
      const { tus } = await scene()
      expect((await tus.head(`${UPLOADS}/${id}`)).status).toBe(404)
      expect((await tus.patch(`${UPLOADS}/${id}`, 0, "x")).status).toBe(404)
    },
  )
})

describe("at the same time", () => {
  it("of ten requests at one offset one wins, and the document is whole", async () => {
    const { api, token, tus } = await scene()
    const bytes = docxOfSize(PART_BYTES + 100_000)
    const path = await tus.open(bytes.length)
    const cut = PART_BYTES + 10
    const codes = await Promise.all(Array.from({ length: 10 }, async () => codeOf(await tus.patch(path, 0, bytes.slice(0, cut)))))
    expect(codes.filter(([status]) => status === 204)).toHaveLength(1)
    expect(codes.filter(([, code]) => ["upload_locked", "upload_offset_conflict"].includes(code))).toHaveLength(9)
    const last = await tus.patch(path, cut, bytes.slice(cut))
    const content = await api.request(`/api/ops/files/${last.headers.get("sealpost-file-id") ?? ""}/content`, { token })
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
  })

  it("of ten last requests one makes the file", async () => {
    const { api, ops, tus } = await scene()
    const path = await tus.open(docx.length)
    const codes = await Promise.all(Array.from({ length: 10 }, async () => codeOf(await tus.patch(path, 0, docx))))
    expect(codes.filter(([status]) => status === 204)).toHaveLength(1)
    expect((await api.db.select().from(files)).filter(({ ownerId }) => ownerId === ops.id)).toHaveLength(1)
  })

  it("a second request hears that the first is at work; it takes over when the first shows no life, and that one then changes nothing", async () => {
    const { api, token, tus } = await scene()
    const bytes = docxOfSize(2 * PART_BYTES + 500_000)
    const path = await tus.open(bytes.length)
    const forged = new Uint8Array(PART_BYTES + 10).fill(0x50)
    const first = gatedBody(bytes.slice(0, PART_BYTES + 10), forged)
    const slow = tus.patch(path, 0, first.body)
    // The first part is stored and counted before the gate.
    const row = async () => (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))
    while ((await row())?.offsetBytes !== PART_BYTES) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await codeOf(await tus.patch(path, PART_BYTES, bytes.slice(PART_BYTES)))).toEqual([423, "upload_locked"])
    expect((await tus.head(path)).status).toBe(423)
    api.clock.nowMs += LEASE_MS + 1
    const taken = await tus.patch(path, PART_BYTES, bytes.slice(PART_BYTES, 2 * PART_BYTES + 7))
    expect(taken.headers.get("upload-offset")).toBe(String(2 * PART_BYTES + 7))
    first.open()
    expect((await codeOf(await slow))[1]).toBe("upload_locked")
    expect(await tus.offset(path)).toBe(2 * PART_BYTES + 7)
    const last = await tus.patch(path, 2 * PART_BYTES + 7, bytes.slice(2 * PART_BYTES + 7))
    const content = await api.request(`/api/ops/files/${last.headers.get("sealpost-file-id") ?? ""}/content`, { token })
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
  })

  it("who takes over from a request whose parts do not count yet uses none of their numbers", async () => {
    const { api, token, tus } = await scene()
    const bytes = docxOfSize(2 * PART_BYTES + 1000)
    const path = await tus.open(bytes.length)
    const row = async () => (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))
    const first = gatedBody(bytes.slice(0, PART_BYTES + 10), bytes.slice(PART_BYTES + 10))
    const slow = tus.patch(path, 0, first.body, { "Upload-Checksum": `sha1 ${await sha("SHA-1", bytes)}` })
    while ((await row())?.nextPart !== 2) await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await row())?.offsetBytes).toBe(0)
    api.clock.nowMs += LEASE_MS
    await tus.patch(path, 0, bytes.slice(0, PART_BYTES))
    expect((await api.db.select().from(resumableParts)).filter(({ uploadId }) => path.endsWith(uploadId))).toEqual([
      expect.objectContaining({ number: 3 }),
    ])
    first.open()
    expect((await codeOf(await slow))[1]).toBe("upload_locked")
    const last = await tus.patch(path, PART_BYTES, bytes.slice(PART_BYTES))
    const content = await api.request(`/api/ops/files/${last.headers.get("sealpost-file-id") ?? ""}/content`, { token })
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
  })

  it("DELETE wins over a PATCH, and what that one still writes is swept a day later", async () => {
    await sweepLeftovers()
    const { api, tus } = await scene()
    const before = await holdings(api)
    const bytes = docxOfSize(2 * PART_BYTES)
    const path = await tus.open(bytes.length)
    const body = gatedBody(bytes.slice(0, PART_BYTES + 10), bytes.slice(PART_BYTES + 10, PART_BYTES + 20))
    const slow = tus.patch(path, 0, body.body)
    const row = async () => (await api.db.select().from(resumableUploads)).find(({ id }) => path.endsWith(id))
    while ((await row())?.offsetBytes !== PART_BYTES) await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await tus.remove(path)).status).toBe(204)
    body.open()
    expect((await slow).status).toBeGreaterThanOrEqual(400)
    expect((await tus.head(path)).status).toBe(404)
    api.clock.nowMs += 24 * HOUR_MS + 1
    await api.runCron()
    expect(await holdings(api)).toEqual(before)
  })
})

describe("a check that cannot be done", () => {
  it("O2: because the store fails keeps every byte: HEAD says come back, and the next one, or cron, finishes it", async () => {
    for (const finish of ["HEAD", "cron"]) {
      const { api, ops, token, tus } = await scene()
      const failing = new Proxy(env.BLOBS, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property)
          if (property === "get") return () => Promise.reject(new Error("get: We encountered an internal error. (10001)"))
          return typeof value === "function" ? (value.bind(target) as unknown) : value
        },
      })
      const broken = tusClient(createTestClient({ BLOBS: failing }), token)
      const path = await tus.open(docx.length)
      expect((await broken.patch(path, 0, docx)).status).toBe(500)
      expect((await broken.head(path)).status).toBe(423)
      const { upload } = await (await api.request(path, { token })).json<{ upload: object }>()
      expect(upload).toMatchObject({ state: "received", offset: docx.length, fileId: null })
      if (finish === "cron") await api.runCron()
      else expect((await tus.head(path)).headers.get("sealpost-file-id")).not.toBeNull()
      expect((await api.db.select().from(files)).filter(({ ownerId }) => ownerId === ops.id)).toHaveLength(1)
      expect((await tus.patch(path, docx.length, "")).status).toBe(204)
    }
  })

  it("O2: because parts are gone ends the upload, and says so", async () => {
    const { api, tus } = await scene()
    const before = (await api.db.select().from(uploads)).length
    const bytes = docxOfSize(PART_BYTES + 100)
    const path = await tus.open(bytes.length)
    await tus.patch(path, 0, bytes.slice(0, PART_BYTES))
    await api.db.$client
      .prepare("update resumable_parts set etag = 'other' where upload_id = ?")
      .bind(path.slice(path.lastIndexOf("/") + 1))
      .run()
    expect(await codeOf(await tus.patch(path, PART_BYTES, bytes.slice(PART_BYTES)))).toEqual([410, "upload_lost"])
    expect((await tus.head(path)).status).toBe(410)
    expect((await api.db.select().from(uploads)).length).toBe(before)
  })
})

describe("I22: small pieces", () => {
  it("leave one tail, however many there were", async () => {
    await sweepLeftovers()
    const { api, tus } = await scene()
    const before = await holdings(api)
    const path = await tus.open(docx.length)
    for (let i = 0; i < 25; i++) expect((await tus.patch(path, i, docx.slice(i, i + 1))).status).toBe(204)
    const after = await holdings(api)
    expect(after).toEqual({ ...before, objects: before.objects + 1, uploads: before.uploads + 2, keys: before.keys + 1 })
  })
})

describe("an upload that is given up", () => {
  it("leaves nothing, and its address is unknown then", async () => {
    const { api, tus } = await scene()
    const before = await holdings(api)
    const path = await tus.open(PART_BYTES + 100)
    await tus.patch(path, 0, new Uint8Array([...docx.slice(0, 100), ...new Uint8Array(PART_BYTES - 50)]))
    expect((await holdings(api)).uploads).toBe(before.uploads + 2)
    const multipart = (await api.db.select().from(uploads)).find(({ multipartId }) => multipartId !== null)
    expect((await tus.remove(path)).status).toBe(204)
    expect(await holdings(api)).toEqual(before)
    const { objectKey, multipartId } = multipart ?? { objectKey: "", multipartId: "" }
    await expect(env.BLOBS.resumeMultipartUpload(objectKey, multipartId ?? "").uploadPart(9, "x")).rejects.toThrow()
    for (const response of [await tus.head(path), await tus.patch(path, 0, "x"), await tus.remove(path)])
      expect(response.status).toBe(404)
  })

  it("I17: is not its file once it is complete", async () => {
    const { api, token, tus } = await scene()
    const path = await tus.open(docx.length)
    const id = (await tus.patch(path, 0, docx)).headers.get("sealpost-file-id") ?? ""
    expect(await codeOf(await tus.remove(path))).toEqual([403, "upload_complete"])
    expect((await api.request(`/api/ops/files/${id}/content`, { token })).status).toBe(200)
  })
})

describe("time", () => {
  it("I19: is told, goes on with every request, and when it is over everything goes but the memory of it", async () => {
    await sweepLeftovers()
    const { api, ops, tus } = await scene({ UPLOAD_EXPIRY_HOURS: "2" })
    const before = await holdings(api)
    const created = await tus.create(PART_BYTES + 1000)
    expect(created.headers.get("upload-expires")).toBe("Mon, 23 Nov 2026 14:00:00 GMT")
    const path = new URL(created.headers.get("location") ?? "").pathname
    api.clock.nowMs += 10 * 60_000
    const patched = await tus.patch(path, 0, new Uint8Array([...docx.slice(0, 100), ...new Uint8Array(PART_BYTES)]))
    expect(patched.headers.get("upload-expires")).toBe("Mon, 23 Nov 2026 14:10:00 GMT")
    api.clock.nowMs += 2 * HOUR_MS - 1
    const late = tusClient(api, (await api.logIn("ops", ops.email)).accessToken)
    await Promise.all([api.runCron(), api.runCron()])
    expect((await late.head(path)).status).toBe(200)
    api.clock.nowMs += 1
    expect(await codeOf(await late.patch(path, PART_BYTES + 100, "x"))).toEqual([410, "upload_expired"])
    await Promise.all([api.runCron(), api.runCron()])
    expect(await holdings(api)).toEqual(before)
    expect((await late.head(path)).status).toBe(410)
    api.clock.nowMs += 7 * 24 * HOUR_MS
    const later = tusClient(api, (await api.logIn("ops", ops.email)).accessToken)
    await api.runCron()
    expect((await later.head(path)).status).toBe(404)
  })

  it("cannot be prolonged past what R2 keeps", async () => {
    const { api, ops, tus } = await scene({ UPLOAD_EXPIRY_HOURS: "144" })
    const path = await tus.open(docx.length)
    api.clock.nowMs += 5 * 24 * HOUR_MS
    const late = tusClient(api, (await api.logIn("ops", ops.email)).accessToken)
    expect((await late.patch(path, 0, docx.slice(0, 10))).headers.get("upload-expires")).toBe("Sun, 29 Nov 2026 12:00:00 GMT")
  })
})

describe("the quota", () => {
  it("F14: of bytes is exact when uploads come at once, resumable and plain together", async () => {
    const quota = String(3 * docx.length)
    const { api, ops, token, tus } = await scene({ OPS_QUOTA_BYTES: quota })
    const codes = await Promise.all([
      ...Array.from({ length: 4 }, async () => codeOf(await tus.create(docx.length, {}, docx))),
      ...Array.from({ length: 4 }, async () => codeOf(await api.upload(token, docx, "a.docx"))),
    ])
    expect(codes.filter(([status]) => status === 201).length).toBeLessThanOrEqual(3)
    expect(codes.every(([status, code]) => status === 201 || (status === 507 && code === "quota_exceeded"))).toBe(true)
    expect((await api.db.select().from(files)).filter(({ ownerId }) => ownerId === ops.id).length).toBeLessThanOrEqual(3)
    // What was refused took no room: the quota can be used up.
    for (;;) {
      const mine = (await api.db.select().from(files)).filter(({ ownerId }) => ownerId === ops.id)
      if (mine.length === 3) break
      expect((await api.upload(token, docx, "a.docx")).status).toBe(201)
    }
    expect(await codeOf(await api.upload(token, docx, "a.docx"))).toEqual([507, "quota_exceeded"])
  })

  it("of files counts uploads under way, and gives back what is cancelled", async () => {
    const { api, token, tus } = await scene({ OPS_QUOTA_FILES: "1" })
    const path = await tus.open(docx.length)
    expect(await codeOf(await tus.create(docx.length))).toEqual([507, "quota_exceeded"])
    expect(await codeOf(await api.upload(token, docx, "a.docx"))).toEqual([507, "quota_exceeded"])
    await tus.remove(path)
    expect((await api.upload(token, docx, "a.docx")).status).toBe(201)
  })

  it("holds for a length that is told late, and for one that is never told", async () => {
    const { tus } = await scene({ OPS_QUOTA_BYTES: "1000" })
    const path = await tus.open(null)
    expect((await tus.patch(path, 0, docx.slice(0, 900))).status).toBe(204)
    expect(await codeOf(await tus.patch(path, 900, docx.slice(900, 1101)))).toEqual([507, "quota_exceeded"])
    expect(await tus.offset(path)).toBe(900)
    expect(await codeOf(await tus.patch(path, 900, "", { "Upload-Length": "1001" }))).toEqual([507, "quota_exceeded"])
    expect((await tus.patch(path, 900, docx.slice(900, 1000))).status).toBe(204)
  })
})
