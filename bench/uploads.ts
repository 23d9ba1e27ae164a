// npm run bench:uploads
// A document of 300 MB by tus-js-client beside one plain upload of the same bytes, in turn within one run, as ratios of
// medians. In one request, and in pieces that pass where a request's body is limited to 100 MB.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Upload } from "tus-js-client"
import { curl, median, startSubject, writeDocument } from "./subject.ts"

const SIZE_BYTES = 300_000_000
const RUNS = 3
const PIECE_BYTES = 90_000_000

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const path = join(dir, "large.docx")
writeDocument(path, SIZE_BYTES)
const bytes = readFileSync(path)
const subject = await startSubject(join(dir, "state"))

const plain = async (): Promise<void> => {
  await curl("-o", "/dev/null", `${subject.origin}/api/ops/upload`, ...subject.auth, "-F", `file=@${path}`)
}

const byTus = (chunkSize: number) => (): Promise<void> =>
  new Promise((resolve, reject) => {
    new Upload(bytes, {
      endpoint: `${subject.origin}/api/ops/uploads`,
      headers: { Authorization: (subject.auth[1] ?? "").replace("Authorization: ", "") },
      metadata: { filename: "large.docx" },
      retryDelays: null,
      chunkSize,
      onError: reject,
      onSuccess: () => {
        resolve()
      },
    }).start()
  })

const sides = [
  { name: "plain, one request", run: plain },
  { name: "tus, one PATCH", run: byTus(Number.POSITIVE_INFINITY) },
  { name: "tus, pieces of 90 MB", run: byTus(PIECE_BYTES) },
].map((side) => ({ ...side, seconds: [] as number[] }))

try {
  for (let i = 0; i <= RUNS; i++) {
    for (const side of sides) {
      const started = performance.now()
      await side.run()
      // The first round warms up.
      if (i > 0) side.seconds.push((performance.now() - started) / 1000)
    }
  }
  const base = median(sides[0]?.seconds ?? [])
  console.log(`300 MB, medians of ${String(RUNS)} in turn:`)
  for (const { name, seconds } of sides) {
    const own = median(seconds)
    console.log(`${name.padEnd(24)} ${own.toFixed(2)} s   ${(own / base).toFixed(2)}×  (at most 1.3)`)
  }
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true })
}
