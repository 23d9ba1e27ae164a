// Is everything that a request needs there?
import { pingDb } from "../db/client.ts"
import { AppError } from "../errors.ts"
import type { Powers } from "./powers.ts"

/** @throws AppError `busy` when the database or the object store does not answer */
export async function checkHealth(deps: Pick<Powers, "db" | "blobs">): Promise<void> {
  try {
    await Promise.all([pingDb(deps.db), deps.blobs.ping()])
  } catch (error) {
    throw new AppError("busy", {
      detail: "The service is not ready.",
      retryAfterSeconds: 5,
      reason: "D1 or R2 does not answer",
      cause: error,
    })
  }
}
