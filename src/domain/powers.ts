// What rules may use. Every function takes just the powers that it needs, by name: its signature says
// what it can touch. deps.ts builds them all for a request.
import type { BlobStore } from "../blobs/store.ts"
import type { AuditKeys } from "../crypto/audit-mac.ts"
import type { Keys } from "../crypto/keys.ts"
import type { Db } from "../db/client.ts"
import type { DocumentPolicy } from "../office/policy.ts"
import type { Scanner } from "../scan/scanner.ts"
import type { Mailer } from "../mail/mailer.ts"
import type { EventStreams } from "./event-streams.ts"
import type { HashQueue } from "./hashing.ts"
import type { MemoryBudget } from "./memory.ts"
import type { PartHeaders } from "./part-headers.ts"
import type { UploadTraces } from "./upload-traces.ts"

/** What a deployment decides. */
export type Policy = {
  publicOrigin: string
  maxFileBytes: number
  linkLifetimeSeconds: number
  passwordMinChars: number
  /** What each operations user may store; 0 for no limit. */
  quotaBytes: number
  quotaFiles: number
  /** How long a resumable upload waits for its next bytes. */
  uploadExpiryMs: number
  /** What a genuine document may bring along. */
  documents: DocumentPolicy
  /** Ops accounts without a second factor may only enrol one. */
  requireTotpForOps: boolean
  /** How long deleted files wait in the trash; 0 for not at all. */
  deleteGraceMs: number
  auditRetentionDays: number
}

/** Whose turn it is to seal audit rows in this isolate: one at a time, who works for all. */
export type SealTurn = { takenAtMs: number | null; isWantedAgain: boolean }

/** With what a request signs its audit rows. */
export type AuditPen = {
  keys: AuditKeys
  /** Pseudonym of the network address; null where there is none. */
  place: string | null
  /** Has this request made a row? Then there is something to seal. */
  isUsed: boolean
  turn: SealTurn
}

/** Where work comes from, for the audit trail and for limits. */
export type RequestFacts = {
  id: string
  /** What the edge saw in `CF-Connecting-IP`, the one address header that callers cannot set. Null for cron. */
  clientAddress: string | null
  pen: AuditPen
}

/** What is known of a request before its powers are built. */
export type RequestOrigin = Omit<RequestFacts, "pen">

export type Powers = {
  db: Db
  blobs: BlobStore
  keys: Keys
  mailer: Mailer
  /** Asked about every document before it is published; null when none is configured. */
  scanner: Scanner | null
  policy: Policy
  /** Shared by all requests of the isolate. */
  memory: MemoryBudget
  /** Shared by all requests of the isolate. */
  partHeaders: PartHeaders
  /** Of resumable uploads that this isolate has seen from their first byte on. */
  traces: UploadTraces
  /** Turns at hashing passwords, shared by all requests of the isolate. */
  hashing: HashQueue
  /** Streams of events that are open, and their pace, shared by all requests of the isolate. */
  eventStreams: EventStreams
  /** Counts a request of a network address; false when far too many come from it at this moment. */
  admitsFlood: (address: string) => Promise<boolean>
  /** Milliseconds since 1970. */
  now: () => number
  request: RequestFacts
  /** Keeps the request alive until this is done; its outcome must be handled by itself. */
  afterwards: (work: Promise<unknown>) => void
  /** One line for the operator: a fixed event name and facts that are no secret. */
  log: (event: string, facts?: Record<string, string | number | boolean | null>) => void
}
