// What the commands for ops accounts are told besides their arguments: a password, and secrets of a deployment.
import { readFileSync } from "node:fs"
import { localSecrets } from "./local-state.ts"
import { type AccountSecrets, UsageError, accountSecrets } from "./ops-account.ts"
import type { Place } from "./wrangler.ts"

/** From OPS_PASSWORD or, where that is not set, the first line of standard input; never from the command line. */
export function readPassword(command: string): string {
  const { OPS_PASSWORD } = process.env
  if (OPS_PASSWORD !== undefined) return OPS_PASSWORD
  if (process.stdin.isTTY)
    throw new UsageError(`No password: set OPS_PASSWORD, or pipe it in, e.g. printf %s "$PASSWORD" | npm run ${command} -- …`)
  return readFileSync(0, "utf8").split(/\r?\n/, 1)[0] ?? ""
}

/**
 * The secrets of a local state, or of a deployment: from the file that was deployed or from this shell.
 * @throws UsageError naming what is missing
 */
export function placeSecrets(place: Place, secretsFile: string | undefined): AccountSecrets {
  if (place !== "remote") return accountSecrets(localSecrets(place.persistTo))
  return accountSecrets(
    secretsFile === undefined ? process.env : (JSON.parse(readFileSync(secretsFile, "utf8")) as Record<string, unknown>),
  )
}
