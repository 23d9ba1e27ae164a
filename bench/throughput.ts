// npm run bench
// Sealed transfers beside plain ones of the same bytes through the same Worker, in turn within one run, as
// ratios of medians. Local R2 is a simulator that reads multipart objects slowly, so like is compared with like:
// a plain download is that of the very object that holds the sealed file, a plain upload is a multipart one too.
import { mkdtempSync, rmSync } from "node:fs"
import { get as httpGet } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Subject, curl, median, startSubject, writeDocument } from "./subject.ts"

const MIB = 1024 * 1024
const RUNS = 5
/** Of what takes milliseconds. */
const SHORT_RUNS = 15

const seconds = async (variable: string, ...args: string[]): Promise<number> =>
  Number(await curl("-o", "/dev/null", "-w", `%{${variable}}`, ...args))

/** Long enough for the Worker to notice that nobody takes the rest of the answer before. */
const SETTLE_MS = 300

/** Seconds until the first byte of a body; the rest is not taken. */
async function secondsToFirstByte(url: string, authorization: string): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  return new Promise((resolve, reject) => {
    const startMs = performance.now()
    const request = httpGet(url, { headers: { authorization }, agent: false }, (response) => {
      response.once("data", () => {
        resolve((performance.now() - startMs) / 1000)
        request.destroy()
      })
    })
    request.once("error", reject)
  })
}

type Side = { seconds: number[]; cpuSeconds: number[] }

/** Runs both sides in turn and prints the ratio of their medians. */
async function compare(
  subject: Subject,
  name: string,
  limit: string,
  mebibytes: number,
  sealed: () => Promise<number>,
  plain: () => Promise<number>,
): Promise<void> {
  const runs = mebibytes < 1 ? SHORT_RUNS : RUNS
  const sides: [Side, Side] = [
    { seconds: [], cpuSeconds: [] },
    { seconds: [], cpuSeconds: [] },
  ]
  await sealed()
  await plain()
  for (let i = 0; i < runs; i++) {
    for (const [side, run] of [
      [sides[0], sealed],
      [sides[1], plain],
    ] as const) {
      const before = subject.cpuSeconds()
      side.seconds.push(await run())
      side.cpuSeconds.push(subject.cpuSeconds() - before)
    }
  }
  const [a, b] = sides.map((side) => median(side.seconds)) as [number, number]
  const cpu = sides.map((side) => ((median(side.cpuSeconds) * 1000) / mebibytes).toFixed(1))
  const times = `${a.toFixed(3)} s against ${b.toFixed(3)} s`
  const perMib = mebibytes < 1 ? "" : `   CPU ${cpu.join(" against ")} ms/MiB`
  console.log(`${name.padEnd(34)} ${(a / b).toFixed(2)}×  (${limit})   ${times}${perMib}`)
}

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const paths = { small: join(dir, "small.docx"), medium: join(dir, "medium.docx"), large: join(dir, "large.docx") }
writeDocument(paths.small, 100_000)
writeDocument(paths.medium, 256 * MIB)
writeDocument(paths.large, 1024 * MIB)
const subject = await startSubject(join(dir, "state"))
try {
  const ids = {
    small: await subject.upload(paths.small),
    medium: await subject.upload(paths.medium),
    large: await subject.upload(paths.large),
  }
  console.log(`Sealed against plain in the same Worker, medians of ${String(RUNS)} in turn, ${String(SHORT_RUNS)} of short ones:`)
  const get = (url: string, ...more: string[]) => seconds("time_total", url, ...subject.auth, ...more)
  await compare(
    subject,
    "download of 256 MiB",
    "at most 1.6",
    256,
    () => get(subject.contentUrl(ids.medium)),
    () => get(subject.plainUrl(ids.medium)),
  )
  await compare(
    subject,
    "upload of 256 MiB",
    "at most 1.2",
    256,
    () => seconds("time_total", `${subject.origin}/api/ops/upload`, ...subject.auth, "-F", `file=@${paths.medium}`),
    () => seconds("time_total", `${subject.origin}/bench/plain`, "-X", "POST", "-F", `file=@${paths.medium}`),
  )
  const end = ["-H", `Range: bytes=${String(1024 * MIB - 65_536)}-${String(1024 * MIB - 1)}`]
  await compare(
    subject,
    "64 KiB at the end of 1 GiB",
    "at most 1.5",
    0,
    () => get(subject.contentUrl(ids.large), ...end),
    () => get(subject.plainUrl(ids.large), ...end),
  )
  const firstByte = (url: string) => secondsToFirstByte(url, subject.authorization)
  await compare(
    subject,
    "first byte, 1 GiB against 100 kB",
    "about 1",
    0,
    () => firstByte(subject.contentUrl(ids.large)),
    () => firstByte(subject.contentUrl(ids.small)),
  )
  // The simulator sets up a read in a time that grows with the range and the object's parts: plain ones wait too.
  await compare(
    subject,
    "first byte of 1 GiB",
    "about 1",
    0,
    () => firstByte(subject.contentUrl(ids.large)),
    () => firstByte(subject.plainUrl(ids.large)),
  )
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true })
}
