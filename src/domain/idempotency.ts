// Requests that may be sent again (draft-ietf-httpapi-idempotency-key-header): under the same key the same upload gets
// the first answer and makes no second file, another one is refused. The answer is stored in the batch that publishes
// the file, so neither can exist without the other.
import { createHash } from "node:crypto"
import { type Statement } from "../db/client.ts"
import { type KeyClaim, answerKey, claimKey, deleteKey, findKey } from "../db/idempotency.ts"
import { AppError } from "../errors.ts"
import { newId } from "../ids.ts"
import type { ChosenAudience } from "./audiences.ts"
import type { ListedFile } from "./files.ts"
import { tooLarge } from "./parts.ts"
import { NOTIFICATIONS } from "./notifications.ts"
import type { Powers } from "./powers.ts"
import type { Draft } from "./publication.ts"

/** How long an answer is kept. */
const KEPT_MS = 24 * 60 * 60_000
/**
 * How long a request is believed to live that has not answered. One that is slower may be overtaken by its own second
 * try; only one of them can publish then.
 */
const HELD_MS = 15 * 60_000
const RETRY_AFTER_SECONDS = 5

type Deps = Pick<Powers, "db" | "now">
type Asked = Pick<Draft, "name" | "downloadLimit" | "audience" | "description" | "expiresAtMs" | "notify" | "replaces">
type Answered = { kind: "answered"; fingerprint: string; file: ListedFile }

export const keyInUse = (): AppError =>
  new AppError("idempotency_key_in_use", {
    detail: "A request with this Idempotency-Key is under way. Ask again in a moment.",
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })

/** Whom a file is for, in whatever order they were named; nothing for everyone. */
const recipientsOf = ({ audience, clients, groups }: ChosenAudience): string[][] =>
  audience === "everyone" ? [] : [clients.toSorted(), groups.toSorted()]

/** Everything that makes one upload another: what was asked, and the bytes. */
function fingerprintOf(draft: Asked, { sizeBytes, sha256 }: Pick<ListedFile, "sizeBytes" | "sha256">): string {
  const { name, downloadLimit, audience, description, expiresAtMs, notify = NOTIFICATIONS, replaces } = draft
  const terms = [description ?? null, expiresAtMs ?? null]
  const muted = NOTIFICATIONS.filter((name) => !notify.includes(name))
  const more: unknown[] = [...recipientsOf(audience), ...(terms.some((term) => term !== null) ? [terms] : [])]
  if (muted.length > 0) more.push({ muted })
  const parts =
    replaces === undefined
      ? [name.name, downloadLimit, sizeBytes, sha256, ...more]
      : ["version", replaces.file.id, sizeBytes, sha256]
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex")
}

/**
 * Takes the key for this request, or finds what was answered under it.
 * @throws AppError `idempotency_key_in_use`
 */
export async function claimIdempotencyKey(
  deps: Deps,
  ownerId: string,
  key: string,
): Promise<(KeyClaim & { kind: "claimed" }) | Answered> {
  const nowMs = deps.now()
  const claim = { key, holder: newId() }
  const at = { nowMs, heldUntilMs: nowMs + HELD_MS, expiresAtMs: nowMs + KEPT_MS }
  if (await claimKey(deps.db, ownerId, claim, at)) return { kind: "claimed", ...claim }
  const row = await findKey(deps.db, ownerId, key)
  if (row === undefined || row.fingerprint === null || row.answer === null) throw keyInUse()
  return { kind: "answered", fingerprint: row.fingerprint, file: JSON.parse(row.answer) as ListedFile }
}

/** Was this key's request answered before? Then that answer stands, whatever has changed since. */
export async function isAnswered(deps: Pick<Powers, "db">, ownerId: string, key: string): Promise<boolean> {
  const row = await findKey(deps.db, ownerId, key)
  return row !== undefined && row.answer !== null
}

/** The statement by which the batch that publishes the file also answers for the key. */
export const answerIdempotently = (deps: Deps, ownerId: string, claim: KeyClaim, draft: Asked, file: ListedFile): Statement =>
  answerKey(deps.db, ownerId, claim, fingerprintOf(draft, file), JSON.stringify(file))

/** Lets go of a key whose request came to nothing. Where that fails too, it is free again in a while. */
export async function forgetIdempotencyKey(deps: Deps & Pick<Powers, "log">, ownerId: string, claim: KeyClaim): Promise<void> {
  try {
    await deleteKey(deps.db, ownerId, claim)
  } catch {
    deps.log("idempotency_key_left")
  }
}

/**
 * Takes the body of a request whose key was answered before, stores nothing of it, and gives the first answer again.
 * @throws AppError `idempotency_key_reused` when it is another upload, `payload_too_large`
 */
export async function repeatAnswer(
  answered: Answered,
  draft: Asked,
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<ListedFile> {
  const hash = createHash("sha256")
  let sizeBytes = 0
  for await (const chunk of chunks) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes)
    hash.update(chunk)
  }
  if (fingerprintOf(draft, { sizeBytes, sha256: hash.digest("hex") }) === answered.fingerprint) return answered.file
  throw new AppError("idempotency_key_reused", { detail: "This Idempotency-Key was used for another upload. Take a new one." })
}
