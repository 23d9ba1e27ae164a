import { type AnyColumn, type SQL, sql } from "drizzle-orm"

/**
 * Is the term (domain/search-key.ts) part of the name with that key? Not LIKE: it knows wildcards, and at D1 only 50 bytes.
 * A dot above an i counts for nothing, as in the term; nor do the characters nobody sees that keys once held, which are
 * those that names could have then.
 */
export const isNamedLike = (nameKey: AnyColumn | SQL, term: string): SQL =>
  sql`instr(replace(replace(replace(replace(${nameKey}, 'i' || char(0x307), 'i'), char(0x200c), ''), char(0x200d), ''), char(0xfe0f), ''), ${term}) > 0`
