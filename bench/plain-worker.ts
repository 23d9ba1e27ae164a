// The yardstick: takes and gives the same bytes with nothing done to them. Never deployed.
//   PUT /object   body → R2, piped natively
//   GET /object   R2 → body, piped natively
type BenchEnv = { BLOBS: R2Bucket }

export default {
  async fetch(request, env) {
    if (request.method === "PUT") {
      await env.BLOBS.put("object", request.body)
      return new Response("ok")
    }
    const object = await env.BLOBS.get("object")
    return object === null ? new Response(null, { status: 404 }) : new Response(object.body)
  },
} satisfies ExportedHandler<BenchEnv>
