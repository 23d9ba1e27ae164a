// npm run secrets [-- NAME … | NAME --id N | --out FILE]
// Makes good secrets: all of a deployment as JSON for `wrangler deploy --secrets-file`, single ones as NAME=value, or one
// more entry `N:…` for a key ring that is in use, to be put in front. Nothing is sent anywhere.
import "./plain-errors.ts"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { SECRET_NAMES } from "../src/config.ts"
import { newKeyRingEntry } from "../src/crypto/keyring.ts"
import { newSecrets } from "./local-state.ts"

const USAGE = `Usage: npm run secrets [-- NAME … | NAME --id N | --out FILE]

  NAME …      only these, as NAME=value: ${SECRET_NAMES.join(", ")}
  --id N      with one NAME: one more entry for a ring that is in use, to be put in front of it
  --out FILE  all of them as JSON, into a new file (default: standard output)`

function writeAll(path: string, text: string): void {
  try {
    // `wx`: overwriting the master keys of a deployment would lose all of its files.
    writeFileSync(path, text, { mode: 0o600, flag: "wx" })
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null
    if (code === "EEXIST") throw new Error(`${path} is there already and stays as it is. Name a new file.`, { cause: error })
    if (code === "ENOENT") throw new Error(`${path}: there is no such folder.`, { cause: error })
    throw error
  }
}

const { values, positionals: names } = parseArgs({
  options: { out: { type: "string" }, id: { type: "string" }, help: { type: "boolean", default: false } },
  allowPositionals: true,
})
const secrets = newSecrets()
const unknown = names.filter((name) => !SECRET_NAMES.some((known) => known === name))

if (unknown.length > 0) throw new Error(`Unknown: ${unknown.join(", ")}. Secrets are: ${SECRET_NAMES.join(", ")}`)
if (values.out !== undefined && (names.length > 0 || values.id !== undefined))
  throw new Error("--out writes all secrets; it goes with no name and no --id.")
if (values.help) console.log(USAGE)
else if (values.id !== undefined) {
  if (names.length !== 1) throw new Error("--id goes with one name, e.g. npm run secrets -- MASTER_KEYS --id 2")
  if (!/^[1-9]\d{0,2}$/.test(values.id) || Number(values.id) > 255) throw new Error("--id needs a number from 1 to 255.")
  console.log(newKeyRingEntry(Number(values.id)))
} else if (values.out !== undefined) {
  writeAll(values.out, `${JSON.stringify(secrets, null, 2)}\n`)
  console.log(`Written: ${values.out}. Keep a copy in a safe place: without MASTER_KEYS no stored file can be read.`)
} else if (names.length > 0) {
  for (const name of SECRET_NAMES) if (names.includes(name)) console.log(`${name}=${secrets[name]}`)
} else {
  console.log(JSON.stringify(secrets, null, 2))
}
