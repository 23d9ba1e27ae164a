// npm run ops:create -- --email E [--persist-to DIR | --remote [--secrets FILE]]
// The password comes from OPS_PASSWORD or, where that is not set, from standard input (its first line).
import "./plain-errors.ts"
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { type Place, withDatabase } from "./database.ts"
import { DEFAULT_STATE_DIR } from "./local-state.ts"
import { UsageError, createOpsAccount, requireEmail } from "./ops-account.ts"
import { passwordMinChars, placeSecrets, readPassword } from "./ops-input.ts"

const USAGE = `Usage: OPS_PASSWORD=… npm run ops:create -- --email E [--persist-to DIR | --remote --secrets FILE]

  --email E         address to log in with
  --persist-to DIR  the local state to use (default ${DEFAULT_STATE_DIR})
  --remote          the deployed database, instead of a local one
  --secrets FILE    with --remote: the deployment's secrets as JSON (or set PASSWORD_PEPPERS and AUDIT_KEYS)
The password is read from OPS_PASSWORD or from standard input.`

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
  const password = readPassword("ops:create")
  const stateDir = resolve(values["persist-to"] ?? DEFAULT_STATE_DIR)
  const place: Place = values.remote ? "remote" : { persistTo: stateDir }
  const secrets = placeSecrets(place, values.secrets)
  const minChars = passwordMinChars(place, values.secrets)
  const choice = { address, password, minChars }
  if (!(await withDatabase(place, (database) => createOpsAccount(database, secrets, choice)))) {
    throw new UsageError(`${address.original} has an account already; nothing was changed.`)
  }
  console.log(`Ops account made: ${address.original}`)
}

await main()
