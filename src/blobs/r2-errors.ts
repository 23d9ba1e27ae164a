// What R2 says when it cannot, in one place. R2 puts a number into its messages, e.g.
// "put: We encountered an internal error. Please try again. (10001)".

/** Worth another try: internal error, timeout, too many requests (R2 error codes 10001, 10043, 10058). */
const PASSING = new Set([10001, 10043, 10054, 10058])
const NO_SUCH_UPLOAD = 10024
const NO_SUCH_PART = 10025

function r2Code(error: unknown): number | null {
  const match = error instanceof Error ? /\((\d{5})\)\s*$/.exec(error.message) : null
  return match === null ? null : Number(match[1])
}

export const isPassing = (error: unknown): boolean => PASSING.has(r2Code(error) ?? 0)

/** The multipart upload is completed or aborted already: nothing is left to abort. */
export const isNoSuchUpload = (error: unknown): boolean =>
  r2Code(error) === NO_SUCH_UPLOAD || (error instanceof Error && error.message.includes("multipart upload does not exist"))

/** A part that was to be put together is not there, or not as it was stored. */
export const isNoSuchPart = (error: unknown): boolean => r2Code(error) === NO_SUCH_PART
