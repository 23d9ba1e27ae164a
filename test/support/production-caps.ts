// Production's caps on password hashing, which workerd on this machine does not all have: PBKDF2 above 100 000
// iterations and scrypt above N·r·p = 2^20 throw there. Set up for every test file, so that what passes here can
// run there; node:crypto is capped by capped-node-crypto.ts. test/crypto/production-caps.test.ts proves both.

const MAX_PBKDF2_ITERATIONS = 100_000
const MAX_SCRYPT_COST = 2 ** 20

export function checkPbkdf2(iterations: number): void {
  if (iterations <= MAX_PBKDF2_ITERATIONS) return
  const limit = String(MAX_PBKDF2_ITERATIONS)
  throw new DOMException(`Pbkdf2 failed: iteration counts above ${limit} are not supported`, "NotSupportedError")
}

type ScryptOptions = {
  N?: number | undefined
  cost?: number | undefined
  r?: number | undefined
  blockSize?: number | undefined
  p?: number | undefined
  parallelization?: number | undefined
}

/** Defaults as Node has them. */
export function checkScrypt(options: ScryptOptions = {}): void {
  const n = options.N ?? options.cost ?? 16_384
  const cost = n * (options.r ?? options.blockSize ?? 8) * (options.p ?? options.parallelization ?? 1)
  if (cost > MAX_SCRYPT_COST) throw new RangeError("Scrypt failed: N * r * p is above 2^20")
}

type Derivation = { name?: string; iterations?: number }
type Derive = (algorithm: Derivation, ...rest: unknown[]) => Promise<unknown>
const prototype = SubtleCrypto.prototype as unknown as Record<"deriveBits" | "deriveKey", Derive & { isCapped?: true }>

for (const method of ["deriveBits", "deriveKey"] as const) {
  const original = prototype[method]
  if (original.isCapped === true) continue
  const capped: Derive & { isCapped?: true } = async function capped(this: SubtleCrypto, algorithm, ...rest) {
    if (algorithm.name?.toUpperCase() === "PBKDF2") checkPbkdf2(algorithm.iterations ?? 0)
    return original.call(this, algorithm, ...rest)
  }
  capped.isCapped = true
  prototype[method] = capped
}
