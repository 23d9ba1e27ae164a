// Local development only (config.ts refuses it on a public origin): shows each mail, whole, in the terminal.
import { type Mail, type Mailer, unsubscribeHeaders } from "./mailer.ts"

const LINE = "─".repeat(78)

export function createConsoleMailer(from: string, write: (text: string) => void = console.log): Mailer {
  return {
    send(mail: Mail) {
      const headers = Object.entries({ From: from, To: mail.to, Subject: mail.subject, ...unsubscribeHeaders(mail) })
      const head = headers.map(([name, value]) => `${name}: ${value}`).join("\n")
      write(`${LINE}\nMail (shown here because MAIL_TRANSPORT is console)\n${head}\n\n${mail.text}\n${LINE}`)
      return Promise.resolve({ sent: true as const })
    },
  }
}
