// The key of one file version: made, wrapped for D1, unwrapped, and committed to. AES-KW (RFC 3394) under
// a key that HKDF derives from a master key for this file, version and key id alone, so that a wrapped key
// moved to another row does not unwrap. Keys exist in the clear only inside WebCrypto.
import { type Bytes, concatBytes, equalBytes, randomBytes, uint32be, utf8 } from "./bytes.ts"
import { KEY_BYTES, type KeyId, type KeyRing, hkdf, importHkdfKey } from "./keyring.ts"
import { idToBytes, isId } from "../ids.ts"

/** What the key is for. */
export type FileVersion = { fileId: string; fileVersion: number }

/** What D1 holds of a file's key: safe to store beside the file, useless without the master key. */
export type WrappedFileKey = {
  keyId: KeyId
  /** 40 bytes. */
  wrappedKey: Bytes
  /** 32 bytes that only this key for this file version produces: GCM alone does not commit to its key. */
  commitment: Bytes
}

const WRAP_DOMAIN = utf8("sealpost/wrap/v1")
const COMMIT_DOMAIN = utf8("sealpost/commit/v1")

const versionInfo = (domain: Bytes, file: FileVersion, ...more: Bytes[]): Bytes =>
  concatBytes(domain, idToBytes(file.fileId), uint32be(file.fileVersion), ...more)

/** Whether id and version have the form in which keys are bound to them; a row that was edited may hold anything. */
const isNameable = ({ fileId, fileVersion }: FileVersion): boolean =>
  isId(fileId) && Number.isInteger(fileVersion) && fileVersion >= 0 && fileVersion <= 0xffff_ffff

function wrappingKey(masterKey: CryptoKey, keyId: KeyId, file: FileVersion): Promise<CryptoKey> {
  const info = versionInfo(WRAP_DOMAIN, file, Uint8Array.of(keyId))
  return crypto.subtle.deriveKey(hkdf(info), masterKey, { name: "AES-KW", length: 256 }, false, ["wrapKey", "unwrapKey"])
}

async function commitmentOf(fileKey: CryptoKey, file: FileVersion): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.deriveBits(hkdf(versionInfo(COMMIT_DOMAIN, file)), fileKey, 256))
}

/** Makes a random key for a file version, wrapped under the ring's current master key. */
export async function createFileKey(
  masterKeys: KeyRing<CryptoKey>,
  file: FileVersion,
): Promise<{ fileKey: CryptoKey; wrapped: WrappedFileKey }> {
  const raw = randomBytes(KEY_BYTES)
  const fileKey = await importHkdfKey(raw)
  // An HKDF key cannot be exported, so the same bytes pass through WebCrypto once more to be wrapped.
  const exportable = await crypto.subtle.importKey("raw", raw, "AES-GCM", true, ["encrypt"])
  raw.fill(0)
  const keyId = masterKeys.currentId
  const wrapper = await wrappingKey(masterKeys.current, keyId, file)
  const wrappedKey = new Uint8Array(await crypto.subtle.wrapKey("raw", exportable, wrapper, "AES-KW"))
  return { fileKey, wrapped: { keyId, wrappedKey, commitment: await commitmentOf(fileKey, file) } }
}

/** Why a key does not unwrap; the same words as in scripts/recovery-decryptor.ts. */
export type UnwrapFault = "unknown_key" | "wrapped_key" | "commitment"

/**
 * Unwraps a file's key and checks its commitment.
 * @returns the HKDF key, "unknown_key" when the ring lacks the master key, "wrapped_key" when the wrapped key, its file,
 *   its version or its key id was changed or the master key is another one, "commitment" when the commitment was changed
 */
export async function unwrapFileKey(
  masterKeys: KeyRing<CryptoKey>,
  file: FileVersion,
  wrapped: WrappedFileKey,
): Promise<CryptoKey | UnwrapFault> {
  if (!isNameable(file)) return "wrapped_key"
  const masterKey = masterKeys.byId.get(wrapped.keyId)
  if (masterKey === undefined) return "unknown_key"
  const wrapper = await wrappingKey(masterKey, wrapped.keyId, file)
  const fileKey = await crypto.subtle
    .unwrapKey("raw", wrapped.wrappedKey, wrapper, "AES-KW", "HKDF", false, ["deriveKey", "deriveBits"])
    .catch(() => null)
  if (fileKey === null) return "wrapped_key"
  return equalBytes(await commitmentOf(fileKey, file), wrapped.commitment) ? fileKey : "commitment"
}

/**
 * Wraps a file's key under the ring's current master key. The key itself, its commitment and the sealed bytes
 * stay as they are; the key exists in the clear only inside WebCrypto.
 * @returns as `unwrapFileKey` when the key does not unwrap
 */
export async function rewrapFileKey(
  masterKeys: KeyRing<CryptoKey>,
  file: FileVersion,
  wrapped: WrappedFileKey,
): Promise<WrappedFileKey | UnwrapFault> {
  const fileKey = await unwrapFileKey(masterKeys, file, wrapped)
  const oldMasterKey = masterKeys.byId.get(wrapped.keyId)
  if (typeof fileKey === "string" || oldMasterKey === undefined) return typeof fileKey === "string" ? fileKey : "unknown_key"
  const oldWrapper = await wrappingKey(oldMasterKey, wrapped.keyId, file)
  const exportable = await crypto.subtle.unwrapKey("raw", wrapped.wrappedKey, oldWrapper, "AES-KW", "AES-GCM", true, ["encrypt"])
  const wrapper = await wrappingKey(masterKeys.current, masterKeys.currentId, file)
  const wrappedKey = new Uint8Array(await crypto.subtle.wrapKey("raw", exportable, wrapper, "AES-KW"))
  return { keyId: masterKeys.currentId, wrappedKey, commitment: wrapped.commitment }
}
