// Does what the document check accepts read alike elsewhere? Two independent readers are asked: one that goes by the
// directory (fflate), and one that goes by local headers (forward-zip.ts).
import { strFromU8, unzipSync } from "fflate"
import { expect } from "vitest"
import { type Archive, openArchive } from "../../src/office/archive.ts"
import { type ByteSource, memorySource } from "../../src/office/byte-source.ts"
import { DocumentFault } from "../../src/office/fault.ts"
import { createWork } from "../../src/office/work.ts"
import { isSame } from "./documents.ts"
import { readForward } from "./forward-zip.ts"

type Bytes = Uint8Array<ArrayBuffer>
const MAX_PART_BYTES = 8 * 1024 * 1024

/** A file that nobody may read beyond. */
export function strict(bytes: Bytes): ByteSource {
  const source = memorySource(bytes)
  return {
    sizeBytes: bytes.length,
    read(offset, lengthBytes) {
      const isInside = Number.isSafeInteger(offset) && offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= bytes.length
      if (!isInside) throw new RangeError("read outside the file")
      return source.read(offset, lengthBytes)
    },
  }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
/** fflate takes a name without the flag of UTF-8 letter by letter. */
const isNamed = ({ name, nameBytes }: Archive["entries"][number], other: string): boolean =>
  other === name || other === strFromU8(nameBytes, true)

/** What is accepted through and through, both others must read alike. */
export async function expectSame(bytes: Bytes): Promise<void> {
  const archive = await openArchive(strict(bytes), createWork())
  const other = unzipSync(bytes)
  const forward = readForward(bytes)
  const inOrder = archive.entries.toSorted((a, b) => a.headerOffset - b.headerOffset)
  expect(forward.map(({ nameBytes }) => hex(nameBytes))).toEqual(inOrder.map(({ nameBytes }) => hex(nameBytes)))
  expect(Object.keys(other).length).toBe(inOrder.length)
  for (const [i, entry] of inOrder.entries()) {
    const ours = await archive.read(entry, MAX_PART_BYTES)
    const theirs = Object.entries(other).find(([name]) => isNamed(entry, name))?.[1]
    expect(theirs !== undefined && isSame(ours, theirs), `${entry.name} by the directory`).toBe(true)
    expect(isSame(ours, forward[i]?.content ?? new Uint8Array(1)), `${entry.name} by its header`).toBe(true)
  }
}

/** Runs what may fail by a fault, and by nothing else. */
async function orFault<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof DocumentFault) return null
    throw error
  }
}

/**
 * Of a large archive, or one within another, local headers of parts that are not read stay unchecked: what the directory
 * lists must be the same, and what is read.
 */
export async function expectSameUnread(bytes: Bytes): Promise<boolean> {
  const archive = await orFault(() => openArchive(strict(bytes), createWork(), true))
  if (archive === null) return false
  const listed: { name: string; size: number; originalSize: number }[] = []
  unzipSync(bytes, {
    filter: (file) => {
      listed.push(file)
      return false
    },
  })
  expect(listed.length).toBe(archive.entries.length)
  for (const [i, entry] of archive.entries.entries()) {
    const { name = "", size, originalSize } = listed[i] ?? {}
    expect(isNamed(entry, name), entry.name).toBe(true)
    expect([size, originalSize]).toEqual([entry.compressedBytes, entry.plainBytes])
    const ours = await orFault(() => archive.read(entry, MAX_PART_BYTES))
    if (ours === null) continue
    let at = 0
    const [theirs] = Object.values(unzipSync(bytes, { filter: () => at++ === i }))
    expect(theirs !== undefined && isSame(ours, theirs), entry.name).toBe(true)
  }
  return true
}
