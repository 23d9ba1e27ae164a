// The composition root: turns the environment into what rules may use. Configuration and keys are parsed
// and imported once per environment object, which in production means once per isolate.
import { createBlobStore } from "./blobs/store.ts"
import { type Config, readConfig } from "./config.ts"
import { type Keys, importKeys } from "./crypto/keys.ts"
import { createDb } from "./db/client.ts"
import { type HashQueue, createHashQueue } from "./domain/hashing.ts"
import { type MemoryBudget, createMemoryBudget } from "./domain/memory.ts"
import type { Powers } from "./domain/powers.ts"
import { type RunningDigests, createRunningDigests } from "./domain/running-digests.ts"
import { createConsoleMailer } from "./mail/console.ts"
import { createMailChannelsMailer } from "./mail/mailchannels.ts"
import type { Mailer } from "./mail/mailer.ts"

type Runtime = { config: Config; keys: Keys; mailer: Mailer; memory: MemoryBudget; hashing: HashQueue; digests: RunningDigests }
export type Bindings = Pick<Env, "DB" | "BLOBS"> & Partial<Pick<Env, "FLOOD_LIMIT">>

const runtimes = new WeakMap<object, Promise<Runtime>>()

async function createRuntime(env: Bindings): Promise<Runtime> {
  const { config, secrets } = readConfig({ ...env })
  const { mail } = config
  const mailer = mail.transport === "console" ? createConsoleMailer(mail.from) : createMailChannelsMailer(mail)
  return {
    config,
    keys: await importKeys(secrets),
    mailer,
    memory: createMemoryBudget(config.memoryBudgetBytes),
    hashing: createHashQueue(),
    digests: createRunningDigests(),
  }
}

function runtimeOf(env: Bindings): Promise<Runtime> {
  const known = runtimes.get(env)
  if (known !== undefined) return known
  const runtime = createRuntime(env)
  runtimes.set(env, runtime)
  return runtime
}

export type Occasion = Pick<Powers, "now" | "request" | "afterwards" | "log">

/**
 * Builds the powers for one request or cron run.
 * @throws AppError `misconfigured` naming every variable that is missing or unusable
 */
export async function createDeps(env: Bindings, occasion: Occasion): Promise<Powers> {
  const { config, keys, mailer, memory, hashing, digests } = await runtimeOf(env)
  return {
    db: createDb(env.DB),
    blobs: createBlobStore(env.BLOBS),
    keys,
    mailer,
    memory,
    hashing,
    digests,
    policy: config,
    // Commands and tests run without the binding.
    admitsFlood: async (address) => (await env.FLOOD_LIMIT?.limit({ key: address }))?.success ?? true,
    ...occasion,
  }
}
