// Documents whose parts are made to cost as much as they can: names, tags, attributes, targets, fields and formulas.
import { type BuiltEntry, buildZip } from "../test/support/zip-builder.ts"
import { declaring, declaringXml, entry, parts, rels, replaced, series, story } from "./hostile-entries.ts"

const empty = (name: string): BuiltEntry => ({ ...entry(name, ""), method: 0 })
const many = (count: number, make: (i: number) => string): string => Array.from({ length: count }, (_, i) => make(i)).join("")
const FIELD = "<w:fldChar w:fldCharType='begin'/>"
const END = "<w:fldChar w:fldCharType='end'/>"
const EXTERNAL = '<Relationship Id="r" Type="a/hyperlink" Target="https://example.com" TargetMode="External"/>'

/** By what they are; all are to be taken for a .docx. */
export const hostileParts: Record<string, () => Uint8Array<ArrayBuffer>> = {
  "fields of a picture and blanks": () =>
    story(`<w:fldSimple w:instr="includepicture${" ".repeat(2000)}x"/>`.repeat(3000) + "</w:document>"),
  "fields within a long field of a picture": () =>
    story(`${FIELD}<w:instrText>includepicture ${" \\".repeat(1000)}</w:instrText>${(FIELD + END).repeat(100_000)}`),
  "attributes before those of fields": () => story(`<fldChar${" a=''".repeat(250)} dirty='' fldCharType='x'/>`.repeat(5_800)),
  "empty relationships": () =>
    buildZip([...parts(), ...series(4, (i) => rels(`a/_rels/${String(i)}.xml.rels`, "<Relationship/>".repeat(270_000)))]),
  "empty relationships of a long name": () =>
    buildZip([
      ...parts(),
      ...series(4, (i) => rels(`a/_rels/${"é".repeat(990)}${String(i)}.xml.rels`, "<Relationship/>".repeat(270_000))),
    ]),
  "one-letter relationships of a long plain name": () =>
    buildZip([
      ...parts(),
      ...series(4, (i) => rels(`${"a/".repeat(490)}_rels/${String(i)}.xml.rels`, '<Relationship Target="b"/>'.repeat(180_000))),
    ]),
  "relationships with 250 prefixes": () =>
    buildZip([
      ...parts(),
      rels(
        "a/_rels/b.xml.rels",
        '<Relationship xmlns:a=""/>'.repeat(150_000),
        many(250, (i) => ` xmlns:p${String(i)}="u"`),
      ),
    ]),
  "elements with all the attributes": () =>
    buildZip([
      ...parts(),
      ...series(4, (k) =>
        rels(`a/_rels/${String(k)}.xml.rels`, `<Relationship${many(250, (i) => ` a${String(i)}=""`)}/>`.repeat(2000)),
      ),
    ]),
  "targets of a percent sign": () =>
    buildZip([
      ...parts(),
      ...series(4, (i) => rels(`a/_rels/${String(i)}.xml.rels`, '<Relationship Target="%"/>'.repeat(155_000))),
    ]),
  "targets of a byte that is none": () =>
    buildZip([
      ...parts(),
      ...series(4, (i) => rels(`a/_rels/${String(i)}.xml.rels`, '<Relationship Target="%FF"/>'.repeat(155_000))),
    ]),
  "targets of a long foreign host": () => {
    const host = many(4000, (i) => String.fromCharCode(0x4e00 + i))
    return buildZip([
      ...parts(),
      rels("a/_rels/b.xml.rels", `<Relationship Type="a/hyperlink" Target="http://${host}"/>`.repeat(1300)),
    ])
  },
  "targets of a place": () =>
    buildZip([
      ...parts(),
      ...series(4, (i) => rels(`a/_rels/${String(i)}.xml.rels`, '<Relationship Target="#a"/>'.repeat(155_000))),
    ]),
  "targets of many folders": () =>
    buildZip([
      ...parts(),
      ...series(4, (i) =>
        rels(`${"a/".repeat(490)}_rels/${String(i)}.xml.rels`, `<Relationship Target="${"../".repeat(400)}b"/>`.repeat(3_400)),
      ),
    ]),
  "a target of 8 MiB of folders": () =>
    buildZip([...parts(), rels("a/_rels/b.xml.rels", `<Relationship Target="${"a/".repeat(4_000_000)}b"/>`)]),
  "a target of 8 MiB of steps back": () =>
    buildZip([...parts(), rels("a/_rels/b.xml.rels", `<Relationship Target="${"../".repeat(2_700_000)}b"/>`)]),
  "16 MiB of references in targets": () =>
    buildZip([...parts(), rels("a/_rels/b.xml.rels", `<Relationship Target="${"&lt;".repeat(4_000_000)}"/>`)]),
  "16 MiB of wide references in targets": () =>
    buildZip([...parts(), rels("a/_rels/b.xml.rels", `<Relationship Target="${"&#x4e00;".repeat(2_000_000)}"/>`)]),
  "16 MiB of wide text": () => buildZip([...parts(), rels("a/_rels/b.xml.rels", "一".repeat(5_400_000))]),
  "distinct kinds": () =>
    buildZip([
      ...parts(),
      ...series(4, (k) =>
        rels(
          `_rels/x${String(k)}.xml.rels`,
          many(90_000, (i) => `<Relationship Type="k${String(k)}${String(i)}" Target="d.xml"/>`),
        ),
      ),
    ]),
  "long identifiers": () =>
    buildZip([
      ...parts(),
      ...[0, 1, 2, 3].flatMap((k) => [
        empty(`x${String(k)}.bin`),
        rels(
          `_rels/x${String(k)}.bin.rels`,
          many(60_000, (i) => `<Relationship Id="identifier${String(k)}${String(i)}" Type="/hyperlink" TargetMode="x"/>`),
        ),
      ]),
    ]),
  "names that unfold": () => buildZip([...parts(), ...series(2900, (i) => empty(`${"\ufdfa".repeat(1000)}${String(i)}.png`))]),
  "names that unfold a little": () =>
    buildZip([...parts(), ...series(45_000, (i) => empty(`${"\ufdfa".repeat(56)}${String(i)}.png`))]),
  "names of marks": () =>
    buildZip([...parts(), ...series(4500, (i) => empty(`${`a${"\u0301\u0323".repeat(15)}`.repeat(32)}${String(i)}.png`))]),
  "names of wide letters": () => buildZip([...parts(), ...series(3000, (i) => empty(`${"𝐀ａ".repeat(300)}${String(i)}.png`))]),
  "names of both cases": () => buildZip([...parts(), ...series(8000, (i) => empty(`${"aA".repeat(505)}${String(i)}.png`))]),
  "names of backslashes": () => buildZip([...parts(), ...series(8000, (i) => empty(`${"a\\".repeat(505)}${String(i)}.png`))]),
  "names of many folders": () => buildZip([...parts(), ...series(8000, (i) => empty(`${"a/".repeat(505)}${String(i)}.png`))]),
  "names of percent signs": () => buildZip([...parts(), ...series(8000, (i) => empty(`${"%41".repeat(335)}${String(i)}.png`))]),
  "a type of 8 MiB for many parts": () =>
    declaring(
      `<Default Extension="tmp" ContentType="${"a".repeat(8_300_000)}"/>`,
      ...series(10_000, (i) => empty(`${String(i)}.tmp`)),
    ),
  "8 MiB of quotes in a tag": () => story(`${FIELD}<w:instrText><x ${'""'.repeat(4_100_000)}</w:instrText></w:document>`),
  "8 MiB of attributes of a field": () => story(`${FIELD}<w:instrText${' a=""'.repeat(1_600_000)}`),
  "8 MiB of attributes of content types": () => buildZip(replaced("[Content_Types].xml", `<Types${' a=""'.repeat(1_600_000)}`)),
  "8 MiB of attributes before a link": () =>
    story(`<w:x${' a=""'.repeat(1_600_000)} r:id="r"/></w:document>`, rels("_rels/d.xml.rels", EXTERNAL)),
  "8 MiB of a name": () => buildZip(replaced("[Content_Types].xml", `<${"é".repeat(4_000_000)}`)),
  "8 MiB of an attribute's name": () => buildZip(replaced("[Content_Types].xml", `<a ${"é".repeat(4_000_000)}=""/>`)),
  "8 MiB of references in texts": () => story(`${FIELD}${`<w:t>${"&lt;".repeat(200)}</w:t>`.repeat(10_000)}`),
  "8 MiB of references in one text": () => story(`${FIELD}<w:t>${"&#x4e00;".repeat(1_000_000)}</w:t>`),
  "8 MiB of ampersands in CDATA": () => story(`<a b="一"><![CDATA[${"&".repeat(8_300_000)}]]></a></w:document>`),
  "8 MiB of zeros between": () => declaringXml(entry("s.xml", "aa".concat("\0a".repeat(4_100_000)))),
  "8 MiB of a text in a formula": () => declaringXml(entry("s.xml", `<a><f>A!|"${"a".repeat(8_300_000)}"</f></a>`)),
  "8 MiB of a quote in a formula": () => declaringXml(entry("s.xml", `<a><f>\\!'${"a".repeat(8_300_000)}</f></a>`)),
  "8 MiB of escapes in a formula": () => declaringXml(entry("s.xml", `<a><f>\\![${"'a".repeat(4_100_000)}</f></a>`)),
  "8 MiB of attributes of a formula": () => declaringXml(entry("s.xml", `<a><f>|</f><f${' a=""'.repeat(1_600_000)}/></a>`)),
  "8 MiB of formulas of texts": () => declaringXml(entry("s.xml", `<a>${`<f>\\!${'""'.repeat(32_000)}</f>`.repeat(128)}</a>`)),
  "8 MiB of formulas of prefixes": () =>
    declaringXml(entry("s.xml", `<a>${`<f>|${"_xlfn.".repeat(10_000)}</f>`.repeat(135)}</a>`)),
  "8 MiB of formulas of calls": () =>
    declaringXml(entry("s.xml", `<a>${`<f>[${"dde rtd image ".repeat(4400)}</f>`.repeat(135)}</a>`)),
  "8 MiB of formulas of calls to nothing": () =>
    declaringXml(entry("s.xml", `<a>${`<f>\\${"dde _xla rtd _xlb.image ".repeat(2600)}</f>`.repeat(134)}</a>`)),
  "8 MiB of formulas of books": () => declaringXml(entry("s.xml", `<a>${`<f>!${"[a]".repeat(20_000)}</f>`.repeat(135)}</a>`)),
  "8 MiB of comments": () => story("<!---->".repeat(1_180_000) + FIELD),
  "8 MiB of comments between letters": () => story("一<!---->".repeat(830_000) + FIELD),
  "8 MiB of comments in a comment": () => story(`<!--${"<!--".repeat(2_000_000)}-->`),
}
