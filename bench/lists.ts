// npm run bench:lists
// What a page of files costs with 1 000 files and with 100 000 (and 10 000 clients): the ratio of medians, the first
// page and a page from the middle on alike, for every order and both roles, with the rows that D1 says it read.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median, startSubject } from "./subject.ts"

const SMALL = 1000
const LARGE = 100_000
const CLIENTS = 10_000
const RUNS = 15
const LIMIT = 50
const SORTS = ["name", "-name", "createdAt", "-createdAt", "size", "-size"]

type Page = { files: unknown[]; nextCursor: string | null }
type Cost = { ms: number; rows: number }

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const subject = await startSubject(join(dir, "state"))

async function json<T>(path: string, authorization: string, method = "GET", body?: object): Promise<T> {
  const headers = { Authorization: authorization, "Content-Type": "application/json" }
  const response = await fetch(`${subject.origin}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  return response.json<T>()
}

/** The cursor after so many pages. */
async function cursorAfter(path: string, authorization: string, pages: number): Promise<string> {
  let cursor = ""
  for (let i = 0; i < pages; i++) {
    const { nextCursor } = await json<Page>(`${path}&limit=200${cursor}`, authorization)
    if (nextCursor === null) throw new Error("there are not so many pages")
    cursor = `&cursor=${nextCursor}`
  }
  return cursor
}

async function costOf(path: string, authorization: string): Promise<Cost> {
  await json(path, authorization)
  const times: number[] = []
  await json("/bench/reads", authorization)
  for (let i = 0; i < RUNS; i++) {
    const startMs = performance.now()
    await json(path, authorization)
    times.push(performance.now() - startMs)
  }
  const { rows } = await json<{ rows: number }>("/bench/reads", authorization)
  return { ms: median(times), rows: Math.round(rows / RUNS) }
}

async function measure(people: Record<string, string>, pagesIn: number): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>()
  for (const [role, authorization] of Object.entries(people))
    for (const sort of SORTS) {
      const path = `/api/${role}/files?sort=${sort}`
      const cursor = await cursorAfter(path, authorization, pagesIn)
      costs.set(`${role} ${sort}, first page`, await costOf(`${path}&limit=${String(LIMIT)}`, authorization))
      costs.set(
        `${role} ${sort}, file ${String(pagesIn * 200)} on`,
        await costOf(`${path}&limit=${String(LIMIT)}${cursor}`, authorization),
      )
    }
  return costs
}

try {
  await json("/bench/seed", subject.authorization, "POST", { first: 0, count: SMALL, clients: CLIENTS })
  const login = { email: "client@example.com", password: "a password for the bench" }
  const { accessToken } = await json<{ accessToken: string }>("/api/client/login", "Bearer none", "POST", login)
  const people = { ops: subject.authorization, client: `Bearer ${accessToken}` }
  const small = [...(await measure(people, 2)).entries()]
  for (let first = SMALL; first < LARGE; first += 9900)
    await json("/bench/seed", subject.authorization, "POST", { first, count: Math.min(9900, LARGE - first), clients: 0 })
  const large = [...(await measure(people, 100)).values()]
  console.log(
    `A page of ${String(LIMIT)}, medians of ${String(RUNS)}: ${String(SMALL)} files against ${String(LARGE)}; rows read by D1:`,
  )
  const ratios = small.map(([name, before], i) => {
    const after = large[i] ?? { ms: Number.NaN, rows: Number.NaN }
    const label = name.replace("file 400 on", "from the middle")
    console.log(
      `${label.padEnd(36)} ${before.ms.toFixed(2).padStart(7)} ms → ${after.ms.toFixed(2).padStart(7)} ms  ${(after.ms / before.ms).toFixed(2)}×   ${String(before.rows)} → ${String(after.rows)} rows`,
    )
    return after.ms / before.ms
  })
  console.log(`median ratio ${median(ratios).toFixed(2)}×, greatest ${Math.max(...ratios).toFixed(2)}×  (at most 1.5×)`)
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true })
}
