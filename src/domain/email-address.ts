// One canonical form of e-mail addresses, used for every comparison; the original is kept beside it.

export type EmailAddress = {
  /** As written, without surrounding spaces. */
  original: string
  /** Lower case, domain in its ASCII form: equal keys are one account. */
  key: string
  /** What mail goes to: the local part as written, the domain in its ASCII form. */
  mailbox: string
}

/** RFC 5321 section 4.5.3.1: 64 octets before the @, 254 in all (RFC 3696 erratum 1690). */
const MAX_LOCAL_CHARS = 64
const MAX_ADDRESS_CHARS = 254
/** RFC 5322 dot-atom. Quoted local parts are legal and used by nobody but attackers. */
const LOCAL = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})$/

/** Null for what is not an address that mail can reach. */
export function parseEmailAddress(text: string): EmailAddress | null {
  const original = text.trim()
  const at = original.lastIndexOf("@")
  const local = original.slice(0, at)
  if (at < 1 || original.length > MAX_ADDRESS_CHARS || local.length > MAX_LOCAL_CHARS || !LOCAL.test(local)) return null
  const written = original.slice(at + 1)
  // The URL parser maps Unicode domains to ASCII (UTS #46); what would end a host in a URL is refused first.
  if (!/^[\p{L}\p{N}\p{M}.-]+$/u.test(written)) return null
  const domain = URL.parse(`http://${written}/`)?.hostname ?? ""
  if (!DOMAIN.test(domain) || local.length + 1 + domain.length > MAX_ADDRESS_CHARS) return null
  return { original, key: `${local.toLowerCase()}@${domain}`, mailbox: `${local}@${domain}` }
}

/**
 * The mailbox behind an address, for counting mails alone: `anna+news@…` commonly goes to `anna@…` (RFC 5233), and who
 * floods somebody need not own the second name.
 */
export function mailboxKey({ key }: EmailAddress): string {
  const at = key.lastIndexOf("@")
  const [user = ""] = key.slice(0, at).split("+", 1)
  return user === "" ? key : user + key.slice(at)
}
