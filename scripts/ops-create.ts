// npm run ops:create -- --email E [--persist-to DIR | --remote [--secrets FILE]]
// The password comes from OPS_PASSWORD or, where that is not set, from standard input (its first line).
import "./plain-errors.ts"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { DEFAULT_STATE_DIR, localSecrets } from "./local-state.ts"
import { type AccountSecrets, UsageError, accountSecrets, createOpsAccount, requireEmail } from "./ops-account.ts"
import { type Place, applyMigrations } from "./wrangler.ts"

const USAGE = `Usage: OPS_PASSWORD=… npm run ops:create -- --email E [--persist-to DIR | --remote --secrets FILE]

  --email E         address to log in with
  --persist-to DIR  the local state to use (default ${DEFAULT_STATE_DIR})
  --remote          the deployed database, instead of a local one
  --secrets FILE    with --remote: the deployment's secrets as JSON (or set PASSWORD_PEPPERS and AUDIT_KEYS)
The password is read from OPS_PASSWORD or from standard input.`

function readPassword(): string {
  const { OPS_PASSWORD } = process.env
  if (OPS_PASSWORD !== undefined) return OPS_PASSWORD
  if (process.stdin.isTTY)
    throw new UsageError('No password: set OPS_PASSWORD, or pipe it in, e.g. printf %s "$PASSWORD" | npm run ops:create -- …')
  return readFileSync(0, "utf8").split(/\r?\n/, 1)[0] ?? ""
}

const remoteSecrets = (secretsFile: string | undefined): AccountSecrets =>
  accountSecrets(
    secretsFile === undefined ? process.env : (JSON.parse(readFileSync(secretsFile, "utf8")) as Record<string, unknown>),
  )

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      email: { type: "string" },
      "persist-to": { type: "string" },
      remote: { type: "boolean", default: false },
      secrets: { type: "string" },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  if (values.email === undefined) throw new UsageError(USAGE)
  if (values.secrets !== undefined && !values.remote)
    throw new UsageError("--secrets goes with --remote; a local account needs none.")
  const address = requireEmail(values.email)
  const password = readPassword()
  const stateDir = resolve(values["persist-to"] ?? DEFAULT_STATE_DIR)
  const place: Place = values.remote ? "remote" : { persistTo: stateDir }
  const secrets = values.remote ? remoteSecrets(values.secrets) : accountSecrets(localSecrets(stateDir))
  if (!values.remote) await applyMigrations(place)
  if (!(await createOpsAccount(place, secrets, address, password))) {
    throw new UsageError(`${address.original} has an account already; nothing was changed.`)
  }
  console.log(`Ops account made: ${address.original}`)
}

await main()
