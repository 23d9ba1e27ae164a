// The one place where codes become RFC 9457 problems. The table is exhaustive: the compiler refuses a code
// without status and title. Bodies say what the caller may know; reasons go to the log only.
import type { ErrorHandler } from "hono"
import { HTTPException } from "hono/http-exception"
import type { ContentfulStatusCode } from "hono/utils/http-status"
import { isDatabaseOutage } from "../domain/faults.ts"
import { AppError, type ErrorCode } from "../errors.ts"
import { errorFacts, logLine } from "../log.ts"
import { unsatisfiedContentRange } from "../protocol/http-range.ts"
import type { AppEnv } from "./types.ts"

type Problem = { status: ContentfulStatusCode; title: string }

/** Of the tus protocol alone; no registered status code, so Hono's type does not know it. */
const CHECKSUM_MISMATCH = 460 as ContentfulStatusCode

export const problems = {
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  malformed_request: { status: 400, title: "Malformed request" },
  malformed_json: { status: 400, title: "Malformed JSON" },
  validation_failed: { status: 422, title: "Some fields are not valid" },
  unsupported_media_type: { status: 415, title: "Unsupported media type" },
  payload_too_large: { status: 413, title: "Too large" },
  digest_malformed: { status: 400, title: "Digest field malformed" },
  digest_mismatch: { status: 400, title: "Digest does not match" },
  precondition_failed: { status: 412, title: "Precondition failed" },
  range_not_satisfiable: { status: 416, title: "Range not satisfiable" },
  authentication_required: { status: 401, title: "Log in first" },
  invalid_token: { status: 401, title: "Token not valid" },
  invalid_credentials: { status: 401, title: "Wrong e-mail address or password" },
  email_not_verified: { status: 403, title: "E-mail address not proven" },
  cross_site: { status: 403, title: "Request from another site" },
  forbidden: { status: 403, title: "Not allowed" },
  wrong_password: { status: 403, title: "Wrong password" },
  too_many_requests: { status: 429, title: "Too many requests" },
  second_factor_required: { status: 401, title: "Second factor needed as well" },
  invalid_second_factor: { status: 401, title: "Wrong code of the second factor" },
  wrong_second_factor: { status: 403, title: "Wrong code of the second factor" },
  second_factor_enrollment_required: { status: 403, title: "Enrol a second factor first" },
  second_factor_active: { status: 409, title: "Second factor active already" },
  second_factor_not_enrolled: { status: 409, title: "No second factor" },
  wrong_code: { status: 400, title: "Wrong code" },
  verification_expired: { status: 410, title: "Code expired" },
  verification_exhausted: { status: 410, title: "Too many wrong codes" },
  password_required: { status: 403, title: "Password needed as well" },
  reset_token_invalid: { status: 400, title: "Not a link of ours" },
  reset_token_spent: { status: 410, title: "Link used or expired" },
  quota_exceeded: { status: 507, title: "Quota used up" },
  too_many_uploads: { status: 429, title: "Too many open uploads" },
  upload_expired: { status: 410, title: "Upload expired" },
  upload_lost: { status: 410, title: "Upload lost" },
  upload_offset_conflict: { status: 409, title: "Upload stands elsewhere" },
  upload_locked: { status: 423, title: "Upload in use" },
  upload_complete: { status: 403, title: "Upload complete" },
  tus_version_unsupported: { status: 412, title: "Protocol version not supported" },
  checksum_mismatch: { status: CHECKSUM_MISMATCH, title: "Checksum does not match" },
  idempotency_key_in_use: { status: 409, title: "Request under way" },
  idempotency_key_reused: { status: 422, title: "Idempotency key used before" },
  unsupported_document: { status: 415, title: "Not a document that is taken here" },
  document_refused: { status: 422, title: "Not a genuine document" },
  scanner_unavailable: { status: 503, title: "Scanner not available" },
  file_deleted: { status: 409, title: "File in the trash" },
  version_conflict: { status: 409, title: "Another version came first" },
  version_current: { status: 409, title: "Current version" },
  link_not_found: { status: 404, title: "No such link" },
  link_not_yours: { status: 403, title: "Not your link" },
  link_expired: { status: 410, title: "Link expired" },
  link_revoked: { status: 410, title: "Link withdrawn" },
  link_superseded: { status: 410, title: "Link to an older version" },
  downloads_used_up: { status: 410, title: "Downloads used up" },
  download_in_progress: { status: 409, title: "Download under way" },
  mail_not_retryable: { status: 409, title: "Mail cannot be tried again" },
  integrity_failure: { status: 500, title: "Stored file damaged" },
  key_unavailable: { status: 503, title: "Key not available" },
  misconfigured: { status: 503, title: "Not set up" },
  busy: { status: 503, title: "Busy" },
  database_unavailable: { status: 503, title: "Database not available" },
  internal: { status: 500, title: "Something went wrong" },
} as const satisfies Record<ErrorCode, Problem>

export const problemType = (code: ErrorCode): string => `urn:sealpost:problem:${code}`

/** RFC 9110 section 11.6.1 wants a challenge with every 401; RFC 6750 section 3 says what is in it. */
const challenges: Partial<Record<ErrorCode, string>> = {
  authentication_required: "Bearer",
  invalid_credentials: "Bearer",
  second_factor_required: "Bearer",
  invalid_second_factor: "Bearer",
  invalid_token: 'Bearer error="invalid_token"',
}

export function problemResponse(error: AppError, requestId: string): Response {
  const { status, title } = problems[error.code]
  const { detail, fields, allow, unsatisfiedSizeBytes, retryAfterSeconds, quota, refusal } = error.options
  const body = {
    type: problemType(error.code),
    title,
    status,
    detail,
    code: error.code,
    instance: `urn:uuid:${requestId}`,
    requestId,
    errors: fields,
    // Extension members (RFC 9457 section 3.2), for programs: what is wrong, in which part, what to do.
    reason: refusal?.reason,
    part: refusal?.part,
    remedy: refusal?.remedy,
  }
  const headers = new Headers({ "Content-Type": "application/problem+json; charset=utf-8" })
  const challenge = challenges[error.code]
  if (challenge !== undefined) headers.set("WWW-Authenticate", challenge)
  if (allow !== undefined) headers.set("Allow", allow.join(", "))
  if (unsatisfiedSizeBytes !== undefined) headers.set("Content-Range", unsatisfiedContentRange(unsatisfiedSizeBytes))
  if (retryAfterSeconds !== undefined) headers.set("Retry-After", String(retryAfterSeconds))
  if (quota !== undefined) {
    // draft-ietf-httpapi-ratelimit-headers-11: lists of policies, each a string with parameters.
    const wait = retryAfterSeconds === undefined ? "" : `;t=${String(retryAfterSeconds)}`
    headers.set("RateLimit-Policy", `"${quota.policy}";q=${String(quota.quota)};w=${String(quota.windowSeconds)}`)
    headers.set("RateLimit", `"${quota.policy}";r=0${wait}`)
  }
  return new Response(JSON.stringify(body), { status, headers })
}

const DATABASE_RETRY_SECONDS = 5

/** What Hono itself throws, e.g. for JSON that does not parse. Its messages may quote input, so they are dropped. */
function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof HTTPException && error.status === 400) {
    return new AppError("malformed_json", { detail: "The request body is not well-formed JSON." })
  }
  if (isDatabaseOutage(error)) {
    const detail = "The database does not answer just now; nothing is known to have changed. Try again in a moment."
    return new AppError("database_unavailable", { detail, retryAfterSeconds: DATABASE_RETRY_SECONDS, cause: error })
  }
  return new AppError("internal", { detail: "The fault has been noted. Name the request id when you report it.", cause: error })
}

export const renderError: ErrorHandler<AppEnv> = (error, c) => {
  const known = toAppError(error)
  if (known.code === "internal" || known.code === "database_unavailable")
    logLine("fault", { requestId: c.var.requestId, operation: c.var.operation, ...errorFacts(error) })
  const { reason } = known.options
  c.set("problem", reason === undefined ? { code: known.code } : { code: known.code, reason })
  return problemResponse(known, c.var.requestId)
}
