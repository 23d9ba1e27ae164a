// What a mail is and what sending it can come to. Transports: mailchannels.ts and, for local work, console.ts.

export type Mail = { to: string; subject: string; text: string }

/** `failure` is a short code for the outbox; it never quotes what the service answered. */
export type SendResult = { sent: true } | { sent: false; retry: boolean; failure: string }

export type Mailer = { send(mail: Mail): Promise<SendResult> }
