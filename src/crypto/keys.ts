// All keys of a deployment, imported once per isolate. None can be read back out of its CryptoKey.
import { importAccessTokenKey } from "./access-token.ts"
import { type AuditKeys, importAuditKey } from "./audit-mac.ts"
import type { Bytes } from "./bytes.ts"
import { importCursorKey } from "./list-cursor.ts"
import { type KeyRing, importHkdfKey, mapKeyRing } from "./keyring.ts"
import { type LinkKey, importLinkKey } from "./link-token.ts"
import { importPepper } from "./password.ts"
import { importTotpKey } from "./totp.ts"
import { importUnsubscribeKey } from "./unsubscribe-token.ts"
import { type HandleKey, importHandleKey } from "./verify-handle.ts"

export type Keys = {
  masterKeys: KeyRing<CryptoKey>
  linkKeys: KeyRing<LinkKey>
  accessTokenKeys: KeyRing<CryptoKey>
  peppers: KeyRing<CryptoKey>
  handleKeys: KeyRing<HandleKey>
  totpKeys: KeyRing<CryptoKey>
  auditKeys: AuditKeys
  cursorKeys: KeyRing<CryptoKey>
  unsubscribeKeys: KeyRing<CryptoKey>
}

export type RawKeys = Record<
  "MASTER_KEYS" | "LINK_KEYS" | "JWT_KEYS" | "PASSWORD_PEPPERS" | "HANDLE_KEYS" | "TOTP_KEYS" | "AUDIT_KEYS",
  KeyRing<Bytes>
>

export async function importKeys(raw: RawKeys): Promise<Keys> {
  return {
    masterKeys: await mapKeyRing(raw.MASTER_KEYS, importHkdfKey),
    linkKeys: await mapKeyRing(raw.LINK_KEYS, importLinkKey),
    accessTokenKeys: await mapKeyRing(raw.JWT_KEYS, importAccessTokenKey),
    peppers: await mapKeyRing(raw.PASSWORD_PEPPERS, importPepper),
    handleKeys: await mapKeyRing(raw.HANDLE_KEYS, importHandleKey),
    auditKeys: await mapKeyRing(raw.AUDIT_KEYS, importAuditKey),
    totpKeys: await mapKeyRing(raw.TOTP_KEYS, importTotpKey),
    cursorKeys: await mapKeyRing(raw.HANDLE_KEYS, importCursorKey),
    unsubscribeKeys: await mapKeyRing(raw.HANDLE_KEYS, importUnsubscribeKey),
  }
}
