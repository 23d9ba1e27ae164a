// Characters that nobody sees, or that change how others are seen: they fake names and extensions (UAX #9, UTS #39).
// Those that a script or an emoji needs are let through where it needs them (RFC 5892 appendix A, UTS #51), and
// nowhere else: Persian and Hindi names are as good as English ones.

/**
 * Controls, separators, everything that is ignored or only formats, blanks that are no spaces, and what is no
 * character at all. Arabic number signs count as format characters, but are visible.
 */
const DECEPTIVE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800\ufff9-\ufffb\u{1d173}-\u{1d17a}]|(?![\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}])\p{Cf}/u

const JOINING = String.raw`[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Nko}]`
const VIRAMA = String.raw`[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2]`
const INDIC = String.raw`[\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}]`
const EMOJI = String.raw`[\p{Extended_Pictographic}\p{Emoji_Modifier}]`

/** Joiners between letters of scripts that join, joiners and variation selectors within emoji. */
const NEEDED = new RegExp(
  [
    String.raw`(?<=${JOINING})\u200c(?=${JOINING})`,
    String.raw`(?<=${VIRAMA})[\u200c\u200d](?=${INDIC})`,
    String.raw`(?<=${EMOJI}\ufe0f?)\u200d(?=${EMOJI})`,
    String.raw`(?<=${EMOJI})\ufe0f`,
    String.raw`(?<=[0-9#*])\ufe0f(?=\u20e3)`,
  ].join("|"),
  "gu",
)

/** The first character that should not be there, as its code point; null when all is well. */
export function deceptiveCharacter(text: string): string | null {
  const found = DECEPTIVE.exec(text.replaceAll(NEEDED, ""))
  const codePoint = found?.[0].codePointAt(0)
  return codePoint === undefined ? null : `U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}`
}
