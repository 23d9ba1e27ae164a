// A backup to break and recover: documents uploaded with curl to a real `npm start`, the state exported by the
// command, and copies of that export which a test may damage. Recovering always compares with the originals.
import { createHash, randomBytes } from "node:crypto"
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { zipSync } from "fflate"
import { expect } from "vitest"
import { documentParts } from "../../bench/subject.ts"
import { secretsPath } from "../../scripts/local-state.ts"
import { CORPUS_SAMPLE, corpusPath } from "./corpus-sample.ts"
import { type CommandResult, freePort, printedAccount, run, startService } from "../e2e/service.ts"

/** One file in recovered.json. */
export type Entry = {
  name: string
  savedAs: string | null
  size: number
  sha256: string
  deletedAt: string | null
  version: number | null
  status: string
  reason?: string
  problem?: string
}

export type Recovery = CommandResult & { out: string; files: Record<string, Entry> }

/** What the command is given. */
export type Inputs = { database: string; objects: string; secrets: string }

/** A copy of the backup, its database as an SQLite file. */
export type Copy = Inputs & {
  dir: string
  sql: (text: string) => void
  /** Path of a file's object in the copy. */
  objectOf: (name: string) => string
}

export const npmRun = (...args: string[]): Promise<CommandResult> => run("npm", ["run", "--silent", ...args])

export const inputArgs = (from: Inputs): string[] => [
  ...["--database", from.database, "--objects", from.objects, "--secrets", from.secrets],
]

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")
const curl = async (...args: string[]): Promise<string> => (await run("curl", ["-sS", ...args])).stdout

/** A document of three parts. */
function writeLargeDocument(path: string): void {
  writeFileSync(path, zipSync(documentParts(randomBytes(12_000_000)), { level: 0 }))
}

type Uploaded = { id: string; name: string; path: string; olderPath?: string }

/**
 * Uploads as the ops account and returns the answers' files, beside the originals' paths. The first one gets a second
 * version, the second one goes to the trash.
 */
async function upload(paths: string[], stateDir: string): Promise<Uploaded[]> {
  const service = await startService(["--persist-to", stateDir], await freePort())
  try {
    const login = JSON.stringify(printedAccount(service.output()))
    const answer = await curl(`${service.origin}/api/ops/login`, "-H", "Content-Type: application/json", "-d", login)
    const { accessToken } = JSON.parse(answer) as { accessToken: string }
    const uploaded: Uploaded[] = []
    for (const path of paths) {
      const bearer = `Authorization: Bearer ${accessToken}`
      const body = await curl(`${service.origin}/api/ops/upload`, "-H", bearer, "-F", `file=@${path}`)
      const { file } = JSON.parse(body) as { file: { id: string; name: string } }
      uploaded.push({ ...file, path })
    }
    const [first, second] = uploaded
    const typeOf = (path: string): string => path.slice(path.lastIndexOf("."))
    const donor = paths.find((path) => path !== first?.path && typeOf(path) === typeOf(first?.path ?? ""))
    if (first === undefined || second === undefined || donor === undefined) throw new Error("too few documents")
    const bearer = `Authorization: Bearer ${accessToken}`
    await curl("-f", `${service.origin}/api/ops/files/${first.id}/content`, "-H", bearer, "-T", donor)
    await curl("-f", "-X", "DELETE", `${service.origin}/api/ops/files/${second.id}`, "-H", bearer)
    Object.assign(first, { path: donor, olderPath: first.path })
    return uploaded
  } finally {
    await service.stop()
  }
}

/** Uploads some of the corpus and `large.docx`, stops the service and exports its state. */
export async function createDrill() {
  const dir = mkdtempSync(join(tmpdir(), "sealpost-recover-"))
  const stateDir = join(dir, "state")
  const backup = join(dir, "backup")
  const paths = CORPUS_SAMPLE.map(corpusPath)
  paths.push(join(dir, "large.docx"))
  writeLargeDocument(join(dir, "large.docx"))
  const uploaded = await upload(paths, stateDir)
  const older = new Map<string, string>()
  const originals = new Map(uploaded.map(({ id, path }) => [id, sha256(readFileSync(path))]))
  for (const { id, olderPath } of uploaded) if (olderPath !== undefined) older.set(`${id}/1`, sha256(readFileSync(olderPath)))
  const exported = await npmRun("export", "--", "--persist-to", stateDir, "--out", backup)
  const secrets = secretsPath(stateDir)
  let temporary: string[] = []

  function newFolder(): string {
    const folder = mkdtempSync(join(dir, "tmp-"))
    temporary.push(folder)
    return folder
  }

  function idOf(name: string): string {
    const file = uploaded.find((one) => one.name === name)
    if (file === undefined) throw new Error(`no ${name}`)
    return file.id
  }

  return {
    stateDir,
    backup,
    secrets,
    exported,
    /** File id → digest of the original, of its current version. */
    originals,
    /** The same of older versions: id/version → digest. */
    older,
    names: uploaded.map(({ name }) => name),
    idOf,
    newFolder,

    copy(): Copy {
      const folder = newFolder()
      const [database, objects] = [join(folder, "database.sqlite"), join(folder, "objects")]
      const sql = (text: string): void => {
        const db = new DatabaseSync(database, { enableForeignKeyConstraints: false })
        db.exec(text)
        db.close()
      }
      sql(readFileSync(join(backup, "database.sql"), "utf8"))
      cpSync(join(backup, "objects"), objects, { recursive: true })
      const objectOf = (name: string): string => {
        const db = new DatabaseSync(database, { readOnly: true })
        const row = db.prepare("select object_key from blobs where file_id = ? order by version desc").get(idOf(name))
        db.close()
        return join(objects, String(row?.["object_key"]))
      }
      return { dir: folder, database, objects, secrets, sql, objectOf }
    },

    /** Recovers into a new folder, which must hold what the list says, as it was uploaded, and nothing else. */
    async recover(from: Inputs, ...flags: string[]): Promise<Recovery> {
      const out = join(newFolder(), "deeper", "out")
      const result = await npmRun("recover", "--", ...inputArgs(from), "--out", out, ...flags)
      const manifest = join(out, "recovered.json")
      const files = existsSync(manifest) ? (JSON.parse(readFileSync(manifest, "utf8")) as Record<string, Entry>) : {}
      const saved = Object.entries(files).flatMap(([id, { savedAs }]) => (savedAs === null ? [] : [{ id, savedAs }]))
      for (const { id, savedAs } of saved)
        expect(sha256(readFileSync(join(out, savedAs))), savedAs).toBe(originals.get(id) ?? older.get(id))
      const expected = [...saved.map(({ savedAs }) => savedAs), ...(existsSync(manifest) ? ["recovered.json"] : [])]
      expect(existsSync(out) ? readdirSync(out).sort() : []).toEqual(expected.sort())
      return { ...result, out, files }
    },

    /** Removes the copies and what was recovered so far. */
    tidy(): void {
      for (const folder of temporary) rmSync(folder, { recursive: true, force: true })
      temporary = []
    },

    remove(): void {
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
