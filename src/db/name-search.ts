import { type AnyColumn, type SQL, sql } from "drizzle-orm"

/**
 * Is the term (domain/search-key.ts) part of the name with that key? Not LIKE: it knows wildcards, and at D1 only 50 bytes.
 * A dot above an i counts for nothing, as in the term.
 */
export const isNamedLike = (nameKey: AnyColumn | SQL, term: string): SQL =>
  sql`instr(replace(${nameKey}, 'i' || char(0x307), 'i'), ${term}) > 0`
