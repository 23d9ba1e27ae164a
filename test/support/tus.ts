// A tus client as far as tests need one: every header can be left out or bent.
import { env } from "cloudflare:workers"
import { blobs, discardedObjects, files, resumableParts, resumableUploads, uploads } from "../../src/db/schema.ts"
import { type RequestOptions, type TestClient, createTestClient } from "./client.ts"

export const UPLOADS = "/api/ops/uploads"
export const TUS = { "Tus-Resumable": "1.0.0" }
export const BYTES = { ...TUS, "Content-Type": "application/offset+octet-stream" }

export const base64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)))

/** Headers without those that are undefined. */
const defined = (headers: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined))

export function tusClient(api: TestClient, token: string) {
  const send = (
    path: string,
    { headers = {}, ...options }: Omit<RequestOptions, "headers"> & { headers?: Record<string, string | undefined> },
  ) => api.request(path, { token, ...options, headers: defined({ ...TUS, ...headers }) })

  return {
    send,
    create: (lengthBytes: number | null, headers: Record<string, string | undefined> = {}, body?: BodyInit) =>
      send(UPLOADS, {
        method: "POST",
        ...(body === undefined ? {} : { body }),
        headers: {
          ...(lengthBytes === null ? { "Upload-Defer-Length": "1" } : { "Upload-Length": String(lengthBytes) }),
          "Upload-Metadata": `filename ${base64("a.docx")}`,
          ...(body === undefined ? {} : BYTES),
          ...headers,
        },
      }),
    /** A new upload's path. */
    async open(lengthBytes: number | null, headers: Record<string, string | undefined> = {}): Promise<string> {
      const response = await this.create(lengthBytes, headers)
      if (response.status !== 201) throw new Error(`create: ${await response.text()}`)
      return new URL(response.headers.get("location") ?? "").pathname
    },
    patch: (
      path: string,
      offset: number | string | undefined,
      body: BodyInit,
      headers: Record<string, string | undefined> = {},
    ) =>
      send(path, {
        method: "PATCH",
        body,
        headers: { ...BYTES, "Upload-Offset": offset === undefined ? undefined : String(offset), ...headers },
      }),
    head: (path: string, headers: Record<string, string | undefined> = {}) => send(path, { method: "HEAD", headers }),
    async offset(path: string): Promise<number> {
      return Number((await this.head(path)).headers.get("upload-offset") ?? Number.NaN)
    },
    remove: (path: string) => send(path, { method: "DELETE" }),
  }
}

/** A body without a length, in pieces; after the last one it breaks off with the fault, if there is one. */
export function streamOf(pieces: readonly Uint8Array[], fault?: Error): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      const piece = pieces[at++]
      if (piece !== undefined) controller.enqueue(piece)
      else if (fault === undefined) controller.close()
      else controller.error(fault)
    },
  })
}

/** Lets everything expire that earlier tests left open, so that it is not swept in the middle of one that counts. */
export async function sweepLeftovers(): Promise<void> {
  const api = createTestClient()
  api.clock.nowMs += 30 * 24 * 60 * 60_000
  for (let i = 0; i < 3; i++) await api.runCron()
}

/** Everything that uploads could leave behind, anywhere. */
export async function holdings(api: TestClient) {
  const objects: string[] = []
  for (let cursor: string | undefined; ;) {
    const page = await env.BLOBS.list(cursor === undefined ? {} : { cursor })
    objects.push(...page.objects.map(({ key }) => key))
    if (!page.truncated) break
    cursor = page.cursor
  }
  return {
    objects: objects.length,
    files: (await api.db.select().from(files)).length,
    blobs: (await api.db.select().from(blobs)).length,
    uploads: (await api.db.select().from(uploads)).length,
    parts: (await api.db.select().from(resumableParts)).length,
    discarded: (await api.db.select().from(discardedObjects)).length,
    keys: (await api.db.select().from(resumableUploads)).filter(({ wrappedKey }) => wrappedKey !== "").length,
  }
}
