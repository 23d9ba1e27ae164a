// npm run secrets [-- NAME … | --out FILE]
// Makes good secrets: all of a deployment as JSON for `wrangler deploy --secrets-file`, or single ones as
// NAME=value. Nothing is sent anywhere.
import "./plain-errors.ts"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { SECRET_NAMES } from "../src/config.ts"
import { newSecrets } from "./local-state.ts"

const { values, positionals } = parseArgs({ options: { out: { type: "string" } }, allowPositionals: true })
const secrets = newSecrets()
const unknown = positionals.filter((name) => !SECRET_NAMES.some((known) => known === name))

if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}. Secrets are: ${SECRET_NAMES.join(", ")}`)
  process.exitCode = 1
} else if (values.out !== undefined) {
  // `wx`: overwriting the master keys of a deployment would lose all of its files.
  writeFileSync(values.out, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flag: "wx" })
  console.log(`Written: ${values.out}. Keep a copy in a safe place: without MASTER_KEYS no stored file can be read.`)
} else if (positionals.length > 0) {
  for (const name of SECRET_NAMES) if (positionals.includes(name)) console.log(`${name}=${secrets[name]}`)
} else {
  console.log(JSON.stringify(secrets, null, 2))
}
