// Cursors of lists: opaque to callers, a position in the keyset inside. They carry nothing that the list
// itself does not show, and whatever they say passes the same checks as any other input.
import { fromBase64url, toBase64url, utf8 } from "../crypto/bytes.ts"
import type { FilePosition } from "../db/files.ts"
import { isId } from "../ids.ts"

export const formatFilePosition = (position: FilePosition): string =>
  toBase64url(utf8(`${String(position.createdAtMs)} ${position.id}`))

/** Null for anything that `formatFilePosition` did not make. */
export function parseFilePosition(cursor: string): FilePosition | null {
  const bytes = fromBase64url(cursor)
  const match = bytes === null ? null : /^(\d{1,15}) (\S+)$/.exec(new TextDecoder().decode(bytes))
  if (match?.[1] === undefined || match[2] === undefined || !isId(match[2])) return null
  return { createdAtMs: Number(match[1]), id: match[2] }
}
