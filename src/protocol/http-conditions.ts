// Conditional requests (RFC 9110 section 13) for GET and HEAD of a resource that has a strong entity tag and a
// Last-Modified in whole seconds. Says what the conditions come to; the caller knows the method and answers.

/** The validators of the selected representation (RFC 9110 section 8.8). */
export type Validators = {
  /** Strong, with its quotes: `"…"`. */
  etag: string
  /**
   * Since 1970. The bytes must not change without it: as an If-Range date it is taken for strong (section 8.8.2.2). Null
   * where no date can say so: then conditions with a date are ignored (sections 13.1.3, 13.1.4), and no date fits If-Range.
   */
  lastModifiedSeconds: number | null
}

/** `proceed` as without conditions; `not_modified` is 304, `precondition_failed` is 412. */
export type ConditionOutcome = "proceed" | "not_modified" | "precondition_failed"

/** Opaque tags with their quotes, weak ones marked `W/`; `any` for `*`. */
export type EntityTags = "any" | readonly string[]

/**
 * What the condition fields of a request say, before the resource is known. Null where a field is absent, silenced
 * by the other of its pair, or to be ignored; an If-Match that is malformed holds for no tag at all.
 */
export type Conditions = {
  ifMatch: EntityTags | null
  unmodifiedSinceSeconds: number | null
  ifNoneMatch: EntityTags | null
  modifiedSinceSeconds: number | null
}

/** Reads the condition fields (RFC 9110 section 13.1). */
export function parseConditions(headers: Pick<Headers, "get">): Conditions {
  const [ifMatch, ifNoneMatch] = [headers.get("If-Match"), headers.get("If-None-Match")]
  const dateOf = (field: string): number | null => parseHttpDate(headers.get(field) ?? "")
  return {
    ifMatch: ifMatch === null ? null : (parseEntityTags(ifMatch) ?? []),
    unmodifiedSinceSeconds: ifMatch === null ? dateOf("If-Unmodified-Since") : null,
    ifNoneMatch: ifNoneMatch === null ? null : (parseEntityTags(ifNoneMatch) ?? []),
    modifiedSinceSeconds: ifNoneMatch === null ? dateOf("If-Modified-Since") : null,
  }
}

/**
 * RFC 9110 section 13.2.2, steps 1 to 4; step 5 is {@link rangeApplies}. An entity tag field silences the date
 * field of its pair even when it is malformed. Malformed fields fall to the safe side: If-Match cannot hold, so it
 * fails; If-None-Match and dates (sections 13.1.3, 13.1.4) are ignored.
 */
export function evaluateConditions(headers: Pick<Headers, "get">, resource: Validators): ConditionOutcome {
  const { ifMatch, unmodifiedSinceSeconds, ifNoneMatch, modifiedSinceSeconds } = parseConditions(headers)
  const { etag, lastModifiedSeconds } = resource
  // Section 13.1.1: strong comparison, under which a weak tag equals nothing.
  if (ifMatch !== null && ifMatch !== "any" && !ifMatch.includes(etag)) return "precondition_failed"
  const isNewerThan = (seconds: number): boolean => lastModifiedSeconds !== null && lastModifiedSeconds > seconds
  if (unmodifiedSinceSeconds !== null && isNewerThan(unmodifiedSinceSeconds)) return "precondition_failed"
  // Section 13.1.2: weak comparison, under which only the opaque tags count.
  if (ifNoneMatch === "any" || ifNoneMatch?.some((tag) => opaqueTag(tag) === etag) === true) return "not_modified"
  if (modifiedSinceSeconds === null || lastModifiedSeconds === null) return "proceed"
  return isNewerThan(modifiedSinceSeconds) ? "proceed" : "not_modified"
}

/** A tag without its mark of weakness. */
export const opaqueTag = (tag: string): string => tag.replace(/^W\//, "")

/**
 * RFC 9110 section 13.1.5: whether a Range field is to be obeyed, as it is without If-Range. The entity tag is
 * compared strongly; a date must be the very Last-Modified, not one after it. Anything else means the whole file.
 */
export function rangeApplies(ifRange: string | null, resource: Validators): boolean {
  if (ifRange === null || ifRange === resource.etag) return true
  return resource.lastModifiedSeconds !== null && parseHttpDate(ifRange) === resource.lastModifiedSeconds
}

/**
 * `"*" / #entity-tag` (RFC 9110 sections 8.8.3 and 13.1.1), empty elements skipped (section 5.6.1.2); null when it
 * is neither. Not split at commas, which a tag may contain.
 */
function parseEntityTags(text: string): "any" | string[] | null {
  if (text === "*") return "any"
  const tags: string[] = []
  // From U+0080 on, whatever the runtime makes of the obs-text bytes that a tag may have.
  const element = /[ \t]*(?:((?:W\/)?"[!#-~\u0080-\uffff]*")[ \t]*)?(,|$)/y
  for (;;) {
    const match = element.exec(text)
    if (match === null) return null
    if (match[1] !== undefined) tags.push(match[1])
    if (match[2] === "") return tags
  }
}

/**
 * IMF-fixdate (RFC 9110 section 5.6.7), as for Last-Modified and Date.
 * @param seconds - since 1970; up to year 9999, the last that the form can write
 */
export function httpDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString()
}

/**
 * Seconds since 1970 of an HTTP-date; null for anything else, also for a date that does not exist or has another
 * weekday, and for a leap second, which has no number. Besides IMF-fixdate the two obsolete forms are read, as
 * RFC 9110 section 5.6.7 demands of every recipient.
 */
export function parseHttpDate(text: string): number | null {
  return parseFixdate(text) ?? parseAsctime(text) ?? parseRfc850(text)
}

/** Strict by going there and back: `httpDate` of the result is the text. */
function parseFixdate(text: string): number | null {
  if (!/^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$/.test(text)) return null
  const seconds = Date.parse(text) / 1000
  return httpDate(seconds) === text ? seconds : null
}

/** `Sun Nov  6 08:49:37 1994` */
function parseAsctime(text: string): number | null {
  const match = /^(\w{3}) (\w{3}) ([ 0-9][0-9]) ([0-9:]{8}) ([0-9]{4})$/.exec(text)
  if (match === null) return null
  const [, weekday = "", month = "", day = "", time = "", year = ""] = match
  return parseFixdate(`${weekday}, ${day.replace(" ", "0")} ${month} ${year} ${time} GMT`)
}

/**
 * `Sunday, 06-Nov-94 08:49:37 GMT`. The weekday tells the century: a hundred years are 36524 or 36525 days, not
 * whole weeks, so a date has its weekday in 19yy or in 20yy, never in both. So the guess by today's date that
 * section 5.6.7 describes is not needed.
 */
function parseRfc850(text: string): number | null {
  const match = /^(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-(\w{3})-([0-9]{2}) ([0-9:]{8}) GMT$/.exec(text)
  if (match === null) return null
  const [, weekday = "", day = "", month = "", year = "", time = ""] = match
  const inCentury = (century: string): number | null =>
    parseFixdate(`${weekday.slice(0, 3)}, ${day} ${month} ${century}${year} ${time} GMT`)
  return inCentury("20") ?? inCentury("19")
}
