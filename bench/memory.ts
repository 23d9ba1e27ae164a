// npm run bench:memory [-- TEXT …]   only the loads whose names contain one of the texts
// Growth of workerd's resident memory over idle under transfers, sealed and plain in the same Worker, each in a
// fresh process. Local R2 is simulated inside workerd and takes memory itself, so only the difference counts.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Subject, curl, curlPatiently, median, startSubject, writeDocument } from "./subject.ts"

const RUNS = 5
const SIZE_BYTES = 100_000_000
const SLOW_BYTES = 20_000_000

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const large = join(dir, "large.docx")
const slow = join(dir, "slow.docx")
writeDocument(large, SIZE_BYTES)
writeDocument(slow, SLOW_BYTES)

const times = (count: number, work: () => Promise<unknown>): Promise<unknown> => Promise.all(Array.from({ length: count }, work))

/** Greatest growth while `work` runs. */
async function growth(subject: Subject, work: () => Promise<unknown>): Promise<number> {
  const idle = subject.residentBytes()
  let peak = idle
  const timer = setInterval(() => (peak = Math.max(peak, subject.residentBytes())), 20)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return Math.max(peak, subject.residentBytes()) - idle
}

type Load = {
  name: string
  runs: number
  sealed: (subject: Subject) => Promise<() => Promise<unknown>>
  plain: (subject: Subject) => Promise<() => Promise<unknown>>
}

const discard = ["-o", "/dev/null"]
const plainUpload = (subject: Subject) => () => curl(...discard, `${subject.origin}/bench/plain`, "-F", `file=@${large}`)

/** Past the budget's patience some get 503; they come back, as Retry-After asks. */
const sealedUpload = (subject: Subject) => () =>
  curlPatiently(`${subject.origin}/api/ops/upload`, ...subject.auth, "-F", `file=@${large}`)

const download = (path: string, count: number, more: string[]): Pick<Load, "sealed" | "plain"> => ({
  sealed: async (subject) => {
    const id = await subject.upload(path)
    return () => times(count, () => curlPatiently(...more, subject.contentUrl(id), ...subject.auth))
  },
  plain: async (subject) => {
    const id = await subject.upload(path)
    return () => times(count, () => curl(...discard, ...more, subject.plainUrl(id), ...subject.auth))
  },
})

const loads: Load[] = [
  {
    name: "1 upload of 100 MB",
    runs: RUNS,
    sealed: (subject) => Promise.resolve(sealedUpload(subject)),
    plain: (subject) => Promise.resolve(plainUpload(subject)),
  },
  { name: "1 download of 100 MB", runs: RUNS, ...download(large, 1, []) },
  {
    name: "16 uploads of 100 MB at once",
    runs: 1,
    sealed: (subject) => Promise.resolve(() => times(16, sealedUpload(subject))),
    plain: (subject) => Promise.resolve(() => times(16, plainUpload(subject))),
  },
  { name: "64 slow downloads of 20 MB", runs: 1, ...download(slow, 64, ["--limit-rate", "2M"]) },
]

async function measure(start: Load["sealed"], runs: number): Promise<number> {
  const growths: number[] = []
  for (let i = 0; i < runs; i++) {
    const stateDir = mkdtempSync(join(dir, "state-"))
    const subject = await startSubject(stateDir)
    try {
      growths.push(await growth(subject, await start(subject)))
    } finally {
      await subject.stop()
      rmSync(stateDir, { recursive: true })
    }
  }
  return median(growths)
}

console.log("Growth of workerd over idle (medians of fresh processes where more than one):")
const wanted = process.argv.slice(2)
for (const { name, runs, sealed, plain } of loads) {
  if (wanted.length > 0 && !wanted.some((text) => name.includes(text))) continue
  const [a, b] = [await measure(sealed, runs), await measure(plain, runs)]
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`
  console.log(
    `${name.padEnd(30)} sealed ${megabytes(a).padStart(8)}   plain ${megabytes(b).padStart(8)}   difference ${megabytes(a - b).padStart(8)}   runs ${String(runs)}`,
  )
}
rmSync(dir, { recursive: true })
