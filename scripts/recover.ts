// npm run recover -- --database FILE --objects DIR --secrets FILE --out DIR [--all-versions] [--json]
// Turns a backup back into documents on any machine with Node: no Worker, no Wrangler, no network, and no code of
// src/. Each file is written under a temporary name and gets its own only when whole and right; one that cannot be
// recovered is named with the reason, and the others still are. Only reads what it is given.
import { closeSync, fstatSync, fsyncSync, lstatSync, mkdirSync, openSync, readFileSync, readSync } from "node:fs"
import { readdirSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { type FileColumns, readFileRows } from "./recovery-database.ts"
import {
  type Fault,
  type SealedObject,
  UnreadableError,
  checkRow,
  openSealedFile,
  parseMasterKeys,
} from "./recovery-decryptor.ts"
import { createNamer, safeName } from "./recovery-names.ts"

const USAGE = `Usage: npm run recover -- --database FILE --objects DIR --secrets FILE --out DIR [--all-versions] [--json]

  --database FILE  copy of the database: an SQL dump of \`wrangler d1 export\`, or an SQLite file
  --objects DIR    folder with one file per R2 object, named by its key
  --secrets FILE   the deployment's secrets: JSON as \`npm run secrets\` writes it, or NAME=value lines
  --out DIR        new or empty folder for the documents and recovered.json
  --all-versions   older versions of files as well
  --json           print the result as JSON
The exit code is 0 when every file was recovered. The whole drill: docs/recovery.md`

const MANIFEST = "recovered.json"
/** Object keys become file names, and a damaged row may hold any text: no path, nothing hidden. */
const OBJECT_KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/
const MAX_DATE_MS = 8.64e15

/** What became of one file. Of a failed one, name, size and sum are what the database says. */
type Outcome = {
  name: string | null
  /** Its name in the folder; null unless recovered. */
  savedAs: string | null
  /** Bytes. */
  size: number | null
  sha256: string | null
  /** ISO 8601. */
  createdAt: string | null
  /** ISO 8601: since when it is in the trash; null for a file that is not. */
  deletedAt: string | null
  version: number | null
  ownerEmail: string | null
  status: "recovered" | "failed"
  /** Why it failed: a code, and a sentence. */
  reason?: Fault | "io"
  problem?: string
}

/** Said to whoever runs the command, without a stack. */
class UsageError extends Error {
  override readonly name = "UsageError"
}

/** What systems say in codes, said in words. */
const SYSTEM_FAULTS: Record<string, string> = {
  ENOENT: "no such file or folder",
  EACCES: "it may not be read or written by you",
  EEXIST: "something else of this name is there",
  EISDIR: "it is a folder, not a file",
  ENOTDIR: "it is not a folder",
  ENOSPC: "the disk is full",
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const words = "code" in error && typeof error.code === "string" ? SYSTEM_FAULTS[error.code] : undefined
  return words ?? error.message
}

/** Runs a step of the preparation; whatever it throws is about what the command was given. */
function given<T>(option: string, path: string, step: (path: string) => T): T {
  try {
    return step(path)
  } catch (error) {
    throw new UsageError(`${option} ${path}: ${messageOf(error)}`)
  }
}

function parseJson(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    // The error's own message quotes what it could not parse.
    throw new Error("it begins like JSON and is not")
  }
}

function readMasterKeys(path: string): ReadonlyMap<number, Buffer> {
  const text = readFileSync(path, "utf8")
  const ring = text.trimStart().startsWith("{")
    ? parseJson(text)["MASTER_KEYS"]
    : /^[ \t]*MASTER_KEYS[ \t]*=[ \t]*(["']?)(.*?)\1[ \t]*\r?$/m.exec(text)?.[2]
  if (typeof ring !== "string") throw new Error("it holds no MASTER_KEYS")
  try {
    return parseMasterKeys(ring)
  } catch (error) {
    throw new Error(`MASTER_KEYS is not usable: ${messageOf(error)}`, { cause: error })
  }
}

function requireFolder(path: string): string {
  if (!statSync(path).isDirectory()) throw new Error("not a folder")
  return path
}

/** Never into a folder that holds anything: what is there could not be told from what was recovered. */
function makeEmptyFolder(path: string): string {
  // A link could lead into any folder, and be turned elsewhere meanwhile.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) throw new Error("it is a link, not a folder")
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (readdirSync(path).length > 0) throw new Error("the folder is not empty")
  return path
}

function withObject<T>(objectsDir: string, objectKey: unknown, use: (object: SealedObject) => T): T {
  if (typeof objectKey !== "string" || !OBJECT_KEY.test(objectKey))
    throw new UnreadableError("row", "its object key in the database is not one")
  const path = join(objectsDir, objectKey)
  // Asked before opening: to open a pipe would wait for ever.
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new UnreadableError("object_missing", `its object ${objectKey} is not in --objects`)
  const file = openSync(path, "r")
  const read = (buffer: Buffer, position: number): void => {
    for (let filled = 0; filled < buffer.length;) {
      const count = readSync(file, buffer, filled, buffer.length - filled, position + filled)
      if (count === 0) throw new UnreadableError("object_size", "its object became shorter while it was read")
      filled += count
    }
  }
  try {
    return use({ sizeBytes: fstatSync(file).size, read })
  } finally {
    closeSync(file)
  }
}

function writeAll(path: string, chunks: Iterable<Buffer>, progress: (doneBytes: number) => void): void {
  const file = openSync(path, "wx", 0o600)
  try {
    let doneBytes = 0
    for (const chunk of chunks) {
      for (let written = 0; written < chunk.length;) written += writeSync(file, chunk, written)
      doneBytes += chunk.length
      progress(doneBytes)
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function isoTime(ms: unknown): string | null {
  const time = typeof ms === "bigint" || typeof ms === "number" ? Number(ms) : Number.NaN
  return Math.abs(time) <= MAX_DATE_MS ? new Date(time).toISOString() : null
}

const numberOrNull = (value: unknown): number | null => (typeof value === "bigint" ? Number(value) : null)
const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null)

type Task = { objectsDir: string; out: string; masterKeys: ReadonlyMap<number, Buffer>; nameFor: (text: string) => string }

function recoverFile(task: Task, columns: FileColumns, progress: (doneBytes: number, sizeBytes: number) => void): Outcome {
  const outcome: Outcome = {
    name: textOrNull(columns["name"]),
    savedAs: null,
    size: null,
    sha256: null,
    createdAt: isoTime(columns["file_created_at_ms"]),
    deletedAt: isoTime(columns["file_deleted_at_ms"]),
    version: numberOrNull(columns["version"]),
    ownerEmail: textOrNull(columns["owner_email"]),
    status: "failed",
  }
  // A safe name never begins with a dot, so no document can have this one.
  const draft = join(task.out, ".recovering")
  try {
    if (columns["file_id"] === null) throw new UnreadableError("row", "the database has no row of blobs for its version")
    const row = checkRow(columns)
    Object.assign(outcome, { size: row.sizeBytes, sha256: row.sha256 })
    withObject(task.objectsDir, columns["object_key"], (object) => {
      writeAll(draft, openSealedFile(row, task.masterKeys, object), (doneBytes) => {
        progress(doneBytes, row.sizeBytes)
      })
    })
    const isOld = columns["version"] !== columns["current_version"]
    const savedAs = task.nameFor(isOld ? `version ${String(row.version)} of ${outcome.name ?? ""}` : (outcome.name ?? ""))
    renameSync(draft, join(task.out, savedAs))
    return { ...outcome, savedAs, status: "recovered" }
  } catch (error) {
    rmSync(draft, { force: true })
    return { ...outcome, reason: error instanceof UnreadableError ? error.fault : "io", problem: messageOf(error) }
  }
}

/** Redraws one line on a terminal; elsewhere shows nothing. */
function createProgressLine(): (text: string) => void {
  let shown = ""
  return function show(text) {
    if (process.stderr.isTTY && text !== shown) process.stderr.write(`\r\u001b[K${text}`)
    shown = text
  }
}

function main(): void {
  const { values } = parseArgs({
    options: {
      database: { type: "string" },
      objects: { type: "string" },
      secrets: { type: "string" },
      out: { type: "string" },
      "all-versions": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  const { database, objects, secrets, out: outDir, json } = values
  if (database === undefined || objects === undefined || secrets === undefined || outDir === undefined)
    throw new UsageError(USAGE)
  const masterKeys = given("--secrets", resolve(secrets), readMasterKeys)
  const versions = values["all-versions"] ? "all" : "current"
  const rows = given("--database", resolve(database), (path) => readFileRows(path, versions))
  const objectsDir = given("--objects", resolve(objects), requireFolder)
  const out = given("--out", resolve(outDir), makeEmptyFolder)

  const nameFor = createNamer([MANIFEST], (name) => lstatSync(join(out, name), { throwIfNoEntry: false }) !== undefined)
  const progressLine = createProgressLine()
  const outcomes = new Map<string, Outcome>()
  for (const [index, columns] of rows.entries()) {
    const isOld = columns["file_id"] !== null && columns["version"] !== columns["current_version"]
    const id = isOld ? `${String(columns["id"])}/${String(columns["version"])}` : String(columns["id"])
    const shown = safeName(textOrNull(columns["name"]) ?? "")
    const outcome = recoverFile({ objectsDir, out, masterKeys, nameFor }, columns, (doneBytes, sizeBytes) => {
      const percent = String(Math.floor((100 * doneBytes) / Math.max(1, sizeBytes)))
      progressLine(`${String(index + 1)} of ${String(rows.length)}: ${shown} ${percent} %`)
    })
    progressLine("")
    outcomes.set(id, outcome)
    if (outcome.status === "failed") console.error(`FAILED ${safeName(id)} ${shown}: ${outcome.problem ?? ""}`)
    else if (!json) console.log(`recovered ${safeName(id)} ${outcome.savedAs ?? ""} (${String(outcome.size)} bytes)`)
  }

  const files = Object.fromEntries(outcomes)
  writeFileSync(join(out, MANIFEST), `${JSON.stringify(files, null, 2)}\n`, { mode: 0o600, flag: "wx" })
  const failed = Array.from(outcomes.values()).filter(({ status }) => status === "failed").length
  const recovered = outcomes.size - failed
  if (json) console.log(JSON.stringify({ recovered, failed, files }, null, 2))
  else console.log(`${String(recovered)} of ${String(outcomes.size)} files recovered. List: ${join(out, MANIFEST)}`)
  if (failed > 0) process.exitCode = 1
}

try {
  main()
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && "code" in error)
  console.error(isUsage ? error.message : error)
  process.exitCode = 1
}
