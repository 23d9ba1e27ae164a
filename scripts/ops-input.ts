// What the commands for ops accounts are told besides their arguments: a password, the fewest characters that it may
// have, and secrets of a deployment.
import type { Place } from "./database.ts"
import { readFileSync } from "node:fs"
import { readPasswordMinChars } from "../src/config.ts"
import { AppError } from "../src/errors.ts"
import { localSecrets, notedPasswordMinLength } from "./local-state.ts"
import { type AccountSecrets, UsageError, accountSecrets } from "./ops-account.ts"
import { wranglerVars } from "./wrangler.ts"

/** From OPS_PASSWORD or, where that is not set, the first line of standard input; never from the command line. */
export function readPassword(command: string): string {
  const { OPS_PASSWORD } = process.env
  if (OPS_PASSWORD !== undefined) return OPS_PASSWORD
  if (process.stdin.isTTY)
    throw new UsageError(`No password: set OPS_PASSWORD, or pipe it in, e.g. printf %s "$PASSWORD" | npm run ${command} -- …`)
  return readFileSync(0, "utf8").split(/\r?\n/, 1)[0] ?? ""
}

/** What a deployment keeps to itself: the file that was deployed, or this shell. */
const remoteValues = (secretsFile: string | undefined): Record<string, unknown> =>
  secretsFile === undefined ? process.env : (JSON.parse(readFileSync(secretsFile, "utf8")) as Record<string, unknown>)

/**
 * The secrets of a local state, or of a deployment: from the file that was deployed or from this shell.
 * @throws UsageError naming what is missing
 */
export const placeSecrets = (place: Place, secretsFile: string | undefined): AccountSecrets =>
  accountSecrets(place === "remote" ? remoteValues(secretsFile) : localSecrets(place.persistTo))

/**
 * PASSWORD_MIN_LENGTH as the service has it: `[vars]` in wrangler.toml, unless something nearer says otherwise. Of a local
 * state that is what the last `npm start` was told by `--var`; of a deployment the file of its secrets, or this shell.
 * @throws UsageError for a value that the service would not take either
 */
export function passwordMinChars(place: Place, secretsFile: string | undefined): number {
  const nearer = place === "remote" ? remoteValues(secretsFile) : notedPasswordMinLength(place.persistTo)
  try {
    return readPasswordMinChars({ ...wranglerVars(), ...nearer })
  } catch (error) {
    throw error instanceof AppError ? new UsageError(error.message) : error
  }
}
