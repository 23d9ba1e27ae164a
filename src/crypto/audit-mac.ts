// Signatures of the audit trail (docs/audit-format.md): every row by itself, the chain that joins rows in one order,
// and the record of where the chain begins and ends. All HMAC-SHA-256 over fields whose bytes have one reading only.
// Synchronous, so that a row can be signed where its statement is made; runs in workerd and in Node alike.
import { type KeyObject, createHmac, createSecretKey } from "node:crypto"
import { type Bytes, concatBytes, equalBytes, uint32be, utf8 } from "./bytes.ts"
import type { KeyRing } from "./keyring.ts"

export type AuditKey = KeyObject
export type AuditKeys = KeyRing<AuditKey>

/** What a row says. All of it is signed. */
export type AuditRow = {
  id: string
  atMs: number
  kind: string
  actorId: string | null
  subjectId: string | null
  place: string | null
  result: string
  reason: string | null
  requestId: string | null
}

/** A row as it stands in the chain: `previous` is the chain value of the row before it. */
export type ChainLink = { seq: number; previous: string; row: AuditRow; mac: string }

/** Where the chain begins, after what was pruned, and where it ends. */
export type TrailHead = { lastSeq: number; chain: string; prunedSeq: number; prunedChain: string; updatedAtMs: number }

/** The chain value before the first row. */
export const CHAIN_START = "0:"

export type MacVerdict = "good" | "wrong" | "unknown_key"

export const importAuditKey = (raw: Bytes): Promise<AuditKey> => Promise.resolve(createSecretKey(raw))

type Field = string | number | null

/** 0x00 for nothing; otherwise 0x01, the length in four bytes, UTF-8. Numbers are their decimal digits. */
const encodeField = (field: Field): Uint8Array[] => {
  if (field === null) return [Uint8Array.of(0)]
  const bytes = utf8(String(field))
  return [Uint8Array.of(1), uint32be(bytes.length), bytes]
}

const rowFields = (row: AuditRow): Field[] => [
  row.id,
  row.atMs,
  row.kind,
  row.actorId,
  row.subjectId,
  row.place,
  row.result,
  row.reason,
  row.requestId,
]

/** What is signed: its name first, so that no signature of one kind is one of another. */
type Signed = { name: "sealpost/audit-row/v1" | "sealpost/audit-chain/v1" | "sealpost/audit-head/v1"; fields: Field[] }

const asRow = (row: AuditRow): Signed => ({ name: "sealpost/audit-row/v1", fields: rowFields(row) })

const asLink = ({ seq, previous, mac, row }: ChainLink): Signed => ({
  name: "sealpost/audit-chain/v1",
  fields: [seq, previous, mac, ...rowFields(row)],
})

const asHead = (head: TrailHead): Signed => ({
  name: "sealpost/audit-head/v1",
  fields: [head.lastSeq, head.chain, head.prunedSeq, head.prunedChain, head.updatedAtMs],
})

/** Text form of a signature: the key's id, and the HMAC in hex. */
function sign(keys: AuditKeys, { name, fields }: Signed, keyId = keys.currentId): string | null {
  const key = keys.byId.get(keyId)
  if (key === undefined) return null
  const bytes = concatBytes(...[name, keyId, ...fields].flatMap(encodeField))
  return `${String(keyId)}:${createHmac("sha256", key).update(bytes).digest("hex")}`
}

function signWithCurrent(keys: AuditKeys, signed: Signed): string {
  const mac = sign(keys, signed)
  if (mac === null) throw new TypeError("a ring holds its current key")
  return mac
}

function check(keys: AuditKeys, signed: Signed, mac: string): MacVerdict {
  const keyId = /^([1-9]\d{0,2}):[0-9a-f]{64}$/.exec(mac)?.[1]
  if (keyId === undefined) return "wrong"
  const right = sign(keys, signed, Number(keyId))
  if (right === null) return "unknown_key"
  return equalBytes(utf8(right), utf8(mac)) ? "good" : "wrong"
}

export const signRow = (keys: AuditKeys, row: AuditRow): string => signWithCurrent(keys, asRow(row))
export const checkRow = (keys: AuditKeys, row: AuditRow, mac: string): MacVerdict => check(keys, asRow(row), mac)

export const signLink = (keys: AuditKeys, link: ChainLink): string => signWithCurrent(keys, asLink(link))
export const checkLink = (keys: AuditKeys, link: ChainLink, chain: string): MacVerdict => check(keys, asLink(link), chain)

export const signHead = (keys: AuditKeys, head: TrailHead): string => signWithCurrent(keys, asHead(head))
export const checkHead = (keys: AuditKeys, head: TrailHead, mac: string): MacVerdict => check(keys, asHead(head), mac)
