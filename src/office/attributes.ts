// Attributes of a tag as any reader could see them, found one after the other: a pattern that repeats itself for each
// remembers all of them to go back, and V8 throws a RangeError once its memory for that is full.
import { DocumentFault } from "./fault.ts"
import { attributeValue } from "./references.ts"

/** White space of XML (section 2.3), which is less than that of patterns: other blanks may stand in names. */
export const S = "[ \\t\\r\\n]"
/** Names as they may be, and more: which letters are allowed differs between editions of XML. */
export const ANY_NAME = "[^ \\t\\r\\n=<>\"'/]+"
/** Values hold no `<` (section 3.1), so that nothing here is looked for beyond the tag. */
const ATTRIBUTE = new RegExp(String.raw`${S}+(${ANY_NAME})${S}*=${S}*(?:"([^"<]*)"|'([^'<]*)')`, "y")
/** The roots of Word's parts have some forty, nearly all of them namespaces. */
export const MAX_ATTRIBUTES = 256

/** One attribute at this place; null for none. */
export function attributeAt(text: string, at: number): RegExpExecArray | null {
  ATTRIBUTE.lastIndex = at
  return ATTRIBUTE.exec(text)
}

/**
 * Where the attributes end that begin here.
 * @throws DocumentFault `bad_xml` when there are more than any program writes
 */
export function endOfAttributes(text: string, start: number): number {
  let end = start
  for (let count = 0; ; count++) {
    const attribute = attributeAt(text, end)
    if (attribute === null) return end
    if (count === MAX_ATTRIBUTES) throw new DocumentFault("bad_xml")
    end += attribute[0].length
  }
}

/**
 * The values of some attributes, whatever their prefixes, in the order of the names; "" where there is none.
 * @param text - all attributes of a tag
 * @throws DocumentFault `bad_xml` when one is there several times with values that differ: readers would choose by their
 * namespaces
 */
export function valuesOf(text: string, localNames: readonly string[]): string[] {
  const values = new Map<string, string>()
  if (localNames.some((name) => text.includes(name))) {
    let attribute = attributeAt(text, 0)
    for (let at = 0; attribute !== null; attribute = attributeAt(text, at)) {
      const [all, name = "", double, single] = attribute
      at += all.length
      const localName = name.slice(name.lastIndexOf(":") + 1)
      if (!localNames.includes(localName)) continue
      const value = attributeValue(double ?? single ?? "")
      if ((values.get(localName) ?? value) !== value) throw new DocumentFault("bad_xml")
      values.set(localName, value)
    }
  }
  return localNames.map((name) => values.get(name) ?? "")
}
