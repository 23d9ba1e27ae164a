// The Worker of the benches: the whole service, and beside it the same R2 with nothing done to the bytes, so
// that both run in one isolate. Never deployed.
//   GET  /bench/plain/ID           the object of a file: R2 → body, piped natively; Range as R2 has it
//   POST /bench/plain              body → one R2 multipart object in parts of 5 MiB
//   POST /bench/unchecked/NAME     body → a sealed, published file as by PUT /api/ops/upload/NAME, but never checked
//   GET  /bench/check/ID           checks a file once more and says what that read
//   POST /bench/document           body → kept in memory
//   GET  /bench/document/TYPE      checks what is kept as one of that type and says what that read
//   POST /bench/seed               rows of files and clients without bytes, all for everyone, of the one ops account
//   GET  /bench/hash/WHAT/N        N MiB through crc32, sha256 or nothing
//   GET  /bench/reads              rows that lists of files have read since it was last asked
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { createApp } from "../src/app.ts"
import { createDeps } from "../src/deps.ts"
import { findOwnFile } from "../src/domain/files.ts"
import { authenticate } from "../src/domain/sessions.ts"
import type { DocumentType } from "../src/office/document-type.ts"
import { checkDocument } from "../src/office/ooxml.ts"
import { createBodySource } from "../src/protocol/body.ts"
import { countReads, isFileList } from "./count-reads.ts"
import { seedFiles } from "./seed-lists.ts"
import { checkStored, receiveUnchecked } from "./unchecked-upload.ts"

const app = createApp()
/** One for each environment: the app keeps its keys by it. */
let counted: { env: Env; take: () => number } | undefined

function countedEnv(env: Env): Env {
  if (counted === undefined) {
    const { db, take } = countReads(env.DB, isFileList)
    counted = { env: { ...env, DB: db }, take }
  }
  return counted.env
}

async function seed(request: Request, env: Env): Promise<Response> {
  const { first, count, clients } = await request.json<{ first: number; count: number; clients: number }>()
  const ops = await env.DB.prepare("select id from users where role = 'ops'").first<{ id: string }>()
  await seedFiles(env.DB, ops?.id ?? "", first, count)
  // With the password of the ops account.
  const row = "'client', email, email, password_hash, 0, 0"
  await env.DB.prepare(
    `insert into users (id, role, email, email_key, password_hash, created_at_ms, verified_at_ms)
     with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)
     select printf('00000000-0000-4000-9000-%012x', i), ${row.replaceAll("email", "iif(i = 0, 'client@example.com', i || '@example.com')")}
     from n cross join users where role = 'ops' and ? > 0`,
  )
    .bind(clients, clients)
    .run()
  return Response.json({})
}
const PART_BYTES = 5 * 1024 * 1024

/** Whoever calls, and what the service would work with for them. */
async function call(request: Request, env: Env, context: ExecutionContext) {
  const deps = await createDeps(env, {
    now: Date.now,
    request: { id: crypto.randomUUID(), clientAddress: null },
    afterwards: (work) => {
      context.waitUntil(work)
    },
    log: () => undefined,
  })
  const caller = await authenticate(deps, request.headers.get("authorization")?.slice("Bearer ".length) ?? "")
  return { deps, caller }
}

async function unchecked(request: Request, env: Env, context: ExecutionContext, name: string): Promise<Response> {
  const { deps, caller } = await call(request, env, context)
  if (request.body === null) return new Response(null, { status: 400 })
  await receiveUnchecked(deps, caller.userId, name, createBodySource(request.body as ReadableStream<Uint8Array>).chunks())
  return new Response("ok")
}

async function check(request: Request, env: Env, context: ExecutionContext, fileId: string): Promise<Response> {
  const { deps, caller } = await call(request, env, context)
  return Response.json(await checkStored(deps, caller, fileId))
}

let kept = new Uint8Array(0)

async function checkKept(type: string): Promise<Response> {
  let readBytes = 0
  const read = (offset: number, lengthBytes: number) => {
    readBytes += lengthBytes
    return Promise.resolve(kept.subarray(offset, offset + lengthBytes))
  }
  const { fault } = await checkDocument({ sizeBytes: kept.length, read }, type as DocumentType)
  return Response.json({ fault, readBytes })
}

/** Authorised and looked up as the sealed download is, so that only sealing makes the difference. */
async function plainGet(request: Request, env: Env, context: ExecutionContext, fileId: string): Promise<Response> {
  const { deps, caller } = await call(request, env, context)
  const { blob } = await findOwnFile(deps, caller, fileId)
  const range = request.headers.has("range") ? { range: request.headers } : {}
  const object = await env.BLOBS.get(blob.objectKey, range)
  return object === null
    ? new Response(null, { status: 404 })
    : new Response(object.body, { status: request.headers.has("range") ? 206 : 200 })
}

async function plainPut(request: Request, env: Env): Promise<Response> {
  const upload = await env.BLOBS.createMultipartUpload("plain")
  const reader = (request.body as ReadableStream<Uint8Array>).getReader({ mode: "byob" })
  const parts: R2UploadedPart[] = []
  let buffer = new ArrayBuffer(PART_BYTES)
  for (;;) {
    const { value } = await reader.readAtLeast(PART_BYTES, new Uint8Array(buffer))
    if (value === undefined || value.length === 0) break
    parts.push(await upload.uploadPart(parts.length + 1, value))
    if (value.length < PART_BYTES) break
    buffer = value.buffer
  }
  await upload.complete(parts)
  return new Response("ok")
}

/** What uploads do with every byte besides sealing it. */
function hash(what: string, mebibytes: number): Response {
  const block = crypto.getRandomValues(new Uint8Array(65_536))
  const sha256 = createHash("sha256")
  let sum = 0
  for (let i = 0; i < mebibytes * 16; i++) {
    if (what === "crc32") sum = crc32(block, sum)
    if (what === "sha256") sha256.update(block)
  }
  return new Response(what === "crc32" ? String(sum) : sha256.digest("hex"))
}

export default {
  async fetch(request, env, context) {
    const [, bench, what, name = "", count = ""] = new URL(request.url).pathname.split("/")
    if (bench !== "bench") return app.fetch(request, countedEnv(env), context)
    if (request.url.endsWith("/bench/seed")) return seed(request, env)
    if (request.url.endsWith("/bench/reads")) return Response.json({ rows: counted?.take() ?? 0 })
    if (what === "document") {
      if (request.method === "GET") return checkKept(name)
      kept = new Uint8Array(await request.arrayBuffer())
      return new Response("ok")
    }
    if (what === "hash") return hash(name, Number(count))
    if (what === "unchecked") return unchecked(request, env, context, name)
    if (what === "check") return check(request, env, context, name)
    return request.method === "POST" ? plainPut(request, env) : plainGet(request, env, context, name)
  },
} satisfies ExportedHandler<Env>
