// What the benches measure: one `wrangler dev` of bench/worker.ts with an ops account, its workerd processes,
// and documents of a wanted size.
import { type ChildProcess, spawn } from "node:child_process"
import { randomFillSync } from "node:crypto"
import { readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { zipSync } from "fflate"
import { choosePort, startDevServer, stopDevServer, untilReady } from "../scripts/dev-server.ts"
import { LOCAL_MAIL_FROM, localSecrets } from "../scripts/local-state.ts"
import { PASSWORD_MIN_CHARS } from "../src/crypto/password.ts"
import { accountSecrets, createOpsAccount, requireEmail } from "../scripts/ops-account.ts"
import { withDatabase } from "../scripts/database.ts"
import { PROJECT_DIR } from "../scripts/wrangler.ts"

const ACCOUNT = { email: "bench@example.com", password: "a password for the bench" }
const MAIN_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
const PACKAGE = "http://schemas.openxmlformats.org/package/2006"
const RELATIONSHIP = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"

/** The parts of a .docx with this media part. */
export function documentParts(media: Uint8Array): Record<string, Uint8Array> {
  const text = new TextEncoder()
  const types = `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="bin" ContentType="application/octet-stream"/><Override PartName="/d.xml" ContentType="${MAIN_TYPE}"/></Types>`
  const rels = `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="r" Type="${RELATIONSHIP}" Target="d.xml"/></Relationships>`
  const main = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"/>'
  return {
    "[Content_Types].xml": text.encode(types),
    "_rels/.rels": text.encode(rels),
    "d.xml": text.encode(main),
    "media.bin": media,
  }
}

/** Writes a .docx of about that size, incompressible. */
export function writeDocument(path: string, sizeBytes: number): void {
  const media = new Uint8Array(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 2 ** 28) randomFillSync(media, at, Math.min(2 ** 28, sizeBytes - at))
  writeFileSync(path, zipSync(documentParts(media), { level: 0 }))
}

function runCurl(stdout: "pipe" | "ignore", args: readonly string[]): Promise<string> {
  const child = spawn("curl", ["-sS", "--fail-with-body", ...args], { stdio: ["ignore", stdout, "inherit"] })
  let text = ""
  child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on("close", (code) => {
      if (code === 0) resolve(text)
      else reject(new Error(`curl ended with ${String(code)}: ${text}`))
    })
  })
}

/** Runs curl and returns what it printed. */
export const curl = (...args: string[]): Promise<string> => runCurl("pipe", args)

/**
 * Runs curl, drops what it receives, and comes back after a 503 as Retry-After asks. Not with `-o /dev/null`:
 * curl cuts its output file back before it tries again, which a device refuses.
 */
export const curlPatiently = (...args: string[]): Promise<string> =>
  runCurl("ignore", ["--retry", "100", "--retry-max-time", "600", ...args])

/** Process ids of workerd below a process. */
function workerdsBelow(root: number): number[] {
  const children = new Map<number, number[]>()
  const names = new Map<number, string>()
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [, command = "", parent = ""] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? []
      names.set(Number(name), command)
      children.set(Number(parent), [...(children.get(Number(parent)) ?? []), Number(name)])
    } catch {
      // Gone since it was listed.
    }
  }
  const below = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(below)]
  return below(root).filter((pid) => names.get(pid) === "workerd")
}

export type Subject = Awaited<ReturnType<typeof startSubject>>

export async function startSubject(stateDir: string, vars: Record<string, string> = {}) {
  const secrets = localSecrets(stateDir)
  const choice = { address: requireEmail(ACCOUNT.email), password: ACCOUNT.password, minChars: PASSWORD_MIN_CHARS }
  await withDatabase({ persistTo: stateDir }, (database) => createOpsAccount(database, accountSecrets(secrets), choice))
  const port = await choosePort(0)
  const origin = `http://localhost:${String(port)}`
  const all = { PUBLIC_ORIGIN: origin, MAIL_TRANSPORT: "console", MAIL_FROM: LOCAL_MAIL_FROM, ...vars }
  const script = join(PROJECT_DIR, "bench/worker.ts")
  const child: ChildProcess = startDevServer({ port, stateDir, vars: all, script, args: [], isShown: false })
  await untilReady(origin, child)
  const login = await curl(`${origin}/api/ops/login`, "-H", "Content-Type: application/json", "-d", JSON.stringify(ACCOUNT))
  const authorization = `Bearer ${(JSON.parse(login) as { accessToken: string }).accessToken}`
  const auth = ["-H", `Authorization: ${authorization}`]
  const workerds = workerdsBelow(child.pid ?? 0)
  const field = (pid: number, name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1])

  return {
    origin,
    authorization,
    auth,
    async upload(path: string): Promise<string> {
      return (JSON.parse(await curl(`${origin}/api/ops/upload`, ...auth, "-F", `file=@${path}`)) as { file: { id: string } }).file
        .id
    },
    contentUrl: (fileId: string): string => `${origin}/api/ops/files/${fileId}/content`,
    plainUrl: (fileId: string): string => `${origin}/bench/plain/${fileId}`,
    /** Resident bytes of all workerd processes. */
    residentBytes: (): number => workerds.reduce((sum, pid) => sum + field(pid, "VmRSS") * 1024, 0),
    /** From now on the highest is that of now (proc(5), clear_refs). */
    forgetPeak(): void {
      for (const pid of workerds) writeFileSync(`/proc/${String(pid)}/clear_refs`, "5")
    },
    /** The most that they had resident since. */
    peakBytes: (): number => workerds.reduce((sum, pid) => sum + field(pid, "VmHWM") * 1024, 0),
    /** CPU seconds that they have used. */
    cpuSeconds: (): number =>
      workerds.reduce((sum, pid) => {
        const fields = readFileSync(`/proc/${String(pid)}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ")
        return sum + (Number(fields[11]) + Number(fields[12])) / 100
      }, 0),
    stop: (): Promise<void> => stopDevServer(child),
  }
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
