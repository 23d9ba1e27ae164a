// The texts of all mails: pure functions from facts to subject and plain text. Plain text only, so there is
// nothing to escape, track or render.

export type Message = { subject: string; text: string }

/** Proof of address. The code is in the link's fragment, which no server, log, referrer or scanner ever sees. */
export function verificationMessage(facts: { verifyUrl: string; code: string; validMinutes: number }): Message {
  return {
    subject: "Confirm your e-mail address",
    text: [
      "Hello,",
      "",
      "somebody, probably you, signed up for Sealpost with this address.",
      "To confirm it, open this page and press the button:",
      "",
      `  ${facts.verifyUrl}#${facts.code}`,
      "",
      "or enter this code where you signed up:",
      "",
      `  ${facts.code}`,
      "",
      `Link and code work for ${String(facts.validMinutes)} minutes.`,
      "If you did not sign up, ignore this mail: without the code nobody can use your address.",
    ].join("\n"),
  }
}

/** To the owner of an account whose address somebody tried to sign up again. */
export function alreadyRegisteredMessage(facts: { publicOrigin: string }): Message {
  return {
    subject: "You already have a Sealpost account",
    text: [
      "Hello,",
      "",
      "somebody, probably you, tried to sign up for Sealpost with this address.",
      `It has an account at ${facts.publicOrigin} already: log in with the password you chose.`,
      "",
      "If it was not you, nothing has changed and there is nothing to do.",
    ].join("\n"),
  }
}

/** The way back in for whoever forgot the password. The token is in the link's fragment, like the code above. */
export function passwordResetMessage(facts: { resetUrl: string; validMinutes: number }): Message {
  return {
    subject: "Choose a new password",
    text: [
      "Hello,",
      "",
      "somebody, probably you, asked for a new password for Sealpost.",
      "To choose one, open this page:",
      "",
      `  ${facts.resetUrl}`,
      "",
      `The link works once, for ${String(facts.validMinutes)} minutes.`,
      "If it was not you, ignore this mail: your password stays as it is.",
    ].join("\n"),
  }
}

/** To whoever's password has just changed. */
export function passwordChangedMessage(facts: { publicOrigin: string }): Message {
  return {
    subject: "Your password has changed",
    text: [
      "Hello,",
      "",
      `the password of your Sealpost account at ${facts.publicOrigin} has just been changed, and your other`,
      "sessions have ended.",
      "",
      "If it was not you, ask for a new password at once and tell whoever runs this service.",
    ].join("\n"),
  }
}
