// Headers of parts that ranges began in the middle of, kept for the next range there: a download in many ranges then
// costs one read of R2 for each instead of two. A header is no secret, and a wrong one opens nothing.
import type { Bytes } from "../crypto/bytes.ts"

/** Under a megabyte in all. */
const DEFAULT_LIMIT = 2048

/** A header and the R2 object that it was read from. */
export type PartHeader = { header: Bytes; etag: string }

export type PartHeaders = ReturnType<typeof createPartHeaders>

/** An isolate's memory of part headers; the ones used longest ago are forgotten first. */
export function createPartHeaders(limit = DEFAULT_LIMIT) {
  const known = new Map<string, PartHeader>()
  const nameOf = (objectKey: string, part: number): string => `${objectKey}/${String(part)}`
  return {
    find(objectKey: string, part: number): PartHeader | undefined {
      const name = nameOf(objectKey, part)
      const found = known.get(name)
      if (found === undefined) return undefined
      // A map keeps the order of insertion.
      known.delete(name)
      known.set(name, found)
      return found
    },
    keep(objectKey: string, part: number, header: PartHeader): void {
      known.set(nameOf(objectKey, part), header)
      const [oldest] = known.keys()
      if (known.size > limit && oldest !== undefined) known.delete(oldest)
    },
  }
}
