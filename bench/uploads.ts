// npm run bench:uploads
// A presentation of 300 MB by tus-js-client beside one plain upload of the same bytes, in turn within one run, as ratios
// of medians. In one request, and in pieces that pass where a request's body is limited to 100 MB: from memory, and from
// a stream that no one ever holds whole. What the first of each has stored is read back and must be the same bytes.
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { createPresentation } from "./presentation.ts"
import { median, startSubject } from "./subject.ts"
import { uploadByTus } from "./tus-upload.ts"

const SIZE_BYTES = 300_000_000
const RUNS = 3
const PIECE_BYTES = 90_000_000
const AT_MOST = "at most 1.3"

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const path = join(dir, "large.pptx")
const presentation = createPresentation(SIZE_BYTES, 20)
await writeFile(path, presentation.chunks())
const bytes = readFileSync(path)
const subject = await startSubject(join(dir, "state"))
const headers = { Authorization: subject.authorization }

const plain = (): Promise<string> => subject.upload(path)

const byTus = (source: () => Buffer | Readable, chunkBytes: number) => (): Promise<string> =>
  uploadByTus(subject, source(), { name: "large.pptx", sizeBytes: presentation.sizeBytes, chunkBytes })

const sides = [
  { name: "plain, one request", run: plain, bound: "the measure" },
  { name: "tus, one PATCH", run: byTus(() => bytes, Number.POSITIVE_INFINITY), bound: AT_MOST },
  { name: "tus, pieces of 90 MB", run: byTus(() => bytes, PIECE_BYTES), bound: AT_MOST },
  {
    name: "the same, from a stream",
    run: byTus(() => Readable.from(presentation.chunks(), { objectMode: false }), PIECE_BYTES),
    bound: "with the making of its bytes",
  },
].map((side) => ({ ...side, seconds: [] as number[] }))

async function requireSame(name: string, fileId: string): Promise<void> {
  const response = await fetch(subject.contentUrl(fileId), { headers })
  const hash = createHash("sha256")
  for await (const chunk of response.body ?? []) hash.update(chunk as Uint8Array)
  if (hash.digest("hex") !== presentation.sha256) throw new Error(`${name}: what was stored is not what was sent`)
  console.log(`${name.padEnd(24)} ${String(presentation.sizeBytes)} bytes stored and read back, the same SHA-256`)
}

try {
  for (let i = 0; i <= RUNS; i++) {
    for (const side of sides) {
      const started = performance.now()
      const fileId = await side.run()
      // The first round warms up, and proves that what is timed is right.
      if (i > 0) side.seconds.push((performance.now() - started) / 1000)
      else await requireSame(side.name, fileId)
      await fetch(`${subject.origin}/api/ops/files/${fileId}`, { method: "DELETE", headers })
    }
  }
  const base = median(sides[0]?.seconds ?? [])
  console.log(`A presentation of 300 MB, medians of ${String(RUNS)} in turn:`)
  for (const { name, seconds, bound } of sides) {
    const own = median(seconds)
    console.log(`${name.padEnd(24)} ${own.toFixed(2)} s   ${(own / base).toFixed(2)}×  (${bound})`)
  }
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true })
}
