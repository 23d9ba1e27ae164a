// Local development only (config.ts refuses it on a public origin): shows each mail, whole, in the terminal.
import type { Mail, Mailer } from "./mailer.ts"

const LINE = "─".repeat(78)

export function createConsoleMailer(from: string, write: (text: string) => void = console.log): Mailer {
  return {
    send(mail: Mail) {
      write(
        `${LINE}\nMail (shown here because MAIL_TRANSPORT is console)\nFrom: ${from}\nTo: ${mail.to}\nSubject: ${mail.subject}\n\n${mail.text}\n${LINE}`,
      )
      return Promise.resolve({ sent: true as const })
    },
  }
}
