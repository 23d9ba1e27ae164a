// What the commands for ops accounts are told besides their arguments: a password, and secrets of a deployment.
import { readFileSync } from "node:fs"
import type { SecretName } from "../src/config.ts"
import { UsageError } from "./ops-account.ts"

/** From OPS_PASSWORD or, where that is not set, the first line of standard input; never from the command line. */
export function readPassword(command: string): string {
  const { OPS_PASSWORD } = process.env
  if (OPS_PASSWORD !== undefined) return OPS_PASSWORD
  if (process.stdin.isTTY)
    throw new UsageError(`No password: set OPS_PASSWORD, or pipe it in, e.g. printf %s "$PASSWORD" | npm run ${command} -- …`)
  return readFileSync(0, "utf8").split(/\r?\n/, 1)[0] ?? ""
}

/** A secret of a deployment, from the file that was deployed or from this shell. */
export function remoteSecret(name: SecretName, secretsFile: string | undefined): string {
  const secrets =
    secretsFile === undefined ? process.env : (JSON.parse(readFileSync(secretsFile, "utf8")) as Record<string, unknown>)
  const value = secrets[name]
  if (typeof value === "string" && value !== "") return value
  throw new UsageError(`--remote needs the deployment's ${name}: name the secrets file with --secrets, or set the variable.`)
}
