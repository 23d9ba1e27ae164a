// Ids of rows and requests. Leaf: imports nothing.

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** A fresh id (UUID version 4, RFC 9562 section 5.4): unique, but never a secret (ASVS 5.0 V11.5.1). */
export const newId = (): string => crypto.randomUUID()

/** Is this a lower-case UUID, the one spelling in which ids are stored? */
export const isId = (text: string): boolean => UUID.test(text)

/** The 16 bytes of an id. Throws on anything that is not an id: callers hold ids from D1 or have checked. */
export function idToBytes(id: string): Uint8Array<ArrayBuffer> {
  if (!UUID.test(id)) throw new TypeError("not an id")
  const hex = id.replaceAll("-", "")
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}

export function bytesToId(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new TypeError("an id has 16 bytes")
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
}
