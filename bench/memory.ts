// npm run bench:memory
// How much memory workerd takes for one 100 MB upload and download through Sealpost, beside the same bytes
// through a Worker that only pipes them to and from R2. Each in a fresh process; resident memory of workerd,
// sampled every 10 ms, as growth over idle. Linux only (/proc).
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { randomBytes } from "node:crypto"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { zipSync } from "fflate"
import { PROJECT_DIR, wranglerCommand, wranglerEnv } from "../scripts/wrangler.ts"
import { type Service, freePort, printedAccount, run, startService } from "../test/e2e/service.ts"

const SIZE_BYTES = 100_000_000
const RUNS = 5
const MAIN_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"

/** Process ids below this one, itself included. */
function descendants(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, "utf8"))?.[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(name)])
    } catch {
      // Gone since it was listed.
    }
  }
  const below = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(below)]
  return below(root)
}

const isWorkerd = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${String(pid)}/comm`, "utf8").trim() === "workerd"
  } catch {
    return false
  }
}

const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1]) * 1024

/** Greatest growth of workerd's resident memory while `work` runs. */
async function growth(workerd: readonly number[], work: () => Promise<void>): Promise<number> {
  const total = (): number => workerd.reduce((sum, pid) => sum + residentBytes(pid), 0)
  const idle = total()
  let peak = idle
  const timer = setInterval(() => (peak = Math.max(peak, total())), 10)
  await work()
  clearInterval(timer)
  return Math.max(peak, total()) - idle
}

const curl = async (...args: string[]): Promise<string> => (await run("curl", ["-sS", "--fail-with-body", ...args])).stdout

type Subject = {
  workerd: number[]
  upload: () => Promise<string>
  download: (id: string) => Promise<void>
  stop: () => Promise<unknown>
}

async function startSealpost(dir: string, document: string): Promise<Subject> {
  const service: Service = await startService(["--persist-to", join(dir, "state")], await freePort())
  const login = await curl(
    `${service.origin}/api/ops/login`,
    "-H",
    "Content-Type: application/json",
    "-d",
    JSON.stringify(printedAccount(service.output())),
  )
  const auth = ["-H", `Authorization: Bearer ${(JSON.parse(login) as { accessToken: string }).accessToken}`]
  return {
    workerd: descendants(service.process.pid ?? 0).filter(isWorkerd),
    upload: async () =>
      (JSON.parse(await curl(`${service.origin}/api/ops/upload`, ...auth, "-F", `file=@${document}`)) as { file: { id: string } })
        .file.id,
    download: async (id) => {
      await curl(`${service.origin}/api/ops/files/${id}/content`, ...auth, "-o", join(dir, "received"))
    },
    stop: () => service.stop(),
  }
}

async function startPlain(dir: string, document: string): Promise<Subject> {
  const port = await freePort()
  const args = [
    "dev",
    "-c",
    join(PROJECT_DIR, "bench/wrangler.toml"),
    "--port",
    String(port),
    "--persist-to",
    join(dir, "plain"),
    "--inspector-port",
    "0",
  ]
  const [command, commandArgs] = wranglerCommand(args)
  const child: ChildProcess = spawn(command, commandArgs, {
    cwd: PROJECT_DIR,
    env: wranglerEnv(),
    stdio: "ignore",
    detached: true,
  })
  const url = `http://localhost:${String(port)}/object`
  for (let i = 0; i < 300 && (await fetch(url).catch(() => null)) === null; i++)
    await new Promise((wake) => setTimeout(wake, 100))
  return {
    workerd: descendants(child.pid ?? 0).filter(isWorkerd),
    upload: () => curl(url, "-T", document),
    download: async () => {
      await curl(url, "-o", join(dir, "received"))
    },
    stop: () =>
      new Promise((resolve) => {
        child.on("close", resolve)
        process.kill(-(child.pid ?? 0), "SIGTERM")
      }),
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0).padStart(6)} MB`

async function measure(
  name: string,
  start: (dir: string, document: string) => Promise<Subject>,
  document: string,
): Promise<void> {
  const growths = { upload: [] as number[], download: [] as number[] }
  for (let i = 0; i < RUNS; i++) {
    const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
    const subject = await start(dir, document)
    let id = ""
    const upload = async (): Promise<void> => {
      id = await subject.upload()
    }
    growths.upload.push(await growth(subject.workerd, upload))
    growths.download.push(await growth(subject.workerd, () => subject.download(id)))
    await subject.stop()
    if (statSync(join(dir, "received")).size !== statSync(document).size)
      throw new Error(`${name}: the download has another size`)
    rmSync(dir, { recursive: true })
  }
  console.log(`${name.padEnd(10)} upload ${megabytes(median(growths.upload))}   download ${megabytes(median(growths.download))}`)
}

const work = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const document = join(work, "large.docx")
const types = `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/d.xml" ContentType="${MAIN_TYPE}"/></Types>`
writeFileSync(
  document,
  zipSync({ "[Content_Types].xml": new TextEncoder().encode(types), "media.bin": randomBytes(SIZE_BYTES) }, { level: 0 }),
)
console.log(
  `Growth of workerd over idle, one transfer of ${String(SIZE_BYTES / 1e6)} MB, medians of ${String(RUNS)} fresh processes:`,
)
await measure("sealpost", startSealpost, document)
await measure("plain", startPlain, document)
rmSync(work, { recursive: true })
