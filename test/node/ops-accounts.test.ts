// What the commands for ops accounts write, on a database of SQLite's own.
import { expect, it } from "vitest"
import type { Database } from "../../scripts/database.ts"
import { findOpsAccount, resetOpsPassword } from "../../scripts/ops-accounts.ts"
import { createOpsAccount, requireEmail } from "../../scripts/ops-account.ts"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { freshDatabase } from "../support/d1-api.ts"

const secrets = { PASSWORD_PEPPERS: newKeyRingEntry(1), AUDIT_KEYS: newKeyRingEntry(1) }
const choice = { address: requireEmail("ops@example.com"), password: "a password for the commands", minChars: 15 }

function emptyDatabase(): Database {
  const sqlite = freshDatabase()
  return { batch: (statements) => Promise.resolve(statements.map((sql) => sqlite.prepare(sql).all())) }
}

it.each([
  ["guards the account", "1", 1],
  ["was still being enrolled", "null", 0],
  ["was not there", null, 0],
])("removing a second factor that %s is recorded as often as it happens", async (_, confirmedAt, times) => {
  const database = emptyDatabase()
  expect(await createOpsAccount(database, secrets, choice)).toBe(true)
  const account = await findOpsAccount(database, choice.address)
  if (confirmedAt !== null) {
    await database.batch([
      `insert into totp_factors (user_id, id, key_id, sealed_secret, created_at_ms, confirmed_at_ms)
       values ('${account.id}', 'f', 1, '', 1, ${confirmedAt})`,
    ])
  }
  await resetOpsPassword(database, secrets, account, { passwordHash: "x", removesTotp: true })
  const [left, rows] = await database.batch(["select * from totp_factors", "select kind from audit_events order by rowid"])
  expect(left).toEqual([])
  const kinds = rows?.map(({ kind }) => kind)
  expect(kinds?.filter((kind) => kind === "second_factor.removed")).toHaveLength(times)
  expect(kinds?.at(-1)).toBe("password.reset")
})
