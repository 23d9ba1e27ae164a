// A real backup and recovery: documents uploaded with curl to `npm start`, exported, recovered by the command, and
// compared with the originals. Then one fault at a time in a copy of that backup, each with its twin: the same copy
// with the fault undone. The other files must be recovered in every case.
import { existsSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { parseEnvFile } from "../../scripts/local-state.ts"
import { newKeyRingEntry } from "../../src/crypto/keyring.ts"
import { type Copy, type Inputs, type Recovery, createDrill, inputArgs, npmRun } from "../support/recovery-drill.ts"

const SEALED_PART_BYTES = 5_243_256

let drill: Awaited<ReturnType<typeof createDrill>>

beforeAll(async () => {
  drill = await createDrill()
})
afterEach(() => {
  drill.tidy()
})
afterAll(() => {
  drill.remove()
})

function expectAllRecovered(result: Recovery): void {
  expect(result).toMatchObject({ code: 0, stderr: "" })
  expect(Object.keys(result.files).sort()).toEqual([...drill.originals.keys()].sort())
  expect(Object.values(result.files).every(({ status }) => status === "recovered")).toBe(true)
}

/** Exactly these failed, for this reason, and the command said so in words. */
function expectFailed(result: Recovery, names: readonly string[], reason: string, words: string): void {
  expect(result.code).toBe(1)
  const failed = Object.entries(result.files).filter(([, { status }]) => status !== "recovered")
  const expected = names.map((name) => [drill.idOf(name), reason])
  expect(failed.map(([id, entry]) => [id, entry.reason]).sort()).toEqual(expected.sort())
  for (const [id] of failed) expect(result.stderr).toContain(`FAILED ${id}`)
  expect(result.stderr).toContain(words)
  expect(Object.keys(result.files)).toHaveLength(drill.originals.size)
}

const masterKeys = (): string => parseEnvFile(readFileSync(drill.secrets, "utf8"))["MASTER_KEYS"] ?? ""

function written(dir: string, text: string): string {
  const path = join(dir, "given")
  writeFileSync(path, text)
  return path
}

describe("a backup of a running service's state", () => {
  it("was exported without a word of complaint, and holds no secret", () => {
    expect(drill.exported).toMatchObject({ code: 0, stderr: "" })
    expect(drill.originals.size).toBe(9)
    const objects = readdirSync(join(drill.backup, "objects"))
    // One file has two versions.
    expect(objects).toHaveLength(10)
    const key = masterKeys().slice(2)
    expect(key).toHaveLength(43)
    for (const path of ["database.sql", ...objects.map((name) => join("objects", name))])
      expect(readFileSync(join(drill.backup, path)).includes(key), path).toBe(false)
  })

  it("is recovered whole from the SQL dump, with the names and owners it had", async () => {
    const { backup, secrets, idOf, names, originals } = drill
    const result = await drill.recover({ database: join(backup, "database.sql"), objects: join(backup, "objects"), secrets })
    expectAllRecovered(result)
    expect(result.stdout).toContain("9 of 9 files recovered")
    expect(Object.values(result.files).map(({ savedAs }) => savedAs)).toEqual(names)
    expect(result.files[idOf("large.docx")]).toEqual({
      name: "large.docx",
      savedAs: "large.docx",
      size: 12_001_096,
      sha256: originals.get(idOf("large.docx")),
      createdAt: expect.stringMatching(/^20\d\d-.*Z$/) as string,
      deletedAt: null,
      version: 1,
      ownerEmail: "ops@example.com",
      status: "recovered",
    })
  })

  it("is recovered with the trash, and with older versions when they are asked for", async () => {
    const { idOf, names, older } = drill
    const [replaced = "", trashed = ""] = names
    const copy = drill.copy()
    const current = await drill.recover(copy)
    expectAllRecovered(current)
    expect(current.files[idOf(replaced)]).toMatchObject({ version: 2, savedAs: replaced })
    expect(current.files[idOf(trashed)]?.deletedAt).toMatch(/^20\d\d-.*Z$/)
    expect(Object.values(current.files).filter(({ deletedAt }) => deletedAt !== null)).toHaveLength(1)
    const all = await drill.recover(copy, "--all-versions")
    expect(all).toMatchObject({ code: 0, stderr: "" })
    expect(Object.keys(all.files).sort()).toEqual([...Object.keys(current.files), ...older.keys()].sort())
    expect(all.files[`${idOf(replaced)}/1`]).toMatchObject({
      version: 1,
      savedAs: `version 1 of ${replaced}`,
      status: "recovered",
    })
    // The current bytes gone: still missed, and the older ones still there.
    copy.sql(`delete from blobs where file_id = '${idOf(replaced)}' and version = 2`)
    const without = await drill.recover(copy, "--all-versions")
    expect(without.code).toBe(1)
    expect(without.files[idOf(replaced)]).toMatchObject({ status: "failed", reason: "row" })
    expect(without.files[`${idOf(replaced)}/1`]).toMatchObject({ status: "recovered" })
  })

  it("is recovered from a copy of before there was a trash", async () => {
    const copy = drill.copy()
    copy.sql(
      "create table old as select id, owner_id, version, name, type, created_at_ms from files; drop table files; alter table old rename to files",
    )
    expectAllRecovered(await drill.recover(copy))
  })

  it("is recovered from an SQLite file with secrets in JSON, and says so in JSON", async () => {
    const copy = drill.copy()
    const secrets = written(copy.dir, JSON.stringify(parseEnvFile(readFileSync(drill.secrets, "utf8"))))
    const result = await drill.recover({ ...copy, secrets }, "--json")
    expectAllRecovered(result)
    expect(JSON.parse(result.stdout)).toEqual({ recovered: 9, failed: 0, files: result.files })
  })
})

/** Changes a file and returns what puts it back. */
function changed(path: string, change: () => void): () => void {
  const before = readFileSync(path)
  change()
  return () => {
    writeFileSync(path, before)
  }
}

const edited = (copy: Copy, sql: string): (() => void) =>
  changed(copy.database, () => {
    copy.sql(sql)
  })

const editedLarge = (copy: Copy, set: string): (() => void) =>
  edited(copy, `update blobs set ${set} where file_id = '${drill.idOf("large.docx")}'`)

function cutAtPartEdge(copy: Copy): () => void {
  const path = copy.objectOf("large.docx")
  return changed(path, () => {
    truncateSync(path, 2 * SEALED_PART_BYTES)
  })
}

const PAIR = ["openpyxl.xlsx", "python-docx.docx"]

describe("a backup with one fault", () => {
  type Fault = { fault: string; files: string[]; reason: string; words: string; make: (copy: Copy) => () => void }
  const large = ["large.docx"]
  it.each<Fault>([
    {
      fault: "an object that is missing",
      files: large,
      reason: "object_missing",
      words: "is not in --objects",
      make: (copy) => {
        const path = copy.objectOf("large.docx")
        return changed(path, () => {
          rmSync(path)
        })
      },
    },
    {
      fault: "one byte flipped in an object",
      files: large,
      reason: "segment",
      words: "no valid tag (part 1, segment 2,",
      make: (copy) => {
        const path = copy.objectOf("large.docx")
        return changed(path, () => {
          const bytes = readFileSync(path)
          const at = SEALED_PART_BYTES + 600_000
          writeFileSync(path, bytes.fill((bytes[at] ?? 0) ^ 1, at, at + 1))
        })
      },
    },
    {
      fault: "an object cut at a part's edge",
      files: large,
      reason: "object_size",
      words: "its object has 10486512 bytes where the database says 12001984",
      make: cutAtPartEdge,
    },
    {
      fault: "an object cut at a part's edge, and a row that agrees",
      files: large,
      reason: "segment",
      words: "no valid tag (part 1, segment 0,",
      make: (copy) => {
        const mendObject = cutAtPartEdge(copy)
        const mendRow = editedLarge(copy, "size_bytes = 2 * 5242880, sealed_bytes = 2 * 5243256, parts = 2")
        return () => {
          mendObject()
          mendRow()
        }
      },
    },
    {
      fault: "wrapped keys exchanged between two rows",
      files: PAIR,
      reason: "wrapped_key",
      words: "its wrapped key does not open",
      make: (copy) => {
        const both = `('${PAIR.map(drill.idOf).join("', '")}')`
        const other = `select wrapped_key from old where old.file_id in ${both} and old.file_id <> blobs.file_id`
        return edited(
          copy,
          `create temp table old as select * from blobs;
           update blobs set wrapped_key = (${other}) where file_id in ${both}`,
        )
      },
    },
    {
      fault: "a key id that is not in the ring",
      files: large,
      reason: "unknown_key",
      words: "MASTER_KEYS has no key 9",
      make: (copy) => editedLarge(copy, "key_id = 9"),
    },
    {
      fault: "a size that was edited",
      files: large,
      reason: "row",
      words: "do not belong together",
      make: (copy) => editedLarge(copy, "size_bytes = size_bytes - 1"),
    },
    {
      fault: "a size past all that a number can be",
      files: large,
      reason: "row",
      words: "its size_bytes in the database",
      make: (copy) => editedLarge(copy, "size_bytes = 9223372036854775807"),
    },
    {
      fault: "a digest that was edited",
      files: large,
      reason: "sha256",
      words: "the SHA-256 in the database is another one",
      make: (copy) => editedLarge(copy, "sha256 = printf('%064d', 0)"),
    },
    {
      fault: "an object key that is a path to the right object",
      files: large,
      reason: "row",
      words: "its object key in the database is not one",
      make: (copy) => editedLarge(copy, "object_key = '../objects/' || object_key"),
    },
    {
      fault: "a version of which there are no bytes",
      files: large,
      reason: "row",
      words: "no row of blobs for its version",
      make: (copy) => edited(copy, `update files set version = 2 where id = '${drill.idOf("large.docx")}'`),
    },
  ])("$fault: names it, and recovers the others", async ({ files, reason, words, make }) => {
    const copy = drill.copy()
    const mend = make(copy)
    expectFailed(await drill.recover(copy), files, reason, words)
    mend()
    expectAllRecovered(await drill.recover(copy))
  })
})

describe("names that were edited in the database", () => {
  it("lead nowhere outside the folder", async () => {
    const copy = drill.copy()
    copy.sql(`update files set name = '../../x.docx' where id = '${drill.idOf("large.docx")}'`)
    const result = await drill.recover(copy)
    expectAllRecovered(result)
    expect(result.files[drill.idOf("large.docx")]).toMatchObject({ name: "../../x.docx", savedAs: "x.docx" })
    expect(existsSync(join(result.out, "../../x.docx"))).toBe(false)
  })

  it("may be the same, and none overwrites another or the list", async () => {
    const copy = drill.copy()
    copy.sql(`update files set name = 'same.docx' where name in ('${PAIR.join("', '")}');
      update files set name = 'SAME.docx' where name = 'large.docx';
      update files set name = 'recovered.json' where name = 'libreoffice.docx'`)
    const result = await drill.recover(copy)
    expectAllRecovered(result)
    const names = [...PAIR, "large.docx", "libreoffice.docx"].map((name) => result.files[drill.idOf(name)]?.savedAs)
    expect(names.sort()).toEqual(["SAME (3).docx", "recovered (2).json", "same (2).docx", "same.docx"])
  })

  it("may hold what would end SQL or steer a terminal", async () => {
    const dump = readFileSync(join(drill.backup, "database.sql"), "utf8")
    const copy = drill.copy()
    const poisoned = join(copy.dir, "poisoned.sql")
    expect(dump).toContain("'large.docx'")
    writeFileSync(poisoned, dump.replace("'large.docx'", "'a\0b\u009b31m.docx'"))
    const result = await drill.recover({ ...copy, database: poisoned })
    expectAllRecovered(result)
    expect(result.files[drill.idOf("large.docx")]?.savedAs).toBe("a\ufffdb_31m.docx")
    expect(result.stdout).not.toContain("\u009b")
  })
})

describe("npm run recover", () => {
  it("takes a ring that has got a newer key in front", async () => {
    const copy = drill.copy()
    const [rotated, lost] = [join(copy.dir, "rotated.env"), join(copy.dir, "lost.env")]
    writeFileSync(rotated, `OTHER=x\nMASTER_KEYS="${newKeyRingEntry(2)},${masterKeys()}"\n`)
    writeFileSync(lost, `MASTER_KEYS=${newKeyRingEntry(2)}\n`)
    expectAllRecovered(await drill.recover({ ...copy, secrets: rotated }))
    const result = await drill.recover({ ...copy, secrets: lost }, "--json")
    expectFailed(result, drill.names, "unknown_key", "MASTER_KEYS has no key 1")
    expect(JSON.parse(result.stdout)).toEqual({ recovered: 0, failed: 9, files: result.files })
  })

  it("never writes into a folder that holds something", async () => {
    const copy = drill.copy()
    expectAllRecovered(await drill.recover(copy))
    const again = await npmRun("recover", "--", ...inputArgs(copy), "--out", copy.objects)
    expect(again).toMatchObject({ code: 1, stdout: "" })
    expect(again.stderr).toContain("the folder is not empty")
  })

  it("lets a dump write no file", async () => {
    const copy = drill.copy()
    const [dump, planted] = [join(copy.dir, "planted.sql"), join(copy.dir, "planted.db")]
    const text = readFileSync(join(drill.backup, "database.sql"), "utf8")
    for (const statement of [`ATTACH '${planted}' AS p;`, `VACUUM INTO '${planted}';`]) {
      writeFileSync(dump, `${text}\n${statement}\n`)
      const result = await drill.recover({ ...copy, database: dump })
      expect(result.code).toBe(1)
      expect(result.stderr).toMatch(/^--database .*its SQL does not run: (?:not authorized|authorization denied)\n$/)
      expect(existsSync(planted)).toBe(false)
    }
    writeFileSync(dump, `${text}\nSELECT 1;\n`)
    expectAllRecovered(await drill.recover({ ...copy, database: dump }))
  })

  it.each<[string, (copy: Copy) => Partial<Inputs>, RegExp]>([
    ["a database that is none", (copy) => ({ database: copy.secrets }), /^--database .*: its SQL does not run: /],
    [
      "a database of another kind",
      ({ dir: at }) => ({ database: written(at, "create table t (a);") }),
      /it has no table files\n$/,
    ],
    ["a folder that is not there", (copy) => ({ objects: `${copy.objects}x` }), /^--objects .*no such file/],
    ["secrets without master keys", ({ dir: at }) => ({ secrets: written(at, "LINK_KEYS=1:x") }), /it holds no MASTER_KEYS\n$/],
    [
      "a ring that is cut",
      ({ dir: at }) => ({ secrets: written(at, "MASTER_KEYS=1:c2VjcmV0") }),
      /MASTER_KEYS is not usable: an entry/,
    ],
    [
      "JSON that is cut",
      ({ dir: at }) => ({ secrets: written(at, '{"MASTER_KEYS": "1:c2VjcmV0') }),
      /it begins like JSON and is not\n$/,
    ],
  ])("refuses %s, without quoting a secret", async (_, change, message) => {
    const copy = drill.copy()
    const result = await drill.recover({ ...copy, ...change(copy) })
    expect(result).toMatchObject({ code: 1, stdout: "" })
    expect(result.stderr).toMatch(message)
    expect(result.stderr).not.toContain("c2VjcmV0")
    expectAllRecovered(await drill.recover(copy))
  })

  it("says what it needs", async () => {
    const nowhere = join(drill.newFolder(), "nowhere")
    expect((await npmRun("recover", "--", "--out", nowhere)).stderr).toMatch(/^Usage: npm run recover/)
    expect(existsSync(nowhere)).toBe(false)
  })
})

describe("npm run export", () => {
  it("makes no state where there is none, and writes into no folder that holds something", async () => {
    const [nowhere, never] = [join(drill.newFolder(), "no-state"), join(drill.newFolder(), "never")]
    const refused = await npmRun("export", "--", "--persist-to", nowhere, "--out", never)
    expect(refused).toMatchObject({ code: 1, stderr: `There is no state in ${nowhere}.\n` })
    expect([existsSync(nowhere), existsSync(never)]).toEqual([false, false])
    const again = await npmRun("export", "--", "--persist-to", drill.stateDir, "--out", drill.backup)
    expect(again).toMatchObject({ code: 1, stderr: `${drill.backup} is not empty.\n` })
  })
})
