// The life of ops accounts after they were made, straight in D1: seen, shut out, let in again, given another password.
// Nothing that the Worker serves can do this. Each change is one batch with its audit row, and acts on the next request.
import type { EmailAddress } from "../src/domain/email-address.ts"
import { type Database, sqlText } from "./database.ts"
import { type AccountSecrets, UsageError, auditSql } from "./ops-account.ts"

export type OpsAccountRow = {
  id: string
  email: string
  createdAtMs: number
  disabledAtMs: number | null
  hasSecondFactor: boolean
  /** May do with everybody's files what their owners may. */
  managesAllFiles: boolean
  /** The last login or refresh of a session that is still known. */
  lastUsedAtMs: number | null
}

const SELECT = `select id, email, created_at_ms, disabled_at_ms, manages_all_files,
  exists (select 1 from totp_factors f where f.user_id = users.id and f.confirmed_at_ms is not null) as has_second_factor,
  (select max(coalesce(s.last_used_at_ms, s.created_at_ms)) from sessions s where s.user_id = users.id) as last_used_at_ms
  from users where role = 'ops'`

function accountOf(row: Record<string, unknown>): OpsAccountRow {
  return {
    id: String(row["id"]),
    email: String(row["email"]),
    createdAtMs: Number(row["created_at_ms"]),
    disabledAtMs: row["disabled_at_ms"] === null ? null : Number(row["disabled_at_ms"]),
    hasSecondFactor: row["has_second_factor"] === 1,
    managesAllFiles: row["manages_all_files"] === 1,
    lastUsedAtMs: row["last_used_at_ms"] === null ? null : Number(row["last_used_at_ms"]),
  }
}

/** All ops accounts, oldest first. */
export async function listOpsAccounts(database: Database): Promise<OpsAccountRow[]> {
  const [rows = []] = await database.batch([`${SELECT} order by created_at_ms, id`])
  return rows.map(accountOf)
}

/** @throws UsageError when no ops account has the address; a client's counts as none */
export async function findOpsAccount(database: Database, address: EmailAddress): Promise<OpsAccountRow> {
  const [rows = []] = await database.batch([`${SELECT} and email_key = ${sqlText(address.key)}`])
  const [row] = rows
  if (row === undefined) throw new UsageError(`There is no ops account of ${address.original}. All there are: npm run ops:list`)
  return accountOf(row)
}

/** Every session and every pending password reset of a user is over. */
const endEverything = (userId: string, nowMs: number): string[] => [
  `update sessions set revoked_at_ms = ${String(nowMs)} where user_id = ${sqlText(userId)} and revoked_at_ms is null`,
  `update password_resets set used_at_ms = ${String(nowMs)} where user_id = ${sqlText(userId)} and used_at_ms is null`,
]

export async function disableOpsAccount(database: Database, secrets: AccountSecrets, { id }: OpsAccountRow): Promise<void> {
  const nowMs = Date.now()
  await database.batch([
    `update users set disabled_at_ms = ${String(nowMs)} where id = ${sqlText(id)} and role = 'ops' and disabled_at_ms is null`,
    ...endEverything(id, nowMs),
    await auditSql(secrets, "account.disabled", id, nowMs),
  ])
}

export async function enableOpsAccount(database: Database, secrets: AccountSecrets, { id }: OpsAccountRow): Promise<void> {
  await database.batch([
    `update users set disabled_at_ms = null where id = ${sqlText(id)} and role = 'ops'`,
    await auditSql(secrets, "account.enabled", id, Date.now()),
  ])
}

/** Sets another password and ends all sessions. The second factor stays, unless it is to go as well. */
export async function resetOpsPassword(
  database: Database,
  secrets: AccountSecrets,
  { id }: OpsAccountRow,
  { passwordHash, removesTotp }: { passwordHash: string; removesTotp: boolean },
): Promise<void> {
  const nowMs = Date.now()
  // Recorded where there is one that guards the account: what is still being enrolled guards nothing.
  const recorded = `${await auditSql(secrets, "second_factor.removed", id, nowMs)}
    and exists (select 1 from totp_factors where user_id = ${sqlText(id)} and confirmed_at_ms is not null)`
  const removal = [recorded, `delete from totp_factors where user_id = ${sqlText(id)}`]
  await database.batch([
    `update users set password_hash = ${sqlText(passwordHash)} where id = ${sqlText(id)} and role = 'ops'`,
    ...endEverything(id, nowMs),
    ...(removesTotp ? removal : []),
    await auditSql(secrets, "password.reset", id, nowMs),
  ])
}

/** Gives or takes the permission to manage everybody's files. Acts on the next request. */
export async function setManagesAllFiles(
  database: Database,
  secrets: Pick<AccountSecrets, "AUDIT_KEYS">,
  { id }: OpsAccountRow,
  isGranted: boolean,
): Promise<void> {
  await database.batch([
    `update users set manages_all_files = ${isGranted ? "1" : "0"} where id = ${sqlText(id)} and role = 'ops'`,
    await auditSql(secrets, isGranted ? "permission.granted" : "permission.revoked", id, Date.now()),
  ])
}
