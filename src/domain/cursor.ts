// Cursors of lists: opaque to callers, a position in the keyset inside, good for one caller's list in one order with
// one set of filters.
import { openCursor, sealCursor } from "../crypto/list-cursor.ts"
import { fieldError } from "../errors.ts"
import { isId } from "../ids.ts"
import type { Powers } from "./powers.ts"

/** Where a page ended: what the list is sorted by, and the row's id, which decides between equals. */
export type Position<Key = string | number> = { key: Key; id: string }

/** What a cursor is bound to: a list of somebody, and everything that was asked of it but the size of its pages. */
export type Listing = { callerId: string; list: string; terms: Readonly<Record<string, string | undefined>> }

const contextOf = ({ callerId, list, terms }: Listing): string[] => [
  callerId,
  list,
  ...Object.entries(terms)
    .filter(([, value]) => value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map((term) => JSON.stringify(term)),
]

/** The cursor for what follows; null where nothing does. */
export async function cursorAfter(
  deps: Pick<Powers, "keys">,
  listing: Listing,
  position: Position | null,
): Promise<string | null> {
  if (position === null) return null
  return sealCursor(deps.keys.cursorKeys, contextOf(listing), JSON.stringify([position.key, position.id]))
}

/**
 * @param cursor - as it was sent; undefined for the first page
 * @throws AppError `validation_failed`, rule `cursor`, for what is not a cursor of this very list
 */
export async function positionAt(
  deps: Pick<Powers, "keys">,
  listing: Listing,
  cursor: string | undefined,
): Promise<Position | undefined> {
  if (cursor === undefined) return undefined
  const text = await openCursor(deps.keys.cursorKeys, contextOf(listing), cursor)
  const parsed: unknown = text === null ? null : JSON.parse(text)
  if (Array.isArray(parsed)) {
    const [key, id] = parsed as unknown[]
    if ((typeof key === "string" || typeof key === "number") && typeof id === "string" && isId(id)) return { key, id }
  }
  throw fieldError("cursor", "cursor", "This is not a cursor from an earlier answer to the same request.")
}

/** The same in a list that is always newest first. */
export async function newestAfter(deps: Pick<Powers, "keys">, listing: Listing, cursor: string | undefined) {
  const position = await positionAt(deps, listing, cursor)
  return position === undefined ? undefined : { createdAtMs: Number(position.key), id: position.id }
}

/** Cuts one row more than a page off, and says where the page ended if something follows. */
export function cutPage<Row>(rows: readonly Row[], limit: number, positionOf: (row: Row) => Position) {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { page, next: rows.length > limit && last !== undefined ? positionOf(last) : null }
}

/** A row of a walk: a match, or only the end of what one request may look through, or both. */
export type WalkedRow = Position & { isMatch: 0 | 1; isEnd: 0 | 1 }

/**
 * Cuts a page off a walk. It may be shorter than asked for, even empty, and yet go on: where a search has looked
 * through as much as one request may.
 */
export function cutWalk<Row extends WalkedRow>(rows: readonly Row[], limit: number): { page: Row[]; next: Position | null } {
  const page: Row[] = []
  for (const row of rows) {
    const last = page.at(-1)
    if (row.isMatch === 1 && row.id !== last?.id) {
      if (page.length === limit && last !== undefined) return { page, next: { key: last.key, id: last.id } }
      page.push(row)
    }
    if (row.isEnd === 1) return { page, next: { key: row.key, id: row.id } }
  }
  return { page, next: null }
}
