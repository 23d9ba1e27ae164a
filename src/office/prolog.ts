// What can be told of XML in an encoding that is not known: its ASCII, and whether there is a DOCTYPE before its root.
// For parts that are not parsed: xml.ts is stricter.
import { DocumentFault } from "./fault.ts"

const western = new TextDecoder("windows-1252")
/** Beyond ASCII these differ, but no byte of ASCII means another letter in them, nor do others mean one of it. */
const LIKE_ASCII =
  /^(?:utf-?8|utf-?16(?:le|be)?|(?:us-)?ascii|iso-?8859-\d{1,2}|windows-(?:125\d|874|31j)|(?:cp|ibm)(?:437|85\d|86\d)|cp(?:125\d|93[26]|949|950)|koi8-[ru]|gb2312|gbk|gb18030|big5(?:-hkscs)?|(?:x-)?s(?:hift[_-])?jis|euc-(?:jp|kr|tw)|ks_c_5601-1987|tis-620|macintosh|x-mac-\w+)$/i
const DECLARATION = /^[^<]{0,3}<\?xml[^>]*?[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*["']([^"'<>]*)["']/

/** As 16 or 32 bits a letter, ASCII is the same with zeros between. */
function ascii(bytes: Uint8Array): string {
  if (!bytes.includes(0)) return western.decode(bytes)
  // Out of a string they would be taken in millions of pieces.
  const rest = new Uint8Array(bytes.length)
  let length = 0
  for (const byte of bytes) if (byte !== 0) rest[length++] = byte
  return western.decode(rest.subarray(0, length))
}

/**
 * The ASCII of text in whatever encoding it is in: enough to find tags and keywords.
 * @throws DocumentFault `bad_xml` where its declaration names one that can hide ASCII, as UTF-7 and ISO 2022 do
 */
export function decodeLoosely(bytes: Uint8Array): string {
  const text = ascii(bytes)
  const encoding = DECLARATION.exec(text)?.[1]
  if (encoding !== undefined && !LIKE_ASCII.test(encoding)) throw new DocumentFault("bad_xml")
  return text
}

const DOCTYPE = /^<!DOCTYPE/i
/** Enough for nearly all, and for a licence in a comment. */
const PROLOG_BYTES = [1024, 64 * 1024]

/** Behind what may stand before a root or a DOCTYPE, and what should not but does no harm. */
function endOfProlog(text: string): number {
  for (let at = 0; ;) {
    const next = text.indexOf("<", at)
    if (next < 0) return text.length
    const isComment = text.startsWith("<!--", next)
    if (!isComment && text[next + 1] !== "?") return next
    const end = isComment ? text.indexOf("-->", next + 4) : text.indexOf("?>", next + 2)
    if (end < 0) return next
    at = end + (isComment ? 3 : 2)
  }
}

/**
 * @param bytes - a part, or as much as there is of its beginning
 * @throws DocumentFault `xml_doctype`; `bad_xml` where so much stands before the root that it is not seen
 */
export function refuseDoctype(bytes: Uint8Array): void {
  let text = ""
  for (const lengthBytes of PROLOG_BYTES) {
    text = ascii(bytes.subarray(0, lengthBytes))
    const at = endOfProlog(text)
    const rest = text.slice(at, at + 16)
    if (DOCTYPE.test(rest)) throw new DocumentFault("xml_doctype")
    // The root, or all that there is.
    if (/^<[^!?]/.test(rest) || bytes.length <= lengthBytes) return
  }
  if (text.includes("<")) throw new DocumentFault("bad_xml")
}
