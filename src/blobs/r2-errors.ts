// What R2 says when it cannot, in one place. R2 puts a number into its messages, e.g.
// "put: We encountered an internal error. Please try again. (10001)".

/** Worth another try: internal error, timeout, too many requests (R2 error codes 10001, 10043, 10058). */
const PASSING = new Set([10001, 10043, 10054, 10058])
const NO_SUCH_UPLOAD = 10024

function r2Code(error: unknown): number | null {
  const match = error instanceof Error ? /\((\d{5})\)\s*$/.exec(error.message) : null
  return match === null ? null : Number(match[1])
}

export const isPassing = (error: unknown): boolean => PASSING.has(r2Code(error) ?? 0)

/** The multipart upload is completed or aborted already: nothing is left to abort. */
export const isNoSuchUpload = (error: unknown): boolean =>
  r2Code(error) === NO_SUCH_UPLOAD || (error instanceof Error && error.message.includes("multipart upload does not exist"))
