// The Worker of the benches: the whole service, and beside it the same R2 with nothing done to the bytes, so
// that both run in one isolate. Never deployed.
//   GET  /bench/object/ID          object key of a file's bytes
//   GET  /bench/plain/KEY          R2 → body, piped natively; Range as R2 has it
//   POST /bench/plain              body → one R2 multipart object in parts of 5 MiB
import { createApp } from "../src/app.ts"

const app = createApp()
const PART_BYTES = 5 * 1024 * 1024

async function plainGet(request: Request, env: Env, key: string): Promise<Response> {
  const range = request.headers.has("range") ? { range: request.headers } : {}
  const object = await env.BLOBS.get(key, range)
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

export default {
  async fetch(request, env, context) {
    const [, bench, what, name = ""] = new URL(request.url).pathname.split("/")
    if (bench !== "bench") return app.fetch(request, env, context)
    if (what === "object") {
      const row = await env.DB.prepare("select object_key from blobs where file_id = ?")
        .bind(name)
        .first<{ object_key: string }>()
      return new Response(row?.object_key ?? "")
    }
    return request.method === "POST" ? plainPut(request, env) : plainGet(request, env, name)
  },
} satisfies ExportedHandler<Env>
