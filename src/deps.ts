// The composition root: turns the environment into what rules may use. Configuration and keys are parsed
// and imported once per environment object, which in production means once per isolate.
import { createBlobStore } from "./blobs/store.ts"
import { type Config, readConfig } from "./config.ts"
import { type Keys, importKeys } from "./crypto/keys.ts"
import { createDb } from "./db/client.ts"
import { createAuditPen, createSealTurn } from "./domain/audit.ts"
import { type EventStreams, createEventStreams } from "./domain/event-streams.ts"
import { type HashQueue, createHashQueue } from "./domain/hashing.ts"
import { type MemoryBudget, createMemoryBudget } from "./domain/memory.ts"
import { type PartHeaders, createPartHeaders } from "./domain/part-headers.ts"
import type { Powers, RequestOrigin, SealTurn } from "./domain/powers.ts"
import { type UploadTraces, createUploadTraces } from "./domain/upload-traces.ts"
import { createConsoleMailer } from "./mail/console.ts"
import { createMailChannelsMailer } from "./mail/mailchannels.ts"
import type { Mailer } from "./mail/mailer.ts"
import { createHttpScanner } from "./scan/http-scanner.ts"
import type { Scanner } from "./scan/scanner.ts"

type Runtime = {
  config: Config
  keys: Keys
  mailer: Mailer
  scanner: Scanner | null
  memory: MemoryBudget
  partHeaders: PartHeaders
  hashing: HashQueue
  sealing: SealTurn
  traces: UploadTraces
  eventStreams: EventStreams
}
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
    scanner: config.scanner === null ? null : createHttpScanner(config.scanner),
    memory: createMemoryBudget(config.memoryBudgetBytes),
    partHeaders: createPartHeaders(),
    hashing: createHashQueue(),
    sealing: createSealTurn(),
    traces: createUploadTraces(),
    eventStreams: createEventStreams(),
  }
}

function runtimeOf(env: Bindings): Promise<Runtime> {
  const known = runtimes.get(env)
  if (known !== undefined) return known
  const runtime = createRuntime(env)
  runtimes.set(env, runtime)
  return runtime
}

export type Occasion = Pick<Powers, "now" | "afterwards" | "log"> & { request: RequestOrigin }

/**
 * Builds the powers for one request or cron run.
 * @throws AppError `misconfigured` naming every variable that is missing or unusable
 */
export async function createDeps(env: Bindings, occasion: Occasion): Promise<Powers> {
  const { config, keys, mailer, scanner, memory, partHeaders, hashing, sealing, traces, eventStreams } = await runtimeOf(env)
  return {
    db: createDb(env.DB),
    blobs: createBlobStore(env.BLOBS),
    keys,
    mailer,
    scanner,
    memory,
    partHeaders,
    hashing,
    traces,
    eventStreams,
    policy: config,
    // Commands and tests run without the binding.
    admitsFlood: async (address) => (await env.FLOOD_LIMIT?.limit({ key: address }))?.success ?? true,
    ...occasion,
    request: { ...occasion.request, pen: await createAuditPen(keys, occasion.request.clientAddress, sealing) },
  }
}
