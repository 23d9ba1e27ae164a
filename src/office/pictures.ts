// Pictures of VML that are named by their address (ECMA-376 Part 4 sections 19.1.2.5, 19.1.2.11 and 19.1.2.21). In packages
// pictures are named by relationships; VML is also read as web pages have it, and there `src` is fetched.
import type { FaultReason } from "./fault.ts"
import { attributeOf, findTags, tagPattern } from "./markup.ts"
import { WORK_PER_BYTE_OF_LOOK, type Work } from "./work.ts"

const PICTURE = tagPattern(["imagedata", "fill", "stroke", "image"])
const SOURCES = ["src", "althref"]
/** Leads out of the document: any scheme or drive but those of pictures that are kept with it, or a share. */
const ELSEWHERE = /^\s*(?:(?!wordml:|data:|cid:)[a-z][a-z0-9+.-]*:|\\{2}|\/\/)/i

/** Pictures that are fetched from elsewhere without a relationship that says so. */
export function* pictureFaults(text: string, work: Work): Generator<FaultReason, void> {
  if (!/src|althref/.test(text) || !work.trySpend(text.length * WORK_PER_BYTE_OF_LOOK)) return
  for (const tag of findTags(text, PICTURE, work))
    for (const name of SOURCES) if (ELSEWHERE.test(attributeOf(tag, name))) yield "external_relationship"
}
