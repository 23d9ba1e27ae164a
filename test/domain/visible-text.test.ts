// Which characters that nobody sees may stand where: as people write them, and nowhere else. Each that is refused has a
// twin that differs only in its place or its neighbour.
import { describe, expect, it } from "vitest"
import { deceptiveCharacter } from "../../src/domain/visible-text.ts"

const [ZWSP, ZWNJ, ZWJ, FVS1, MVS, VS1, VS15, VS16, VS17] = [
  "\u200b",
  "\u200c",
  "\u200d",
  "\u180b",
  "\u180e",
  "\ufe00",
  "\ufe0e",
  "\ufe0f",
  "\u{e0100}",
] as const
const tags = (text: string): string =>
  Array.from(text, (char) => String.fromCodePoint(0xe0000 + (char.codePointAt(0) ?? 0))).join("")
const CANCEL = "\u{e007f}"
const flag = (region: string): string => `🏴${tags(region)}${CANCEL}`

describe("a text is visible as it is", () => {
  it.each([
    ["words of any script", "Report Отчёт 測試 รายงาน דוח تقرير ኦ ༄"],
    ["a rare number sign of Arabic", "\u0600١٢"],
    ["no-break and other spaces", "a\u00a0b\u202fc\u3000d"],
  ])("with %s", (_, text) => {
    expect(deceptiveCharacter(text)).toBeNull()
  })
})

describe("what a script needs is let through there, and refused elsewhere", () => {
  it.each<[string, string, string]>([
    ["a non-joiner in a Persian word, not in an English one", `می${ZWNJ}خواهم`, `mi${ZWNJ}khaham`],
    ["before a digit", `نسخه${ZWNJ}2`, `version${ZWNJ}2`],
    ["after a vowel mark", `مَ${ZWNJ}خ`, `a\u0301${ZWNJ}b`],
    ["before a space", `می${ZWNJ} خواهم`, `my${ZWNJ} name`],
    ["at a word's end, once", `خانه${ZWNJ}`, `خانه${ZWNJ}${ZWNJ}`],
    ["before a Persian ending, not at the beginning", `PDF${ZWNJ}ها`, `${ZWNJ}ها`],
    ["between a digit and a Persian word, not behind a space", `۲${ZWNJ}بعدی`, `۲ ${ZWNJ}بعدی`],
    ["a joiner behind the heh of dates, not behind other letters", `۱۴۰۵ ه${ZWJ}`, `۱۴۰۵ ق${ZWJ}`],
    ["there before no letter that joins anyhow", `ه${ZWJ}.`, `ه${ZWJ}م`],
    ["in Syriac, not in Hebrew", `ܫ${ZWNJ}ܠ`, `ש${ZWNJ}ל`],
    ["a joiner behind a virama, not behind a letter", `क्${ZWJ}ष`, `क${ZWJ}ष`],
    ["once", `र्${ZWJ}य`, `र्${ZWJ}${ZWJ}य`],
    ["not before a vowel, with which it forms nothing", `क्${ZWJ}षा`, `क्${ZWJ}ा`],
    ["a non-joiner there", `क्${ZWNJ}ष`, `क${ZWNJ}ष`],
    ["Malayalam chillus at a word's end", `അവന്${ZWJ}`, `അവന${ZWJ}`],
    ["Telugu loan words", `ఫేస్${ZWNJ}బుక్${ZWNJ}`, `ఫేస${ZWNJ}బుక`],
    ["Bengali ya-phalaa, with its virama", `র${ZWJ}্যাব`, `র${ZWJ}যাব`],
    ["Kannada ra before a consonant, not alone", `ರ${ZWJ}್ಯ`, `ರ${ZWJ}್`],
    ["Sinhala rakaransaya", `ශ්${ZWJ}රී`, `ශ${ZWJ}රී`],
    ["a joiner behind a virama of its own scripts, not on a Latin letter", `क्${ZWJ}ष`, `k\u094d${ZWJ}s`],
    ["Khmer register shifters", `ម${ZWNJ}៉ី`, `ម${ZWNJ}ី`],
    ["line breaks between Khmer words, not English ones", `ឯកសារ${ZWSP}ថ្មី`, `new${ZWSP}file`],
    ["beside a number", `ឯកសារ${ZWSP}2026${ZWSP}ថ្មី`, `ឯកសារ 2026${ZWSP} ថ្មី`],
    ["once between two", `รายงาน${ZWSP}ใหม่`, `รายงาน${ZWSP}${ZWSP}ใหม่`],
    ["not at the end", `ລາຍ${ZWSP}ງານ`, `ລາຍງານ${ZWSP}`],
    ["an ideograph's form", `葛${VS17}城市`, `kuzu${VS17}`],
    ["one of it", `葛${VS17}`, `葛${VS17}\u{e0101}`],
    ["its old form", `令${VS1}和`, `a${VS1}`],
    ["and none of those that ideographs have not", `令${VS1}`, `令\ufe05`],
    ["a Mongolian letter's form", `ᠠ${FVS1}ᠨ`, `a${FVS1}n`],
    ["one of it", `ᠠ${FVS1}`, `ᠠ${FVS1}${FVS1}`],
    ["the separator before a Mongolian vowel", `ᠰᠠᠷ${MVS}ᠠ`, `ᠰᠠᠷ${MVS}`],
    ["a form before it", `ᠨ${FVS1}${MVS}ᠠ`, `ᠨ${MVS}${FVS1}ᠠ`],
  ])("%s", (_, needed, elsewhere) => {
    expect(deceptiveCharacter(needed)).toBeNull()
    expect(deceptiveCharacter(elsewhere)).not.toBeNull()
  })

  it.each<[string, string, string]>([
    ["an emoji as a picture", `❤${VS16}`, `a${VS16}`],
    ["and as text", `☺${VS15}`, `a${VS15}`],
    ["one or the other", `☺${VS15}`, `☺${VS15}${VS16}`],
    ["a key", `1${VS16}\u20e3`, `1${VS16}`],
    ["a family", `👨${ZWJ}👩${ZWJ}👧`, `👨${ZWJ}${ZWJ}👩`],
    ["with tones of skin", `👩🏽${ZWJ}🚀`, `👩🏽${ZWJ}`],
    ["the rainbow flag", `🏳${VS16}${ZWJ}🌈`, `🏳${VS16}${ZWJ}a`],
    ["the flag of England", flag("gbeng"), tags("gbeng") + CANCEL],
    ["of Scotland, to its end", flag("gbsct"), `🏴${tags("gbsct")}`],
    ["of Wales, not of nowhere", flag("gbwls"), flag("hiddentext")],
  ])("%s", (_, needed, elsewhere) => {
    expect(deceptiveCharacter(needed)).toBeNull()
    expect(deceptiveCharacter(elsewhere)).not.toBeNull()
  })
})

describe("what nobody sees is named", () => {
  it.each(
    Array.from(
      "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff\u2060\u00ad\u034f\u115f\u3164" +
        "\uffa0\u17b4\u180e\u2800\ufff9\u{e0001}\u{e0041}\u{1d173}\ufffe\u0000\t\n\r\u001b\u007f\u0080\u0085\u009f",
    ),
  )("%j", (char) => {
    const name = `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`
    for (const [before, after] of ["ab", "می", "កខ", "क्", "葛城", "❤❤", ["", "a"], ["a", ""]])
      expect(deceptiveCharacter(`${before ?? ""}${char}${after ?? ""}`)).toBe(name)
    expect(deceptiveCharacter("ab می កខ क् 葛城 ❤❤")).toBeNull()
  })

  it("is the first of several, whatever was let through before", () => {
    expect(deceptiveCharacter(`می${ZWNJ}خواهم\u202e\u200e`)).toBe("U+202E")
    expect(deceptiveCharacter(`می${ZWNJ}خواهم`)).toBeNull()
  })

  it("takes a time that grows with the text alone", () => {
    const hostile = [
      `ا${"\u064e".repeat(50_000)}${ZWNJ}`,
      ZWNJ.repeat(50_000),
      `क्${ZWJ}`.repeat(30_000),
      `🏴${tags("x".repeat(50_000))}`,
    ]
    expect(hostile.map((text) => deceptiveCharacter(text))).toEqual(["U+200C", "U+200C", null, "U+E0078"])
  })
})
