// The one form in which names are compared, searched and sorted: in any script, upper and lower case and
// compatible forms (full width, ligatures) are the same.

/**
 * NFKC (UAX #15), and a fold of case that needs no tables: down, up and down again makes ß and ẞ "ss" (full case
 * conversion, Unicode 5.18), and the final sigma is the other one. Composed once more, because a fold can take apart.
 */
export const searchKey = (text: string): string =>
  text.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFKC")
