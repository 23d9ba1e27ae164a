// The one error type of the project and its closed list of codes. No HTTP here:
// http/problem.ts gives every code a status and a title, and the compiler refuses a code without one.

export type ErrorCode =
  // The request as such
  | "not_found"
  | "method_not_allowed"
  | "malformed_request"
  | "malformed_json"
  | "validation_failed"
  | "unsupported_media_type"
  | "payload_too_large"
  | "digest_malformed"
  | "digest_mismatch"
  | "precondition_failed"
  | "range_not_satisfiable"
  // Who is asking
  | "authentication_required"
  | "invalid_token"
  | "invalid_credentials"
  | "email_not_verified"
  | "forbidden"
  | "cross_site"
  | "wrong_password"
  | "too_many_requests"
  // Second factors
  | "second_factor_required"
  | "invalid_second_factor"
  | "wrong_second_factor"
  | "second_factor_enrollment_required"
  | "second_factor_active"
  | "second_factor_not_enrolled"
  // Proof of address
  | "wrong_code"
  | "verification_expired"
  | "verification_exhausted"
  | "password_required"
  // Forgotten passwords
  | "reset_token_invalid"
  | "reset_token_spent"
  // Uploads
  | "quota_exceeded"
  | "too_many_uploads"
  | "upload_expired"
  | "upload_lost"
  | "upload_offset_conflict"
  | "upload_locked"
  | "upload_complete"
  | "tus_version_unsupported"
  | "checksum_mismatch"
  | "idempotency_key_in_use"
  | "idempotency_key_reused"
  // Documents
  | "unsupported_document"
  | "document_refused"
  | "scanner_unavailable"
  // Files' life
  | "file_deleted"
  | "version_conflict"
  | "version_current"
  // Links
  | "link_not_found"
  | "link_not_yours"
  | "link_expired"
  | "link_revoked"
  | "selection_incomplete"
  | "link_superseded"
  | "downloads_used_up"
  | "download_in_progress"
  // Mails
  | "mail_not_retryable"
  // Our side
  | "integrity_failure"
  | "key_unavailable"
  | "misconfigured"
  | "busy"
  | "database_unavailable"
  | "internal"

/** One wrong field of a request: where it is, and the rule that it breaks. */
export type FieldError = { field: string; rule: string; message: string }

export type AppErrorOptions = {
  /** For people: what is wrong and what to do. Sent to the caller, so never a secret and nothing internal. */
  detail?: string
  fields?: readonly FieldError[]
  /** Methods that the resource has, for `method_not_allowed`. */
  allow?: readonly string[]
  /** How long the document is, for `range_not_satisfiable`. */
  unsatisfiedSizeBytes?: number
  /** When trying again may help. */
  retryAfterSeconds?: number
  /** Which quota is used up, for `too_many_requests`; its name says what is counted. */
  quota?: { policy: string; quota: number; windowSeconds: number }
  /** Which rule about documents is broken, in which part, and what to do, for `unsupported_document` and `document_refused`. */
  refusal?: { reason: string; remedy: string; part?: string }
  /** For the log: why really. May name internals, never a secret. */
  reason?: string
  cause?: unknown
}

/** Every expected failure of Sealpost. Callers assert on `code`; `reason` stays inside. */
export class AppError extends Error {
  override readonly name = "AppError"
  readonly code: ErrorCode
  readonly options: AppErrorOptions

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.reason ?? options.detail ?? code, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.options = options
  }
}

/** Several fields, or one found among several. Of one alone `detail` says what `errors` says, for people who see no more. */
export function fieldErrors(fields: readonly FieldError[]): AppError {
  const [first, second] = fields
  const isOne = first !== undefined && second === undefined
  const detail = isOne ? [first.field, first.message].filter((text) => text !== "").join(": ") : "See errors for each field."
  return new AppError("validation_failed", { detail, fields })
}

/** Shorthand for the most common failure: one field breaks one rule. */
export function fieldError(field: string, rule: string, message: string): AppError {
  return new AppError("validation_failed", { detail: message, fields: [{ field, rule, message }] })
}
