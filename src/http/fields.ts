// Fields that several requests share, as zod schemas: each turns what was sent into the form that the rules
// use, or says which rule it breaks.
import { z } from "zod"
import { type EmailAddress, parseEmailAddress } from "../domain/email-address.ts"
import { deceptiveCharacter } from "../domain/visible-text.ts"
import { fieldError } from "../errors.ts"
import { isId } from "../ids.ts"
import { PASSWORD_MAX_CHARS, passwordFault } from "../domain/password-rules.ts"
import type { Policy } from "../domain/powers.ts"

/** For what zod has no name of its own: which rule was broken, and what to do. */
const broken = (rule: string, error: string) => ({ error, params: { rule } })

export const emailField = z.string("An e-mail address is needed.").transform((text, context): EmailAddress => {
  const address = parseEmailAddress(text)
  if (address !== null) return address
  context.addIssue({ code: "custom", message: "This is not an e-mail address that mail can reach.", params: { rule: "email" } })
  return z.NEVER
})

/** A password that somebody chooses now: its length and form. Whether it is easy to guess is the rules' matter. */
export const newPasswordField = ({ passwordMinChars }: Policy) =>
  z.string("A password is needed.").superRefine((password, context) => {
    const fault = passwordFault(password, passwordMinChars)
    if (fault === null) return
    const message = {
      too_short: `A password has at least ${String(passwordMinChars)} characters.`,
      too_long: `A password has at most ${String(PASSWORD_MAX_CHARS)} characters.`,
      not_text: "The password is not well-formed Unicode text.",
    }[fault]
    context.addIssue({ code: "custom", message, params: { rule: fault } })
  })

/** A page's size: as many as asked for, within reason. */
export const limitField = z
  .string()
  .regex(/^[1-9]\d{0,2}$/, "Give a whole number from 1 to 200.")
  .transform(Number)
  .pipe(z.number().max(200, "Give a whole number from 1 to 200."))

const MAX_DOWNLOAD_LIMIT = 1_000_000

/** How often each client may download a file. */
export const downloadLimitField = z
  .int("Give a whole number, or null for no limit.")
  .min(1, "Give a whole number from 1, or null for no limit.")
  .max(MAX_DOWNLOAD_LIMIT, `Give at most ${String(MAX_DOWNLOAD_LIMIT)}, or null for no limit.`)
  .nullable()

const LIMIT_SENTENCE = "Give a whole number from 1 to 1000000."

/** The same as text: in a query, a form or metadata. */
export const downloadLimitText = z
  .string()
  .regex(/^(?:[1-9]\d{0,5}|1000000)$/, LIMIT_SENTENCE)
  .transform(Number)

/** @throws AppError `validation_failed` */
export function parseDownloadLimit(text: string | null): number | null {
  if (text === null) return null
  const parsed = downloadLimitText.safeParse(text)
  if (!parsed.success) throw fieldError("downloadLimit", "invalid_format", LIMIT_SENTENCE)
  return parsed.data
}

/** Seconds in a query. Whether they are too many the deployment says. */
export const secondsField = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, "Give a whole number of seconds from 1.")
  .transform(Number)

/** A code of a second factor, or a recovery code. */
export const codeField = z.string("The code of your authenticator app is needed.").max(64, "A code has 6 digits.")

/** A password that is checked, not chosen. */
export const currentPasswordField = z.string("A password is needed.").max(4000, "This is too long.")

/** An id in a query. */
export const idField = z.string().refine(isId, broken("id", "This is not an id."))

/** Whose files: an operations user's, or all. */
export const ownerField = z
  .string()
  .refine((text) => text === "all" || isId(text), broken("id", "Give the id of an operations user, or all."))

/** Ids of which a body gives so many at most. */
export const idsField = (max: number) => z.array(idField, "Give a list of ids.").max(max, `Give at most ${String(max)} ids.`)

/** The same, each once. */
export const distinctIdsField = (max: number) =>
  idsField(max).superRefine((ids, context) => {
    for (const [i, id] of ids.entries())
      if (ids.indexOf(id) < i)
        context.addIssue({ code: "custom", path: [i], message: "Give each id once.", params: { rule: "repeated" } })
  })

/** The same in a query, with commas between. */
export const idsParameter = (max: number) =>
  z
    .string()
    .transform((text) => text.split(","))
    .pipe(idsField(max))

/** What a cursor says is for the list to find out; none is longer. */
export const cursorField = z.string().max(6000, "This is not a cursor from an earlier answer.")

/** One of few words in a query. */
export const wordField = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, `Give one of: ${words.join(", ")}.`)

const CONTROL = /\p{Cc}/u

/** Part of a name, in any script. */
export const searchField = z
  .string()
  .min(1, "Give at least one character.")
  .max(200, "Give at most 200 characters.")
  .refine((text) => text.isWellFormed() && !CONTROL.test(text), broken("characters", "Names hold no control characters."))

/** What is said of a file: any text that everybody sees as it is, on several lines if need be. */
export const descriptionField = z
  .string("Give a text, or null for none.")
  .max(1000, "A description has at most 1000 characters.")
  .transform((text) => text.normalize("NFC").replaceAll(/\r\n?/g, "\n").trim())
  .refine(
    (text) => text.isWellFormed() && deceptiveCharacter(text.replaceAll("\n", "")) === null,
    broken("characters", "A description holds no control or invisible characters but line breaks."),
  )
  .pipe(
    z.string().min(1, "Give at least one character, or null for none.").max(1000, "A description has at most 1000 characters."),
  )

/** A point in time (ISO 8601, RFC 3339), with its zone; in milliseconds since 1970. */
export const timeField = z.iso
  .datetime({ offset: true, error: "Give a time with its zone, e.g. 2027-01-31T17:00:00Z." })
  .transform((text) => Date.parse(text))
  .pipe(z.int("Give a time with its zone, e.g. 2027-01-31T17:00:00Z."))

/** A version's number in a query. */
export const versionField = z
  .string()
  .regex(/^[1-9]\d{0,9}$/, "Give the number of a version.")
  .transform(Number)

/** A name that people give to something, e.g. a group: with single spaces, in Unicode NFC. */
export const nameField = z
  .string("A name is needed.")
  .refine(
    (text) => text.isWellFormed() && deceptiveCharacter(text) === null,
    broken("characters", "A name holds no control or invisible characters where its script needs none."),
  )
  .transform((text) => text.normalize("NFC").trim().replaceAll(/\s+/g, " "))
  .pipe(z.string().min(1, "A name is needed.").max(100, "A name has at most 100 characters."))
