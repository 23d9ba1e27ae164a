// npm run bench:documents [-- WORDS]   only documents with these words in their names
// What checking a document costs, for genuine documents and for hostile ones: CPU of the whole workerd and its memory at
// the highest, of the check alone, the document being in the isolate already; the dearest of some runs. The budgets
// themselves are asserted by test/office/cost.test.ts.
import { randomFillSync } from "node:crypto"
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { zipSync } from "fflate"
import { DOCUMENT_TYPES, type DocumentType } from "../src/office/document-type.ts"
import { PROJECT_DIR } from "../scripts/wrangler.ts"
import { hostileDocuments } from "./hostile-documents.ts"
import { documentParts, startSubject } from "./subject.ts"

const CORPUS = join(PROJECT_DIR, "test/corpus")
/** Saved by Excel: 11 MB of relationships for as many hyperlinks as it takes on a sheet. */
const LINKS = join(PROJECT_DIR, "node_modules/xlsx-stream-reader/test/big.xlsx")
const RUNS = 3
const MIB = 1024 * 1024

const [words = ""] = process.argv.slice(2)

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const subject = await startSubject(dir)

async function measure(name: string, make: () => Uint8Array<ArrayBuffer>, type: DocumentType): Promise<void> {
  if (!name.includes(words)) return
  const bytes = make()
  await fetch(`${subject.origin}/bench/document`, { method: "POST", body: bytes })
  let checked = { fault: "" as string | null, readBytes: 0 }
  let cpuSeconds = 0
  let grownBytes = 0
  for (let run = 0; run < RUNS; run++) {
    const before = subject.cpuSeconds()
    const atRest = subject.residentBytes()
    subject.forgetPeak()
    checked = await fetch(`${subject.origin}/bench/document/${type}`).then((answer) => answer.json<typeof checked>())
    cpuSeconds = Math.max(cpuSeconds, subject.cpuSeconds() - before)
    grownBytes = Math.max(grownBytes, subject.peakBytes() - atRest)
  }
  const size = `${(bytes.length / 1e6).toFixed(2)} MB`.padStart(10)
  const read = `${(checked.readBytes / 1024).toFixed(0)} KiB read`.padStart(16)
  const cpu = `${(cpuSeconds * 1000).toFixed(0)} ms CPU`.padStart(12)
  const memory = `${(grownBytes / MIB).toFixed(0)} MiB more`.padStart(14)
  console.log(`${name.padEnd(40)} ${size} ${read} ${cpu} ${memory}   ${checked.fault ?? "accepted"}`)
}

try {
  for (const type of DOCUMENT_TYPES) {
    for (const name of readdirSync(CORPUS).filter((file) => file.endsWith(`.${type}`)))
      await measure(name, () => new Uint8Array(readFileSync(join(CORPUS, name))), type)
  }
  await measure("a workbook of 65 530 hyperlinks", () => new Uint8Array(readFileSync(LINKS)), "xlsx")
  await measure(
    "a .docx of 100 MB",
    () => zipSync(documentParts(randomFillSync(new Uint8Array(100_000_000))), { level: 0 }),
    "docx",
  )
  for (const [name, make] of Object.entries(hostileDocuments)) await measure(name, make, "docx")
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true, force: true })
}
