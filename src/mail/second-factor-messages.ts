// Mails about second factors: what has just happened to an account, and what to do if it was not its owner.
import type { Message } from "./messages.ts"

type Facts = { publicOrigin: string }

const notice = (subject: string, ...lines: readonly string[]): Message => ({ subject, text: ["Hello,", "", ...lines].join("\n") })

const NOT_YOU = [
  "",
  "If it was not you, ask for a new password at once, end all your sessions, and tell whoever runs this",
  "service.",
]

export const secondFactorAddedMessage = ({ publicOrigin }: Facts): Message =>
  notice(
    "A second factor guards your account",
    `your Sealpost account at ${publicOrigin} now asks for a code of your authenticator app after the password.`,
    "Your other sessions have ended. Keep the recovery codes where you find them without your phone.",
    ...NOT_YOU,
  )

export const secondFactorRemovedMessage = ({ publicOrigin }: Facts): Message =>
  notice(
    "Your second factor was removed",
    `your Sealpost account at ${publicOrigin} is guarded by its password alone from now on. Your other sessions`,
    "have ended.",
    ...NOT_YOU,
  )

export const recoveryCodesRenewedMessage = ({ publicOrigin }: Facts): Message =>
  notice(
    "You have new recovery codes",
    `new recovery codes were made for your Sealpost account at ${publicOrigin}. The old ones are worth nothing now.`,
    ...NOT_YOU,
  )

export const recoveryCodeUsedMessage = ({ publicOrigin, left }: Facts & { left: number }): Message =>
  notice(
    "A recovery code was used",
    `somebody, probably you, has logged in to your Sealpost account at ${publicOrigin} with a recovery code.`,
    `It is worth nothing now; ${String(left)} are left.`,
    ...NOT_YOU,
  )

export const secondFactorGuessedMessage = ({ publicOrigin }: Facts): Message =>
  notice(
    "Somebody knows your password",
    `somebody has given the right password of your Sealpost account at ${publicOrigin} and then many wrong codes.`,
    "Codes of your authenticator app are refused for up to an hour; a recovery code still lets you in.",
    "",
    "If it was not you, choose a new password at once.",
  )
