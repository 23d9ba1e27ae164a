// The README's journey, executed from the README itself with bash and curl, against `npm start` on a free port,
// with a real HTTP server in place of the MailChannels API. Then what only a running service can show:
// restart, large files, ciphertext on disk, accounts by command, a clean end.
import { createHash, randomBytes } from "node:crypto"
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { zipSync } from "fflate"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Rows, withDatabase } from "../../scripts/database.ts"
import { documentParts } from "../../bench/subject.ts"
import { CORPUS_SAMPLE, PACKAGED_SAMPLE, corpusPath } from "../support/corpus-sample.ts"
import { startMailServer } from "../support/mail-server.ts"
import { PROJECT_DIR, type Service, freePort, printedAccount, run, startService } from "./service.ts"

const CLIENT = { email: "client@example.net", password: "a password of fifteen or more" }

let dir: string
let stateDir: string
let mail: Awaited<ReturnType<typeof startMailServer>>
let service: Service
let port: number

const startArgs = (): string[] => [
  ...["--persist-to", stateDir, "--var", "MAIL_TRANSPORT:mailchannels", "--var", `MAILCHANNELS_BASE_URL:${mail.url}`],
  ...["--var", "MAILCHANNELS_API_KEY:a-key-for-the-stand-in", "--var=MAIL_FROM:Sealpost <files@example.com>"],
]

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sealpost-e2e-"))
  stateDir = join(dir, "state")
  symlinkSync(join(PROJECT_DIR, "test"), join(dir, "test"))
  mail = await startMailServer()
  port = await freePort()
  service = await startService(startArgs(), port)
})

afterAll(async () => {
  await service.stop()
  await mail.close()
  rmSync(dir, { recursive: true, force: true })
})

const curl = async (...args: string[]): Promise<string> => (await run("curl", ["-sS", ...args])).stdout
const status = async (...args: string[]): Promise<number> => Number(await curl("-o", "/dev/null", "-w", "%{http_code}", ...args))
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

async function logIn(role: string, account: { email: string; password: string }): Promise<string> {
  const body = await curl(
    `${service.origin}/api/${role}/login`,
    "-H",
    "Content-Type: application/json",
    "-d",
    JSON.stringify(account),
  )
  return (JSON.parse(body) as { accessToken: string }).accessToken
}

const bearer = (token: string): string[] => ["-H", `Authorization: Bearer ${token}`]

/** The README's blocks marked as the journey, as they stand. */
function journeyScript(): string {
  const readme = readFileSync(join(PROJECT_DIR, "README.md"), "utf8")
  return Array.from(readme.matchAll(/<!-- journey -->\n\n```sh\n([^]*?)```/g), ([, block = ""]) => block).join("\n")
}

describe("the README's journey", () => {
  it("works as it stands there, and the client receives the very bytes that were uploaded", async () => {
    const script = journeyScript()
    expect(script.match(/curl/g)?.length).toBeGreaterThanOrEqual(8)
    const account = printedAccount(service.output())
    const codeFile = join(dir, "code")
    // A person reads the code in the mail; here the script waits for the stand-in to receive it.
    const waitForCode = `for i in $(seq 100); do [ -s "${codeFile}" ] && break; sleep 0.1; done; CODE=$(cat "${codeFile}")`
    // What a newcomer pastes.
    const pasted = script
      .replace("BASE='http://localhost:8787'", `BASE='${service.origin}'`)
      .replace("OPS_PASSWORD='paste the password here'", `OPS_PASSWORD='${account.password}'`)
      .replace("CODE='paste the code here'", waitForCode)
    expect(pasted).not.toContain("paste")
    const watcher = setInterval(() => {
      const text = JSON.stringify(mail.requests.at(-1)?.body ?? "")
      const code = /#([0-9A-Z]{4}-[0-9A-Z]{4})\\n/.exec(text)?.[1]
      if (code !== undefined) writeFileSync(codeFile, code)
    }, 50)
    const { code, stdout, stderr } = await run("bash", ["--norc", "-eu", "-c", pasted], { cwd: dir })
    clearInterval(watcher)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })

    const sums = Array.from(stdout.matchAll(/^([0-9a-f]{64}) /gm), ([, sum]) => sum)
    expect(sums).toHaveLength(2)
    expect(sums[0]).toBe(sums[1])
    expect(stdout).toContain(`${service.origin}/verify-email/`)
    expect(stdout).toContain(`${service.origin}/download-file/`)
    expect(stdout).toContain('"code":"authentication_required"')
    expect(sha256(readFileSync(join(dir, "received.docx")))).toBe(
      sha256(readFileSync(join(PROJECT_DIR, "test/corpus/libreoffice.docx"))),
    )
  })

  it("sent exactly one mail, exactly so, to the MailChannels API", () => {
    expect(mail.requests).toHaveLength(1)
    const [request] = mail.requests
    expect(request).toMatchObject({
      method: "POST",
      path: "/tx/v1/send?dry-run=false",
      headers: { "x-api-key": "a-key-for-the-stand-in", "content-type": "application/json" },
    })
    const { content, ...body } = request?.body as { content: { type: string; value: string }[] } & Record<string, unknown>
    expect(body).toEqual({
      from: { email: "files@example.com", name: "Sealpost" },
      personalizations: [{ to: [{ email: CLIENT.email }] }],
      subject: "Confirm your e-mail address",
      tracking_settings: { click_tracking: { enable: false }, open_tracking: { enable: false } },
    })
    expect(content).toHaveLength(1)
    expect(content[0]?.type).toBe("text/plain")
    expect(content[0]?.value).toMatch(/http:\/\/localhost:\d+\/verify-email\/[\w-]{60}#[0-9A-Z]{4}-[0-9A-Z]{4}\n/)
  })
})

describe("the running service", () => {
  it.each([...CORPUS_SAMPLE, ...PACKAGED_SAMPLE])("carries %s through unchanged", async (document) => {
    const path = corpusPath(document)
    const name = basename(path)
    const ops = await logIn("ops", printedAccount(service.output()))
    const client = await logIn("client", CLIENT)
    const uploaded = JSON.parse(await curl(`${service.origin}/api/ops/upload`, ...bearer(ops), "-F", `file=@${path}`)) as {
      file: { id: string; sha256: string }
    }
    expect(uploaded.file.sha256).toBe(sha256(readFileSync(path)))
    const link = JSON.parse(await curl(`${service.origin}/api/client/download/${uploaded.file.id}`, ...bearer(client))) as {
      "download-link": string
    }
    const received = join(dir, `received-${name}`)
    expect(
      await curl(link["download-link"], ...bearer(client), "-o", received, "-w", "%{http_code} %header{content-disposition}"),
    ).toBe(`200 attachment; filename="${name.replaceAll(/[^ -~]/g, "_")}"; filename*=UTF-8''${encodeURIComponent(name)}`)
    expect(sha256(readFileSync(received))).toBe(uploaded.file.sha256)
    expect(await status(link["download-link"])).toBe(401)
    expect(await status(link["download-link"], ...bearer(ops))).toBe(403)
  })

  it("carries 100 MB through unchanged, with and without a declared length", async () => {
    const large = Buffer.from(zipSync(documentParts(randomBytes(100_000_000)), { level: 0 }))
    const path = join(dir, "large.docx")
    writeFileSync(path, large)
    const ops = await logIn("ops", printedAccount(service.output()))
    for (const how of [[], ["-H", "Transfer-Encoding: chunked"]]) {
      const uploaded = JSON.parse(
        await curl(`${service.origin}/api/ops/upload`, ...bearer(ops), ...how, "-F", `file=@${path}`),
      ) as { file: { id: string; size: number; sha256: string } }
      expect(uploaded.file).toMatchObject({ size: large.length, sha256: sha256(large) })
      const received = join(dir, "received-large.docx")
      const content = `${service.origin}/api/ops/files/${uploaded.file.id}/content`
      expect(await curl(content, ...bearer(ops), "-o", received, "-w", "%{http_code} %{size_download}")).toBe(
        `200 ${String(large.length)}`,
      )
      expect(sha256(readFileSync(received))).toBe(sha256(large))
    }
  })

  it("answers a large file that is no document with 422 while curl is still sending", async () => {
    const path = join(dir, "large-text.docx")
    writeFileSync(path, Buffer.alloc(50_000_000, "text "))
    const ops = await logIn("ops", printedAccount(service.output()))
    const body = await curl(`${service.origin}/api/ops/upload`, ...bearer(ops), "-F", `file=@${path}`)
    expect(JSON.parse(body)).toMatchObject({ status: 422, code: "document_refused", reason: "not_a_zip" })
  })

  it("makes ops accounts by command, from standard input or environment, once per address", async () => {
    const create = (args: string[], options: { env?: Record<string, string>; input?: string }) =>
      run("npm", ["run", "--silent", "ops:create", "--", "--persist-to", stateDir, ...args], options)
    const piped = { email: "o'brien@example.com", password: "piped in, with ünïcode" }
    const fromEnv = { email: "second@example.com", password: "from the environment" }
    expect(await create(["--email", piped.email], { input: `${piped.password}\n` })).toMatchObject({
      code: 0,
      stdout: `Ops account made: ${piped.email}\n`,
    })
    expect(await create(["--email", fromEnv.email], { env: { OPS_PASSWORD: fromEnv.password } })).toMatchObject({ code: 0 })
    for (const account of [piped, fromEnv]) expect(await logIn("ops", account)).toMatch(/^ey/)

    const again = await create(["--email", piped.email.toUpperCase()], { input: "another long password" })
    expect(again).toMatchObject({ code: 1 })
    expect(again.stderr).toContain("has an account already")
    const short = await create(["--email", "third@example.com"], { input: "too short" })
    expect(short).toMatchObject({ code: 1 })
    expect(short.stderr).toContain("at least 15 characters")
    const noEmail = await create(["--email", "nobody"], { input: "a long enough password" })
    expect(noEmail).toMatchObject({ code: 1 })
    expect(await logIn("ops", piped)).toMatch(/^ey/)
  })

  it("holds no plaintext on disk, and prints no token, code or password", () => {
    const markers = ["word/document.xml", "ppt/presentation.xml", "xl/workbook.xml", "[Content_Types].xml", "media.bin"]
    const blobs = readdirSync(join(stateDir, "v3/r2"), { recursive: true, encoding: "utf8" }).filter((name) =>
      name.includes("blobs/"),
    )
    expect(blobs.length).toBeGreaterThan(8)
    for (const name of blobs) {
      const path = join(stateDir, "v3/r2", name)
      if (!statSync(path).isFile()) continue
      const bytes = readFileSync(path)
      for (const marker of markers) expect(bytes.includes(marker), `${name}: ${marker}`).toBe(false)
    }
    const printed = service.output()
    expect(printed).toContain('"operation":"GET /download-file/:token"')
    expect(printed).not.toMatch(/download-file\/[\w-]{20}/)
    expect(printed).not.toMatch(/verify-email\/[\w-]{20}/)
    expect(printed).not.toContain(CLIENT.password)
    expect(printed).not.toContain(CLIENT.email)
  })

  it("ends with all its children on SIGTERM, and keeps everything for the next start", async () => {
    const account = printedAccount(service.output())
    const files = await curl(`${service.origin}/api/client/files`, ...bearer(await logIn("client", CLIENT)))
    expect((JSON.parse(files) as { files: unknown[] }).files.length).toBeGreaterThan(8)
    await service.stop("SIGTERM")
    await expect(fetch(`${service.origin}/healthz`)).rejects.toThrow()
    const left = await run("pgrep", ["-f", stateDir])
    expect(left.stdout).toBe("")

    service = await startService(startArgs(), port)
    expect(printedAccount(service.output())).toEqual(account)
    expect(await curl(`${service.origin}/api/client/files`, ...bearer(await logIn("client", CLIENT)))).toBe(files)
    await logIn("ops", account)
  })
})

describe("the audit trail", () => {
  const command = (name: string, place: string, ...args: string[]) =>
    run("npm", ["run", "--silent", name, "--", "--persist-to", place, ...args])

  const execute = (place: string, sql: string): Promise<Rows[]> =>
    withDatabase({ persistTo: place }, (database) => database.batch([sql]))

  /** What is put into the copy the running service never sees. */
  function copyOfState(): string {
    const copy = mkdtempSync(join(dir, "copy-"))
    cpSync(stateDir, copy, { recursive: true, filter: (path) => !path.includes("/r2/") })
    return copy
  }

  it("is whole beside the running service, and its end can be remembered", async () => {
    const verified = await command("audit:verify", stateDir, "--json")
    const report = JSON.parse(verified.stdout) as { ok: boolean; sealed: number; head: { seq: number; chain: string } }
    expect([verified.code, report.ok]).toEqual([0, true])
    expect(report.sealed).toBeGreaterThan(10)
    const expected = `${String(report.head.seq)}/${report.head.chain}`
    const again = await command("audit:verify", stateDir, "--expect", expected)
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("all is well") as string])
    const lost = await command("audit:verify", stateDir, "--expect", `${String(report.head.seq + 1000)}/${report.head.chain}`)
    expect([lost.code, lost.stdout]).toEqual([
      1,
      expect.stringMatching(/older copy was put back\.\nNo row was checked\.\nEnd: /) as string,
    ])
  })

  it("is written out as NDJSON and as CSV, safe for spreadsheets", async () => {
    const copy = copyOfState()
    const sql = `insert into audit_events (id, at_ms, kind, reason) values ('a', 1, 'x', '=HYPERLINK("a","b")')`
    await execute(copy, sql)
    const lines = (await command("audit:export", copy, "--format", "ndjson")).stdout.trim().split("\n")
    const rows = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(rows.find((row) => row["kind"] === "account.ops_created")).toMatchObject({ result: "ok", reason: "command" })
    expect(rows.find((row) => row["kind"] === "link.used")).toMatchObject({ at: expect.stringMatching(/^20.*Z$/) as string })
    const file = join(dir, "trail.csv")
    const written = { code: 0, stdout: `Written: ${file} (${String(rows.length)} rows)\n`, stderr: "" }
    expect(await command("audit:export", copy, "--format", "csv", "--out", file)).toEqual(written)
    const csv = readFileSync(file, "utf8")
    expect(csv).toMatch(/^seq,at,kind,result,reason,/)
    expect(csv.split("\r\n")).toHaveLength(rows.length + 2)
    expect(csv).toContain(`"'=HYPERLINK(""a"",""b"")"`)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect((await command("audit:export", copy, "--format", "csv", "--out", file)).code).toBe(1)
    const late = (await command("audit:export", copy, "--format", "ndjson", "--since", "2000-01-01")).stdout
    expect(late.trim().split("\n")).toHaveLength(rows.length - 1)
  })

  it("names the first row that was changed", async () => {
    const copy = copyOfState()
    expect((await command("audit:verify", copy)).code).toBe(0)
    const [[row] = []] = await execute(copy, "update audit_events set kind = 'x' where seq = 3 returning id")
    const verified = await command("audit:verify", copy)
    expect(verified.code).toBe(1)
    expect(verified.stdout).toContain("Row 3 is not what was signed")
    expect(verified.stdout).toContain(String(row?.["id"]))
  })
})

describe("what Wrangler would add", () => {
  it.each(["/cdn-cgi/explorer/", "/cdn-cgi/explorer/api/d1/database", "/__scheduled", "/.dev.vars"])(
    "%s is not there",
    async (path) => {
      expect(await status(`${service.origin}${path}`)).toBe(404)
      expect(await status(`${service.origin}/healthz`)).toBe(200)
    },
  )

  it("no SQL reaches the database from outside", async () => {
    const url = `${service.origin}/cdn-cgi/explorer/api/d1/database/DB/raw`
    expect(await status(url, "-H", "Content-Type: application/json", "-d", '{"sql":"select 1"}')).toBe(404)
  })
})

describe("master keys", () => {
  const command = (name: string) => run("npm", ["run", "--silent", name, "--", "--persist-to", stateDir, "--json"])
  const restart = async (edit: (secrets: string) => string): Promise<void> => {
    await service.stop()
    const path = join(stateDir, "sealpost.env")
    writeFileSync(path, edit(readFileSync(path, "utf8")))
    service = await startService(startArgs(), port)
  }

  it("are rotated beside the running service, after which the old one is not needed; npm run verify agrees", async () => {
    const before = await command("verify")
    expect(before).toMatchObject({ code: 0, stderr: "" })
    const { filesOpened, findings } = JSON.parse(before.stdout) as { filesOpened: number; findings: unknown[] }
    expect(findings).toEqual([])
    expect(filesOpened).toBeGreaterThan(8)

    const entry = (await run("npm", ["run", "--silent", "secrets", "--", "MASTER_KEYS", "--id", "2"])).stdout.trim()
    const path = join(stateDir, "sealpost.env")
    writeFileSync(path, readFileSync(path, "utf8").replace(/MASTER_KEYS=/, `MASTER_KEYS=${entry},`))
    const early = await command("keys:rotate")
    expect(early).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("Restart it first") as string })
    await restart((secrets) => secrets)
    const rotated = await command("keys:rotate")
    expect(rotated).toMatchObject({ code: 0, stderr: "" })
    expect(JSON.parse(rotated.stdout)).toEqual({ rewrapped: filesOpened, failed: [], left: 0 })

    await restart((secrets) => secrets.replace(/MASTER_KEYS=.*/, `MASTER_KEYS=${entry}`))
    expect(JSON.parse((await command("verify")).stdout)).toMatchObject({ filesOpened, findings: [] })
    const ops = await logIn("ops", printedAccount(service.output()))
    const list = JSON.parse(await curl(`${service.origin}/api/ops/files?limit=200`, ...bearer(ops))) as {
      files: { id: string; sha256: string; name: string }[]
    }
    const small = list.files.find(({ name }) => name === "openpyxl.xlsx")
    const received = join(dir, "after-rotation")
    await curl(`${service.origin}/api/ops/files/${small?.id ?? ""}/content`, ...bearer(ops), "-o", received)
    expect(sha256(readFileSync(received))).toBe(small?.sha256)
  })
})

describe("a download", () => {
  it("that was cut at any byte is finished by curl -C -", async () => {
    const ops = await logIn("ops", printedAccount(service.output()))
    const list = JSON.parse(await curl(`${service.origin}/api/ops/files?limit=200`, ...bearer(ops))) as {
      files: { id: string; size: number; sha256: string }[]
    }
    const large = list.files.toSorted((a, b) => b.size - a.size)[0]
    if (large === undefined) throw new Error("no file")
    const url = `${service.origin}/api/ops/files/${large.id}/content`
    const whole = join(dir, "whole")
    await curl(url, ...bearer(ops), "-o", whole)
    const bytes = readFileSync(whole)
    for (const cut of [1, 262_087, 262_088, 262_089, 5_242_879, 5_242_880, 5_242_881, 50_000_000, bytes.length - 1]) {
      const path = join(dir, "cut")
      writeFileSync(path, bytes.subarray(0, cut))
      expect(await curl("-C", "-", url, ...bearer(ops), "-o", path, "-w", "%{http_code}"), `cut at ${String(cut)}`).toBe("206")
      expect(sha256(readFileSync(path)), `cut at ${String(cut)}`).toBe(large.sha256)
    }
  })
})

describe("npm start", () => {
  it.each([
    ["a short secret", ["--var", "LINK_KEYS:1:short"], "LINK_KEYS is not usable"],
    ["a mail transport without its key", ["--var", "MAIL_TRANSPORT:mailchannels"], "MAILCHANNELS_API_KEY is missing"],
    ["console mail on a public origin", ["--var", "PUBLIC_ORIGIN:https://files.example.com"], "MAIL_TRANSPORT is console"],
  ])("refuses %s, naming what mends it", async (_, args, message) => {
    const free = await freePort()
    await expect(startService(["--persist-to", join(dir, "refused"), ...args], free)).rejects.toThrow(message)
    await expect(startService(["--persist-to", join(dir, "refused"), ...args], free)).rejects.toThrow(
      /npm run secrets|npx wrangler secret|set it to/,
    )
  })

  it("that cannot start does not say that it is ready", async () => {
    const free = await freePort()
    const error: unknown = await startService(["--persist-to", join(dir, "refused"), "--no-such-flag"], free).catch(
      (reason: unknown) => reason,
    )
    expect(String(error)).toContain("ended with 1")
    expect(String(error)).not.toContain("is ready")
  })

  it("refuses a state on which another one runs", async () => {
    await expect(startService(["--persist-to", stateDir], await freePort())).rejects.toThrow("running on this state already")
  })

  it("says so when its port is taken", async () => {
    await expect(startService(["--persist-to", join(dir, "refused")], port)).rejects.toThrow(`Port ${String(port)} is in use`)
  })

  it("shows mails in the terminal by default", async () => {
    const other = await startService(["--persist-to", join(dir, "console")], await freePort())
    try {
      const answer = await curl(
        `${other.origin}/api/client/signup`,
        "-H",
        "Content-Type: application/json",
        "-d",
        JSON.stringify(CLIENT),
      )
      const { verifyUrl } = JSON.parse(answer) as { verifyUrl: string }
      for (let i = 0; i < 100 && !other.output().includes("Subject: Confirm"); i++)
        await new Promise((wake) => setTimeout(wake, 50))
      expect(other.output()).toContain(`To: ${CLIENT.email}`)
      const code = /#([0-9A-Z]{4}-[0-9A-Z]{4})/.exec(other.output())?.[1] ?? ""
      const body = JSON.stringify({ handle: verifyUrl.split("/").at(-1), code })
      expect(await status(`${other.origin}/api/client/verify-email`, "-H", "Content-Type: application/json", "-d", body)).toBe(
        200,
      )
    } finally {
      await other.stop()
    }
    expect(existsSync(join(dir, "console/sealpost.env"))).toBe(true)
  })
})
