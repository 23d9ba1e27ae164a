// What links cost in rows read: the same for somebody who has fetched a file a thousand times as for a newcomer.
import { env } from "cloudflare:workers"
import { eq } from "drizzle-orm"
import { beforeAll, describe, expect, it } from "vitest"
import { users } from "../../src/db/schema.ts"
import { type RequestOptions, createTestClient } from "../support/client.ts"
import { countedDb } from "../support/counted-db.ts"
import { realDocument } from "../support/documents.ts"
import { type World, newWorld } from "../support/selections.ts"

const small = realDocument("npm-docx.docx")
const PAST = 2000

const { db, seen } = countedDb(env.DB)
const counted = createTestClient({ DB: db })
let world: World
let clientId: string

beforeAll(async () => {
  world = await newWorld()
  clientId = (await world.api.db.select().from(users).where(eq(users.email, world.client.email)).get())?.id ?? ""
}, 60_000)

/** Downloads of the file by the client, delivered long ago. */
const plant = (fileId: string) =>
  world.api.db.$client
    .prepare(
      `insert into downloads (link_id, file_id, user_id, version, started_at_ms, requests, joined_by, served, delivered_at_ms)
        select 'past ' || value || ?1, ?1, ?2, 1, 1, 1, '', '[]', 1 from json_each(?3)`,
    )
    .bind(fileId, clientId, JSON.stringify(Array.from({ length: PAST }, (_, i) => i)))
    .run()

/** Rows that a request of the client reads. */
async function rowsRead(path: string, options: RequestOptions = {}): Promise<number> {
  seen.rowsRead = 0
  const response = await counted.request(path, { token: world.client.tokens.accessToken, ...options })
  expect(response.status).toBeLessThan(300)
  return seen.rowsRead
}

describe("a file that is not limited, fetched thousands of times by one client,", () => {
  it.each<[string, (ids: string[]) => Promise<[path: string, options?: RequestOptions]>]>([
    ["a new link", ([id]) => Promise.resolve([`/api/client/download/${id ?? ""}`])],
    ["a link, looked at", async ([id]) => [await world.mint(id ?? ""), { method: "HEAD" }]],
    ["a link, used", async ([id]) => [await world.mint(id ?? "")]],
    ["a link for several, made", (files) => Promise.resolve(["/api/client/download", { json: { files } }])],
    ["a link for several, looked at", async (ids) => [await world.select(ids), { method: "HEAD" }]],
    ["a link for several, used", async (ids) => [await world.select(ids)]],
    ["the list of links", ([id]) => world.mint(id ?? "").then(() => ["/api/client/links?limit=10"])],
    ["the list of files", () => Promise.resolve(["/api/client/files?limit=10"])],
  ])("costs no more: %s", async (_, prepare) => {
    const ids = [await world.post("a.docx", small), await world.post("b.docx", small)]
    const before = await rowsRead(...(await prepare(ids)))
    for (const id of ids) await plant(id)
    expect(await rowsRead(...(await prepare(ids)))).toBeLessThan(before + 100)
  })
})
