// Selections as their client meets them: mint, fetch, unpack.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test"
import { inArray } from "drizzle-orm"
import { unzipSync } from "fflate"
import { concatBytes } from "../../src/crypto/bytes.ts"
import { downloads } from "../../src/db/schema.ts"
import { type ProblemBody, type RequestOptions, type TestClient, type Tokens, createTestClient } from "./client.ts"

export type World = Awaited<ReturnType<typeof newWorld>>

/** An ops user and a client, logged in, and what they do. */
export async function newWorld(api: TestClient = createTestClient()) {
  const [ops, client] = [await api.newOps(), await api.newClient()]

  async function post(name: string, bytes: Uint8Array<ArrayBuffer>, query = ""): Promise<string> {
    const form = new FormData()
    form.set("file", new File([bytes], name))
    const options = { method: "POST", token: ops.tokens.accessToken, body: form }
    const response = await api.request(`/api/ops/upload${query}`, options)
    if (response.status !== 201) throw new Error(await response.text())
    return (await response.json<{ file: { id: string } }>()).file.id
  }

  const ask = (files: unknown, query = "", tokens: Tokens = client.tokens) =>
    api.request(`/api/client/download${query}`, { token: tokens.accessToken, json: { files } })

  /** The path of a fresh link to these files. */
  async function select(files: readonly string[], query = "", tokens: Tokens = client.tokens): Promise<string> {
    const response = await ask(files, query, tokens)
    if (response.status !== 201) throw new Error(await response.text())
    return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
  }

  /** The path of a fresh link to one file. */
  async function mint(fileId: string, tokens: Tokens = client.tokens): Promise<string> {
    const response = await api.request(`/api/client/download/${fileId}`, { token: tokens.accessToken })
    return new URL((await response.json<{ "download-link": string }>())["download-link"]).pathname
  }

  const use = (link: string, headers: Record<string, string> = {}, method = "GET", tokens: Tokens = client.tokens) =>
    api.request(link, { method, headers, token: tokens.accessToken })

  /** Takes at least so many bytes of an answer, then hangs up; what came. */
  async function takeSome(link: string, lengthBytes: number): Promise<Uint8Array> {
    const context = createExecutionContext()
    const response = await api.rawRequest(link, { token: client.tokens.accessToken }, context)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const taken: Uint8Array[] = []
    for (let left = lengthBytes; left > 0;) {
      const { value } = await reader.read()
      if (value === undefined) throw new Error("not so many bytes")
      taken.push(value)
      left -= value.length
    }
    await reader.cancel()
    await waitOnExecutionContext(context)
    return concatBytes(...taken)
  }

  const rowsOf = (fileIds: readonly string[]) =>
    api.db
      .select()
      .from(downloads)
      .where(inArray(downloads.fileId, [...fileIds]))

  /** Status and, of a refusal, the code. */
  async function told(path: string, options: RequestOptions): Promise<string> {
    const response = await api.request(path, options)
    if (response.ok || response.status === 304) return String(response.status)
    const text = await response.text()
    return `${String(response.status)} ${text === "" ? "" : (JSON.parse(text) as ProblemBody).code}`.trim()
  }

  return { api, ops, client, post, ask, select, mint, use, takeSome, rowsOf, told }
}

export const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer())

export const equal = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a?.length === b.length && a.every((byte, i) => byte === b[i])

/** Name → content. */
export const unpack = (archive: Uint8Array): Record<string, Uint8Array> => unzipSync(archive)
