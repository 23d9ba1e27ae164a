// Characters that nobody sees, or that change how others are seen: they fake names and extensions (UAX #9, UTS #39).
// Those that a script or an emoji needs are let through where people write them, and nowhere else: Persian, Bengali and
// Khmer names are as good as English ones. Each stands alone between what is seen: a run of them could hide anything.

/**
 * Controls, separators, everything that is ignored or only formats, blanks that are no spaces, and what is no
 * character at all. Arabic number signs count as format characters, but are visible.
 */
const DECEPTIVE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800\ufff9-\ufffb\u{1d173}-\u{1d17a}]|(?![\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}])\p{Cf}/u

const scripts = (...names: string[]): string => `[${names.map((name) => String.raw`\p{Script=${name}}`).join("")}]`

/** Letters that join: RegExp knows no joining types, so it is all letters of the scripts that have them. */
const JOINED = `[${scripts("Arabic", "Syriac", "Mongolian", "Nko", "Mandaic", "Phags_Pa", "Adlam", "Hanifi_Rohingya")}&&\\p{L}]`
/** Marks over and under a letter, as many as a name may have (document-name.ts). */
const MARKS = String.raw`\p{M}{0,8}`
const LETTER_OR_DIGIT = String.raw`[\p{L}\p{N}]`

/** Scripts with a sign that takes a letter's vowel away, and those signs (Canonical_Combining_Class 9). */
const INDIC = scripts(
  ...["Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala"],
  ...["Tibetan", "Myanmar", "Khmer", "Balinese", "Sundanese", "Javanese", "Meetei_Mayek", "Tai_Tham", "Saurashtra"],
  ...["Chakma", "Newa", "Tirhuta", "Kaithi", "Sharada", "Grantha", "Modi", "Syloti_Nagri"],
)
const VIRAMA = String.raw`[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0f84\u1039\u103a\u17d2\u1a60\u1b44\u1baa\u1bab\ua806\ua82c\ua8c4\ua9c0\uaaf6\u{110b9}\u{11133}\u{11134}\u{111c0}\u{1134d}\u{11442}\u{114c2}\u{1163f}]`

/** Scripts without spaces, whose writers mark where a line may break (Line_Break=SA, UAX #14). */
const UNSPACED = scripts("Khmer", "Thai", "Lao", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet")

const MONGOLIAN = String.raw`[\p{Script=Mongolian}&&\p{L}]`
const FVS = String.raw`[\u180b-\u180d\u180f]`
const EMOJI = String.raw`[\p{Extended_Pictographic}\p{Emoji_Modifier}]`

const NEEDED = new RegExp(
  [
    // Non-joiners beside a letter that would join: after it (UAX #31 A1, and before a digit or at a word's end, where many
    // type them), or before it as in "PDF" with a Persian ending.
    String.raw`(?<=${JOINED}${MARKS})\u200c`,
    String.raw`(?<=${LETTER_OR_DIGIT}${MARKS})\u200c(?=${JOINED})`,
    // The Arabic heh that stands for the era of a date keeps the form it has within words.
    String.raw`(?<=\u0647)\u200d(?!\p{Script=Arabic})`,
    // Joiners behind a virama (UAX #31 A2, B; RFC 5892 A.1, A.2), at a word's end too: Malayalam chillus, Telugu loan words.
    // The non-joiner may stand before a vowel, the joiner forms nothing with one.
    String.raw`(?<=${INDIC}${VIRAMA})(?:\u200c|\u200d(?!\p{M}))`,
    // Before it, between consonants: Bengali ya-phalaa and Kannada ra (The Unicode Standard 12.2, 12.8), Sinhala 13.2.
    String.raw`(?<=[${INDIC}&&\p{L}])\u200d(?=${VIRAMA}[${INDIC}&&\p{L}])`,
    // Khmer vowels above that leave a register shifter above, too (The Unicode Standard 16.4).
    String.raw`(?<=\p{Script=Khmer})\u200c(?=[\u17c9\u17ca])`,
    // Places where a line may break, in scripts without spaces.
    String.raw`(?<=${UNSPACED})\u200b(?=${LETTER_OR_DIGIT})`,
    String.raw`(?<=${LETTER_OR_DIGIT}${MARKS})\u200b(?=[${UNSPACED}&&\p{L}])`,
    // Forms of ideographs (UTS #37) and of Mongolian letters, and the separator before a Mongolian ending.
    String.raw`(?<=\p{Unified_Ideograph})[\ufe00-\ufe02\u{e0100}-\u{e01ef}]`,
    String.raw`(?<=${MONGOLIAN})${FVS}`,
    String.raw`(?<=${MONGOLIAN}${FVS}?)\u180e(?=${MONGOLIAN})`,
    // Emoji (UTS #51): as text or picture, as a key, joined, and the flags of England, Scotland and Wales. Other tags are
    // ignored by everybody, and could say anything.
    String.raw`(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]`,
    String.raw`(?<=[0-9#*])\ufe0f(?=\u20e3)`,
    String.raw`(?<=${EMOJI}\ufe0f?)\u200d(?=\p{Extended_Pictographic})`,
    String.raw`\p{RGI_Emoji_Tag_Sequence}`,
  ].join("|"),
  "gv",
)

/** The first character that should not be there, as its code point; null when all is well. */
export function deceptiveCharacter(text: string): string | null {
  const found = DECEPTIVE.exec(text.replaceAll(NEEDED, ""))
  const codePoint = found?.[0].codePointAt(0)
  return codePoint === undefined ? null : `U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}`
}
