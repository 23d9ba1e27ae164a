// Mails about accounts. Whether or not there is a mail to send, the same work is done, so that the time an answer
// takes says nothing about the address.
import type { Statement } from "../db/client.ts"
import { runBatch } from "../db/client.ts"
import { insertVerification } from "../db/verifications.ts"
import type { Message } from "../mail/messages.ts"
import { newId } from "../ids.ts"
import { type EmailAddress, mailboxKey, parseEmailAddress } from "./email-address.ts"
import { type LimitDeps, takeAddressLimit, takeLimit } from "./limits.ts"
import { deliverMail, enqueueMail } from "./outbox.ts"
import type { Powers } from "./powers.ts"

type Deps = LimitDeps & Pick<Powers, "mailer" | "afterwards" | "log">

export type AccountMail = { kind: string; to: string; message: Message; lifetimeMs: number }

const NOTICE_LIFETIME_MS = 24 * 60 * 60_000

export const mailboxOf = (user: { email: string; emailKey: string }): string =>
  parseEmailAddress(user.email)?.mailbox ?? user.emailKey

/** Tells the owner of an account what has just happened to it. */
export const noticeTo = (user: { email: string; emailKey: string }, kind: string, message: Message): AccountMail => ({
  kind,
  to: mailboxOf(user),
  message,
  lifetimeMs: NOTICE_LIFETIME_MS,
})

/**
 * Counts one mail to this mailbox, in whatever case and with whatever tag it is written, for the caller's network address and for all. Nobody is
 * exempt: that would tell from where the owner of the mailbox logs in (docs/decisions/0013).
 * @throws AppError `too_many_requests`
 */
export async function takeMailLimits(deps: LimitDeps, kind: "signup-mail" | "reset-mail", address: EmailAddress): Promise<void> {
  const mailbox = mailboxKey(address)
  await takeAddressLimit(deps, `${kind}-address`, mailbox)
  await takeLimit(deps, kind, mailbox)
}

/** A row that is nothing and soon swept: as much work as a mail. */
const idleStatement = (deps: Deps, id: string) =>
  insertVerification(deps.db, {
    id,
    emailKey: "",
    codeMac: "",
    createdAtMs: deps.now(),
    expiresAtMs: deps.now(),
  })

/** Commits the statements together with a mail, if there is one, and sends it afterwards. */
export async function commitWithMail(deps: Deps, statements: readonly Statement[], mail: AccountMail | null): Promise<void> {
  const id = newId()
  const createdAtMs = deps.now()
  const last =
    mail === null
      ? idleStatement(deps, id)
      : enqueueMail(deps.db, {
          id,
          kind: mail.kind,
          recipient: mail.to,
          createdAtMs,
          expiresAtMs: createdAtMs + mail.lifetimeMs,
          ...mail.message,
        })
  await runBatch(deps.db, [last, ...statements])
  deps.afterwards(deliverMail(deps, id))
}
