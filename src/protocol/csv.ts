// CSV as RFC 4180 has it, in cells that no spreadsheet takes for a formula.

/**
 * Where a formula would begin: at the start of the cell, also behind white space and in full-width form, which some
 * spreadsheets take as well; and behind a semicolon, which separates cells where the comma separates decimals.
 */
const FORMULA_START = /(^|;)(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])/g

/** One cell. What begins like a formula gets an apostrophe (OWASP, CSV Injection; ASVS 5.0 V1.2.10). */
export function csvCell(value: string | number | null): string {
  if (typeof value === "number") return String(value)
  if (value === null) return ""
  const safe = value.replaceAll(FORMULA_START, "$1'")
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** One record with its line end. */
export const csvRecord = (cells: readonly (string | number | null)[]): string => `${cells.map(csvCell).join(",")}\r\n`
