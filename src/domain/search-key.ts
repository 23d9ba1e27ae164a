// The one form in which names are compared, searched and sorted: in any script, upper and lower case and
// compatible forms (full width, ligatures) are the same, and so are names that differ only by what nobody sees.

/**
 * What is ignored where it stands (as NFKC_Casefold does): joiners, places for a line break, selectors of a form. Whoever
 * searches seldom types them. Tags stay: they are in names only as flags of England, Scotland and Wales, which differ.
 */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}--[\u{e0020}-\u{e007f}]]/gv

/**
 * NFKC (UAX #15), and a fold of case that needs no tables: down, up and down again makes ß and ẞ "ss" (full case
 * conversion, Unicode 5.18), and the final sigma is the other one. Composed once more, because a fold can take apart.
 */
export const searchKey = (text: string): string =>
  text.replaceAll(UNSEEN, "").normalize("NFKC").toLowerCase().toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFKC")

/**
 * What is looked for in such keys. The upper case of i has its dot in Turkish, which its lower case keeps as a character
 * of its own and whoever types i has not: here and in db/name-search.ts there is none.
 */
export const searchTerm = (text: string): string => searchKey(text).replaceAll("i\u0307", "i")
