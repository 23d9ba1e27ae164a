// Opens sealed files as docs/storage-format.md describes them: a second implementation, over node:crypto, that
// shares no line with the Worker's (src/crypto), so that a fault in one shows in the other. Imports nothing but
// Node, keeps one segment in memory, hands on no byte before its tag has verified, and knows no files or folders.
import { createDecipheriv, createHash, hkdfSync, timingSafeEqual } from "node:crypto"

const FORMAT = 1
const PART_BYTES = 5 * 1024 * 1024
const SEGMENT_BYTES = 256 * 1024
const TAG_BYTES = 16
const SALT_BYTES = 32
const HEADER_BYTES = 40
const MAX_UINT32 = 0xffff_ffff
/** RFC 3394 section 2.2.3.1. */
const KEY_WRAP_IV = Buffer.alloc(8, 0xa6)
const NO_SALT = Buffer.alloc(0)

/** Which check failed. */
export type Fault =
  "row" | "object_missing" | "object_size" | "unknown_key" | "wrapped_key" | "commitment" | "header" | "segment" | "sha256"

/** A file that cannot be opened; the message says why to an operator and never quotes a column's text. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError"
  readonly fault: Fault
  constructor(fault: Fault, message: string) {
    super(message)
    this.fault = fault
  }
}

/** A row of `blobs` that makes sense in itself. */
export type SealedRow = {
  fileId: Buffer
  version: number
  sizeBytes: number
  sealedBytes: number
  parts: number
  sha256: string
  keyId: number
  wrappedKey: Buffer
  commitment: Buffer
}

export type SealedObject = {
  sizeBytes: number
  /** Fills the whole buffer with the object's bytes from `position` on, or throws. */
  read: (buffer: Buffer, position: number) => void
}

/**
 * Reads the text form of a key ring: `2:<43 base64url characters>,1:<…>`.
 * @returns key id → 32 bytes
 * @throws Error saying what is wrong, without the text itself
 */
export function parseMasterKeys(text: string): ReadonlyMap<number, Buffer> {
  const keys = new Map<number, Buffer>()
  for (const entry of text.split(",")) {
    const [, idText = "", keyText = ""] = /^\s*([1-9]\d{0,2}):([A-Za-z0-9_-]{43})\s*$/.exec(entry) ?? []
    const id = Number(idText)
    const key = Buffer.from(keyText, "base64url")
    if (key.length !== 32 || id > 255) throw new Error("an entry is not <1 to 255>:<32 bytes of base64url>")
    if (key.toString("base64url") !== keyText) throw new Error(`key ${idText} ends in bits that belong to no byte`)
    if (keys.has(id)) throw new Error(`key id ${idText} is there twice`)
    keys.set(id, key)
  }
  return keys
}

function sealedBytesOf(sizeBytes: number): number {
  const streamBytes = (plain: number): number =>
    HEADER_BYTES + plain + TAG_BYTES * Math.max(1, Math.ceil((plain + HEADER_BYTES) / (SEGMENT_BYTES - TAG_BYTES)))
  const fullParts = partsOf(sizeBytes) - 1
  return fullParts * streamBytes(PART_BYTES) + streamBytes(sizeBytes - fullParts * PART_BYTES)
}

const partsOf = (sizeBytes: number): number => Math.max(1, Math.ceil(sizeBytes / PART_BYTES))

function wholeNumber(columns: Record<string, unknown>, column: string, min: number, max: number): number {
  const value = columns[column]
  if ((typeof value === "bigint" || Number.isSafeInteger(value)) && Number(value) >= min && Number(value) <= max)
    return Number(value)
  throw new UnreadableError("row", `its ${column} in the database is not a whole number from ${String(min)} to ${String(max)}`)
}

function hexBytes(columns: Record<string, unknown>, column: string, lengthBytes: number): Buffer {
  const value = columns[column]
  if (typeof value === "string" && value.length === 2 * lengthBytes && /^[0-9a-f]*$/.test(value)) return Buffer.from(value, "hex")
  throw new UnreadableError("row", `its ${column} in the database is not ${String(lengthBytes)} bytes of lower-case hex`)
}

/**
 * The first check of a reader: does the row make sense?
 * @param columns - a row of `blobs`; whole numbers may be bigints
 * @throws UnreadableError "row"
 */
export function checkRow(columns: Record<string, unknown>): SealedRow {
  const id = columns["file_id"]
  if (typeof id !== "string" || !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
    throw new UnreadableError("row", "its file id in the database is not a lower-case UUID")
  if (wholeNumber(columns, "format", 0, MAX_UINT32) !== FORMAT)
    throw new UnreadableError("row", `its format in the database is not ${String(FORMAT)}, the only one known here`)
  const row = {
    fileId: Buffer.from(id.replaceAll("-", ""), "hex"),
    version: wholeNumber(columns, "version", 0, MAX_UINT32),
    sizeBytes: wholeNumber(columns, "size_bytes", 0, Number.MAX_SAFE_INTEGER),
    sealedBytes: wholeNumber(columns, "sealed_bytes", 0, Number.MAX_SAFE_INTEGER),
    parts: wholeNumber(columns, "parts", 1, MAX_UINT32),
    sha256: hexBytes(columns, "sha256", 32).toString("hex"),
    keyId: wholeNumber(columns, "key_id", 1, 255),
    wrappedKey: hexBytes(columns, "wrapped_key", 40),
    commitment: hexBytes(columns, "commitment", 32),
  }
  if (row.parts !== partsOf(row.sizeBytes) || row.sealedBytes !== sealedBytesOf(row.sizeBytes))
    throw new UnreadableError("row", "size_bytes, sealed_bytes and parts in its row do not belong together")
  return row
}

function uint32be(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const hkdf32 = (key: Buffer, salt: Buffer, ...info: Buffer[]): Buffer =>
  Buffer.from(hkdfSync("sha256", key, salt, Buffer.concat(info), 32))

/** Unwraps the file's key (AES-KW, RFC 3394) and checks what it commits to. */
function openFileKey(row: SealedRow, masterKeys: ReadonlyMap<number, Buffer>): Buffer {
  const keyId = String(row.keyId)
  const masterKey = masterKeys.get(row.keyId)
  if (masterKey === undefined)
    throw new UnreadableError("unknown_key", `MASTER_KEYS has no key ${keyId}, under which its key is wrapped`)
  const name = [row.fileId, uint32be(row.version)]
  const wrapper = hkdf32(masterKey, NO_SALT, Buffer.from("sealpost/wrap/v1"), ...name, Buffer.of(row.keyId))
  let fileKey: Buffer
  try {
    const unwrap = createDecipheriv("id-aes256-wrap", wrapper, KEY_WRAP_IV)
    fileKey = Buffer.concat([unwrap.update(row.wrappedKey), unwrap.final()])
  } catch {
    throw new UnreadableError(
      "wrapped_key",
      `its wrapped key does not open: it or its file id, version or key id was changed, or master key ${keyId} is another one`,
    )
  }
  const commitment = hkdf32(fileKey, NO_SALT, Buffer.from("sealpost/commit/v1"), ...name)
  if (!timingSafeEqual(commitment, row.commitment))
    throw new UnreadableError("commitment", "its commitment in the database does not belong to its key")
  return fileKey
}

function associatedData(row: SealedRow, part: number): Buffer {
  const isLast = part === row.parts - 1 ? 1 : 0
  const numbers = [uint32be(row.version), uint32be(part), Buffer.of(isLast)]
  return Buffer.concat([Buffer.from("sealpost/part"), Buffer.of(FORMAT), row.fileId, ...numbers])
}

/** One segment's plaintext; null when its tag does not verify. */
function openSegment(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer | null {
  const cipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const plain = cipher.update(sealed.subarray(0, sealed.length - TAG_BYTES))
  try {
    cipher.final()
    return plain
  } catch {
    return null
  }
}

/**
 * Opens a file from beginning to end. Every chunk is genuine; the file is whole and right only once the
 * generator has ended without throwing.
 * @param row - from `checkRow`
 * @throws UnreadableError naming the check that failed
 */
export function* openSealedFile(
  row: SealedRow,
  masterKeys: ReadonlyMap<number, Buffer>,
  object: SealedObject,
): Generator<Buffer, void> {
  if (object.sizeBytes !== row.sealedBytes) {
    const [is, wanted] = [String(object.sizeBytes), String(row.sealedBytes)]
    throw new UnreadableError("object_size", `its object has ${is} bytes where the database says ${wanted}`)
  }
  const fileKey = openFileKey(row, masterKeys)
  const hash = createHash("sha256")
  const buffer = Buffer.alloc(SEGMENT_BYTES)
  let position = 0
  for (let part = 0; part < row.parts; part++) {
    const header = Buffer.alloc(HEADER_BYTES)
    object.read(header, position)
    if (header[0] !== HEADER_BYTES) throw new UnreadableError("header", `part ${String(part)} does not begin with a header`)
    position += HEADER_BYTES
    const key = hkdf32(fileKey, header.subarray(1, 1 + SALT_BYTES), associatedData(row, part))
    let left = Math.min(PART_BYTES, row.sizeBytes - part * PART_BYTES)
    for (let segment = 0, isLast = false; !isLast; segment++) {
      // The header takes its room from the first segment.
      const plainBytes = Math.min(left, SEGMENT_BYTES - TAG_BYTES - (segment === 0 ? HEADER_BYTES : 0))
      isLast = plainBytes === left
      const sealed = buffer.subarray(0, plainBytes + TAG_BYTES)
      object.read(sealed, position)
      const nonce = Buffer.concat([header.subarray(1 + SALT_BYTES), uint32be(segment), Buffer.of(isLast ? 1 : 0)])
      const plain = openSegment(key, nonce, sealed)
      if (plain === null) {
        const where = `part ${String(part)}, segment ${String(segment)}, at byte ${String(position)} of the object`
        throw new UnreadableError("segment", `its bytes were changed or exchanged: no valid tag (${where})`)
      }
      hash.update(plain)
      yield plain
      position += sealed.length
      left -= plainBytes
    }
  }
  if (hash.digest("hex") !== row.sha256)
    throw new UnreadableError("sha256", "its bytes are genuine, but the SHA-256 in the database is another one")
}
