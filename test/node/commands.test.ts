// What commands say to whoever gave them a wrong folder or an unusable key ring: one sentence, and nothing is made.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { localSecrets, requireCurrentService, requireUsable, secretsPath } from "../../scripts/local-state.ts"
import { newKeyRingEntry, parseKeyRing } from "../../src/crypto/keyring.ts"
import { run } from "../e2e/service.ts"

let dir: string
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sealpost-commands-"))))
afterEach(() => {
  rmSync(dir, { recursive: true })
})

const node = (script: string, ...args: string[]) => run(process.execPath, [`scripts/${script}.ts`, ...args])

describe("without a state in the folder", () => {
  it.each([
    ["verify", []],
    ["keys-rotate", []],
    ["audit-verify", []],
    ["audit-export", ["--format", "csv"]],
    ["ops-manage", ["list"]],
    ["ops-manage", ["disable", "a@example.com"]],
  ])("%s %j says so and makes none", async (script, args) => {
    const missing = join(dir, "wrong")
    const expected = { code: 1, stdout: "", stderr: `There is no state in ${missing}.\n` }
    expect(await node(script, ...args, "--persist-to", missing)).toEqual(expected)
    expect(existsSync(missing)).toBe(false)
  })

  it.each([
    ["verify", []],
    ["audit-verify", []],
    ["ops-manage", ["disable", "a@example.com"]],
  ])("%s %j makes no secrets for a state that has lost its own", async (script, args) => {
    mkdirSync(join(dir, "v3/d1"), { recursive: true })
    const refused = await node(script, ...args, "--persist-to", dir)
    expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("Put the file back") as string })
    expect(readdirSync(dir)).toEqual(["v3"])
  })
})

describe("with an unusable key ring", () => {
  const edit = (change: (ring: string) => string): void => {
    mkdirSync(join(dir, "v3/d1"), { recursive: true })
    const { MASTER_KEYS: ring = "" } = localSecrets(dir)
    const path = secretsPath(dir)
    writeFileSync(path, readFileSync(path, "utf8").replace(/^MASTER_KEYS=.*/m, `MASTER_KEYS=${change(ring)}`))
  }

  it.each<[string, string, (ring: string) => string]>([
    ["verify", "duplicate key id", (ring) => `${newKeyRingEntry(1)},${ring}`],
    ["keys-rotate", "duplicate key id", (ring) => `${newKeyRingEntry(1)},${ring}`],
    ["keys-rotate", "key not 32 bytes of base64url", (ring) => `2:short,${ring}`],
  ])("%s names variable and fault (%s), in words alone", async (script, fault, change) => {
    edit(change)
    const { code, stdout, stderr } = await node(script, "--persist-to", dir)
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toMatch(
      new RegExp(`^Sealpost is not set up:\\n {2}MASTER_KEYS is not usable: ${fault}: mend this entry and keep every key`),
    )
    expect(stderr.split("\n")).toHaveLength(3)
    expect(stderr).not.toMatch(/<|Authorization/)
    expect(readdirSync(join(dir, "v3/d1"))).toEqual([])
  })

  it("and nothing else wrong, the same ring is good once mended", () => {
    edit((ring) => `${newKeyRingEntry(2)},${ring}`)
    const env = { PUBLIC_ORIGIN: "http://localhost:1", MAIL_TRANSPORT: "console", MAIL_FROM: "a@example.com" }
    expect(requireUsable({ ...localSecrets(dir), ...env })).toMatchObject({ publicOrigin: "http://localhost:1" })
  })
})

describe("rotating beside a running service", () => {
  const touch = (name: string, second: number): void => {
    utimesSync(join(dir, name), second, second)
  }

  it("waits until the service was started after the last change of the secrets", () => {
    localSecrets(dir)
    writeFileSync(join(dir, "sealpost.pid"), String(process.pid))
    touch("sealpost.env", 2000)
    touch("sealpost.pid", 1000)
    expect(() => {
      requireCurrentService(dir)
    }).toThrow(`(process ${String(process.pid)}) was started before ${secretsPath(dir)} was last changed`)
    touch("sealpost.pid", 2000)
    requireCurrentService(dir)
    // Left behind by one that was killed.
    touch("sealpost.pid", 1000)
    writeFileSync(join(dir, "sealpost.pid"), "4194305")
    touch("sealpost.pid", 1000)
    requireCurrentService(dir)
    rmSync(join(dir, "sealpost.pid"))
    requireCurrentService(dir)
  })
})

describe("how commands are asked and read", () => {
  it.each([
    ["verify", "verify"],
    ["keys-rotate", "keys:rotate"],
    ["secrets", "secrets"],
    ["audit-verify", "audit:verify"],
  ])("%s --help says what there is, and does nothing else", async (script, name) => {
    const { code, stdout, stderr } = await node(script, "--help")
    expect([code, stdout.split(" [", 1)[0], stderr]).toEqual([0, `Usage: npm run ${name}`, ""])
  })

  it("start --help makes no state", async () => {
    const { code, stdout } = await node("start", "--persist-to", join(dir, "state"), "--help")
    expect([code, stdout.split(" [", 1)[0], readdirSync(dir)]).toEqual([0, "Usage: npm start", []])
  })

  it.each(["verify", "secrets", "ops-manage"])("%s says of an unknown option where the known ones are", async (script) => {
    const stderr = "Unknown option '--nope'. What there is: --help\n"
    expect(await node(script, "--nope")).toEqual({ code: 1, stdout: "", stderr })
  })

  it("ends without a word when nobody reads on, e.g. before | head", async () => {
    const piped = (reader: string) =>
      run("bash", ["-c", `"${process.execPath}" scripts/secrets.ts | ${reader}; echo "\${PIPESTATUS[0]}"`])
    expect(await piped("true")).toEqual({ code: 0, stdout: "141\n", stderr: "" })
    expect(await piped("cat > /dev/null")).toEqual({ code: 0, stdout: "0\n", stderr: "" })
  })

  it("audit-export never writes over a file, and says so in a sentence", async () => {
    const path = join(dir, "trail.csv")
    writeFileSync(path, "earlier")
    const stderr = `${path} is there already and stays as it is. Name a new file.\n`
    const args = ["--format", "csv", "--persist-to", join(dir, "none")]
    expect(await node("audit-export", ...args, "--out", path)).toEqual({ code: 1, stdout: "", stderr })
    expect(readFileSync(path, "utf8")).toBe("earlier")
    expect((await node("audit-export", ...args, "--out", `${path}.new`)).stderr).toContain("There is no state in")
  })
})

describe("npm run secrets", () => {
  it("gives one entry for a ring that is in use", async () => {
    const { code, stdout } = await node("secrets", "MASTER_KEYS", "--id", "2")
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^2:[\w-]{43}\n$/) as string])
    expect(parseKeyRing(stdout.trim())).toMatchObject({ currentId: 2 })
    for (const args of [
      ["MASTER_KEYS", "--id", "0"],
      ["MASTER_KEYS", "--id", "256"],
      ["--id", "2"],
      ["MASTER_KEYS", "LINK_KEYS", "--id", "2"],
    ])
      expect(await node("secrets", ...args)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining("--id") as string,
      })
  })

  it("never writes over a file, and says so in a sentence", async () => {
    const path = join(dir, "deployment.secrets.json")
    expect((await node("secrets", "--out", path)).code).toBe(0)
    const text = readFileSync(path, "utf8")
    const again = { code: 1, stdout: "", stderr: `${path} is there already and stays as it is. Name a new file.\n` }
    expect(await node("secrets", "--out", path)).toEqual(again)
    expect(readFileSync(path, "utf8")).toBe(text)
    const nowhere = join(dir, "no/such/file")
    expect((await node("secrets", "--out", nowhere)).stderr).toBe(`${nowhere}: there is no such folder.\n`)
  })
})

describe("npm run recover", () => {
  it("names in words what it was not given, and never writes through a link", async () => {
    const [secrets, database, objects, out] = [secretsPath(dir), join(dir, "d.sql"), join(dir, "objects"), join(dir, "out")]
    localSecrets(dir)
    const recover = () => node("recover", "--database", database, "--objects", objects, "--secrets", secrets, "--out", out)
    expect(await recover()).toEqual({ code: 1, stdout: "", stderr: `--database ${database}: no such file or folder\n` })
    writeFileSync(
      database,
      "create table files (id, version, name, created_at_ms, owner_id); create table blobs (file_id, version);",
    )
    expect((await recover()).stderr).toBe(`--objects ${objects}: no such file or folder\n`)
    mkdirSync(objects)
    const elsewhere = join(dir, "elsewhere")
    mkdirSync(elsewhere)
    symlinkSync(elsewhere, out)
    expect((await recover()).stderr).toBe(`--out ${out}: it is a link, not a folder\n`)
    expect(readdirSync(elsewhere)).toEqual([])
    rmSync(out)
    expect((await recover()).code).toBe(0)
  })
})
