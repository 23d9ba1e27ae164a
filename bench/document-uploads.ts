// npm run bench:checks
// What the check adds to an upload of 100 MB: the real one beside the very same without it, in the same Worker and in
// turn, as ratios of medians of time and of CPU; and what the check reads, counted on its own real path.
import { randomFillSync } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DOCUMENT_TYPES, type DocumentType } from "../src/office/document-type.ts"
import { PROJECT_DIR } from "../scripts/wrangler.ts"
import { type BuiltEntry, buildZip, takeApart } from "../test/support/zip-builder.ts"
import { curl, median, startSubject } from "./subject.ts"
import { uploadByTus } from "./tus-upload.ts"

const MIB = 1024 * 1024
const SIZE_BYTES = 100_000_000
const RUNS = 5
/** Of a resumable upload: it ends in the middle of a part. */
const PIECE_BYTES = 20_000_000
const LIMIT = 1.15
const CORPUS = { docx: "libreoffice.docx", xlsx: "libreoffice-chart.xlsx", pptx: "libreoffice-chart.pptx" } as const
/** Pictures, each with a part that points to it: a presentation has very many, a text some large ones. */
const PICTURES = { docx: 40, xlsx: 40, pptx: 400 } as const

/** A genuine document of the corpus with pictures in it until it is large enough. */
function largeDocument(type: DocumentType): Uint8Array {
  const relationships = (target: string): string =>
    `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" Target="${target}"/></Relationships>`
  const genuine = takeApart(new Uint8Array(readFileSync(join(PROJECT_DIR, "test/corpus", CORPUS[type])))).map((part) => {
    if (part.name !== "[Content_Types].xml") return part
    const types = new TextDecoder().decode(part.content)
    const more =
      '<Default Extension="picture" ContentType="image/png"/><Default Extension="extra" ContentType="application/xml"/>'
    return { ...part, content: new TextEncoder().encode(types.replace("</Types>", `${more}</Types>`)) }
  })
  const pictures = Array.from({ length: PICTURES[type] }, (_, i): BuiltEntry[] => [
    { name: `more/part${String(i)}.xml`, content: new TextEncoder().encode("<a/>") },
    {
      name: `more/_rels/part${String(i)}.xml.rels`,
      content: new TextEncoder().encode(relationships(`../media/${String(i)}.picture`)),
    },
    {
      name: `media/${String(i)}.picture`,
      content: randomFillSync(new Uint8Array(Math.ceil(SIZE_BYTES / PICTURES[type]))),
      method: 0,
    },
  ])
  return buildZip([...genuine, ...pictures.flat()])
}

type Reads = { documentBytes: number; documentReads: number; r2Bytes: number; r2Reads: number; fault: string | null }

const dir = mkdtempSync(join(tmpdir(), "sealpost-bench-"))
const subject = await startSubject(join(dir, "state"))
try {
  console.log(`The check of documents of 100 MB, medians of ${String(RUNS)} in turn:`)
  for (const type of DOCUMENT_TYPES.toReversed()) {
    const path = join(dir, `large.${type}`)
    const bytes = largeDocument(type)
    writeFileSync(path, bytes)
    const directoryBytes = new DataView(bytes.buffer).getUint32(bytes.length - 10, true)
    const send = async (url: string, ...more: string[]): Promise<string> =>
      curl(`${subject.origin}${url}`, ...subject.auth, "-H", "Content-Type: application/octet-stream", "-T", path, ...more)
    const sent = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const sides = [
      { run: () => send(`/api/ops/upload/large.${type}`), seconds: [] as number[], cpuSeconds: [] as number[] },
      { run: () => send(`/bench/unchecked/large.${type}`, "-X", "POST"), seconds: [] as number[], cpuSeconds: [] as number[] },
      {
        run: () => uploadByTus(subject, sent, { name: `large.${type}`, sizeBytes: sent.length, chunkBytes: PIECE_BYTES }),
        seconds: [] as number[],
        cpuSeconds: [] as number[],
      },
    ] as const
    let fileId = ""
    for (let i = 0; i <= RUNS; i++) {
      // Whoever comes second finds other buffers warm: they change places.
      for (const side of i % 2 === 0 ? sides : sides.toReversed()) {
        const cpu = subject.cpuSeconds()
        const started = performance.now()
        const answer = await side.run()
        if (i > 0) side.seconds.push((performance.now() - started) / 1000)
        if (i > 0) side.cpuSeconds.push(subject.cpuSeconds() - cpu)
        if (side === sides[0]) fileId = (JSON.parse(answer) as { file: { id: string } }).file.id
      }
    }
    const [time, plainTime, tusTime] = sides.map(({ seconds }) => median(seconds)) as [number, number, number]
    const [cpu, plainCpu] = sides.map(({ cpuSeconds }) => median(cpuSeconds)) as [number, number]
    console.log(
      `.${type} upload       ${(time / plainTime).toFixed(2)}×  (at most ${String(LIMIT)})   ${time.toFixed(2)} s against ${plainTime.toFixed(2)} s   CPU ${(cpu / plainCpu).toFixed(2)}×, ${cpu.toFixed(2)} s against ${plainCpu.toFixed(2)} s`,
    )
    console.log(
      `.${type} by tus       ${(tusTime / plainTime).toFixed(2)}×  in pieces of 20 MB, checked   ${tusTime.toFixed(2)} s`,
    )
    const reads = JSON.parse(await curl(`${subject.origin}/bench/check/${fileId}`, ...subject.auth)) as Reads
    const besides = reads.documentBytes - directoryBytes
    console.log(
      `.${type} check reads  ${(besides / MIB).toFixed(2)} MiB (at most 1) besides ${(directoryBytes / 1024).toFixed(0)} KiB of directory, ${String(reads.documentReads)} times; ${(reads.r2Bytes / MIB).toFixed(2)} MiB of R2 in ${String(reads.r2Reads)} reads if nothing is kept; ${reads.fault ?? "accepted"}`,
    )
  }
} finally {
  await subject.stop()
  rmSync(dir, { recursive: true })
}
