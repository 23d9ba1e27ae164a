// Work that must not be left half done when its client hangs up.
import type { Powers } from "./powers.ts"

/**
 * Waits for work that goes on when the client hangs up: else the runtime may end it at any `await`, where not even
 * `finally` runs, and leave behind what it has stored, claimed or borrowed.
 */
export async function toItsEnd<T>(deps: Pick<Powers, "afterwards">, work: () => Promise<T>): Promise<T> {
  const working = work()
  deps.afterwards(working.catch(() => undefined))
  return working
}
