// npm run ops:list | ops:disable -- EMAIL | ops:enable -- EMAIL | ops:reset-password -- EMAIL [--remove-totp]
// npm run ops:grant -- EMAIL PERMISSION | ops:revoke -- EMAIL PERMISSION
// Each takes --persist-to DIR, or --remote for the deployed database. The new password comes from OPS_PASSWORD or, where
// that is not set, from standard input (its first line).
import "./plain-errors.ts"
import { parseArgs } from "node:util"
import { MANAGE_ALL_FILES } from "../src/domain/permissions.ts"
import { type Database, type Place, withDatabase } from "./database.ts"
import { DEFAULT_STATE_DIR, keptSecrets, requireState } from "./local-state.ts"
import { type AccountSecrets, UsageError, hashOpsPassword, requireEmail } from "./ops-account.ts"
import {
  type OpsAccountRow,
  disableOpsAccount,
  enableOpsAccount,
  findOpsAccount,
  listOpsAccounts,
  resetOpsPassword,
  setManagesAllFiles,
} from "./ops-accounts.ts"
import { passwordMinChars, placeSecrets, readPassword } from "./ops-input.ts"

const USAGE = `Usage: npm run ops:list [-- --json]
       npm run ops:disable -- EMAIL
       npm run ops:enable -- EMAIL
       OPS_PASSWORD=… npm run ops:reset-password -- EMAIL [--remove-totp]
       npm run ops:grant -- EMAIL ${MANAGE_ALL_FILES}
       npm run ops:revoke -- EMAIL ${MANAGE_ALL_FILES}

  --persist-to DIR  the local state to use (default ${DEFAULT_STATE_DIR})
  --remote          the deployed database, instead of a local one
  --secrets FILE    with --remote, but for ops:list: the deployment's secrets as JSON (or set PASSWORD_PEPPERS and AUDIT_KEYS)
  --remove-totp     for ops:reset-password: removes the second factor too
  --json            for ops:list: one JSON array
The password is read from OPS_PASSWORD or from standard input.`

const options = {
  "persist-to": { type: "string" },
  remote: { type: "boolean", default: false },
  secrets: { type: "string" },
  "remove-totp": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const

const time = (ms: number | null): string => (ms === null ? "never" : new Date(ms).toISOString())

function line(account: OpsAccountRow): string {
  const state = account.disabledAtMs === null ? "enabled" : `disabled since ${time(account.disabledAtMs)}`
  const factor = account.hasSecondFactor ? "second factor" : "password only"
  const permissions = account.managesAllFiles ? `  ${MANAGE_ALL_FILES}` : ""
  return `${account.email}  ${state}  ${factor}${permissions}  made ${time(account.createdAtMs)}  last used ${time(account.lastUsedAtMs)}`
}

function factorNote({ hasSecondFactor }: OpsAccountRow, isRemoved: boolean): string {
  if (!hasSecondFactor) return ""
  return isRemoved ? " The second factor is removed." : " The second factor stays."
}

/** Grants or revokes, and says what came of it. */
async function setPermission(
  database: Database,
  secrets: AccountSecrets,
  account: OpsAccountRow,
  isGranted: boolean,
): Promise<string> {
  if (account.managesAllFiles === isGranted)
    return `${account.email} ${isGranted ? "has" : "is without"} ${MANAGE_ALL_FILES} already; nothing was changed.`
  await setManagesAllFiles(database, secrets, account, isGranted)
  return `${account.email} ${isGranted ? "may now manage everybody's" : "now manages only its own"} files.`
}

/** Disables or enables, and says what came of it. */
async function setDisabled(
  database: Database,
  secrets: AccountSecrets,
  account: OpsAccountRow,
  isDisabled: boolean,
): Promise<string> {
  const state = isDisabled ? "disabled" : "enabled"
  if ((account.disabledAtMs !== null) === isDisabled) return `${account.email} is ${state} already; nothing was changed.`
  await (isDisabled ? disableOpsAccount : enableOpsAccount)(database, secrets, account)
  return `${account.email} is ${state}${isDisabled ? "; all its sessions are over" : ""}.`
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [command = "", email, ...rest] = positionals
  if (values.help) {
    console.log(USAGE)
    return
  }
  const isReset = command === "reset-password"
  const isList = command === "list"
  const isPermission = command === "grant" || command === "revoke"
  if (!isReset && !isList && !isPermission && command !== "disable" && command !== "enable") throw new UsageError(USAGE)
  if (rest.length !== (isPermission ? 1 : 0) || (email === undefined) !== isList) throw new UsageError(USAGE)
  if (isPermission && rest[0] !== MANAGE_ALL_FILES)
    throw new UsageError(`There is no such permission. The only one: ${MANAGE_ALL_FILES}`)
  if ((values["remove-totp"] && !isReset) || (values.json && !isList)) throw new UsageError(USAGE)
  if (values.secrets !== undefined && (isList || !values.remote))
    throw new UsageError("--secrets goes with --remote, and ops:list needs none.")
  const address = email === undefined ? null : requireEmail(email)
  const password = isReset ? readPassword("ops:reset-password") : ""
  const place: Place = values.remote ? "remote" : { persistTo: requireState(values["persist-to"] ?? DEFAULT_STATE_DIR) }
  // Rows signed with keys made just now would look forged.
  if (place !== "remote" && !isList) keptSecrets(place.persistTo)
  const report = await withDatabase(place, async (database) => {
    if (address === null) {
      const accounts = await listOpsAccounts(database)
      return values.json ? JSON.stringify(accounts) : accounts.map(line).join("\n")
    }
    const account = await findOpsAccount(database, address)
    const secrets = placeSecrets(place, values.secrets)
    if (isReset) {
      const passwordHash = await hashOpsPassword(secrets, {
        address,
        password,
        minChars: passwordMinChars(place, values.secrets),
      })
      await resetOpsPassword(database, secrets, account, { passwordHash, removesTotp: values["remove-totp"] })
      return `New password set for ${account.email}; all its sessions are over.${factorNote(account, values["remove-totp"])}`
    }
    return isPermission
      ? setPermission(database, secrets, account, command === "grant")
      : setDisabled(database, secrets, account, command === "disable")
  })
  console.log(report)
}

await main()
