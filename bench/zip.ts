// npm run bench:zip
// Selections beside what they stand for, in turn within one run, as ratios of medians: one archive of many files, the same
// files by links of their own over one connection, and the same sealed objects plain. Then what CRC-32 adds to an upload.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { curl, median, startSubject, writeDocument } from "./subject.ts"

const RUNS = 5
const HASHED_MEBIBYTES = 512
const LOGIN = { email: "client@example.com", password: "a password for the bench" }

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const subject = await startSubject(join(dir, "state"))
const post = async (path: string, body: unknown, authorization = subject.authorization): Promise<string> =>
  curl(`${subject.origin}${path}`, "-H", `Authorization: ${authorization}`, "-H", "Content-Type: application/json", "-d", JSON.stringify(body)) // prettier-ignore
const linkIn = (answer: string): string => (JSON.parse(answer) as { "download-link": string })["download-link"]

type Side = { name: string; seconds: number[]; cpuSeconds: number[]; run: () => Promise<unknown> }

/** Runs all sides in turn; the first is compared with each of the others. */
async function compare(mebibytes: number, sides: Side[]): Promise<void> {
  for (const side of sides) await side.run()
  for (let i = 0; i < RUNS; i++) {
    for (const side of sides) {
      const [cpu, startMs] = [subject.cpuSeconds(), performance.now()]
      await side.run()
      side.seconds.push((performance.now() - startMs) / 1000)
      side.cpuSeconds.push(subject.cpuSeconds() - cpu)
    }
  }
  const own = median(sides[0]?.seconds ?? [])
  for (const { name, seconds, cpuSeconds } of sides) {
    const cpu = ((median(cpuSeconds) * 1000) / mebibytes).toFixed(2)
    console.log(`  ${name.padEnd(32)} ${median(seconds).toFixed(3)} s   archive ${(own / median(seconds)).toFixed(2)}× of it   CPU ${cpu} ms/MiB`) // prettier-ignore
  }
}

const side = (name: string, run: () => Promise<unknown>): Side => ({ name, seconds: [], cpuSeconds: [], run })

async function measure(count: number, sizeBytes: number): Promise<void> {
  const path = join(dir, "document.docx")
  writeDocument(path, sizeBytes)
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push(await subject.upload(path))
  const { accessToken } = JSON.parse(await post("/api/client/login", LOGIN)) as { accessToken: string }
  const client = `Bearer ${accessToken}`
  const archive = linkIn(await post("/api/client/download", { files: ids }, client))
  const single: string[] = []
  for (const id of ids)
    single.push(linkIn(await curl(`${subject.origin}/api/client/download/${id}`, "-H", `Authorization: ${client}`)))
  const fetchAll = (urls: readonly string[], authorization: string) =>
    curl("-H", `Authorization: ${authorization}`, ...urls.flatMap((url) => ["-o", "/dev/null", url]))
  const mebibytes = (count * sizeBytes) / 1024 ** 2
  console.log(`${String(count)} files of ${(sizeBytes / 1e6).toFixed(1)} MB, medians of ${String(RUNS)} in turn:`)
  await compare(mebibytes, [
    side("one archive of all", () => fetchAll([archive], client)),
    side("links of their own", () => fetchAll(single, client)),
    side("plain, one by one", () => fetchAll(ids.map(subject.plainUrl), subject.authorization)),
  ])
}

try {
  await post("/bench/seed", { first: 0, count: 1, clients: 1 })
  await measure(16, 16_000_000)
  await measure(100, 100_000)
  const hash = (what: string) => () => curl(`${subject.origin}/bench/hash/${what}/${String(HASHED_MEBIBYTES)}`)
  console.log("Digests of what is uploaded:")
  await compare(HASHED_MEBIBYTES, [side("CRC-32", hash("crc32")), side("SHA-256", hash("sha256")), side("neither", hash("none"))])
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true })
}
