// A refused upload leaves nothing behind; and forms as no browser sends them.
import { expect } from "vitest"
import type { ProblemBody, RequestOptions, TestClient } from "./client.ts"
import { holdings } from "./tus.ts"

/** Sees that the answer is this problem, and that nothing is there that was not there before. */
export async function expectRefused(
  api: TestClient,
  send: () => Promise<Response>,
  expected: Partial<ProblemBody>,
): Promise<ProblemBody> {
  const before = await holdings(api)
  const answer = await send()
  const problem = await answer.json<ProblemBody>()
  expect(problem).toMatchObject(expected)
  expect(answer.headers.get("content-type")).toBe("application/problem+json; charset=utf-8")
  expect(await holdings(api)).toEqual(before)
  return problem
}

/** A multipart body written by hand, for what FormData would never send. */
export function rawForm(parts: { head: string; content: Uint8Array | string }[], boundary = "xyz"): RequestOptions {
  const pieces = parts.flatMap(({ head, content }) => [
    `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`,
    content,
    "\r\n",
  ])
  return {
    method: "POST",
    body: new Blob([...pieces, `--${boundary}--\r\n`]),
    headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
  }
}
