// Mail through the MailChannels Email API, by its maintained client. Decides what is worth another try.
import { MailChannels } from "mailchannels-sdk"
import type { Mailer, SendResult } from "./mailer.ts"

/** The client has no time limit of its own. */
export const SEND_TIMEOUT_MS = 15_000

/** Too early, too many, or the service's own trouble: the same mail may go through later. */
const isPassing = (status: number | null): boolean =>
  status === null || status === 408 || status === 425 || status === 429 || status >= 500

export function createMailChannelsMailer(
  options: { apiKey: string; baseUrl: string; from: string },
  timeoutMs = SEND_TIMEOUT_MS,
): Mailer {
  const client = new MailChannels(options.apiKey, { baseUrl: options.baseUrl })
  return {
    async send(mail): Promise<SendResult> {
      let timer: ReturnType<typeof setTimeout> | undefined
      const timeout = new Promise<"timeout">((resolve) => {
        timer = setTimeout(() => {
          resolve("timeout")
        }, timeoutMs)
      })
      const sending = client.emails.send({
        from: options.from,
        to: { email: mail.to },
        subject: mail.subject,
        text: mail.text,
        // Tracking would rewrite our links through a third party.
        tracking: { click: false, open: false },
      })
      const outcome = await Promise.race([sending, timeout]).finally(() => {
        clearTimeout(timer)
      })
      if (outcome === "timeout") return { sent: false, retry: true, failure: "timeout" }
      // Accepted as a request, refused for this recipient: the results say so.
      if (outcome.data?.results?.some((result) => result.status === "failed") === true) {
        return { sent: false, retry: true, failure: "rejected" }
      }
      if (outcome.success) return { sent: true }
      const status = outcome.error?.statusCode ?? null
      return { sent: false, retry: isPassing(status), failure: status === null ? "no_usable_answer" : `status_${String(status)}` }
    },
  }
}
