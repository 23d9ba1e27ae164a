// What tests get for node:crypto (vitest.config.ts): the real thing with production's caps. Exports what the
// project uses; an import of anything else fails, and is then added here.
import { checkPbkdf2, checkScrypt } from "./production-caps.ts"

const real = process.getBuiltinModule("node:crypto")

export const { createHash, createHmac, createSecretKey } = real

export const scryptSync: typeof real.scryptSync = (password, salt, length, options) => {
  checkScrypt(options)
  return real.scryptSync(password, salt, length, options)
}

export const pbkdf2Sync: typeof real.pbkdf2Sync = (password, salt, iterations, length, digest) => {
  checkPbkdf2(iterations)
  return real.pbkdf2Sync(password, salt, iterations, length, digest)
}
