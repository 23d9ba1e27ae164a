// Mails about files: what became somebody's, what they have not fetched, who has. Names and addresses come from people,
// so each stays on its line: whatever could break it, hide in it or turn it around is shown as a box. Subjects hold
// numbers only. The last line says how to have no more of them.
import type { Message } from "./messages.ts"

/** A list shows so many, and counts the rest. */
export const SHOWN_IN_MAIL = 20

const MAX_SHOWN_CHARS = 150
/** Controls, line separators, and what changes the direction of everything after it. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu

/** Somebody's text, on one line. */
export function inLine(text: string): string {
  const chars = Array.from(text.toWellFormed().replaceAll(UNSAFE, "\ufffd"))
  return chars.length <= MAX_SHOWN_CHARS ? chars.join("") : `${chars.slice(0, MAX_SHOWN_CHARS - 1).join("")}…`
}

const plural = (count: number, noun: string): string => `${String(count)} ${noun}${count === 1 ? "" : "s"}`

/** `2026-11-25 14:30 UTC`: the same for everybody, wherever they read it. */
const dateOf = (atMs: number): string => `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`

const listOf = (lines: readonly string[], total: number): string[] => [
  ...lines.map((line) => `  - ${line}`),
  ...(total > lines.length ? [`  and ${String(total - lines.length)} more`] : []),
]

type Links = { publicOrigin: string; unsubscribeUrl: string }

const message = (subject: string, lines: readonly string[], { unsubscribeUrl }: Links): Message => ({
  subject,
  text: ["Hello,", "", ...lines, "", "--", "No more mails of this kind:", unsubscribeUrl].join("\n"),
})

export type MailedFile = { name: string; expiresAtMs: number | null }

const fileLine = ({ name, expiresAtMs }: MailedFile): string =>
  expiresAtMs === null ? inLine(name) : `${inLine(name)} (until ${dateOf(expiresAtMs)})`

/** To a client: files that became theirs. */
export const newFilesMessage = (facts: Links & { files: readonly MailedFile[]; total: number }): Message =>
  message(
    facts.total === 1 ? "A new file for you" : `${String(facts.total)} new files for you`,
    [
      facts.total === 1 ? "there is a new file for you:" : "there are new files for you:",
      "",
      ...listOf(facts.files.map(fileLine), facts.total),
      "",
      `Log in at ${facts.publicOrigin} to fetch ${facts.total === 1 ? "it" : "them"}.`,
    ],
    facts,
  )

/** To a client: files that they have not fetched and will soon not be able to. */
export const expiryReminderMessage = (facts: Links & { files: readonly MailedFile[]; total: number }): Message =>
  message(
    facts.total === 1 ? "A file for you is about to expire" : `${String(facts.total)} files for you are about to expire`,
    [
      facts.total === 1 ? "you have not fetched this file yet:" : "you have not fetched these files yet:",
      "",
      ...listOf(facts.files.map(fileLine), facts.total),
      "",
      `Log in at ${facts.publicOrigin} before then.`,
    ],
    facts,
  )

export type MailedDelivery = { name: string; email: string; deliveredAtMs: number | null }

/** To an uploader: who has received which of their files, for the first time. */
export const deliveriesMessage = (facts: Links & { deliveries: readonly MailedDelivery[]; total: number }): Message =>
  message(
    facts.total === 1 ? "A file of yours was delivered" : `${String(facts.total)} deliveries of your files`,
    [
      "for the first time these clients were sent all of:",
      "",
      ...listOf(
        facts.deliveries.map(({ name, email, deliveredAtMs }) =>
          [`${inLine(name)}: ${inLine(email)}`, ...(deliveredAtMs === null ? [] : [dateOf(deliveredAtMs)])].join(", "),
        ),
        facts.total,
      ),
    ],
    facts,
  )

/** Where a mail to an uploader names a client, and what stands there once the client is deleted. */
export function addressPlaces(email: string): readonly { text: string; without: string }[] {
  const shown = inLine(email)
  const places = [
    [": ", ","],
    [": ", "\n"],
    ["\n  - ", "\n"],
  ]
  return places.map(([before = "", after = ""]) => ({
    text: `${before}${shown}${after}`,
    without: `${before}(deleted client)${after}`,
  }))
}

export type ExpiringFileReport = MailedFile & { recipients: number; missing: number; addresses: readonly string[] }

/** To an uploader: files about to expire, and who has not fetched them. */
export const expiryReportMessage = (facts: Links & { files: readonly ExpiringFileReport[] }): Message =>
  message(
    facts.files.length === 1
      ? "A file of yours is about to expire"
      : `${String(facts.files.length)} of your files are about to expire`,
    facts.files.flatMap((file, i) => [
      ...(i === 0 ? [] : [""]),
      `${fileLine(file)}:`,
      file.missing === 0
        ? file.recipients === 0
          ? "  it is for nobody."
          : `  fetched by everybody, ${plural(file.recipients, "client")}.`
        : `  fetched by ${String(file.recipients - file.missing)} of ${plural(file.recipients, "client")}. Not yet by:`,
      ...listOf(file.addresses.map(inLine), file.missing),
    ]),
    facts,
  )
