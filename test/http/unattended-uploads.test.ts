// Uploads that have all their bytes, and whose clients do not come back: cron finishes them, whatever stands beside them.
import { env } from "cloudflare:workers"
import { expect, it } from "vitest"
import { files } from "../../src/db/schema.ts"
import { createTestClient } from "../support/client.ts"
import { realDocument } from "../support/documents.ts"
import { tusClient } from "../support/tus.ts"

const docx = realDocument("npm-docx.docx")
/** More than cron tries in one run. */
const STUCK = 20
/** Each run leaves the sound one out every other time, if all are equal before it. */
const RUNS = 40

it("are not kept from it by others that fail each time", { timeout: 60_000 }, async () => {
  const api = createTestClient()
  const ops = await api.newOps()
  const token = ops.tokens.accessToken
  const tus = tusClient(api, token)
  const noReads = new Proxy(env.BLOBS, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (property === "get") return () => Promise.reject(new Error("get: We encountered an internal error. (10001)"))
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
  const unread = tusClient(createTestClient({ BLOBS: noReads }), token)
  const sound = await tus.open(docx.length)
  expect((await unread.patch(sound, 0, docx)).status).toBe(500)
  // As it looks whose key is not there: nothing is wrong with the document, and the next try may do. They end sooner.
  await api.db.$client
    .prepare(
      `insert into resumable_uploads (id, owner_id, file_id, object_key, name, type, metadata, length_bytes, offset_bytes, state,
         key_id, wrapped_key, commitment, created_at_ms, expires_at_ms)
       with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
       select 'stuck' || i, owner_id, 'f' || i, 'o' || i, name, type, '', 1, 1, 'received', 99, wrapped_key, commitment, 1, expires_at_ms - 1000
       from resumable_uploads, n where id = ?`,
    )
    .bind(STUCK, sound.slice(sound.lastIndexOf("/") + 1))
    .run()
  const made = async () => (await api.db.select().from(files)).filter(({ ownerId }) => ownerId === ops.id).length
  for (let run = 0; run < RUNS && (await made()) === 0; run++) await api.runCron()
  expect(await made()).toBe(1)
})
