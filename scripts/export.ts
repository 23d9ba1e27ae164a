// npm run export -- --out DIR [--persist-to DIR]
// Copies a local state into the form that a deployment is backed up in, and that `npm run recover` takes:
// DIR/database.sql and DIR/objects/<key>. Never copies secrets, and changes no row and no object of the state.
import { chmodSync, copyFileSync, createWriteStream, existsSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs"
import { renameSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { pipeline } from "node:stream/promises"
import { parseArgs } from "node:util"
import { DEFAULT_STATE_DIR, secretsPath } from "./local-state.ts"
import { DATABASE, WRANGLER_CONFIG, runWrangler, withLocalBindings } from "./wrangler.ts"

const USAGE = `Usage: npm run export -- --out DIR [--persist-to DIR]

  --out DIR         new or empty folder for database.sql and objects/
  --persist-to DIR  the local state to copy (default ${DEFAULT_STATE_DIR})
A deployment is backed up with other tools: docs/recovery.md`

/** As src/domain/uploads.ts makes them; safe as file names. */
const OBJECT_KEY = /^[0-9a-f]{40}$/

/** Said to whoever runs the command, without a stack. */
class UsageError extends Error {
  override readonly name = "UsageError"
}

/** `wrangler d1 export` knows no --persist-to: it takes the state beside its configuration, so that is put there. */
async function exportDatabase(stateDir: string, output: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "sealpost-export-"))
  try {
    copyFileSync(WRANGLER_CONFIG, join(dir, "wrangler.toml"))
    mkdirSync(join(dir, ".wrangler"))
    symlinkSync(stateDir, join(dir, ".wrangler/state"))
    const config = ["--config", join(dir, "wrangler.toml")]
    await runWrangler(["d1", "export", DATABASE, "--local", "--skip-confirmation", ...config, "--output", output])
    // It holds password hashes and people's addresses.
    chmodSync(output, 0o600)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** Copies one object. False when it has been deleted since it was listed. */
async function copyObject(bucket: R2Bucket, key: string, dir: string): Promise<boolean> {
  const object = await bucket.get(key)
  if (object === null) return false
  const draft = createWriteStream(join(dir, `.${key}`), { mode: 0o600 })
  await pipeline(object.body, draft)
  if (draft.bytesWritten !== object.size) throw new Error(`R2 gave only ${String(draft.bytesWritten)} bytes of ${key}`)
  renameSync(draft.path, join(dir, key))
  return true
}

/** Copies all objects and returns how many there were. */
async function exportObjects(stateDir: string, dir: string): Promise<number> {
  return withLocalBindings(stateDir, async ({ BLOBS }) => {
    let count = 0
    for (let cursor: string | undefined, isMore = true; isMore;) {
      const page = await BLOBS.list(cursor === undefined ? {} : { cursor })
      for (const { key } of page.objects) {
        if (!OBJECT_KEY.test(key)) console.error(`Not copied, for it is not Sealpost's: ${JSON.stringify(key)}`)
        else if (await copyObject(BLOBS, key, dir)) count++
      }
      isMore = page.truncated
      cursor = page.truncated ? page.cursor : undefined
    }
    return count
  })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: "string" },
      "persist-to": { type: "string" },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  if (values.out === undefined) throw new UsageError(USAGE)
  const out = resolve(values.out)
  const stateDir = resolve(values["persist-to"] ?? DEFAULT_STATE_DIR)
  // Wrangler would make an empty state and export that.
  if (!existsSync(join(stateDir, "v3/d1"))) throw new UsageError(`There is no state in ${stateDir}.`)
  const [database, objects] = [join(out, "database.sql"), join(out, "objects")]
  mkdirSync(out, { recursive: true, mode: 0o700 })
  if (readdirSync(out).length > 0) throw new UsageError(`${out} is not empty.`)
  mkdirSync(objects, { mode: 0o700 })

  // The database first: then every object that it names is there already, unless its file is deleted meanwhile.
  await exportDatabase(stateDir, database)
  const count = await exportObjects(stateDir, objects)
  console.log(`Exported: ${database}
          ${objects} (${String(count)} ${count === 1 ? "object" : "objects"})
Not copied, and without it nothing of this can be read: ${secretsPath(stateDir)}`)
}

try {
  await main()
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && "code" in error)
  console.error(isUsage ? error.message : error)
  process.exitCode = 1
}
