// What a mail is and what sending it can come to. Transports: mailchannels.ts and, for local work, console.ts.

export type Mail = {
  to: string
  subject: string
  text: string
  /** Where whoever wants no more mails of this kind says so; not for mails that nobody can refuse. */
  unsubscribeUrl?: string | null
}

/** The header fields that let a mail program unsubscribe with one click (RFC 2369, RFC 8058 section 3.1). */
export const unsubscribeHeaders = ({ unsubscribeUrl }: Mail): Record<string, string> =>
  unsubscribeUrl === null || unsubscribeUrl === undefined
    ? {}
    : { "List-Unsubscribe": `<${unsubscribeUrl}>`, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" }

/** Why a mail did not go. */
export type SendFailure = {
  sent: false
  /**
   * `refused`: this very mail will never be taken. `service`: the service's own trouble, it may go later.
   * `misconfigured`: the service does not know us or our sender; it may go once somebody has mended that.
   */
  verdict: "refused" | "service" | "misconfigured"
  /** A short code for the outbox; it never quotes what the service answered. */
  failure: string
  /** The answer's Retry-After, as it came. */
  retryAfter: string | null
}

export type SendResult = { sent: true } | SendFailure

export type Mailer = { send(mail: Mail): Promise<SendResult> }
