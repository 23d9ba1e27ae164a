// Mail through the MailChannels Email API, by its maintained client. Decides what is worth another try. The client by
// itself waits for ever, reads answers of any length and follows redirects, with the API key and the mail in hand; here
// it does none of that.
import { MailChannels } from "mailchannels-sdk"
import { type Mailer, type SendFailure, unsubscribeHeaders } from "./mailer.ts"

/** For one try, from the first byte sent to the last one read. */
export const SEND_TIMEOUT_MS = 15_000
/** An answer has some hundred bytes. */
export const MAX_ANSWER_BYTES = 64 * 1024

type FetchOptions = Parameters<MailChannels["post"]>[1]

/** @throws Error when there is more than allowed, or it is not JSON */
async function readJson(body: ReadableStream<Uint8Array> | null): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let lengthBytes = 0
  // Leaving the loop early cancels the rest.
  for await (const chunk of body ?? []) {
    lengthBytes += chunk.length
    if (lengthBytes > MAX_ANSWER_BYTES) throw new Error("the answer is too long")
    chunks.push(chunk)
  }
  return JSON.parse(await new Blob(chunks).text())
}

/** The client for one mail, which remembers what it was answered. */
class OneMailClient extends MailChannels {
  isAsked = false
  status: number | null = null
  retryAfter: string | null = null
  readonly signal: AbortSignal

  constructor(options: { apiKey: string; baseUrl: string }, timeoutMs: number) {
    super(options.apiKey, { baseUrl: options.baseUrl })
    this.signal = AbortSignal.timeout(timeoutMs)
  }

  protected override async _fetch<T>(path: string, options?: FetchOptions): Promise<T> {
    this.isAsked = true
    const bounded = {
      ...options,
      signal: this.signal,
      redirect: "manual",
      retry: false,
      responseType: "stream",
      onResponse: async ({ response }: { response: Response }): Promise<void> => {
        this.status = response.status
        this.retryAfter = response.headers.get("retry-after")
        if (response.status < 200 || response.status > 299) await response.body?.cancel()
      },
    }
    const body = await super._fetch<ReadableStream<Uint8Array> | null>(path, bounded as never)
    if (this.status === null || this.status > 299) throw new Error("not the answer of a mail service")
    return (await readJson(body)) as T
  }
}

/** Request timeout, too early, too many, or the service's own trouble. */
const isPassing = (status: number): boolean => [408, 425, 429].includes(status) || status >= 500

/** Not our key, not our sender, not paid for, or not the API at all (also every redirect). */
const isMisconfiguration = (status: number): boolean =>
  [401, 402, 403, 404, 405, 407].includes(status) || (status >= 300 && status < 400)

function failureOf({ isAsked, status, retryAfter, signal }: OneMailClient): SendFailure {
  const failed = { sent: false, retryAfter } as const
  if (!isAsked) return { ...failed, verdict: "refused", failure: "not_sendable" }
  if (signal.aborted) return { ...failed, verdict: "service", failure: "timeout" }
  if (status === null || (status >= 200 && status < 300)) return { ...failed, verdict: "service", failure: "no_usable_answer" }
  const failure = `status_${String(status)}`
  if (isMisconfiguration(status)) return { ...failed, verdict: "misconfigured", failure }
  return { ...failed, verdict: isPassing(status) ? "service" : "refused", failure }
}

export function createMailChannelsMailer(
  options: { apiKey: string; baseUrl: string; from: string },
  timeoutMs = SEND_TIMEOUT_MS,
): Mailer {
  return {
    async send(mail) {
      const client = new OneMailClient(options, timeoutMs)
      const headers = unsubscribeHeaders(mail)
      const outcome = await client.emails.send({
        from: options.from,
        to: { email: mail.to },
        subject: mail.subject,
        text: mail.text,
        ...(Object.keys(headers).length === 0 ? {} : { headers }),
        // Tracking would rewrite our links through a third party.
        tracking: { click: false, open: false },
      })
      if (!outcome.success) return failureOf(client)
      // Accepted as a request, refused for this recipient: the results say so.
      if (outcome.data?.results?.some((result) => result.status === "failed") === true) {
        return { sent: false, verdict: "service", failure: "rejected", retryAfter: null }
      }
      return { sent: true }
    },
  }
}
